/**
 * Every combination that makes sense of algorithms × {ESP, AH} × {tunnel, transport} × {IPv4, IPv6},
 * inside and outside × {raw, in UDP} × {ESN, not}, and both ends of the kernel to try them on.
 */
import * as A from '../../assembly/layout/arena.ts';
import { SA_SEQUENCE } from '../../assembly/layout/records.ts';
import { type CipherSuite, ENCRYPTION, INTEG, INTEGRITY, suiteLengths, suiteName } from '../../src/algorithms.ts';
import type { SaParameters } from '../../src/contract.ts';
import { SA } from './bed.ts';
import { ipPacket, udpPacket } from './ip.ts';
import { type Datagram, OutboundBed } from './outbound-bed.ts';
import { finished, frame, pattern, udp } from './packets.ts';
import { Receiver } from './receiver.ts';

export interface Case {
  readonly name: string;
  /** Outbound; the peer's has the same keys and SPI. */
  readonly sa: SaParameters;
  /** The packet to be protected. */
  readonly packet: Buffer;
}

type Family = 4 | 6;

const OUTER = {
  4: { local: '192.0.2.1', remote: '192.0.2.2' },
  6: { local: '2001:db8::1', remote: '2001:db8::2' },
} as const;
const INNER = {
  4: { source: '10.1.0.1', destination: '10.2.0.1' },
  6: { source: 'fd01::1', destination: 'fd02::1' },
} as const;
/** Numbers start here: with ESN past the first end of the low half. */
const FIRST = 0x100000001n;

/** Every suite of ESP with short and long keys, and every one of AH, that the kernel has. */
function suites(known: (suite: CipherSuite) => boolean): CipherSuite[] {
  const integrities = INTEGRITY.map(({ id }) => id);
  const esp = ENCRYPTION.flatMap(({ id, keyBits, icvLength }) =>
    keyBits.flatMap((bits) => {
      // A cipher without an ICV of its own meets every integrity algorithm.
      const integ = icvLength > 0 ? [INTEG.NONE] : integrities;
      return integ.map((each) => ({ encr: id, keyBits: bits, integ: each }));
    }),
  );
  return [...esp, ...integrities.map((integ) => ({ keyBits: 0, integ }))].filter(known);
}

/** @param known has the kernel, and has the peer, that suite? */
export function cases(known: (suite: CipherSuite) => boolean): Case[] {
  const list: Case[] = [];
  for (const suite of suites(known)) {
    for (const outer of [4, 6] as const) {
      for (const inner of ['transport', 4, 6] as const) {
        for (const udpEncapsulation of suite.encr === undefined ? [false] : [false, true]) {
          for (const esn of [false, true]) {
            list.push(makeCase(suite, outer, inner, udpEncapsulation, esn, list.length));
          }
        }
      }
    }
  }
  return list;
}

function makeCase(
  suite: CipherSuite,
  outer: Family,
  inner: Family | 'transport',
  udpEncapsulation: boolean,
  esn: boolean,
  index: number,
): Case {
  const { local, remote } = OUTER[outer];
  const lengths = suiteLengths(suite);
  const salt = suite.encr === undefined ? 0 : lengths.salt;
  const sa: SaParameters = {
    ...SA,
    protocol: suite.encr === undefined ? 'ah' : 'esp',
    mode: inner === 'transport' ? 'transport' : 'tunnel',
    spi: 0x10000 + index,
    local: { address: local, port: 4500 },
    remote: { address: remote, port: 4500 },
    udpEncapsulation,
    suite,
    keys: {
      encryption: pattern(lengths.key + salt, index),
      integrity: pattern(lengths.integKey + lengths.salt - salt, index + 1),
    },
    esn,
  };
  const addresses = inner === 'transport' ? { source: local, destination: remote } : INNER[inner];
  const packet = udpPacket({ ...addresses, df: false, ttl: 63, payload: pattern(20 + (index % 40), index) });
  const name = `${suiteName(suite)} ${sa.protocol} ${sa.mode}, IPv${outer}${inner === 'transport' ? '' : `, IPv${inner} inside`}${udpEncapsulation ? ', in UDP' : ''}${esn ? ', ESN' : ''}`;
  return { name, sa, packet };
}

/** One kernel that sends and one that receives. */
export class Ends {
  readonly out: OutboundBed;
  readonly in: Receiver;

  private constructor(out: OutboundBed, receiver: Receiver) {
    this.out = out;
    this.in = receiver;
  }

  static async open(): Promise<Ends> {
    return new Ends(await OutboundBed.open(), await Receiver.open());
  }

  /** Has the kernel that suite? */
  knows(suite: CipherSuite): boolean {
    const { keyStateLength } = this.out.kernel;
    return keyStateLength(suite.encr ?? 0, suiteLengths(suite).key, suite.integ) >>> 0 !== 0xffffffff;
  }

  /** The sequence number a case begins with. */
  first({ sa }: Case): bigint {
    return sa.esn ? FIRST : FIRST & 0xffffffffn;
  }

  /** @returns the case's packet as it goes on the wire, outer header and all */
  seal(each: Case): Buffer {
    const { out } = this;
    const sa = out.sad.install(each.sa);
    out.setSaLong(sa, SA_SEQUENCE, this.first(each) - 1n);
    const version = each.packet[0]! >> 4;
    const all = version === 4 ? { from: '0.0.0.0', to: '255.255.255.255' } : { from: '::', to: 'ffff::' };
    const side = { addresses: all, ports: { from: 0, to: 65_535 } };
    const selector = { protocol: 0, local: side, remote: side };
    const policy = out.spd.install({ direction: 'out', priority: 1, action: 'protect', selector, sa, name: 'test' });
    const [datagram] = out.send(frame(each.packet));
    out.spd.remove(policy);
    out.sad.remove(sa);
    if (datagram === undefined) throw new Error(`${each.name}: nothing was sent: ${JSON.stringify(out.drops())}`);
    return onWire(each.sa, datagram);
  }

  /** @returns what came out of the receiving kernel for a packet as it was on the wire */
  open({ sa, name }: Case, wire: Buffer): Buffer[] {
    const handle = this.in.install({ ...sa, direction: 'in', local: sa.remote, remote: sa.local, name });
    // As if numbers just below had been seen.
    const longs = new BigUint64Array(this.in.memory.memory.buffer);
    if (sa.esn) longs[(this.in.sad.address(handle)! + SA_SEQUENCE) / 8] = FIRST - 1n;
    const frames = this.in.receive([received(sa, wire)], sourceOf(sa));
    this.in.sad.remove(handle);
    return frames.map(({ packet }) => packet);
  }
}

const isIpv6 = (sa: SaParameters) => sa.local.address.includes(':');

/** UDP lanes leave the outer headers to the system. */
function onWire(sa: SaParameters, { bytes, lane }: Datagram): Buffer {
  if (lane === A.LANE_RAW4 || lane === A.LANE_RAW6) return Buffer.from(bytes);
  const outer = { source: sa.local.address, destination: sa.remote.address };
  const packet = ipPacket(outer, 17, udp(bytes, sa.local.port, sa.remote.port));
  return Buffer.from(isIpv6(sa) ? finished(packet, 40, 6) : packet);
}

function sourceOf(sa: SaParameters): number {
  if (sa.udpEncapsulation) return isIpv6(sa) ? A.SOURCE_UDP6 : A.SOURCE_UDP4;
  if (!isIpv6(sa)) return A.SOURCE_RAW4;
  return sa.protocol === 'ah' ? A.SOURCE_RAW6_AH : A.SOURCE_RAW6_ESP;
}

/** What the socket gives of a packet. */
function received(sa: SaParameters, wire: Buffer) {
  const header = isIpv6(sa) ? 40 : sa.udpEncapsulation ? 20 : 0;
  const from = sa.local;
  const to = sa.remote.address;
  const tos = isIpv6(sa) ? (wire.readUInt16BE(0) >> 4) & 255 : wire[1]!;
  const hopLimit = isIpv6(sa) ? wire[7]! : 0;
  return { data: wire.subarray(header + (sa.udpEncapsulation ? 8 : 0)), from, to, tos, hopLimit };
}
