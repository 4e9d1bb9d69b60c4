/**
 * Which payloads stand in which message, how often and in what order (RFC 7296 §1.2, §1.3 and
 * Appendix C; RFC 9242, RFC 9370). The order binds what we send; what we receive may have any
 * (RFC 7296 §2.5), but must be complete and must not repeat what is there once.
 */
import { syntaxError } from '../wire/error.ts';
import { EXCHANGE, exchangeName, isErrorNotify, NOTIFY } from '../wire/iana.ts';
import type { Payload, PayloadKind } from '../wire/payloads/index.ts';

/** A payload kind, or one notify type that has a place of its own. */
type Slot = Exclude<PayloadKind, 'unknown'> | `N(${keyof typeof NOTIFY})`;

interface MessageRules {
  /** Places in the order of Appendix C: of kinds, and of notify types that have one of their own. */
  readonly places: ReadonlyMap<string, number>;
  readonly notifyPlaces: ReadonlyMap<number, number>;
  /** Must be there, once. */
  readonly required: readonly PayloadKind[];
  /** May be there, once. */
  readonly optional: readonly PayloadKind[];
  /** May be there, any number of times; `N` and `V` always may. */
  readonly repeated: readonly PayloadKind[];
}

interface ExchangeRules {
  readonly request: MessageRules;
  /** Holds for responses without an error notification. */
  readonly response: MessageRules;
}

type NotifySlot = Extract<Slot, `N(${string})`>;
const isNotify = (slot: Slot): slot is NotifySlot => slot.startsWith('N(');
const notifyOf = (slot: NotifySlot): number => NOTIFY[slot.slice(2, -1) as keyof typeof NOTIFY];

const rules = (
  order: readonly Slot[],
  required: readonly PayloadKind[],
  optional: readonly PayloadKind[] = [],
  repeated: readonly PayloadKind[] = [],
): MessageRules => ({
  places: new Map(order.map((slot, place) => [slot, place])),
  notifyPlaces: new Map(order.flatMap((slot, place) => (isNotify(slot) ? [[notifyOf(slot), place] as const] : []))),
  required,
  optional,
  repeated,
});

const CHILD_NOTIFIES: readonly Slot[] = [
  'N(IPCOMP_SUPPORTED)',
  'N(USE_TRANSPORT_MODE)',
  'N(ESP_TFC_PADDING_NOT_SUPPORTED)',
  'N(NON_FIRST_FRAGMENTS_ALSO)',
];
const NAT_DETECTION: readonly Slot[] = ['N(NAT_DETECTION_SOURCE_IP)', 'N(NAT_DETECTION_DESTINATION_IP)'];

export const RULES: Readonly<Record<number, ExchangeRules>> = {
  [EXCHANGE.IKE_SA_INIT]: {
    request: rules(
      ['N(COOKIE)', 'SA', 'KE', 'NONCE', ...NAT_DETECTION, 'V', 'N'],
      ['SA', 'KE', 'NONCE'],
      [],
      ['CERTREQ'],
    ),
    response: rules(
      ['SA', 'KE', 'NONCE', ...NAT_DETECTION, 'CERTREQ', 'V', 'N'],
      ['SA', 'KE', 'NONCE'],
      [],
      ['CERTREQ'],
    ),
  },
  [EXCHANGE.IKE_INTERMEDIATE]: {
    request: rules(['KE', 'V', 'N'], [], ['KE']),
    response: rules(['KE', 'V', 'N'], [], ['KE']),
  },
  [EXCHANGE.IKE_AUTH]: {
    request: rules(
      [
        'IDi',
        'CERT',
        'N(INITIAL_CONTACT)',
        'CERTREQ',
        'IDr',
        'AUTH',
        'CP',
        ...CHILD_NOTIFIES,
        'SA',
        'TSi',
        'TSr',
        'V',
        'N',
      ],
      ['IDi'],
      ['IDr', 'AUTH', 'CP', 'SA', 'TSi', 'TSr', 'EAP'],
      ['CERT', 'CERTREQ'],
    ),
    response: rules(
      ['IDr', 'CERT', 'AUTH', 'CP', ...CHILD_NOTIFIES, 'SA', 'TSi', 'TSr', 'N(ADDITIONAL_TS_POSSIBLE)', 'V', 'N'],
      ['IDr', 'AUTH'],
      ['CP', 'SA', 'TSi', 'TSr', 'EAP'],
      ['CERT'],
    ),
  },
  [EXCHANGE.CREATE_CHILD_SA]: {
    request: rules(
      ['N(REKEY_SA)', 'CP', ...CHILD_NOTIFIES, 'SA', 'NONCE', 'KE', 'TSi', 'TSr', 'V', 'N'],
      ['SA', 'NONCE'],
      ['KE', 'TSi', 'TSr', 'CP'],
    ),
    response: rules(
      ['CP', ...CHILD_NOTIFIES, 'SA', 'NONCE', 'KE', 'TSi', 'TSr', 'N(ADDITIONAL_TS_POSSIBLE)', 'V', 'N'],
      ['SA', 'NONCE'],
      ['KE', 'TSi', 'TSr', 'CP'],
    ),
  },
  [EXCHANGE.IKE_FOLLOWUP_KE]: {
    request: rules(['KE', 'N(ADDITIONAL_KEY_EXCHANGE)', 'V', 'N'], ['KE']),
    response: rules(['KE', 'N(ADDITIONAL_KEY_EXCHANGE)', 'V', 'N'], ['KE']),
  },
  [EXCHANGE.INFORMATIONAL]: {
    request: rules(['N', 'D', 'CP', 'V'], [], ['CP'], ['D']),
    response: rules(['N', 'D', 'CP', 'V'], [], ['CP'], ['D']),
  },
};

const ALWAYS_REPEATED: readonly PayloadKind[] = ['N', 'V', 'unknown'];

/** @returns the first error notification, which stands instead of an answer */
export const errorNotify = (payloads: readonly Payload[]): Extract<Payload, { kind: 'N' }> | undefined =>
  payloads.find(
    (payload): payload is Extract<Payload, { kind: 'N' }> => payload.kind === 'N' && isErrorNotify(payload.notify),
  );

/** An error, or a cookie, stands instead of everything else that an answer holds. */
const isInstead = (payloads: readonly Payload[]): boolean =>
  errorNotify(payloads) !== undefined || (payloads[0]?.kind === 'N' && payloads[0].notify === NOTIFY.COOKIE);

/**
 * Payload types that have no place in the message are ignored; that is how it stays extensible.
 * @throws WireError INVALID_SYNTAX if a payload is missing, or there twice
 */
export function checkPayloads(exchange: number, response: boolean, payloads: readonly Payload[]): void {
  const exchangeRules = RULES[exchange];
  if (exchangeRules === undefined) throw syntaxError(`${exchangeName(exchange)} is no exchange we know`);
  const message = () => `${exchangeName(exchange)} ${response ? 'response' : 'request'}`;
  const { required, optional, repeated } = response ? exchangeRules.response : exchangeRules.request;
  const counts = new Map<PayloadKind, number>();
  for (const { kind } of payloads) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  if (!(response && isInstead(payloads))) {
    for (const kind of required) if (!counts.has(kind)) throw syntaxError(`${message()} has no ${kind} payload`);
  }
  for (const [kind, count] of counts) {
    if (count === 1 || ALWAYS_REPEATED.includes(kind) || repeated.includes(kind)) continue;
    if (required.includes(kind) || optional.includes(kind)) {
      throw syntaxError(`${message()} has ${count} ${kind} payloads`);
    }
  }
}

function place({ places, notifyPlaces }: MessageRules, payload: Payload): number {
  const own = payload.kind === 'N' ? notifyPlaces.get(payload.notify) : undefined;
  return own ?? places.get(payload.kind) ?? places.size;
}

/** @returns the payloads in the order that Appendix C gives them */
export function inOrder(exchange: number, response: boolean, payloads: readonly Payload[]): Payload[] {
  const rules = response ? RULES[exchange]!.response : RULES[exchange]!.request;
  const places = payloads.map((payload) => place(rules, payload));
  if (places.every((at, index) => index === 0 || places[index - 1]! <= at)) return [...payloads];
  const order = [...payloads.keys()].sort((a, b) => places[a]! - places[b]! || a - b);
  return order.map((index) => payloads[index]!);
}
