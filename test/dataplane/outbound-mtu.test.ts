import { beforeEach, describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import * as R from '../../assembly/layout/records.ts';
import type { SaParameters } from '../../src/contract.ts';
import { SA } from './bed.ts';
import { openEsp } from './esp.ts';
import { LOCAL6, OutboundBed, REMOTE6 } from './outbound-bed.ts';
import { finished, frame, ip, isChecksumRight, parse, pattern, tcp, udp, unfinished } from './packets.ts';

const V6 = { source: '2001:db8:1::1', destination: '2001:db8:2::1' };
/** What fits 1500 bytes in UDP over IPv4: 1500 - 20 - 8 - 8 - 8 - 16, down to a multiple of 4, less two. */
const INNER = 1438;

let bed: OutboundBed;
beforeEach(async () => {
  bed = await OutboundBed.open();
});

/** Puts IPv4 fragments together again. */
function reassemble(fragments: readonly Uint8Array[]): Uint8Array {
  const data: Uint8Array[] = [];
  let offset = 0;
  fragments.forEach((fragment, index) => {
    const { upper } = parse(fragment);
    const field = (fragment[6]! << 8) | fragment[7]!;
    expect((field & 0x1fff) * 8).toBe(offset);
    expect((field & 0x2000) !== 0).toBe(index < fragments.length - 1);
    data.push(upper);
    offset += upper.length;
  });
  return Uint8Array.from(Buffer.concat(data));
}

describe('packets too long for the path', () => {
  it('takes the longest packet that fits', () => {
    bed.protect();
    const [datagram] = bed.send(frame(ip(udp(pattern(INNER - 28)))));
    expect(datagram!.bytes.length + 28).toBe(1500);
  });

  it('tells an IPv4 sender with DF how long they may be', () => {
    bed.protect();
    const packet = ip(udp(pattern(INNER - 27)));
    expect(bed.send(frame(packet))).toEqual([]);
    expect(bed.drops()).toEqual({ OutTooBig: 1 });
    const [reply] = bed.replies();
    expect(reply!.subarray(0, 10)).toEqual(new Uint8Array(10));
    const error = reply!.subarray(10);
    expect(isChecksumRight(error)).toBe(true);
    expect([...error.subarray(12, 20)]).toEqual([10, 2, 0, 1, 10, 1, 0, 1]);
    const { upper, protocol } = parse(error);
    expect(protocol).toBe(1);
    expect([...upper.subarray(0, 2)]).toEqual([3, 4]);
    expect((upper[6]! << 8) | upper[7]!).toBe(INNER);
    expect(error.length).toBe(576);
    expect(upper.subarray(8)).toEqual(packet.subarray(0, 548));
  });

  it('tells an IPv6 sender, and cuts nothing that it sends', () => {
    bed.protect();
    const packet = ip(udp(pattern(1500)), V6);
    expect(bed.send(frame(packet))).toEqual([]);
    const error = bed.replies()[0]!.subarray(10);
    expect(error.length).toBe(1280);
    expect(isChecksumRight(error)).toBe(true);
    const { upper, protocol } = parse(error);
    expect(protocol).toBe(58);
    expect(upper[0]).toBe(2);
    expect((upper[6]! << 8) | upper[7]!).toBe(INNER);
    expect(upper.subarray(8)).toEqual(packet.subarray(0, 1280 - 48));
  });

  it('answers in the name of the gateway if it was given one', () => {
    bed.protect();
    bed.memory.bytes.set([192, 0, 2, 9], R.HEADER_BASE + R.HEADER_ICMP4);
    bed.send(frame(ip(udp(pattern(2000)))));
    expect([...bed.replies()[0]!.subarray(22, 26)]).toEqual([192, 0, 2, 9]);
  });

  it('does not answer errors, later fragments and multicast', () => {
    bed.protect();
    const long = pattern(2000);
    bed.send(
      frame(ip(Uint8Array.of(3, 1, ...long), { protocol: 1 })),
      frame(ip(long, { fragment: 0x4010 })),
      frame(ip(udp(long), { destination: '224.0.0.5' })),
      frame(ip(Uint8Array.of(1, 0, ...long), { ...V6, protocol: 58 })),
    );
    expect(bed.drops()).toEqual({ OutTooBig: 4 });
    expect(bed.replies()).toEqual([]);
  });

  it('bounds the answers of a batch', () => {
    bed.protect();
    bed.send(...Array.from({ length: 64 }, () => frame(ip(udp(pattern(2000))))));
    expect(bed.replies()).toHaveLength(64);
    bed.send(frame(ip(udp(pattern(20)))));
    expect(bed.replies()).toHaveLength(0);
  });

  it('tells the sender of a super-frame whose segments are too long', () => {
    bed.protect();
    const big = ip(tcp(pattern(9000)), { protocol: 6 });
    expect(bed.send(unfinished(big, 20, 16, { gsoType: 1, gsoSize: INNER - 39 }))).toEqual([]);
    expect(bed.replies()).toHaveLength(1);
    expect(bed.send(unfinished(big, 20, 16, { gsoType: 1, gsoSize: INNER - 40 }))).toHaveLength(7);
  });

  it('fragments IPv4 packets without DF before encryption', () => {
    bed.protect();
    for (const size of [INNER - 27, 4000, 9001]) {
      const whole = ip(udp(pattern(size)), { fragment: 0 });
      const sent = bed.send(unfinished(whole, 20, 6));
      const fragments = sent.map(({ bytes }) => openEsp(SA, bytes).payload);
      expect(fragments.every(({ length }) => length <= INNER)).toBe(true);
      const datagram = reassemble(fragments);
      expect(datagram.slice(8)).toEqual(pattern(size));
      expect(isChecksumRight(ip(datagram, { fragment: 0 }))).toBe(true);
    }
  });

  it('fragments a fragment again, and keeps to the first one what belongs there', () => {
    bed.protect();
    const options = Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0x94, 4, 0, 0, 0);
    bed.send(frame(ip(udp(pattern(800)), { fragment: 0x2000, id: 77 })));
    const sent = bed.send(frame(ip(pattern(3200), { fragment: 0x2000 | 101, id: 77, options })));
    const fragments = sent.map(({ bytes }) => openEsp(SA, bytes).payload);
    const fields = fragments.map((bytes) => (bytes[6]! << 8) | bytes[7]!);
    expect(fields.map((field) => field & 0x2000)).toEqual(fields.map(() => 0x2000));
    expect((fields[0]! & 0x1fff) * 8).toBe(808);
    expect(fragments[0]!.subarray(20, 32)).toEqual(options);
    // Record route is a thing of the first fragment; router alert goes with all.
    expect(fragments[1]!.subarray(20, 32)).toEqual(Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 0x94, 4, 0, 0, 0));
    expect(Buffer.concat(fragments.map((fragment) => parse(fragment).upper))).toEqual(Buffer.from(pattern(3200)));
  });

  it('makes smaller TCP segments of a super-frame without DF', () => {
    bed.protect();
    const big = ip(tcp(pattern(9000)), { protocol: 6, fragment: 0 });
    const sent = bed.send(unfinished(big, 20, 16, { gsoType: 1, gsoSize: 1460 }));
    const payloads = sent.map(({ bytes }) => openEsp(SA, bytes).payload);
    expect(payloads.every((payload) => payload.length <= INNER && isChecksumRight(payload))).toBe(true);
    expect(Buffer.concat(payloads.map((payload) => payload.subarray(40)))).toEqual(Buffer.from(pattern(9000)));
  });

  it('lets IPv6 packets of up to 1280 bytes be fragmented outside, one message each', () => {
    const sa = bed.protect();
    bed.sad.setPathMtu(sa, 1280);
    const packet = ip(udp(pattern(1232)), V6);
    const sent = bed.send(frame(packet), frame(packet));
    expect(sent.map(({ lane, message }) => [lane, message])).toEqual([
      [A.LANE_UDP4, 0],
      [A.LANE_UDP4, 1],
    ]);
    expect(openEsp(SA, sent[0]!.bytes).payload).toEqual(packet);
    expect(bed.send(frame(ip(udp(pattern(1233)), V6)))).toEqual([]);
    expect(bed.drops()).toEqual({ OutTooBig: 1 });
    const { upper } = parse(bed.replies()[0]!.subarray(10));
    expect((upper[6]! << 8) | upper[7]!).toBe(1280);
  });

  it('makes what fits of IPv6 super-frames whose segments any link must take: senders go no lower', () => {
    const sa = bed.protect();
    bed.sad.setPathMtu(sa, 1280);
    const inner = 1218;
    const big = ip(tcp(pattern(9000)), { ...V6, protocol: 6 });
    const payloads = bed
      .send(unfinished(big, 40, 16, { gsoType: 4, gsoSize: 1220 }))
      .map(({ bytes }) => openEsp(SA, bytes).payload);
    expect(payloads.every((payload) => payload.length <= inner && isChecksumRight(payload))).toBe(true);
    expect(Buffer.concat(payloads.map((payload) => payload.subarray(60)))).toEqual(Buffer.from(pattern(9000)));
    const train = ip(udp(pattern(9000)), V6);
    const sent = bed.send(unfinished(train, 40, 6, { gsoType: 5, gsoSize: 1232 }));
    expect(sent.map(({ message }) => message)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    const datagrams = sent.map(({ bytes }) => openEsp(SA, bytes).payload);
    expect(datagrams.every(isChecksumRight)).toBe(true);
    expect(Buffer.concat(datagrams.map((packet) => packet.subarray(48)))).toEqual(Buffer.from(pattern(9000)));
    expect(bed.send(unfinished(train, 40, 6, { gsoType: 5, gsoSize: 1233 }))).toHaveLength(0);
    expect(bed.drops()).toEqual({ OutTooBig: 1 });
  });

  it('lets the datagrams of an IPv4 super-frame without DF be fragmented outside', () => {
    bed.protect();
    const sent = bed.send(unfinished(ip(udp(pattern(9000)), { fragment: 0 }), 20, 6, { gsoType: 5, gsoSize: 3000 }));
    expect(sent.map(({ lane, message }) => [lane, message])).toEqual([0, 1, 2].map((one) => [A.LANE_UDP4, one]));
    const datagrams = sent.map(({ bytes }) => openEsp(SA, bytes).payload);
    expect(datagrams.every(isChecksumRight)).toBe(true);
    expect(Buffer.concat(datagrams.map((packet) => packet.subarray(28)))).toEqual(Buffer.from(pattern(9000)));
  });

  it.each([0, 20, 67])('takes a path MTU of %i, which not even the headers fit', (mtu) => {
    const ways = [
      {},
      { udpEncapsulation: false },
      { mode: 'transport' },
      { mode: 'transport', udpEncapsulation: false },
    ];
    for (const way of ways as Partial<SaParameters>[]) {
      const sa = bed.protect(way);
      bed.sad.setPathMtu(sa, mtu);
      const inner = bed.memory.words[(bed.sad.address(sa)! + R.SA_INNER_MTU) >>> 2]!;
      expect(inner).toBeLessThanOrEqual(67);
      bed.send(
        frame(ip(udp(pattern(100)))),
        frame(ip(udp(pattern(100)), { fragment: 0 })),
        frame(ip(udp(pattern(9)), V6)),
      );
    }
    expect(bed.drops().OutTooBig).toBeGreaterThan(0);
  });

  it('fragments the outer packet itself on raw lanes', () => {
    const raw = { udpEncapsulation: false };
    bed.sad.setPathMtu(bed.protect(raw), 1280);
    const packet = ip(udp(pattern(1232)), V6);
    const parts = bed.send(frame(packet)).map(({ bytes }) => bytes);
    expect(parts.map(({ length }) => length <= 1280)).toEqual([true, true]);
    expect(openEsp(SA, reassemble(parts)).payload).toEqual(packet);
    bed.sad.setPathMtu(bed.protect({ ...raw, local: LOCAL6, remote: REMOTE6 }, { priority: 1 }), 1280);
    const [first, second] = bed.send(frame(packet)).map(({ bytes }) => parse(bytes));
    expect([first!.protocol, first!.upper[0], second!.upper[0]]).toEqual([44, 50, 50]);
    expect(first!.upper.slice(4, 8)).toEqual(second!.upper.slice(4, 8));
    expect([first!.upper[3]! & 1, second!.upper[3]! & 1]).toEqual([1, 0]);
    expect(((second!.upper[2]! << 8) | second!.upper[3]!) & 0xfff8).toBe(first!.upper.length - 8);
    const esp = Uint8Array.from(Buffer.concat([first!.upper.subarray(8), second!.upper.subarray(8)]));
    expect(openEsp(SA, esp).payload).toEqual(packet);
  });
});

describe('TCP MSS', () => {
  const mss = (packet: Uint8Array, header: number, at = 2) => {
    const { upper } = parse(packet);
    return (upper[header + at]! << 8) | upper[header + at + 1]!;
  };

  it.each([
    ['IPv4', {}, 20, INNER - 40],
    ['IPv6', V6, 40, INNER - 60],
  ])('is lowered in SYNs over %s so that segments fit', (_, options, header, expected) => {
    bed.protect();
    for (const padding of [[], [1]]) {
      const mssOption = Uint8Array.of(...padding, 2, 4, 0x23, 0x28, ...[1, 1, 1, 1].slice(padding.length));
      const syn = ip(tcp(new Uint8Array(), { flags: 2, options: mssOption }), { ...options, protocol: 6 });
      for (const bytes of [unfinished(syn, header, 16), frame(finished(syn, header, 16))]) {
        const { payload } = openEsp(SA, bed.send(bytes)[0]!.bytes);
        expect(mss(payload, 20, 2 + padding.length)).toBe(expected);
        expect(isChecksumRight(payload)).toBe(true);
      }
    }
  });

  it('is left alone where it fits, and in segments that are no SYN', () => {
    bed.protect();
    const low = ip(tcp(new Uint8Array(), { flags: 2, options: Uint8Array.of(2, 4, 2, 0) }), { protocol: 6 });
    expect(mss(openEsp(SA, bed.send(unfinished(low, 20, 16))[0]!.bytes).payload, 20)).toBe(512);
    const ack = ip(tcp(new Uint8Array(), { options: Uint8Array.of(2, 4, 0x23, 0x28) }), { protocol: 6 });
    expect(mss(openEsp(SA, bed.send(unfinished(ack, 20, 16))[0]!.bytes).payload, 20)).toBe(0x2328);
  });
});
