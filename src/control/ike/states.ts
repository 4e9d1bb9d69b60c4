/** The states of an IKE SA and what each allows, as data. */
import type { ChildSaState, IkeSaState } from '../manage/status.ts';
import { EXCHANGE } from '../wire/iana.ts';

/**
 *   CREATED ─► CONNECTING ─► ESTABLISHED ⇄ REKEYING
 *      │           │              │ ▲         │
 *      └► PASSIVE ─┼──────────────┼─┘         │
 *            │     │              └► REKEYED ◄┘
 *            │     │                    │
 *            └─────┴──────► DELETING ◄──┘──► DESTROYING
 *
 * PASSIVE is a rekeyed SA that answers but does not yet know whether it inherits.
 */
const IKE_TRANSITIONS: Readonly<Record<IkeSaState, readonly IkeSaState[]>> = {
  CREATED: ['CONNECTING', 'PASSIVE', 'DESTROYING'],
  CONNECTING: ['ESTABLISHED', 'DELETING', 'DESTROYING'],
  ESTABLISHED: ['REKEYING', 'REKEYED', 'DELETING', 'DESTROYING'],
  PASSIVE: ['ESTABLISHED', 'DELETING', 'DESTROYING'],
  REKEYING: ['ESTABLISHED', 'REKEYED', 'DELETING', 'DESTROYING'],
  REKEYED: ['DELETING', 'DESTROYING'],
  DELETING: ['DESTROYING'],
  DESTROYING: [],
};

/**
 * Requests that are looked at. Nothing but the handshake's own exchanges reaches an SA whose peer has
 * not proved who it is: no unauthenticated SA can be rekeyed or used to make a child.
 */
const REQUESTS: Readonly<Record<IkeSaState, readonly number[]>> = {
  CREATED: [],
  CONNECTING: [EXCHANGE.IKE_INTERMEDIATE, EXCHANGE.IKE_AUTH],
  ESTABLISHED: [EXCHANGE.CREATE_CHILD_SA, EXCHANGE.INFORMATIONAL, EXCHANGE.IKE_FOLLOWUP_KE],
  PASSIVE: [EXCHANGE.CREATE_CHILD_SA, EXCHANGE.INFORMATIONAL],
  REKEYING: [EXCHANGE.CREATE_CHILD_SA, EXCHANGE.INFORMATIONAL, EXCHANGE.IKE_FOLLOWUP_KE],
  REKEYED: [EXCHANGE.CREATE_CHILD_SA, EXCHANGE.INFORMATIONAL, EXCHANGE.IKE_FOLLOWUP_KE],
  DELETING: [EXCHANGE.CREATE_CHILD_SA, EXCHANGE.INFORMATIONAL, EXCHANGE.IKE_FOLLOWUP_KE],
  DESTROYING: [],
};

/** @throws Error for a step that no SA takes: a bug of ours, never the peer's doing */
export function checkIkeTransition(from: IkeSaState, to: IkeSaState): void {
  if (from !== to && !IKE_TRANSITIONS[from].includes(to)) throw new Error(`IKE SA cannot go from ${from} to ${to}`);
}

export const takesRequest = (state: IkeSaState, exchange: number): boolean => REQUESTS[state].includes(exchange);

/** The peer has proved who it is, and the SA may be used to start something new. */
export const isUsable = (state: IkeSaState): boolean => state === 'ESTABLISHED' || state === 'REKEYING';

/** A child SA that is installed, be it on its way out, and not being deleted yet. */
export const isInstalled = (state: ChildSaState): boolean => isLive(state) || state === 'REKEYED';

/** A child SA that carries traffic and may be rekeyed or deleted. */
export const isLive = (state: ChildSaState): boolean => state === 'INSTALLED' || state === 'REKEYING';
