/**
 * The SPD as rules of nf_tables for packets that arrive in the clear:
 *
 *     it came out of the device                                                         accept
 *     a BYPASS entry before all PROTECT entries matches                                 accept
 *     protocol, ports, destination of PROTECT entries; to its source goes the device    refuse
 *     the next DISCARD entry matches; it came from elsewhere, and does not go there     refuse
 *     …
 *
 * A DISCARD entry says itself what is remote. But a packet of this host to itself, and one that is on its way into the
 * device, crosses no boundary inward (RFC 4301 §4.4.1): those it does not mean, though it may name them.
 *
 * PROTECT entries that lie between the same others and differ in addresses only are one rule: what is local
 * is a set, and what is remote is what the routing sends into the device. So there are as many rules as kinds of
 * selectors, and not as many as children; and routes that go past the device, be it because a child was taken down
 * or because the main table has more specific ones, take what they lead to out of it.
 */
import type { PolicyParameters, SelectorSide, TrafficSelector } from '../contract.ts';
import { u32 } from './io/netlink.ts';
import { addressSet, type Change, rule } from './io/nftables.ts';
import * as nft from './io/nftables-expressions.ts';
import { addressBytes } from './selector.ts';

export type Entry = Pick<PolicyParameters, 'action' | 'priority' | 'selector'>;

export interface Surroundings {
  /** Index of the device. */
  readonly device: number;
  /** Ours, of IKE and of ESP in UDP. */
  readonly ports: readonly number[];
}

/** Of the rules of one place, above which they ask for the protocol no more: then what has no policy is refused too. */
const MOST_KINDS = 64;

const IPV4 = Uint8Array.of(2);
const IPV6 = Uint8Array.of(10);
const ICMP = Uint8Array.of(1);
const UDP = Uint8Array.of(17);
const ESP = Uint8Array.of(50);
const AH = Uint8Array.of(51);
const ICMPV6 = Uint8Array.of(58);
/** The loopback device has this index everywhere. */
const LOOPBACK = 1;
const FRAGMENT = 44;
const MOBILITY = 135;
/** TCP, UDP, DCCP, SCTP, UDP-Lite: two ports of two bytes. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);
const RTN_UNICAST = 1;

const u16 = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 255);

/**
 * What becomes of a packet that is to be refused. Forwarded ones are dropped. Of those for this host itself, the ones
 * that serve the protection are taken, as the peer's own address may be protected too (transport mode).
 */
export function refusal(chain: string, counter: string, ports: readonly number[]): Change[] {
  const drop = [nft.count(counter), nft.drop];
  const udp = [nft.upperProtocol, nft.equals(UDP)];
  const icmp = [nft.family, nft.equals(IPV4), nft.upperProtocol, nft.equals(ICMP), nft.transportBytes(0, 1)];
  const icmpv6 = [nft.family, nft.equals(IPV6), nft.upperProtocol, nft.equals(ICMPV6), nft.transportBytes(0, 1)];
  const types = (from: number, to: number) => nft.within(Uint8Array.of(from), Uint8Array.of(to));
  /** An ICMP error about a packet of UDP, ESP or AH: where `offset` is, it quotes the protocol. */
  const about = (offset: number) => [
    [nft.transportBytes(offset, 1), nft.equals(UDP)],
    [nft.transportBytes(offset, 1), nft.within(ESP, AH)],
  ];
  const rules: readonly (readonly Uint8Array[])[] = [
    [nft.destinationType, nft.equals(u32(RTN_UNICAST)), ...drop],
    [nft.upperProtocol, nft.within(ESP, AH), nft.accept],
    // In IPv6, AH is an extension header, which later fragments do not show; what it protects is the upper protocol.
    [nft.family, nft.equals(IPV6), nft.extensionBytes(AH[0]!, 0, 1), nft.accept],
    [nft.family, nft.equals(IPV6), nft.extensionBytes(FRAGMENT, 0, 1), nft.equals(AH), nft.accept],
    // Later fragments have no ports, though the system loads what is in their place; without the first, nothing comes
    // of them. The flag "more fragments" stands before the offset in IPv4, and behind it in IPv6.
    [...udp, nft.family, nft.equals(IPV4), nft.networkBytes(6, 2), nft.within(u16(1), u16(0x1fff)), nft.accept],
    [...udp, nft.family, nft.equals(IPV4), nft.networkBytes(6, 2), nft.within(u16(0x2001), u16(0x3fff)), nft.accept],
    [
      ...udp,
      nft.family,
      nft.equals(IPV6),
      nft.extensionBytes(FRAGMENT, 2, 2),
      nft.within(u16(8), u16(0xffff)),
      nft.accept,
    ],
    ...ports.map((port) => [...udp, nft.transportBytes(2, 2), nft.equals(u16(port)), nft.accept]),
    // Unreachable and too big, time exceeded, parameter problem (RFC 4301 §6.1).
    ...about(17).flatMap((quoted) => [
      [...icmp, types(3, 3), ...quoted, nft.accept],
      [...icmp, types(11, 12), ...quoted, nft.accept],
    ]),
    ...about(14).map((quoted) => [...icmpv6, types(1, 4), ...quoted, nft.accept]),
    // Neighbours (RFC 4861).
    [...icmpv6, types(133, 137), nft.accept],
    drop,
  ];
  return rules.map((expressions) => rule(chain, expressions));
}

/** Chains for what is to be refused. */
export type Refusals = Readonly<Record<'protect' | 'discard', string>>;

/** @returns the rules, and the names of the sets that they need */
export function clearRules(
  entries: readonly Entry[],
  { chain, refusals, device }: Surroundings & { readonly chain: string; readonly refusals: Refusals },
): { readonly sets: readonly string[]; readonly changes: readonly Change[] } {
  const sets: string[] = [];
  const changes = [rule(chain, [nft.inputDevice, nft.equals(u32(device)), nft.accept])];
  for (const step of steps(entries)) {
    const match = matchKind(step);
    if (match === undefined) continue;
    if (step.action !== 'protect') {
      const inward = [nft.inputDevice, nft.differs(u32(LOOPBACK)), nft.wayOn, nft.differs(u32(device))];
      const outcome = step.action === 'bypass' ? [nft.accept] : [...inward, nft.goTo(refusals.discard)];
      changes.push(rule(chain, [...match, ...matchAddresses(step.selector), ...outcome]));
      continue;
    }
    const name = `local${sets.length}`;
    const at = step.family === 4 ? 16 : 24;
    changes.push(
      ...addressSet(name, sets.length + 1, unite(step.local)),
      rule(chain, [
        ...match,
        nft.networkBytes(at, step.family === 4 ? 4 : 16),
        nft.inSet(name),
        nft.wayBack,
        nft.equals(u32(device)),
        nft.goTo(refusals.protect),
      ]),
    );
    sets.push(name);
  }
  return { sets, changes };
}

interface Kind {
  readonly family: 4 | 6;
  readonly protocol: number;
  readonly localPorts: SelectorSide['ports'];
  readonly remotePorts: SelectorSide['ports'];
}

/** What becomes one rule. */
export type Step =
  | (Kind & { readonly action: 'bypass' | 'discard'; readonly selector: TrafficSelector })
  | (Kind & { readonly action: 'protect'; readonly local: SelectorSide['addresses'][] });

/** @returns entries in the order in which they are looked up, neighbours put together that differ in addresses only */
export function steps(entries: readonly Entry[]): Step[] {
  const ordered = entries.toSorted((a, b) => a.priority - b.priority || before(a) - before(b));
  const all: Step[] = [];
  let kinds = new Map<string, Extract<Step, { action: 'protect' }>>();
  const flush = () => {
    all.push(...(kinds.size > MOST_KINDS ? widened([...kinds.values()]) : kinds.values()));
    kinds = new Map();
  };
  for (const { action, selector } of ordered) {
    const kind = kindOf(selector);
    if (action !== 'protect') {
      flush();
      all.push({ ...kind, action, selector });
      continue;
    }
    const key = JSON.stringify(kind);
    const known = kinds.get(key);
    if (known === undefined) kinds.set(key, { ...kind, action: 'protect', local: [selector.local.addresses] });
    else known.local.push(selector.local.addresses);
  }
  flush();
  return all;
}

/** Where priorities are equal, protection comes first; the others stay as they are. */
const before = ({ action }: Entry): number => (action === 'protect' ? 0 : 1);

const ANY_PORT = { from: 0, to: 65_535 } as const;

const kindOf = ({ protocol, local, remote }: TrafficSelector): Kind => ({
  family: local.addresses.from.includes(':') ? 6 : 4,
  protocol,
  localPorts: local.ports,
  remotePorts: remote.ports,
});

function widened(kinds: readonly Extract<Step, { action: 'protect' }>[]): Step[] {
  return ([4, 6] as const).flatMap((family): Step[] => {
    const local = kinds.filter((kind) => kind.family === family).flatMap((kind) => kind.local);
    if (local.length === 0) return [];
    return [{ action: 'protect', family, protocol: 0, localPorts: ANY_PORT, remotePorts: ANY_PORT, local }];
  });
}

/** @returns expressions; undefined for what no packet matches that has its ports, as OPAQUE is only for later fragments */
function matchKind({ family, protocol, localPorts, remotePorts }: Kind): Uint8Array[] | undefined {
  const match = [nft.family, nft.equals(family === 4 ? IPV4 : IPV6)];
  if (protocol !== 0) match.push(nft.upperProtocol, nft.equals(Uint8Array.of(protocol)));
  // In a packet that comes in, what is remote is the source. Types and codes stand for both ports.
  const [source, destination] = WITH_PORTS.has(protocol) ? [0, 2] : [0, 0];
  for (const [ports, offset] of [
    [remotePorts, source],
    [localPorts, destination],
  ] as const) {
    if (ports.from === 0 && ports.to === 65_535) continue;
    if (ports.from > ports.to) return undefined;
    if (protocol === MOBILITY) {
      match.push(nft.transportBytes(2, 1), nft.within(Uint8Array.of(ports.from >>> 8), Uint8Array.of(ports.to >>> 8)));
    } else if (WITH_PORTS.has(protocol) || protocol === ICMP[0] || protocol === ICMPV6[0]) {
      match.push(nft.transportBytes(offset, 2), nft.within(u16(ports.from), u16(ports.to)));
    } else {
      return undefined;
    }
  }
  return match;
}

function matchAddresses({ local, remote }: TrafficSelector): Uint8Array[] {
  const side = ({ addresses }: SelectorSide, at: number) => {
    const from = addressBytes(addresses.from);
    return [nft.networkBytes(at, from.length), nft.within(from, addressBytes(addresses.to))];
  };
  const [source, destination] = local.addresses.from.includes(':') ? [8, 24] : [12, 16];
  return [...side(remote, source!), ...side(local, destination!)];
}

interface Interval {
  readonly from: Uint8Array;
  /** The first address behind it; undefined where the last address is in it. */
  end: Uint8Array | undefined;
}

/** @returns the ranges sorted, those put together that overlap or touch */
export function unite(ranges: readonly SelectorSide['addresses'][]): Interval[] {
  const sorted = ranges
    .map(({ from, to }): Interval => ({ from: addressBytes(from), end: successor(addressBytes(to)) }))
    .sort((a, b) => Buffer.compare(a.from, b.from));
  const united: Interval[] = [];
  for (const range of sorted) {
    const last = united.at(-1);
    if (last === undefined || (last.end !== undefined && Buffer.compare(range.from, last.end) > 0)) united.push(range);
    else if (range.end === undefined || (last.end !== undefined && Buffer.compare(range.end, last.end) > 0))
      last.end = range.end;
  }
  return united;
}

/** @returns the address behind this one; undefined behind the last */
function successor(address: Uint8Array): Uint8Array | undefined {
  const next = address.slice();
  for (let at = next.length - 1; at >= 0; at--) {
    next[at] = (next[at]! + 1) & 255;
    if (next[at] !== 0) return next;
  }
  return undefined;
}
