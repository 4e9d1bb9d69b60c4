/** Which of this host's addresses reaches a peer, for a connection whose `local_addrs` says "any". */
import { networkInterfaces } from 'node:os';
import { addressBytes, canonicalAddress, parseRange } from '../wire/address.ts';

const inside = (address: Uint8Array, cidr: string): boolean => {
  const range = parseRange(cidr);
  return Buffer.compare(addressBytes(range.from), address) <= 0 && Buffer.compare(address, addressBytes(range.to)) <= 0;
};

/**
 * @returns an address of the interface whose prefix covers `remote`, else the first of its family
 * that is not a loopback or link-local one; undefined if this host has none
 */
export function sourceAddress(remote: string): string | undefined {
  const target = addressBytes(remote);
  const family = target.length === 4 ? 'IPv4' : 'IPv6';
  const candidates = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((candidate) => candidate.family === family && candidate.cidr !== null);
  const neighbour = candidates.find(({ cidr }) => inside(target, cidr!));
  const other = candidates.find(({ internal, address }) => !internal && !address.startsWith('fe80'));
  const chosen = neighbour ?? other;
  return chosen === undefined ? undefined : canonicalAddress(chosen.address.replace(/%.*$/, ''));
}
