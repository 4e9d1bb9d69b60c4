/**
 * The DER (ITU-T X.690) that names, certificates and signatures need. Strict: definite, minimal
 * lengths only, so every value has one encoding.
 */
import { EspalierError } from '../../errors.ts';
import { concat } from '../wire/bytes.ts';

/** Identifier octets. */
export const TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OID: 0x06,
  UTF8_STRING: 0x0c,
  PRINTABLE_STRING: 0x13,
  T61_STRING: 0x14,
  IA5_STRING: 0x16,
  BMP_STRING: 0x1e,
  SEQUENCE: 0x30,
  SET: 0x31,
} as const;

export interface Tlv {
  readonly tag: number;
  /** Contents octets; a view. */
  readonly value: Uint8Array;
  /** Identifier, length and contents; a view. */
  readonly bytes: Uint8Array;
}

const malformed = (what: string): EspalierError => new EspalierError('ERR_DER', `DER ${what}`);

/** @throws EspalierError `ERR_DER` */
export function readTlv(bytes: Uint8Array, offset = 0): Tlv {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw malformed('is cut off');
  if ((tag & 0x1f) === 0x1f) throw malformed('has a tag number above 30');
  let length = first;
  let start = offset + 2;
  if (first > 0x7f) {
    const count = first & 0x7f;
    if (count === 0 || count > 3) throw malformed('has a length of a form we do not take');
    length = 0;
    for (let index = 0; index < count; index++) length = (length << 8) | (bytes[start + index] ?? 0);
    start += count;
    if (length < 0x80 || length < 2 ** (8 * (count - 1))) throw malformed('has a length that is not minimal');
  }
  const end = start + length;
  if (end > bytes.length) throw malformed('is cut off');
  return { tag, value: bytes.subarray(start, end), bytes: bytes.subarray(offset, end) };
}

/** @returns the one value that `bytes` is @throws EspalierError `ERR_DER`, also for bytes behind it */
export function readOnly(bytes: Uint8Array, tag: number): Tlv {
  const tlv = readTlv(bytes);
  if (tlv.bytes.length !== bytes.length) throw malformed('has bytes behind its end');
  if (tlv.tag !== tag) throw malformed(`has tag ${tlv.tag} where ${tag} must stand`);
  return tlv;
}

/** @returns the members of a SEQUENCE's or SET's contents @throws EspalierError `ERR_DER` */
export function readAll(contents: Uint8Array): Tlv[] {
  const members: Tlv[] = [];
  for (let offset = 0; offset < contents.length; ) {
    const member = readTlv(contents, offset);
    members.push(member);
    offset += member.bytes.length;
  }
  return members;
}

/** @returns one value with its identifier and length */
export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const value = concat(...contents);
  const { length } = value;
  if (length < 0x80) return concat(Uint8Array.of(tag, length), value);
  const octets = length < 0x100 ? [length] : [length >> 8, length & 0xff];
  if (length > 0xffff) throw malformed('would be too long');
  return concat(Uint8Array.of(tag, 0x80 | octets.length, ...octets), value);
}

/** @param text dotted: `2.5.4.3` @returns the OBJECT IDENTIFIER with its header */
export function oid(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  return der(TAG.OID, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

function base128(value: number): number[] {
  const digits = [value % 128];
  for (let high = Math.floor(value / 128); high > 0; high = Math.floor(high / 128)) digits.unshift(128 + (high % 128));
  return digits;
}

/** @param contents of an OBJECT IDENTIFIER @returns it dotted @throws EspalierError `ERR_DER` */
export function oidText(contents: Uint8Array): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of contents) {
    arc = arc * 128 + (byte & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER / 128) throw malformed('has an object identifier that is too long');
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [head, ...rest] = arcs;
  if (head === undefined || contents.at(-1)! >= 0x80) throw malformed('has a broken object identifier');
  const root = Math.min(2, Math.floor(head / 40));
  return [root, head - root * 40, ...rest].join('.');
}
