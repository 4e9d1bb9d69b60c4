/**
 * Traffic selector negotiation (RFC 7296 §2.9): the intersection of what is proposed and what the
 * configuration allows, and the pairs that go into SAD and SPD.
 */
import type { SelectorSide, TrafficSelector } from '../../contract.ts';
import type { SelectorConfig } from '../config/model.ts';
import { addressBytes, addressText, compareAddresses } from '../wire/address.ts';
import { isOpaque, type Selector } from '../wire/payloads/ts.ts';

/** More selectors on one side than this are cut off: their product is what gets installed. */
export const MAX_SELECTORS = 32;

const ANY_PORT = { from: 0, to: 65535 } as const;
export const ANY_PROTOCOL = 0;

/** @returns one address as a selector that takes every protocol and port */
export const hostSelector = (address: string): Selector => ({
  protocol: ANY_PROTOCOL,
  addresses: { from: address, to: address },
  ports: ANY_PORT,
});

/** @returns one side of a packet or policy as a selector */
export const sideSelector = (protocol: number, side: SelectorSide): Selector => ({ protocol, ...side });

/** @returns the configured selectors, `dynamic` replaced by the address of the IKE SA on that side */
export function configuredSelectors(config: readonly SelectorConfig[], dynamic: string): Selector[] {
  if (config.length === 0) return [hostSelector(dynamic)];
  return config.map(({ protocol, addresses, ports }) => ({
    protocol,
    addresses: addresses ?? { from: dynamic, to: dynamic },
    ports,
  }));
}

// What lies within the other is the result itself, not a copy: so thousands of SAs share what is configured.

function intersectAddresses(
  a: SelectorSide['addresses'],
  b: SelectorSide['addresses'],
): SelectorSide['addresses'] | undefined {
  // Nearly always both sides are configured alike.
  if (isSameRange(a, b)) return b;
  const [aFrom, aTo, bFrom, bTo] = [a.from, a.to, b.from, b.to].map(addressBytes);
  if (aFrom!.length !== bFrom!.length) return undefined;
  const [low, high] = [compareAddresses(aFrom!, bFrom!), compareAddresses(aTo!, bTo!)];
  if (low <= 0 && high >= 0) return b;
  if (low >= 0 && high <= 0) return a;
  const from = low > 0 ? aFrom! : bFrom!;
  const to = high < 0 ? aTo! : bTo!;
  return compareAddresses(from, to) <= 0 ? { from: addressText(from), to: addressText(to) } : undefined;
}

function intersectPorts(a: SelectorSide['ports'], b: SelectorSide['ports']): SelectorSide['ports'] | undefined {
  if (isOpaque(a) || isOpaque(b)) {
    const other = isOpaque(a) ? b : a;
    // RFC 4301 §4.4.1.1: ANY includes OPAQUE; a range does not.
    return isOpaque(other) || (other.from === 0 && other.to === 65535) ? { from: 65535, to: 0 } : undefined;
  }
  if (a.from <= b.from && a.to >= b.to) return b;
  const from = Math.max(a.from, b.from);
  const to = Math.min(a.to, b.to);
  return from <= to ? { from, to } : undefined;
}

/** @returns the traffic that both take; undefined if there is none */
export function intersect(a: Selector, b: Selector): Selector | undefined {
  if (a.protocol !== b.protocol && a.protocol !== ANY_PROTOCOL && b.protocol !== ANY_PROTOCOL) return undefined;
  const addresses = intersectAddresses(a.addresses, b.addresses);
  const ports = intersectPorts(a.ports, b.ports);
  if (addresses === undefined || ports === undefined) return undefined;
  const protocol = a.protocol || b.protocol;
  const isWithin = addresses === b.addresses && ports === b.ports && protocol === b.protocol;
  return isWithin ? b : { protocol, addresses, ports };
}

const isSameRange = (a: { from: unknown; to: unknown }, b: { from: unknown; to: unknown }): boolean =>
  a.from === b.from && a.to === b.to;

const isSame = (a: Selector, b: Selector): boolean =>
  a === b || (a.protocol === b.protocol && isSameRange(a.addresses, b.addresses) && isSameRange(a.ports, b.ports));

/** @returns whether `outer` takes all that `inner` takes */
export function contains(outer: Selector, inner: Selector): boolean {
  const both = intersect(outer, inner);
  return both !== undefined && isSame(both, inner);
}

/** @returns the selectors without those that another one contains, in order */
export function withoutRedundant(selectors: readonly Selector[]): Selector[] {
  return selectors.filter(
    (selector, index) =>
      !selectors.some(
        (other, at) => at !== index && contains(other, selector) && (at < index || !contains(selector, other)),
      ),
  );
}

/**
 * @param offered of the peer, in its order: the first may be the packet that triggered it
 * @returns what both sides allow, bounded; empty is TS_UNACCEPTABLE
 */
export function narrow(offered: readonly Selector[], allowed: readonly Selector[]): Selector[] {
  const both = offered.flatMap((theirs) =>
    allowed.map((ours) => intersect(theirs, ours)).filter((common) => common !== undefined),
  );
  return withoutRedundant(both.slice(0, MAX_SELECTORS * 4)).slice(0, MAX_SELECTORS);
}

/** @returns whether every answered selector lies within one that was offered (RFC 7296 §2.9) */
export const isNarrowed = (answered: readonly Selector[], offered: readonly Selector[]): boolean =>
  answered.length > 0 && answered.every((selector) => offered.some((outer) => contains(outer, selector)));

/** @returns every pair of one side's and the other's selectors that some packet can match */
export function pairs(local: readonly Selector[], remote: readonly Selector[]): TrafficSelector[] {
  const out: TrafficSelector[] = [];
  for (const mine of local) {
    for (const theirs of remote) {
      if (mine.protocol !== theirs.protocol && mine.protocol !== ANY_PROTOCOL && theirs.protocol !== ANY_PROTOCOL)
        continue;
      if (mine.addresses.from.includes(':') !== theirs.addresses.from.includes(':')) continue;
      out.push({
        protocol: mine.protocol || theirs.protocol,
        local: { addresses: mine.addresses, ports: mine.ports },
        remote: { addresses: theirs.addresses, ports: theirs.ports },
      });
    }
  }
  return out;
}

type Sides = Readonly<Record<'local' | 'remote', readonly Selector[]>>;
type Packet = Readonly<Record<'local' | 'remote', Selector>>;

/** @returns whether a packet is among the traffic */
export const takesPacket = ({ local, remote }: Sides, packet: Packet): boolean =>
  local.some((selector) => intersect(selector, packet.local) !== undefined) &&
  remote.some((selector) => intersect(selector, packet.remote) !== undefined);
