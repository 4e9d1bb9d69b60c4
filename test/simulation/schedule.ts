/**
 * A schedule: everything that one run of the simulator is given, as plain data. It is drawn from a
 * seed, can be written down, and gets smaller by leaving events and fates out.
 */
import type { ClosingAction, StartAction } from '../../src/control/config/model.ts';

/** How one side of a connection is configured. */
export interface Side {
  readonly startAction: StartAction;
  readonly closeAction: ClosingAction;
  readonly dpdAction: ClosingAction;
  /** Seconds. */
  readonly dpdDelay: number;
  readonly keyingtries: number;
  readonly unique: 'no' | 'never' | 'keep' | 'replace';
  /** Seconds; 0 for never. */
  readonly childRekey: number;
  readonly ikeRekey: number;
  readonly reauth: number;
  readonly encap: boolean;
}

/** What both sides of a connection have in common. */
export interface Link {
  /** Index of the gateway on either side; `left` is the one behind a NAT, if there is one. */
  readonly left: number;
  readonly right: number;
  readonly sides: readonly [Side, Side];
  /** Number of children. */
  readonly children: number;
  /** `left` asks for more than `right` gives: what comes of it is narrowed (RFC 7296 §2.9). */
  readonly narrowed: boolean;
  readonly pfs: boolean;
  /** What either side has for a key exchange, the one it tries first in front: the other may want another one. */
  readonly groups: readonly [string, string];
  /** Additional key exchanges with ML-KEM (RFC 9370), and with them IKE_INTERMEDIATE and IKE_FOLLOWUP_KE. */
  readonly hybrid: boolean;
  readonly mobike: boolean;
  readonly childless: 'allow' | 'prefer' | 'never';
  /** The two have different secrets: neither may ever believe the other. */
  readonly estranged: boolean;
  /** Who sends packets through it. */
  readonly traffic: 'both' | 'left' | 'right' | 'none';
}

/** Chances for each datagram, in thousandths. */
export interface FaultRates {
  readonly loss: number;
  readonly duplicate: number;
  readonly corrupt: number;
  /** Arrives after others that were sent later. */
  readonly late: number;
}

/** What the network does to one datagram. */
export type Fate =
  | { readonly kind: 'lose' }
  | { readonly kind: 'duplicate'; readonly after: number }
  | { readonly kind: 'corrupt'; readonly at: number }
  | { readonly kind: 'late'; readonly after: number };

/** What happens at a time; `at` is in milliseconds from the start. Names are resolved when it happens. */
export type ScheduledEvent = { readonly at: number } & (
  | { readonly kind: 'initiate' | 'terminate' | 'rekey'; readonly gateway: number; readonly name: string }
  | { readonly kind: 'expire'; readonly gateway: number; readonly hard: boolean; readonly which: number }
  | { readonly kind: 'install-failed'; readonly gateway: number; readonly which: number }
  | { readonly kind: 'crash'; readonly gateway: number; readonly downtime: number }
  | { readonly kind: 'cut'; readonly link: number; readonly way: 'both' | 'left' | 'right'; readonly duration: number }
  | { readonly kind: 'rebind'; readonly gateway: number }
  /** `gap`: milliseconds without any address; below zero: with both. */
  | { readonly kind: 'move'; readonly gateway: number; readonly to: 'home' | 'away'; readonly gap: number }
  | { readonly kind: 'clock' | 'stall'; readonly gateway: number; readonly step: number }
  | { readonly kind: 'reload'; readonly gateway: number; readonly changed: boolean }
  | { readonly kind: 'replay'; readonly which: number; readonly flip: number | undefined }
);

export interface Schedule {
  readonly seed: number;
  readonly gateways: number;
  readonly links: readonly Link[];
  /** Is gateway 0 behind a NAT? */
  readonly nat: boolean;
  /** How fast each gateway's clock runs, in millionths off. */
  readonly skew: readonly number[];
  /** Half-open IKE SAs from which on a gateway asks for cookies. */
  readonly cookieThreshold: number;
  /** Requests that may be outstanding at each gateway. */
  readonly window: number;
  /** Real cryptography, not its stand-ins. */
  readonly realCrypto: boolean;
  /** One way, in milliseconds. */
  readonly latency: number;
  readonly faults: FaultRates;
  /** Until then things happen; afterwards the network is in order. */
  readonly chaos: number;
  readonly events: readonly ScheduledEvent[];
  /** Instead of `faults`: what happens to the n-th datagram of a gateway, by `gateway/n`. */
  readonly fates?: Readonly<Record<string, Fate>>;
}

/** Retransmission of all simulated gateways: 1 + 1.5 + 2.25 + 3.4 + 5.1 seconds. */
export const RETRANSMISSION = { timeout: 1, base: 1.5, tries: 4 } as const;
export const GIVES_UP_AFTER = [0, 1, 2, 3, 4].reduce((sum, n) => sum + 1000 * RETRANSMISSION.base ** n, 0);

const STARTING: readonly StartAction[] = ['trap', 'start', 'trap|start', 'none'];
const CLOSING: readonly ClosingAction[] = ['trap', 'start', 'clear', 'restart'];

/** @param variant how often its configuration was changed: what it does by itself is another thing then */
export function sideOf({ left, sides }: Link, gateway: number, variant: number): Side {
  const side = sides[left === gateway ? 0 : 1];
  const { startAction, closeAction, dpdAction } = side;
  return {
    ...side,
    startAction: startAction === 'none' ? startAction : turned(STARTING, startAction, variant),
    closeAction: COMES_BACK.includes(closeAction) ? turned(CLOSING, closeAction, variant) : closeAction,
    dpdAction: COMES_BACK.includes(dpdAction) ? turned(CLOSING, dpdAction, variant) : dpdAction,
  };
}

const turned = <T>(list: readonly T[], value: T, by: number): T => list[(list.indexOf(value) + by) % list.length]!;

/** After these something is to follow. */
export const COMES_BACK: readonly ClosingAction[] = ['trap', 'start', 'restart'];

export const connectionName = (link: Link): string => `c${link.left}${link.right}`;
export const childName = (link: Link, index: number): string => `${connectionName(link)}-${'ab'[index]}`;
