import { beforeEach, describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import type { PolicyHandle } from '../../src/contract.ts';
import { SA } from './bed.ts';
import { openEsp } from './esp.ts';
import { ALL4, OutboundBed, selector } from './outbound-bed.ts';
import { frame, ip, pattern, udp } from './packets.ts';

const START = 1_700_000_000_000;

let bed: OutboundBed;
let policy: PolicyHandle;
beforeEach(async () => {
  bed = await OutboundBed.open();
  policy = bed.spd.install({
    direction: 'out',
    priority: 1,
    action: 'protect',
    selector: selector(ALL4, ALL4),
    name: 'trap',
  });
});

const packetNumber = (i: number) => ip(udp(pattern(100, i)));
const resume = () => bed.finish(bed.kernel.outboundResume(bed.arena));

describe('a PROTECT policy without an SA', () => {
  it('asks for one once, with the packet’s selectors, and sends nothing', () => {
    expect(bed.send(frame(packetNumber(0)), frame(packetNumber(1)))).toEqual([]);
    expect(bed.events()).toEqual([
      { kind: A.EVENT_ACQUIRE, handle: policy, reason: 0, protocol: 17, ports: [40_000, 53] },
    ]);
    bed.now = START + 500;
    bed.send(frame(packetNumber(2)));
    expect(bed.events()).toEqual([]);
    bed.now = START + 1500;
    bed.send(frame(packetNumber(3)));
    expect(bed.events()).toHaveLength(1);
    expect(bed.drops()).toEqual({});
    expect(bed.word(A.ARENA_QUEUE_COUNT)).toBe(4);
  });

  it('sends what waited, in order, when the SA is there', () => {
    const packets = Array.from({ length: 10 }, (_, i) => packetNumber(i));
    for (const packet of packets) bed.send(frame(packet));
    expect(resume()).toEqual([]);
    bed.spd.setSa(policy, bed.sad.install(SA));
    expect(resume().map(({ bytes }) => openEsp(SA, bytes).payload)).toEqual(packets);
    expect(bed.word(A.ARENA_QUEUE_COUNT)).toBe(0);
    expect(resume()).toEqual([]);
  });

  it('keeps a bounded number of packets, and counts the others', () => {
    const frames = Array.from({ length: 40 }, (_, i) => frame(packetNumber(i)));
    bed.send(...frames);
    expect(bed.word(A.ARENA_QUEUE_COUNT)).toBe(16);
    expect(bed.drops()).toEqual({ XfrmOutNoQueueSpace: 24 });
    for (let other = 1; other <= 6; other++) {
      const selectors = selector('10.1.0.1', `10.9.0.${other}`);
      bed.spd.install({ direction: 'out', priority: 0, action: 'protect', selector: selectors, name: 'other' });
      bed.send(...frames.map((_, i) => frame(ip(udp(pattern(10, i)), { destination: `10.9.0.${other}` }))));
    }
    expect(bed.word(A.ARENA_QUEUE_COUNT)).toBe(A.QUEUE_MAX);
  });

  it('forgets packets that waited too long', () => {
    bed.send(frame(packetNumber(0)));
    bed.now = START + 31_000;
    bed.send(frame(packetNumber(1)));
    bed.spd.setSa(policy, bed.sad.install(SA));
    expect(resume().map(({ bytes }) => openEsp(SA, bytes).payload)).toEqual([packetNumber(1)]);
    expect(bed.drops()).toEqual({ XfrmAcquireError: 1 });
  });

  it('forgets them though no SA comes, and no other packet', () => {
    bed.send(frame(packetNumber(0)), frame(packetNumber(1)));
    bed.now = START + 29_000;
    expect(resume()).toEqual([]);
    expect([bed.word(A.ARENA_QUEUE_COUNT), bed.drops()]).toEqual([2, {}]);
    bed.events();
    bed.now = START + 30_001;
    expect(resume()).toEqual([]);
    expect([bed.word(A.ARENA_QUEUE_COUNT), bed.drops()]).toEqual([0, { XfrmAcquireError: 2 }]);
    expect(bed.events()).toEqual([]);
  });

  it('judges what waited by the policies of the day', () => {
    bed.send(frame(packetNumber(0)));
    bed.spd.install({ direction: 'out', priority: 0, action: 'discard', selector: selector(ALL4, ALL4), name: 'no' });
    expect(resume()).toEqual([]);
    expect(bed.drops()).toEqual({ XfrmOutPolBlock: 1 });
    expect(bed.word(A.ARENA_QUEUE_COUNT)).toBe(0);
  });

  it('traps again when its SA goes, and nothing leaves in the clear', () => {
    const sa = bed.sad.install(SA);
    bed.spd.setSa(policy, sa);
    expect(bed.send(frame(packetNumber(0)))).toHaveLength(1);
    bed.spd.forgetSa(sa);
    bed.sad.remove(sa);
    expect(bed.send(frame(packetNumber(1)))).toEqual([]);
    expect(bed.word(A.ARENA_QUEUE_COUNT)).toBe(1);
  });
});
