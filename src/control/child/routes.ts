/** Address ranges as the prefixes that routes are made of. */
import type { AddressRange } from '../../contract.ts';
import { addressBytes, addressText } from '../wire/address.ts';

const asNumber = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);

function asText(value: bigint, length: number): string {
  return addressText(Uint8Array.from(Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex')));
}

/** @returns how many bits of the addresses of a range are not the same, rounded up: 16 for a /16 of IPv4 */
export function freeBits({ from, to }: AddressRange): number {
  const size = asNumber(addressBytes(to)) - asNumber(addressBytes(from));
  return size.toString(2).length - (size === 0n ? 1 : 0);
}

/** @returns the fewest prefixes that cover exactly the range: `10.1.0.0/16` */
export function prefixesOf(range: AddressRange): string[] {
  const first = addressBytes(range.from);
  const width = first.length * 8;
  const end = asNumber(addressBytes(range.to));
  const prefixes: string[] = [];
  let at = asNumber(first);
  while (at <= end) {
    let bits = 0;
    while (bits < width && (at & (1n << BigInt(bits))) === 0n && at + (1n << BigInt(bits + 1)) - 1n <= end) bits++;
    prefixes.push(`${asText(at, first.length)}/${width - bits}`);
    at += 1n << BigInt(bits);
  }
  return prefixes.slice();
}
