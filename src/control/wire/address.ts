/** IP addresses and ranges as configuration and messages name them. */
import type { AddressRange } from '../../contract.ts';
import { EspalierError } from '../../errors.ts';
import { addressText, parseAddress } from '../../ip-address.ts';

export { addressText };

const badAddress = (text: string, why: string): EspalierError =>
  new EspalierError('ERR_ADDRESS', `"${text}" ${why}; write e.g. 192.0.2.1, 10.1.0.0/16 or 2001:db8::/64`);

/**
 * @returns 4 or 16 bytes
 * @throws EspalierError `ERR_ADDRESS` for anything but dotted-quad IPv4 or IPv6 without a zone
 */
export function addressBytes(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw badAddress(text, 'is not an IP address');
  return bytes;
}

/** @returns the address as this project compares it: RFC 5952, lower case */
export const canonicalAddress = (text: string): string => addressText(addressBytes(text));

/** @returns whether `text` is one IP address, as `addressBytes` takes it */
export const isAddress = (text: string): boolean => parseAddress(text) !== undefined;

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
