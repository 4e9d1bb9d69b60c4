import { beforeEach, describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import { INTEG } from '../../src/algorithms.ts';
import type { SaParameters } from '../../src/contract.ts';
import { ahPacket } from './ah.ts';
import { SA } from './bed.ts';
import { openEsp } from './esp.ts';
import { ANY_PORT, LOCAL6, OutboundBed, REMOTE6, selector } from './outbound-bed.ts';
import { frame, ip, parse, pattern, udp } from './packets.ts';

const START = 1_700_000_000_000;
const HOSTS = { source: '192.0.2.1', destination: '192.0.2.2' };
const HOSTS6 = { source: LOCAL6.address, destination: REMOTE6.address };
const OVER6 = { local: LOCAL6, remote: REMOTE6 };
/** Bytes of data in each fragment that a host makes for the device. */
const PART = 1416;

let bed: OutboundBed;
beforeEach(async () => {
  bed = await OutboundBed.open();
});

interface Cut {
  readonly id?: number;
  readonly size?: number;
  readonly hosts?: typeof HOSTS;
  readonly protocol?: number;
  readonly options?: Uint8Array;
}

/** @returns the IPv4 fragments that a host makes of a datagram */
function cut(data: Uint8Array, { id = 7, size = PART, hosts = HOSTS, ...rest }: Cut = {}): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += size) {
    const fragment = (at >>> 3) | (at + size < data.length ? 0x2000 : 0);
    parts.push(frame(ip(data.slice(at, at + size), { ...hosts, id, fragment, ...rest })));
  }
  return parts;
}

/** The same of IPv6. @param before hop-by-hop options, which stay in front of the fragment header */
function cut6(data: Uint8Array, id = 7, before: readonly number[] = [], size = PART): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += size) {
    const field = at | (at + size < data.length ? 1 : 0);
    const header = [17, 0, field >>> 8, field & 255, 0, 0, 0, id];
    const options = Uint8Array.from([...before, ...header]);
    const protocol = before.length > 0 ? 0 : 44;
    parts.push(frame(ip(data.slice(at, at + size), { ...HOSTS6, protocol, options })));
  }
  return parts;
}

const transport = (more: Partial<SaParameters> = {}): SaParameters => ({ ...SA, mode: 'transport', ...more });

/** Puts the fragments of an outer packet together again. @returns what they carry */
function whole(parts: readonly Uint8Array[]): Uint8Array {
  const data: Uint8Array[] = [];
  let offset = 0;
  parts.forEach((part, index) => {
    const { version, upper } = parse(part);
    const field = version === 4 ? (part[6]! << 8) | part[7]! : (upper[2]! << 8) | upper[3]!;
    expect(version === 4 ? (field & 0x1fff) << 3 : field & 0xfff8).toBe(offset);
    expect((field & (version === 4 ? 0x2000 : 1)) !== 0).toBe(index < parts.length - 1);
    const body = version === 4 ? upper : upper.subarray(8);
    data.push(body);
    offset += body.length;
  });
  return Uint8Array.from(Buffer.concat(data));
}

describe('fragments for transport mode', () => {
  it('become one ESP packet of the whole datagram, which the system fragments in UDP', () => {
    bed.protect(transport());
    const datagram = udp(pattern(4000));
    const sent = bed.send(...cut(datagram));
    expect(sent.map(({ lane }) => lane)).toEqual([A.LANE_UDP4]);
    expect(openEsp(SA, sent[0]!.bytes)).toMatchObject({ sequence: 1, next: 17, payload: datagram });
    expect(bed.drops()).toEqual({});
  });

  it('do so over IPv6, whose senders fragment what may be long', () => {
    bed.protect(transport(OVER6));
    const datagram = udp(pattern(4000));
    const sent = bed.send(...cut6(datagram));
    expect(sent.map(({ lane }) => lane)).toEqual([A.LANE_UDP6]);
    expect(openEsp(SA, sent[0]!.bytes)).toMatchObject({ next: 17, payload: datagram });
  });

  it('are replaced by fragments of the outer packet on raw lanes', () => {
    bed.protect(transport({ udpEncapsulation: false }));
    const options = Uint8Array.of(0x94, 4, 0, 0);
    const datagram = udp(pattern(4000));
    const parts = bed.send(...cut(datagram, { id: 99, options })).map(({ bytes }) => bytes);
    expect(parts).toHaveLength(3);
    for (const part of parts) {
      expect(part.length).toBeLessThanOrEqual(1500);
      expect(parse(part)).toMatchObject({ protocol: 50, id: 99, header: 24 });
    }
    expect(openEsp(SA, whole(parts))).toMatchObject({ next: 17, payload: datagram });
  });

  it('keep hop-by-hop options in front of ESP and of the outer fragment header', () => {
    bed.protect(transport({ ...OVER6, udpEncapsulation: false }));
    const datagram = udp(pattern(4000));
    const parts = bed.send(...cut6(datagram, 7, [44, 0, 1, 4, 0, 0, 0, 0])).map(({ bytes }) => bytes);
    expect(parts).toHaveLength(3);
    const inner = parts.map((part) => {
      const { protocol, upper } = parse(part);
      expect(protocol).toBe(0);
      expect([...upper.subarray(0, 9)]).toEqual([44, 0, 1, 4, 0, 0, 0, 0, 50]);
      // As if the options were not there, for `whole`.
      return ip(upper.slice(8), { ...HOSTS6, protocol: 44 });
    });
    expect(openEsp(SA, whole(inner))).toMatchObject({ next: 17, payload: datagram });
  });

  it('are covered by AH as a whole, and its outer fragments can be told apart', () => {
    const sa = transport({
      ...OVER6,
      protocol: 'ah',
      udpEncapsulation: false,
      suite: { keyBits: 0, integ: INTEG.HMAC_SHA2_256_128 },
      keys: { encryption: new Uint8Array(), integrity: pattern(32) },
    });
    bed.protect(sa);
    const datagram = udp(pattern(4000));
    const sent = bed.send(...cut6(datagram, 1), ...cut6(datagram, 2)).map(({ bytes }) => bytes);
    const identifications = sent.map((part) => parse(part).upper.slice(4, 8).join());
    expect(new Set(identifications).size).toBe(2);
    [sent.slice(0, 3), sent.slice(3)].forEach((parts, index) => {
      const header = parts[0]!.slice(0, 40);
      header[6] = 51;
      const expected = ahPacket(sa, header, datagram, { sequence: index + 1, next: 17 });
      expect(whole(parts)).toEqual(Uint8Array.from(expected.subarray(40)));
    });
  });

  it('may come in any order, in several batches, twice, and mixed with those of others', () => {
    const protocol = { protocol: 17, local: { addresses: { from: '192.0.2.1', to: '192.0.2.1' }, ports: ANY_PORT } };
    bed.protect(transport(), { selector: selector('192.0.2.1', '192.0.2.2', protocol) });
    const [one, other] = [pattern(4000, 1), pattern(5000, 2)].map((data) => udp(data));
    const [a, b] = [cut(one!, { id: 1 }), cut(other!, { id: 2 })];
    const sent = [...bed.send(b[1]!, a[2]!, a[0]!, b[0]!, b[0]!), ...bed.send(b[3]!, a[2]!), ...bed.send(b[2]!, a[1]!)];
    expect(sent.map(({ bytes }) => openEsp(SA, bytes).payload)).toEqual([other, one]);
    expect(bed.drops()).toEqual({});
  });

  it('take their ports from the first one', () => {
    const dns = {
      protocol: 17,
      remote: { addresses: { from: '192.0.2.2', to: '192.0.2.2' }, ports: { from: 53, to: 53 } },
    };
    bed.protect(transport(), { selector: selector('192.0.2.1', '192.0.2.2', dns) });
    expect(bed.send(...cut(udp(pattern(4000))))).toHaveLength(1);
    expect(bed.send(...cut(udp(pattern(4000), 40_000, 54), { id: 8 }))).toHaveLength(0);
    expect(bed.drops()).toEqual({ OutNoPolicy: 3 });
  });

  it('count as one packet of the policy and the SA', () => {
    const sa = bed.protect(transport());
    bed.send(...cut(udp(pattern(4000))));
    expect(bed.sad.counters(sa)).toMatchObject({ packets: 1, bytes: 4028 });
  });

  it('wait for an SA, and go when it is there', () => {
    const trap = { direction: 'out', priority: 1, action: 'protect', name: 'trap' } as const;
    const policy = bed.spd.install({ ...trap, selector: selector(HOSTS.source, HOSTS.destination) });
    const datagram = udp(pattern(4000));
    expect(bed.send(...cut(datagram))).toHaveLength(0);
    bed.spd.setSa(policy, bed.sad.install(transport()));
    const sent = bed.finish(bed.kernel.outboundResume(bed.arena));
    expect(sent.map(({ bytes }) => openEsp(SA, bytes).payload)).toEqual([datagram]);
  });

  it('go with the next batch if they have to, which sees the last one again', () => {
    bed.protect(transport());
    const datagram = udp(pattern(4000));
    // What has no DF leaves first, and is not to overtake so many that have.
    const others = Array.from({ length: 30 }, (_, i) => frame(ip(udp(pattern(100, i)), HOSTS)));
    const sent = bed.send(...others, ...cut(datagram));
    expect(sent.map(({ lane }) => lane)).toEqual([...others.map(() => A.LANE_UDP4_DF), A.LANE_UDP4]);
    expect(openEsp(SA, sent.at(-1)!.bytes)).toMatchObject({ sequence: 31, payload: datagram });
    expect(bed.drops()).toEqual({});
  });
});

describe('fragments that make no datagram', () => {
  beforeEach(() => {
    bed.protect(transport());
  });
  const lost = () => bed.drops().OutReassemblyError ?? 0;

  it('are dropped when they overlap', () => {
    const [first, second, third] = cut(udp(pattern(4000)));
    const overlapping = frame(ip(pattern(PART), { ...HOSTS, id: 7, fragment: 0x2000 | ((PART - 8) >>> 3) }));
    expect(bed.send(first!, overlapping)).toHaveLength(0);
    expect(lost()).toBe(2);
    // What is left makes no whole.
    expect(bed.send(second!, third!)).toHaveLength(0);
  });

  it('are dropped when one lies behind the end, or the end is not where it was', () => {
    const tail = (offset: number, length: number, more: boolean) =>
      frame(ip(pattern(length), { ...HOSTS, id: 7, fragment: (offset >>> 3) | (more ? 0x2000 : 0) }));
    bed.send(tail(800, 80, false), tail(880, 80, true));
    expect(lost()).toBe(2);
    bed.send(tail(880, 80, true), tail(800, 80, false));
    expect(lost()).toBe(4);
    bed.send(tail(800, 80, false), tail(1600, 80, false));
    expect(lost()).toBe(6);
  });

  it('are dropped when they are odd, empty, or longer than a packet may be', () => {
    bed.send(
      frame(ip(pattern(79), { ...HOSTS, fragment: 0x2000 })),
      frame(ip(new Uint8Array(), { ...HOSTS, fragment: 10 })),
      frame(ip(pattern(100), { ...HOSTS, fragment: 0x1ffc })),
    );
    expect(lost()).toBe(3);
    const data = udp(pattern(65_535 - 20 - 8));
    expect(bed.send(...cut(data, { options: Uint8Array.of(0x94, 4, 0, 0), id: 9 }))).toHaveLength(0);
    expect(lost()).toBe(3 + Math.ceil(data.length / PART));
  });

  it('are dropped when ESP leaves no room for the whole, and nobody is told', () => {
    expect(bed.send(...cut(udp(pattern(65_480))))).toHaveLength(0);
    expect(bed.drops()).toEqual({ OutTooBig: 1 });
    expect(bed.replies()).toEqual([]);
  });

  it('are forgotten after half a minute', () => {
    const [first, ...others] = cut(udp(pattern(4000)));
    bed.send(first!);
    bed.now = START + 30_001;
    expect(bed.send(...others)).toHaveLength(0);
    expect(bed.drops()).toEqual({ OutReassemblyError: 1 });
  });

  it('take no more room than there is, and of one pair of hosts half of it', () => {
    const others = { source: '192.0.2.9', destination: '192.0.2.2' };
    const [first, ...rest] = cut(udp(pattern(4000)), { hosts: others });
    bed.send(first!);
    for (let id = 0; id < 100; id++) {
      bed.now = START + id;
      bed.send(cut(udp(pattern(4000)), { id })[0]!);
    }
    expect(bed.drops()).toEqual({ OutReassemblyError: 100 - A.REASSEMBLY_MAX / 2 });
    expect(bed.send(...rest)).toHaveLength(1);
    for (let host = 0; host < 100; host++) {
      bed.now = START + 100 + host;
      bed.send(cut(udp(pattern(4000)), { hosts: { ...others, source: `192.0.3.${host}` } })[0]!);
    }
    expect(lost()).toBe(200 - A.REASSEMBLY_MAX);
  });
});
