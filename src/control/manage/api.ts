/**
 * The control API: HTTP with JSON over a Unix socket that only its owner may open.
 *
 *   GET  /status           → GatewayStatus
 *   GET  /metrics          → Prometheus text
 *   POST /up/NAME          → {}    brings a connection or a child up, answers when it is
 *   POST /down/NAME        → {}
 *   POST /rekey/NAME       → {}
 *   POST /reload           → { changed: [...], restart: [...] }
 *   POST /backend/NAME     → {}
 *
 * A refusal is `{ code, message }` with a status of 400 or above.
 */
import type { GatewayStatus } from './status.ts';

/** What a reload did. */
export interface ReloadResult {
  /** Names of connections that were added, changed or removed. */
  readonly changed: readonly string[];
  /** Keys whose new values take effect only after a restart. */
  readonly restart: readonly string[];
}

/** What the API can ask of a gateway. */
export interface Manageable {
  status(): GatewayStatus;
  metrics(): Promise<string>;
  up(name: string): Promise<void>;
  down(name: string): Promise<void>;
  rekey(name: string): Promise<void>;
  reload(): Promise<ReloadResult>;
  setBackend(name: string): Promise<void>;
}

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface Route {
  readonly method: 'GET' | 'POST';
  /** `/up/NAME` is told by its first word; `named` says whether a name follows. */
  readonly word: string;
  readonly named: boolean;
  readonly answer: (gateway: Manageable, name: string) => unknown;
}

export const ROUTES: readonly Route[] = [
  { method: 'GET', word: 'status', named: false, answer: (gateway) => gateway.status() },
  { method: 'GET', word: 'metrics', named: false, answer: (gateway) => gateway.metrics() },
  { method: 'POST', word: 'up', named: true, answer: (gateway, name) => gateway.up(name) },
  { method: 'POST', word: 'down', named: true, answer: (gateway, name) => gateway.down(name) },
  { method: 'POST', word: 'rekey', named: true, answer: (gateway, name) => gateway.rekey(name) },
  { method: 'POST', word: 'reload', named: false, answer: (gateway) => gateway.reload() },
  { method: 'POST', word: 'backend', named: true, answer: (gateway, name) => gateway.setBackend(name) },
];
