/**
 * A message: header, chain of payloads, and the Encrypted payload around or behind them
 * (RFC 7296 §3.1, §3.2, §3.14).
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Next Payload  |C|  RESERVED   |         Payload Length        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { concat, Reader, Writer } from './bytes.ts';
import { limitError, syntaxError, WireError } from './error.ts';
import {
  emitHeader,
  HEADER_LENGTH,
  type Header,
  MAX_MESSAGE_LENGTH,
  type ParsedHeader,
  parseHeader,
} from './header.ts';
import { NOTIFY, PAYLOAD, payloadName } from './iana.ts';
import { codecOf, codecOfType, type Payload, type PayloadKind, type PayloadOf } from './payloads/index.ts';
import {
  type EncryptedPart,
  emitEncryptedHeader,
  parseEncrypted,
  SK_HEADER_LENGTH,
  type SkProtection,
} from './payloads/sk.ts';

const GENERIC_HEADER_LENGTH = 4;
const CRITICAL = 0x80;
/** More payloads than this no exchange has, be it with a long chain of certificates. */
export const MAX_PAYLOADS = 128;
/** The Payload Length field has 16 bits. */
const MAX_PAYLOAD_LENGTH = 65_535;

export interface ParsedMessage {
  readonly header: ParsedHeader;
  /** The bytes as they came: AUTH covers them (RFC 7296 §2.15). Not copied. */
  readonly data: Uint8Array;
  /** Payloads outside of SK and SKF. Beside one of those nothing here has a meaning. */
  readonly payloads: readonly Payload[];
  /** Present in every protected message; see `openMessage` and `fragment.ts`. */
  readonly encrypted?: EncryptedPart;
}

/** What a protected message held. */
export interface OpenedMessage {
  readonly payloads: readonly Payload[];
  /** The payloads as bytes, without padding: RFC 9242 §3.3.2 authenticates them. */
  readonly plaintext: Uint8Array;
  readonly firstPayload: number;
}

interface Chain {
  readonly payloads: readonly Payload[];
  readonly encrypted?: EncryptedPart;
}

/**
 * Parses one datagram; nothing in it is authentic yet.
 * @throws WireError and nothing else
 */
export function parseMessage(data: Uint8Array): ParsedMessage {
  const header = parseHeader(data);
  return { header, data, ...parseChain(data, HEADER_LENGTH, header.nextPayload) };
}

/**
 * Opens a message that has an SK payload.
 * @throws WireError `ERR_WIRE_INTEGRITY` if it is not authentic (drop it), any other for what is inside
 */
export function openMessage(message: ParsedMessage, protection: SkProtection): OpenedMessage {
  const { encrypted, data } = message;
  if (encrypted?.kind !== 'SK') throw syntaxError('message has no SK payload');
  const plaintext = protection.open(data, encrypted.bodyOffset);
  return parseOpened(encrypted.firstPayload, plaintext);
}

/** @throws WireError if the plaintext of an SK payload (or of all fragments together) is malformed */
export function parseOpened(firstPayload: number, plaintext: Uint8Array): OpenedMessage {
  const { payloads, encrypted } = parseChain(plaintext, 0, firstPayload);
  if (encrypted !== undefined) throw syntaxError(`${encrypted.kind} payload stands inside another`);
  return { payloads, plaintext, firstPayload };
}

function parseChain(bytes: Uint8Array, start: number, firstType: number): Chain {
  const reader = new Reader(bytes, 'message');
  reader.skip(start);
  const payloads: Payload[] = [];
  let type = firstType;
  while (type !== PAYLOAD.NONE) {
    if (payloads.length === MAX_PAYLOADS) throw limitError(`message has more than ${MAX_PAYLOADS} payloads`);
    const next = reader.u8();
    const critical = (reader.u8() & CRITICAL) !== 0;
    const length = reader.u16();
    if (length < GENERIC_HEADER_LENGTH) {
      throw syntaxError(`${payloadName(type)} payload of ${length} bytes is shorter than its header`);
    }
    const bodyOffset = reader.offset;
    const body = reader.sub(length - GENERIC_HEADER_LENGTH, `${payloadName(type)} payload`).bytes;
    if (type === PAYLOAD.SK || type === PAYLOAD.SKF) {
      // RFC 7296 §3.14: it is the last one, and its Next Payload belongs to what is inside.
      reader.end();
      return { payloads, encrypted: parseEncrypted(type, next, bytes, bodyOffset) };
    }
    payloads.push(parsePayload(type, critical, body));
    type = next;
  }
  reader.end();
  return { payloads };
}

function parsePayload(type: number, critical: boolean, body: Uint8Array): Payload {
  const codec = codecOfType(type);
  if (codec !== undefined) return codec.parse(body);
  if (critical) {
    // RFC 7296 §2.5: the notification data is the one-byte payload type.
    const message = `critical payload of unknown type ${type}`;
    throw new WireError('ERR_WIRE_CRITICAL', message, NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD, Uint8Array.of(type));
  }
  return { kind: 'unknown', type, critical, body: body.slice() };
}

const typeOf = (payload: Payload | undefined): number => {
  if (payload === undefined) return PAYLOAD.NONE;
  return payload.kind === 'unknown' ? payload.type : codecOf(payload.kind).type;
};

function payloadLength(payload: Payload): number {
  const body = payload.kind === 'unknown' ? payload.body.length : codecOf(payload.kind).length(payload);
  const length = GENERIC_HEADER_LENGTH + body;
  if (length > MAX_PAYLOAD_LENGTH) throw new RangeError(`${payload.kind} payload of ${length} bytes is too long`);
  return length;
}

/** @returns the chain of payloads as bytes, and the type of the first */
export function emitPayloads(payloads: readonly Payload[]): { firstPayload: number; plaintext: Uint8Array } {
  const out = new Writer(payloads.reduce((sum, payload) => sum + payloadLength(payload), 0));
  payloads.forEach((payload, index) => {
    out.u8(typeOf(payloads[index + 1]));
    // RFC 7296 §3.2: 0 for all payloads of the RFC.
    out.u8(payload.kind === 'unknown' && payload.critical ? CRITICAL : 0);
    out.u16(payloadLength(payload));
    if (payload.kind === 'unknown') out.put(payload.body);
    else codecOf(payload.kind).emit(payload, out);
  });
  return { firstPayload: typeOf(payloads[0]), plaintext: out.bytes };
}

/** @returns an unprotected message: IKE_SA_INIT, or an error about an SA that does not exist */
export function buildMessage(header: Header, payloads: readonly Payload[]): Uint8Array {
  const { firstPayload, plaintext } = emitPayloads(payloads);
  const out = new Writer(HEADER_LENGTH);
  emitHeader(header, firstPayload, HEADER_LENGTH + plaintext.length, out);
  return concat(out.bytes, plaintext);
}

/**
 * @returns the message with all payloads inside one SK payload
 * @throws RangeError if it fits no datagram
 */
export function sealMessage(header: Header, payloads: readonly Payload[], protection: SkProtection): Uint8Array {
  const { firstPayload, plaintext } = emitPayloads(payloads);
  return sealPart(header, { kind: 'SK', firstPayload }, plaintext, protection);
}

/** @returns one datagram with one SK or SKF payload around `plaintext` */
export function sealPart(
  header: Header,
  part: Omit<EncryptedPart, 'bodyOffset'>,
  plaintext: Uint8Array,
  protection: SkProtection,
): Uint8Array {
  const headLength = HEADER_LENGTH + SK_HEADER_LENGTH + (part.fragment === undefined ? 0 : 4);
  const length = headLength + protection.sealedLength(plaintext.length);
  if (length > MAX_MESSAGE_LENGTH) throw new RangeError(`IKE message of ${length} bytes fits no UDP datagram`);
  const out = new Writer(headLength);
  emitHeader(header, PAYLOAD[part.kind], length, out);
  emitEncryptedHeader(part, length - HEADER_LENGTH, out);
  return protection.seal(out.bytes, plaintext);
}

/** @returns the first payload of that kind */
export function find<K extends PayloadKind>(payloads: readonly Payload[], kind: K): PayloadOf<K> | undefined {
  return payloads.find((payload): payload is PayloadOf<K> => payload.kind === kind);
}

/** @returns all payloads of that kind, in order */
export function findAll<K extends PayloadKind>(payloads: readonly Payload[], kind: K): PayloadOf<K>[] {
  return payloads.filter((payload): payload is PayloadOf<K> => payload.kind === kind);
}

/** @returns the first notification of that type */
export const findNotify = (payloads: readonly Payload[], notify: number): PayloadOf<'N'> | undefined =>
  findAll(payloads, 'N').find((payload) => payload.notify === notify);
