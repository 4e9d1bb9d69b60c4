import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import type { SaParameters } from '../../src/contract.ts';
import { SA } from './bed.ts';
import { openEsp } from './esp.ts';
import { ALL4, ALL6, type Datagram, OutboundBed, selector } from './outbound-bed.ts';
import { finished, ip, parse, pattern, tcp, udp, unfinished } from './packets.ts';

interface Frame {
  readonly kind: 'udp' | 'tcp' | 'tso' | 'uso';
  readonly v6: boolean;
  /** Which SA's network it goes to. */
  readonly peer: number;
  /** Its source port. */
  readonly flow: number;
  readonly size: number;
  readonly segment: number;
  readonly flags: number;
  readonly tos: number;
}

const PEERS = 3;

const frames: fc.Arbitrary<Frame[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('udp', 'tcp', 'tso', 'uso'),
    v6: fc.boolean(),
    peer: fc.nat(PEERS - 1),
    flow: fc.nat(5),
    size: fc.oneof(fc.constantFrom(36, 548, 1280), fc.nat(1300), fc.nat(12_000)),
    segment: fc.oneof(fc.constant(1280), fc.integer({ min: 500, max: 1300 })),
    flags: fc.nat(255),
    tos: fc.constantFrom(0, 2),
  }),
  { minLength: 1, maxLength: 64 },
);

const addresses = ({ v6, peer, tos }: Frame) =>
  v6
    ? { source: '2001:db8:1::1', destination: `2001:db8:2::${peer}`, tos }
    : { source: '10.1.0.1', destination: `10.2.0.${peer}`, tos };

/** The frame as the TUN gives it, and the packets that the other side's hosts must see. */
function model(f: Frame): { read: Uint8Array; expected: Uint8Array[] } {
  const isTcp = f.kind === 'tcp' || f.kind === 'tso';
  const big = f.kind === 'tso' || f.kind === 'uso';
  const data = pattern(big ? f.size : f.size % 1300, f.size);
  const options = { ...addresses(f), protocol: isTcp ? 6 : 17 };
  const header = f.v6 ? 40 : 20;
  const offset = isTcp ? 16 : 6;
  const upper = (part: Uint8Array, at: number, last: boolean) =>
    isTcp
      ? tcp(part, {
          sourcePort: 40_000 + f.flow,
          sequence: (0xfffff000 + at) >>> 0,
          // No SYN: its MSS would be looked at.
          flags: (f.flags & ~2 & (at === 0 ? 0xff : 0x7f) & (last ? 0xff : 0xf6)) >>> 0,
        })
      : udp(part, 40_000 + f.flow);
  const whole = ip(upper(data, 0, true), options);
  if (!big) return { read: unfinished(whole, header, offset), expected: [finished(whole, header, offset)] };
  const gsoType = f.kind === 'uso' ? 5 : f.v6 ? 4 : 1;
  const read = unfinished(whole, header, offset, { gsoType, gsoSize: f.segment });
  const expected: Uint8Array[] = [];
  let id = 0x1234;
  for (let at = 0; at < Math.max(1, data.length); at += f.segment) {
    const part = data.subarray(at, at + f.segment);
    const packet = ip(upper(part, at, at + f.segment >= data.length), { ...options, id: id++ });
    expected.push(finished(packet, header, offset));
  }
  return { read, expected };
}

const keyOf = (peer: number): SaParameters => ({
  ...SA,
  spi: 0x1000 + peer,
  remote: { address: `192.0.2.${10 + peer}`, port: 4500 },
  udpEncapsulation: peer !== 2,
});

const nameOf = (packet: Uint8Array) => {
  const { protocol, version, upper } = parse(packet);
  return `${version}/${protocol}/${(upper[0]! << 8) | upper[1]!}`;
};

const group = (packets: readonly Uint8Array[]) => {
  const flows = new Map<string, string[]>();
  for (const packet of packets) {
    const name = nameOf(packet);
    flows.set(name, [...(flows.get(name) ?? []), Buffer.from(packet).toString('hex')]);
  }
  return flows;
};

/** The smallest replay window that peers have. */
const LEAST_WINDOW = 32;

/** What the system asks of a UDP_SEGMENT message. */
function checkMessages(sent: readonly Datagram[]): void {
  const messages = new Map<string, number[]>();
  for (const { lane, message, bytes } of sent) {
    const name = `${lane}/${message}`;
    messages.set(name, [...(messages.get(name) ?? []), bytes.length]);
  }
  for (const sizes of messages.values()) {
    expect(sizes.length).toBeLessThanOrEqual(64);
    expect(sizes.reduce((a, b) => a + b)).toBeLessThanOrEqual(65_000);
    expect(sizes.slice(0, -1).every((size) => size === sizes[0])).toBe(true);
    expect(sizes.at(-1)!).toBeLessThanOrEqual(sizes[0]!);
  }
}

describe('whatever the hosts send', () => {
  it('arrives, whole, in order within each flow, by the right SA, numbered without gaps', async () => {
    const bed = await OutboundBed.open();
    const counted = [0, 0, 0];
    for (let peer = 0; peer < PEERS; peer++) {
      const sa = bed.sad.install(keyOf(peer));
      for (const to of [selector(ALL4, `10.2.0.${peer}`), selector(ALL6, `2001:db8:2::${peer}`)]) {
        bed.spd.install({ direction: 'out', priority: 1, action: 'protect', sa, selector: to, name: 'peer' });
      }
    }
    fc.assert(
      fc.property(frames, fc.boolean(), (list, segmentation) => {
        bed.capabilities = segmentation ? A.CAPABILITY_UDP_SEGMENT : 0;
        const models = list.map(model);
        const sent = bed.send(...models.map(({ read }) => read));
        checkMessages(sent);
        for (let peer = 0; peer < PEERS; peer++) {
          const sa = keyOf(peer);
          const mine = sent.filter(({ to }) => to.address === sa.remote.address);
          const numbers: number[] = [];
          const packets = mine.map(({ bytes, lane }) => {
            const esp = openEsp(sa, lane === A.LANE_RAW4 ? parse(bytes).upper : bytes);
            expect(esp.spi).toBe(sa.spi);
            numbers.push(esp.sequence);
            return esp.payload;
          });
          let highest = 0;
          for (const number of numbers) {
            expect(highest - number).toBeLessThan(LEAST_WINDOW);
            highest = Math.max(highest, number);
          }
          expect(numbers.sort((x, y) => x - y)).toEqual(numbers.map((_, i) => counted[peer]! + i + 1));
          counted[peer]! += numbers.length;
          const expected = models.filter((_, i) => list[i]!.peer === peer).flatMap((entry) => entry.expected);
          expect(group(packets)).toEqual(group(expected));
        }
      }),
      { numRuns: 60 },
    );
    expect(bed.drops()).toEqual({});
  });

  it('is never more than counted drops when it is garbage', async () => {
    const bed = await OutboundBed.open();
    bed.protect();
    let given = 0;
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.uint8Array({ minLength: 10, maxLength: 10 }),
            fc.constantFrom(0x45, 0x46, 0x4f, 0x60, 0x00),
            fc.uint8Array({ maxLength: 200 }),
          ),
          { minLength: 1, maxLength: 64 },
        ),
        (list) => {
          const sent = bed.send(
            ...list.map(([virtio, first, rest]) =>
              Uint8Array.from(Buffer.concat([virtio, Uint8Array.of(first), rest])),
            ),
          );
          given += list.length;
          for (const { bytes } of sent) openEsp(SA, bytes);
        },
      ),
      { numRuns: 200 },
    );
    const dropped = Object.values(bed.drops()).reduce((a, b) => a + b, 0);
    const { packets } = bed.sad.counters(1)!;
    expect(dropped + packets).toBeGreaterThanOrEqual(given);
  });
});
