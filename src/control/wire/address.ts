/**
 * IP addresses, ranges and selectors: text in canonical form ↔ bytes in network order.
 */
import ipaddr from 'ipaddr.js';
import type { AddressRange } from '../../contract.ts';
import { EspalierError } from '../../errors.ts';

const badAddress = (text: string, why: string): EspalierError =>
  new EspalierError('ERR_ADDRESS', `"${text}" ${why}; write e.g. 192.0.2.1, 10.1.0.0/16 or 2001:db8::/64`);

/**
 * @returns 4 or 16 bytes
 * @throws EspalierError `ERR_ADDRESS` for anything but dotted-quad IPv4 or IPv6 without a zone
 */
export function addressBytes(text: string): Uint8Array {
  const plain = dottedQuad(text);
  if (plain !== undefined) return plain;
  if (!isAddress(text)) throw badAddress(text, 'is not an IP address');
  return Uint8Array.from(ipaddr.parse(text).toByteArray());
}

const ZERO = 48;
const DOT = 46;

/** The most frequent case by far, and every message has some. @returns undefined for anything else */
function dottedQuad(text: string): Uint8Array | undefined {
  if (text.length > 15) return undefined;
  const out = new Uint8Array(4);
  let [at, value, digits] = [0, 0, 0];
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === DOT) {
      if (digits === 0 || at === 3) return undefined;
      out[at++] = value;
      value = digits = 0;
      continue;
    }
    // A leading zero would be octal to some.
    if (code < ZERO || code > ZERO + 9 || (digits > 0 && value === 0)) return undefined;
    value = value * 10 + code - ZERO;
    digits++;
    if (value > 255) return undefined;
  }
  if (digits === 0 || at !== 3) return undefined;
  out[3] = value;
  return out;
}

/** @param bytes 4 or 16 of them @returns `192.0.2.1` or RFC 5952's `2001:db8::1` */
export const addressText = (bytes: Uint8Array): string =>
  bytes.length === 4
    ? `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`
    : ipaddr.fromByteArray(Array.from(bytes)).toString();

/** @returns the address as this project compares it: RFC 5952, lower case */
export const canonicalAddress = (text: string): string => addressText(addressBytes(text));

/** @returns whether `text` is one IP address, as `addressBytes` takes it */
export function isAddress(text: string): boolean {
  if (dottedQuad(text) !== undefined) return true;
  return text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text);
}

/** @returns below 0, 0 or above 0, as `Array.sort` wants it; IPv4 comes before IPv6 */
export function compareAddresses(a: Uint8Array, b: Uint8Array): number {
  return a.length - b.length || Buffer.compare(a, b);
}

/**
 * @param text `10.1.0.0/16`, `10.1.0.4-10.1.0.9` or a single address
 * @throws EspalierError `ERR_ADDRESS`
 */
export function parseRange(text: string): AddressRange {
  if (text.includes('/')) return cidrRange(text);
  const [from = '', to, ...more] = text.split('-').map((part) => part.trim());
  if (more.length > 0) throw badAddress(text, 'has more than one "-"');
  const first = addressBytes(from);
  const last = to === undefined ? first : addressBytes(to);
  if (first.length !== last.length) throw badAddress(text, 'mixes IPv4 and IPv6');
  if (Buffer.compare(first, last) > 0) throw badAddress(text, 'ends before it begins');
  return { from: addressText(first), to: addressText(last) };
}

function cidrRange(text: string): AddressRange {
  const [address = '', bits = '', ...more] = text.split('/');
  const bytes = addressBytes(address);
  const width = bytes.length * 8;
  if (more.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > width) {
    throw badAddress(text, `needs a prefix length from 0 to ${width} behind the "/"`);
  }
  const first = bytes.slice();
  const last = bytes.slice();
  for (let bit = Number(bits); bit < width; bit++) {
    const mask = 0x80 >> (bit & 7);
    first[bit >> 3]! &= ~mask;
    last[bit >> 3]! |= mask;
  }
  return { from: addressText(first), to: addressText(last) };
}

/** @returns `10.1.0.0/16` where the range is a prefix, a single address, or `10.1.0.4..10.1.0.9` */
export function formatRange(range: AddressRange): string {
  if (range.from === range.to) return range.from;
  const first = addressBytes(range.from);
  const last = addressBytes(range.to);
  const width = first.length * 8;
  const bitOf = (bytes: Uint8Array, bit: number) => (bytes[bit >> 3]! >> (7 - (bit & 7))) & 1;
  let prefix = 0;
  while (prefix < width && bitOf(first, prefix) === bitOf(last, prefix)) prefix++;
  for (let bit = prefix; bit < width; bit++) {
    if (bitOf(first, bit) !== 0 || bitOf(last, bit) !== 1) return `${range.from}..${range.to}`;
  }
  return `${range.from}/${prefix}`;
}
