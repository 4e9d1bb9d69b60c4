/** Dummy packets (RFC 4303 §2.6): what they look like, and when they are sent. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import type { SaHandle, SaParameters } from '../../src/contract.ts';
import { Dummies } from '../../src/dataplane/dummies.ts';
import { SA } from './bed.ts';
import { ANY, Gateway, join } from './engine-pair.ts';
import { openEsp } from './esp.ts';
import { LOCAL6, OutboundBed, REMOTE6 } from './outbound-bed.ts';
import { frame, ip, parse, pattern, udp } from './packets.ts';

const NO_NEXT_HEADER = 59;

describe('a dummy packet', () => {
  let bed: OutboundBed;
  beforeEach(async () => {
    bed = await OutboundBed.open();
  });

  const dummies = (sas: readonly SaHandle[]) => {
    const pairs = sas.flatMap((sa) => [bed.sad.address(sa) ?? 0, sa]);
    bed.memory.words.set(pairs, (bed.arena + A.OUT_DUMMIES) >>> 2);
    return bed.finish(bed.kernel.outboundDummies(bed.arena, sas.length));
  };
  const many = (sa: SaHandle) => dummies(Array.from({ length: 20 }, () => sa));

  const CASES: readonly (readonly [string, Partial<SaParameters>, number])[] = [
    ['in UDP, in tunnel mode', {}, 0],
    ['in UDP, in transport mode', { mode: 'transport' }, 0],
    ['in IPv4, in tunnel mode', { udpEncapsulation: false }, 20],
    ['in IPv4, in transport mode', { udpEncapsulation: false, mode: 'transport' }, 20],
    ['in IPv6, in tunnel mode', { udpEncapsulation: false, local: LOCAL6, remote: REMOTE6 }, 40],
    ['in IPv6, in transport mode', { udpEncapsulation: false, mode: 'transport', local: LOCAL6, remote: REMOTE6 }, 40],
    [
      'with an ICV of its own',
      {
        suite: { encr: ENCR.AES_CBC, keyBits: 256, integ: INTEG.HMAC_SHA2_256_128 },
        keys: { encryption: new Uint8Array(32).fill(3), integrity: new Uint8Array(32).fill(5) },
      },
      0,
    ],
  ];

  it.each(CASES)('has next header 59 and any length that the path takes: %s', (_, more, header) => {
    const sa = bed.protect(more);
    const sent = many(sa);
    expect(sent).toHaveLength(20);
    const overhead = 28 - (header === 0 ? 0 : 28);
    for (const { bytes, to } of sent) {
      expect(to.address).toBe((more.remote ?? SA.remote).address);
      if (header === 20) expect(parse(bytes)).toMatchObject({ protocol: 50, header });
      expect(bytes.length + overhead).toBeLessThanOrEqual(1500);
      expect(openEsp({ ...SA, ...more }, bytes.subarray(header)).next).toBe(NO_NEXT_HEADER);
    }
    expect(new Set(sent.map(({ bytes }) => bytes.length)).size).toBeGreaterThan(10);
  });

  it('is as long as all others with TFC padding, and goes the same way as most', () => {
    const sa = bed.protect({ tfcPadding: 1200 });
    const [real] = bed.send(frame(ip(udp(pattern(100)))));
    for (const { bytes, lane, tos } of many(sa)) {
      expect([bytes.length, lane, tos]).toEqual([real!.bytes.length, A.LANE_UDP4_DF, 0]);
      expect(openEsp(SA, bytes).next).toBe(NO_NEXT_HEADER);
    }
  });

  it('takes a number of its own, and is none of the packets that the SA carries', () => {
    const sa = bed.protect({ tfcDummies: 10, lifetime: { hardPackets: 3 } });
    const numbers = [...dummies([sa, sa]), ...bed.send(frame(ip(udp(pattern(10))))), ...dummies([sa])].map(
      ({ bytes }) => openEsp(SA, bytes).sequence,
    );
    expect(numbers).toEqual([1, 2, 3, 4]);
    expect(bed.sad.counters(sa)).toMatchObject({ packets: 1, sequence: 4, dummies: 3 });
    expect(bed.events()).toEqual([]);
  });

  it('is not sent by an SA that is gone, nor by the next one in its place', () => {
    const sa = bed.protect();
    const address = bed.sad.address(sa)!;
    bed.spd.forgetSa(sa);
    bed.sad.remove(sa);
    bed.memory.words.set([address, sa], (bed.arena + A.OUT_DUMMIES) >>> 2);
    expect(bed.finish(bed.kernel.outboundDummies(bed.arena, 1))).toEqual([]);
    expect(bed.sad.address(bed.sad.install({ ...SA, spi: 0x999 }))).toBe(address);
    expect(bed.finish(bed.kernel.outboundDummies(bed.arena, 1))).toEqual([]);
  });

  it('is not made by AH, which hides nothing', () => {
    const suite = { keyBits: 0, integ: INTEG.HMAC_SHA2_256_128 };
    const keys = { encryption: new Uint8Array(), integrity: new Uint8Array(32) };
    expect(dummies([bed.protect({ protocol: 'ah', udpEncapsulation: false, suite, keys })])).toEqual([]);
  });
});

describe('dummy packets are due', () => {
  const SA_HANDLE = 7;
  let sequence = 0;
  let sent: number[] = [];
  let dummies: Dummies;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    [sequence, sent] = [0, []];
    dummies = new Dummies({
      look: () => ({ address: 64, sequence }),
      send: (pairs) => {
        sent.push(pairs.length / 2);
        sequence += pairs.length / 2;
      },
    });
    dummies.set(SA_HANDLE, 100);
  });
  afterEach(() => {
    dummies.close();
    vi.useRealTimers();
  });
  const total = () => sent.reduce((sum, count) => sum + count, 0);

  it('steadily while there is nothing else', () => {
    vi.advanceTimersByTime(1000);
    expect(total()).toBe(100);
    expect(Math.max(...sent)).toBeLessThanOrEqual(2);
  });

  it('as far as traffic leaves something of the rate', () => {
    for (let step = 0; step < 50; step++) {
      vi.advanceTimersByTime(20);
      sequence++;
    }
    expect(total()).toBeGreaterThanOrEqual(49);
    expect(total()).toBeLessThanOrEqual(51);
  });

  it('not at all when traffic has more than the rate, and at once when it stops', () => {
    for (let step = 0; step < 50; step++) {
      sequence += 10;
      vi.advanceTimersByTime(20);
    }
    expect(total()).toBe(0);
    const before = total();
    vi.advanceTimersByTime(200);
    expect(total() - before).toBe(20);
  });

  it('no more for an SA that is gone', () => {
    dummies.delete(SA_HANDLE);
    vi.advanceTimersByTime(1000);
    expect(total()).toBe(0);
  });
});

it('an engine sends dummies at the rate that is asked for, and its peer discards and counts them', async () => {
  const a = await Gateway.start('127.0.0.1');
  const b = await Gateway.start('127.0.0.2');
  try {
    const { out, in: into } = join(a, b, { tfcDummies: 200, tfcPadding: 500 });
    a.dataPlane.installPolicy({
      direction: 'out',
      priority: 1,
      action: 'protect',
      selector: ANY,
      sa: out,
      name: 'all',
    });
    await vi.waitFor(() => expect(b.dataPlane.drops().InDummy).toBeGreaterThan(20), { timeout: 5000 });
    const packet = ip(udp(pattern(50)));
    a.send(packet);
    expect(await b.receive()).toEqual(Buffer.from(packet));
    expect(Object.keys(b.dataPlane.drops())).toEqual(['InDummy']);
    expect(a.dataPlane.counters(out)).toMatchObject({ packets: 1, dummies: expect.any(Number) });
    expect(b.dataPlane.counters(into)!.packets).toBe(1);
    a.dataPlane.removeSa(out);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = b.dataPlane.drops().InDummy;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(b.dataPlane.drops().InDummy).toBe(before);
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
});
