import { beforeEach, describe, expect, it } from 'vitest';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import type { SaParameters, TrafficSelector } from '../../src/contract.ts';
import { SA_IN } from './bed.ts';
import { espPacket } from './esp.ts';
import { ipPacket, tcpPacket, udpPacket } from './ip.ts';
import { selector } from './outbound-bed.ts';
import { gro, Receiver } from './receiver.ts';

const NETS = selector('10.1.0.0-10.1.255.255', '10.2.0.0-10.2.255.255');
const NETS6 = selector('fd01::-fd01::ffff', 'fd02::-fd02::ffff');
const WEB: TrafficSelector = { ...NETS, protocol: 6, local: { ...NETS.local, ports: { from: 80, to: 80 } } };
const WEB6: TrafficSelector = { ...NETS6, protocol: 6, local: { ...NETS6.local, ports: { from: 80, to: 80 } } };

const SA: SaParameters = {
  ...SA_IN,
  spi: 0x4444,
  suite: { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE },
  keys: { encryption: Uint8Array.from({ length: 36 }, (_, i) => i), integrity: new Uint8Array() },
  esn: false,
  replayWindow: 64,
  selectors: [WEB, WEB6],
};

const V4 = { source: '10.2.0.1', destination: '10.1.0.1' };
const V6 = { source: 'fd02::1', destination: 'fd01::1' };
const data = (length: number) => Uint8Array.from({ length }, (_, i) => i);

let receiver: Receiver;
let sequence: number;
beforeEach(async () => {
  receiver = await Receiver.open();
  sequence = 1;
});

/** Seals packets for the SA and receives them, one datagram each. @returns which came through */
function receive(...packets: Uint8Array[]): number[] {
  const sealed = packets.map((packet) => ({ data: espPacket(SA, packet, { sequence: sequence++ }) }));
  const frames = receiver.receive(sealed).map((frame) => frame.packet);
  return packets.flatMap((packet, index) =>
    frames.some((frame) => Buffer.compare(frame, packet) === 0) ? [index] : [],
  );
}

/** Cuts the upper layer of a packet into fragments of `size` bytes. */
function fragments(addresses: typeof V4, protocol: number, upper: Uint8Array, size: number, id: number): Buffer[] {
  const parts: Buffer[] = [];
  for (let offset = 0; offset < upper.length; offset += size) {
    const more = offset + size < upper.length;
    const part = upper.subarray(offset, offset + size);
    if (addresses.source.includes('.')) {
      parts.push(ipPacket({ ...addresses, id, df: false, fragment: { offset, more } }, protocol, part));
      continue;
    }
    const header = Buffer.from([protocol, 0, offset >> 8, (offset & 0xff) | (more ? 1 : 0), 0, 0, id >> 8, id & 255]);
    parts.push(ipPacket(addresses, 44, Buffer.concat([header, part])));
  }
  return parts;
}

describe('selectors', () => {
  it('admit by protocol and port, judging by the flow that was seen first', () => {
    receiver.install(SA);
    const good = tcpPacket({ ...V4, destinationPort: 80, payload: data(10) });
    const bad = tcpPacket({ ...V4, destinationPort: 81, payload: data(10) });
    expect(receive(good, bad, udpPacket({ ...V4, destinationPort: 80 }), bad, good)).toEqual([0, 4]);
    expect(receiver.drops()).toEqual({ XfrmInStateMismatch: 3 });
  });

  it('keep apart two SAs that carry the same flow', () => {
    receiver.install(SA);
    const other = { ...SA, spi: 0x5555, selectors: [NETS] };
    receiver.install({ ...other, selectors: [selector('10.1.0.9', '10.2.0.9')] });
    const packet = tcpPacket({ ...V4, destinationPort: 80, payload: data(10) });
    const sealed = [espPacket(SA, packet, { sequence: 1 }), espPacket(other, packet, { sequence: 1 })];
    expect(receiver.receive([gro(sealed)])).toHaveLength(1);
    expect(receiver.drops()).toEqual({ XfrmInStateMismatch: 1 });
  });
});

describe('fragments (RFC 4301 §7)', () => {
  const upper = tcpPacket({ ...V4, destinationPort: 80, payload: data(60) }).subarray(20);
  const elsewhere = tcpPacket({ ...V4, destinationPort: 99, payload: data(60) }).subarray(20);

  it.each([
    ['IPv4', V4],
    ['IPv6', V6],
  ])('of %s follow their first one, in order or not at all', (_, addresses) => {
    receiver.install(SA);
    const [first, second, third] = fragments(addresses, 6, upper, 32, 7);
    expect(receive(second!)).toEqual([]);
    expect(receive(first!, second!, third!)).toEqual([0, 1, 2]);
    expect(receive(...fragments(addresses, 6, elsewhere, 32, 8))).toEqual([]);
    expect(receiver.drops()).toEqual({ InFragment: 3, XfrmInStateMismatch: 1 });
  });

  it('at offset 8 of TCP are refused: they would overwrite the header (RFC 1858)', () => {
    receiver.install({ ...SA, selectors: [NETS] });
    expect(receive(...fragments(V4, 6, upper, 8, 9).slice(0, 3))).toEqual([0, 2]);
  });
});

describe('ICMP errors (RFC 4301 §6.2)', () => {
  /** What a router between us and the peer says of a packet. */
  const error = (about: Buffer, destination: string) =>
    ipPacket(
      { source: '10.2.9.9', destination },
      1,
      Buffer.concat([Buffer.from([3, 1, 0, 0, 0, 0, 0, 0]), about.subarray(0, 28)]),
    );
  const sent = (fields: object) => tcpPacket({ source: V4.destination, destination: V4.source, ...fields });

  it('pass if the packet they are about would', () => {
    receiver.install(SA);
    const about = error(sent({ sourcePort: 80 }), V4.destination);
    const other = error(sent({ sourcePort: 81 }), V4.destination);
    const astray = error(sent({ sourcePort: 80 }), '10.1.0.2');
    const echo = ipPacket(V4, 1, Buffer.concat([Buffer.from([8, 0, 0, 0, 0, 0, 0, 0]), sent({ sourcePort: 80 })]));
    expect(receive(about, other, astray, echo)).toEqual([0]);
    expect(receiver.drops()).toEqual({ XfrmInStateMismatch: 3 });
  });
});

describe('inbound policies', () => {
  it('discard what an SA would admit, and count what they match', () => {
    receiver.install({ ...SA, selectors: [NETS] });
    const base = { direction: 'in', name: 'test' } as const;
    const telnet = { ...NETS, protocol: 6, local: { ...NETS.local, ports: { from: 23, to: 23 } } };
    receiver.spd.install({ ...base, priority: 1, action: 'discard', selector: telnet });
    const rest = receiver.spd.install({ ...base, priority: 2, action: 'protect', selector: NETS });
    const web = [0, 100, 200].map((n) => tcpPacket({ ...V4, destinationPort: 80, sequence: n, payload: data(100) }));
    const sealed = web.map((packet) => espPacket(SA, packet, { sequence: sequence++ }));
    expect(receiver.receive([gro(sealed)])).toHaveLength(1);
    expect(receive(tcpPacket({ ...V4, destinationPort: 23 }))).toEqual([]);
    expect(receiver.drops()).toEqual({ XfrmInPolBlock: 1 });
    expect(receiver.spd.counters(rest)).toEqual({ packets: 3, bytes: 3 * 140 });
  });
});
