/**
 * The control API: HTTP with JSON over a Unix socket that only its owner may open.
 *
 *   GET  /status           → GatewayStatus
 *   GET  /metrics          → Prometheus text
 *   POST /up/NAME          → {}    brings a connection or a child up, answers when it is
 *   POST /down/NAME        → {}
 *   POST /rekey/NAME       → {}
 *   POST /reload           → { changed: [...], renewed: [...], restart: [...] }
 *   POST /backend/NAME     → {}    of the gateway
 *   POST /backend/NAME/CONNECTION  → {}    of one connection; NAME `default` gives it the gateway's again
 *   POST /shadow/NAME      → {}    has NAME check a sample of packets; `none` ends that
 *
 * A refusal is `{ code, message }` with a status of 400 or above.
 */
import type { GatewayStatus } from './status.ts';

/** What a reload did. */
export interface ReloadResult {
  /** Names of connections that were added, changed or removed. */
  readonly changed: readonly string[];
  /** Names of connections that kept their SAs, and have new certificates, keys or revocation lists. */
  readonly renewed: readonly string[];
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
  setBackend(name: string, connection?: string): Promise<void>;
  setShadow(name: string): Promise<void>;
}

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface Route {
  readonly method: 'GET' | 'POST';
  /** `/up/NAME` is told by its first word and the number of names that follow. */
  readonly word: string;
  readonly names: number;
  readonly answer: (gateway: Manageable, ...names: string[]) => unknown;
}

export const ROUTES: readonly Route[] = [
  { method: 'GET', word: 'status', names: 0, answer: (gateway) => gateway.status() },
  { method: 'GET', word: 'metrics', names: 0, answer: (gateway) => gateway.metrics() },
  { method: 'POST', word: 'up', names: 1, answer: (gateway, name) => gateway.up(name!) },
  { method: 'POST', word: 'down', names: 1, answer: (gateway, name) => gateway.down(name!) },
  { method: 'POST', word: 'rekey', names: 1, answer: (gateway, name) => gateway.rekey(name!) },
  { method: 'POST', word: 'reload', names: 0, answer: (gateway) => gateway.reload() },
  { method: 'POST', word: 'backend', names: 1, answer: (gateway, name) => gateway.setBackend(name!) },
  { method: 'POST', word: 'backend', names: 2, answer: (gateway, name, of) => gateway.setBackend(name!, of) },
  { method: 'POST', word: 'shadow', names: 1, answer: (gateway, name) => gateway.setShadow(name!) },
];
