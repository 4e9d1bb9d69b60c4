/**
 * What goes into the protocol core and what comes out of it: values only, so that a test, a
 * simulation or a driver can hold, replay and compare them.
 *
 *   datagram · timer · command · data-plane event ─► IkeCore.handle(input, now) ─► effects, in order
 */
import type {
  Direction,
  Endpoint,
  IkeDatagram,
  PolicyParameters,
  SaCounters,
  SaParameters,
  TrafficSelector,
} from '../../contract.ts';
import type { Config } from '../config/model.ts';
import type { CryptoProvider } from '../crypto/provider.ts';

/** The core's own name for an SA or a policy of the data plane; never used twice. */
export type SaKey = number;
export type PolicyKey = number;

/** What the core asks its surroundings for in the middle of a step; everything else is an effect. */
export interface Environment {
  /** Algorithms and the only source of randomness. */
  readonly crypto: CryptoProvider;
  /** @returns an inbound SPI of ESP and AH that is above 255 and free */
  reserveSpi(): number;
  releaseSpi(spi: number): void;
  /** @returns the system's time of day, which may be set; milliseconds since the epoch. For dates, and nothing else. */
  wallClock(): number;
  /** @returns counters of an installed SA: liveness and lifetimes ask for them. `lastUsed` is of the core's own clock. */
  counters(sa: SaKey): SaCounters | undefined;
  /** @returns the local address from which `remote` is reached, where the configuration names none */
  sourceAddress(remote: string): string | undefined;
}

/** One step of the world. `request` comes back in the `completed` event. */
export type Input =
  | { readonly type: 'datagram'; readonly datagram: IkeDatagram }
  /** The time asked for by the last `timer` effect has come. */
  | { readonly type: 'timer' }
  /** Acts on every child's `start_action`. */
  | { readonly type: 'start' }
  | { readonly type: 'initiate'; readonly request: number; readonly name: string }
  | { readonly type: 'terminate'; readonly request: number; readonly name: string }
  /** Rekeys what is called so now, whatever its lifetime. */
  | { readonly type: 'rekey'; readonly request: number; readonly name: string }
  | { readonly type: 'reload'; readonly config: Config }
  | { readonly type: 'stop'; readonly request: number }
  | { readonly type: 'acquire'; readonly policy: PolicyKey; readonly packet: TrafficSelector }
  | {
      readonly type: 'expire';
      readonly sa: SaKey;
      readonly kind: 'soft' | 'hard';
      readonly reason: 'bytes' | 'packets' | 'sequence';
    }
  | { readonly type: 'mapping'; readonly sa: SaKey; readonly remote: Endpoint }
  | { readonly type: 'install-failed'; readonly sa: SaKey; readonly reason: string }
  /** The addresses of this host changed (MOBIKE, RFC 4555 §3.5). */
  | { readonly type: 'addresses'; readonly addresses: readonly string[] };

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/** What a program that embeds the gateway may want to know. */
export type IkeEvent =
  | { readonly type: 'ike-up'; readonly connection: string; readonly id: number }
  | { readonly type: 'ike-rekeyed'; readonly connection: string; readonly id: number; readonly replacedBy: number }
  | { readonly type: 'ike-down'; readonly connection: string; readonly id: number; readonly reason: string }
  | { readonly type: 'ike-failed'; readonly connection: string; readonly code: string; readonly reason: string }
  | { readonly type: 'child-up'; readonly connection: string; readonly child: string; readonly id: number }
  | {
      readonly type: 'child-rekeyed';
      readonly connection: string;
      readonly child: string;
      readonly id: number;
      readonly replacedBy: number;
    }
  | {
      readonly type: 'child-down';
      readonly connection: string;
      readonly child: string;
      readonly id: number;
      readonly reason: string;
    }
  | {
      readonly type: 'child-failed';
      readonly connection: string;
      readonly child: string;
      readonly code: string;
      readonly reason: string;
    };

/** Key material for Wireshark's tables; only produced when the configuration asks for it. */
export type KeyExport =
  | {
      readonly kind: 'ike';
      readonly spiI: bigint;
      readonly spiR: bigint;
      readonly encr: number;
      readonly keyBits: number;
      readonly integ: number;
      readonly ei: Uint8Array;
      readonly er: Uint8Array;
      readonly ai: Uint8Array;
      readonly ar: Uint8Array;
    }
  | { readonly kind: 'child'; readonly parameters: SaParameters };

export type Effect =
  | { readonly type: 'send'; readonly datagram: IkeDatagram }
  /** Wake the core at that time (milliseconds); undefined: no timer is needed. Replaces the one before. */
  | { readonly type: 'timer'; readonly at: number | undefined }
  | { readonly type: 'install-sa'; readonly key: SaKey; readonly parameters: SaParameters }
  | {
      readonly type: 'move-sa';
      readonly key: SaKey;
      readonly local: Endpoint;
      readonly remote: Endpoint;
      readonly udpEncapsulation: boolean;
    }
  | { readonly type: 'remove-sa'; readonly key: SaKey; readonly direction: Direction }
  | {
      readonly type: 'install-policy';
      readonly key: PolicyKey;
      readonly parameters: Omit<PolicyParameters, 'sa'>;
      readonly sa?: SaKey;
    }
  | { readonly type: 'set-policy-sa'; readonly key: PolicyKey; readonly sa?: SaKey }
  | { readonly type: 'remove-policy'; readonly key: PolicyKey }
  | { readonly type: 'add-route'; readonly prefix: string }
  | { readonly type: 'remove-route'; readonly prefix: string }
  /** What the selector names is to come protected, though no policy is there yet. */
  | { readonly type: 'guard'; readonly key: PolicyKey; readonly priority: number; readonly selector: TrafficSelector }
  | { readonly type: 'unguard'; readonly key: PolicyKey }
  | { readonly type: 'log'; readonly level: LogLevel; readonly message: string; readonly connection?: string }
  | { readonly type: 'event'; readonly event: IkeEvent }
  | { readonly type: 'keys'; readonly keys: KeyExport }
  | {
      readonly type: 'completed';
      readonly request: number;
      readonly error?: { readonly code: string; readonly message: string };
    };
