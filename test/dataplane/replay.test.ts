import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import { SA_SEQUENCE } from '../../assembly/layout/records.ts';
import { CRYPTO_SCRATCH_SIZE } from '../../assembly/layout.ts';
import type { SaParameters } from '../../src/contract.ts';
import { arenaAddress } from '../../src/dataplane/memory.ts';
import { SA_IN } from './bed.ts';
import { espPacket } from './esp.ts';
import { udpPacket } from './ip.ts';
import { Receiver } from './receiver.ts';

const SA: SaParameters = {
  ...SA_IN,
  spi: 0x7777,
  keys: { encryption: new Uint8Array(20).fill(9), integrity: new Uint8Array() },
  esn: false,
  replayWindow: 64,
};
const INNER = udpPacket({
  source: '10.2.0.1',
  destination: '10.1.0.1',
  zeroChecksum: true,
  payload: new Uint8Array(4),
});

/** RFC 4303 §3.4.3, as simple as it can be said. */
class Model {
  readonly #seen = new Set<bigint>();
  readonly #window: bigint;
  top: bigint;

  constructor(window: number, top: bigint) {
    this.#window = BigInt(window);
    this.top = top;
    for (let old = 0n; old < this.#window && old < top; old++) this.#seen.add(top - old);
  }

  accepts(sequence: bigint): boolean {
    if (sequence === 0n || this.#seen.has(sequence)) return false;
    if (sequence <= this.top - this.#window) return false;
    this.#seen.add(sequence);
    if (sequence > this.top) this.top = sequence;
    return true;
  }
}

const arrival = fc.record({
  /** From the highest number sent so far. */
  step: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: -3, max: 4 }) },
    { weight: 4, arbitrary: fc.integer({ min: -80, max: 80 }) },
    { weight: 1, arbitrary: fc.integer({ min: -1200, max: 1500 }) },
  ),
  forged: fc.integer({ min: 0, max: 5 }).map((dice) => dice === 0),
});

describe('the replay window', () => {
  it.each([
    ['64 numbers', 64, false, 0n],
    ['96 numbers', 96, false, 0n],
    ['1024 numbers', 1024, false, 0n],
    ['64 extended numbers', 64, true, 0n],
    ['64 extended numbers, across the end of the low half', 64, true, 0xffffffe0n],
    ['1024 extended numbers, after the second end of the low half', 1024, true, 0x200000010n],
  ])('of %s accepts what a simple model does, and moves for authentic packets only', async (_, window, esn, start) => {
    const receiver = await Receiver.open();
    receiver.capabilities = 0;
    const longs = new BigUint64Array(receiver.memory.memory.buffer);
    fc.assert(
      fc.property(fc.array(fc.array(arrival, { minLength: 1, maxLength: 20 }), { maxLength: 12 }), (batches) => {
        const sa = { ...SA, esn, replayWindow: window };
        const handle = receiver.install(sa);
        const counter = (receiver.sad.address(handle)! + SA_SEQUENCE) / 8;
        longs[counter] = start;
        // Numbers before the start have not been seen by the kernel; the model takes them for seen.
        const model = new Model(window, start);
        const floor = start;
        let sent = start;
        try {
          for (const batch of batches) {
            const expected: bigint[] = [];
            const datagrams = batch.map(({ step, forged }) => {
              let sequence = sent + BigInt(step);
              if (sequence <= floor) sequence = floor + 1n;
              if (sequence > sent && !forged) sent = sequence;
              const data = Uint8Array.from(espPacket(sa, INNER, { sequence }));
              if (forged) data[data.length - 1]! ^= 1;
              else if (model.accepts(sequence)) expected.push(sequence);
              return { data };
            });
            expect(receiver.receive(datagrams)).toHaveLength(expected.length);
            expect(longs[counter]).toBe(model.top);
          }
        } finally {
          receiver.sad.remove(handle);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('off accepts everything authentic', async () => {
    const receiver = await Receiver.open();
    receiver.capabilities = 0;
    const sa = { ...SA, replayWindow: 0 };
    receiver.install(sa);
    const data = espPacket(sa, INNER, { sequence: 5 });
    expect(receiver.receive([{ data }, { data }, { data: espPacket(sa, INNER, { sequence: 1 }) }])).toHaveLength(3);
  });
});

/**
 * A worker with an instance of its own: copies datagrams of one size into the slots, and counts
 * which sequence numbers come out. The inner packet's last four bytes are the sequence number.
 */
const WORKER = `
const { parentPort, workerData } = require('node:worker_threads');
const { module, memory, arena, scratch, packets, order, size, gate, A } = workerData;
const { exports: kernel } = new WebAssembly.Instance(module, { env: { memory } });
const bytes = new Uint8Array(memory.buffer);
const words = new Uint32Array(memory.buffer);
kernel.initialiseCrypto(scratch);
kernel.initialiseArena(arena);
const source = new Uint8Array(packets);
const accepted = [];
const arrived = new Int32Array(gate);
for (let from = 0, batch = 1; from < order.length; from += A.SLOTS, batch++) {
  // Both begin a batch together, or one might be through before the other has its processor.
  Atomics.add(arrived, 0, 1);
  Atomics.notify(arrived, 0);
  for (let now; (now = Atomics.load(arrived, 0)) < 2 * batch; ) Atomics.wait(arrived, 0, now);
  const taken = order.slice(from, from + A.SLOTS);
  kernel.inboundArm(arena, A.SLOTS);
  taken.forEach((index, slot) => {
    bytes.set(source.subarray(index * size, (index + 1) * size), arena + A.IN_SLOTS + slot * A.SLOT_SIZE + A.IN_SLOT_DATA);
    const message = (arena + A.IN_MESSAGES + slot * A.MMSGHDR_SIZE) >>> 2;
    words[message + 10] = 0;
    words[message + 14] = size;
  });
  const count = kernel.inboundPrepare(arena, A.SOURCE_UDP4, taken.length);
  kernel.openBatch(arena + A.IN_PACKETS, count);
  const frames = kernel.inboundFinish(arena);
  for (let i = 0; i < frames; i++) {
    const iovec = words[(arena + A.IN_FRAMES + i * A.FRAME_SIZE) >>> 2];
    const low = words[iovec >>> 2] - workerData.base % 2 ** 32;
    const at = (low < 0 ? low + 2 ** 32 : low) + words[(iovec >>> 2) + 2] - 4;
    accepted.push(bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16));
  }
}
parentPort.postMessage(accepted);
`;

describe('two workers on one SA', () => {
  it('accept every sequence number once between them, and none falsely as replayed', async () => {
    const count = 12_000;
    const receiver = await Receiver.open(16, 2);
    const sa = { ...SA, replayWindow: 65_536 };
    const handle = receiver.install(sa);
    const numbered = Buffer.from(INNER);
    const sealed = Array.from({ length: count }, (_, index) => {
      numbered.writeUInt32LE(index + 1, numbered.length - 4);
      return espPacket(sa, numbered, { sequence: index + 1 });
    });
    const size = sealed[0]!.length;
    const packets = new SharedArrayBuffer(size * count);
    new Uint8Array(packets).set(Buffer.concat(sealed));
    const gate = new SharedArrayBuffer(4);
    const results = [0, 1].map((index) => {
      // Both get every number: one in order, the other with neighbours swapped.
      const order = Array.from({ length: count }, (_, at) => (index === 0 ? at : at ^ 1));
      const worker = new Worker(WORKER, {
        eval: true,
        workerData: {
          module: receiver.module,
          memory: receiver.memory.memory,
          base: receiver.memory.base,
          arena: arenaAddress(receiver.plan, index),
          scratch: receiver.heap.allocate(CRYPTO_SCRATCH_SIZE),
          packets,
          order,
          size,
          gate,
          A: { ...A },
        },
      });
      return new Promise<number[]>((resolve, reject) => worker.once('message', resolve).once('error', reject));
    });
    const [first, second] = await Promise.all(results);
    const all = [...first!, ...second!].sort((a, b) => a - b);
    expect(all).toEqual(Array.from({ length: count }, (_, index) => index + 1));
    expect(receiver.sad.counters(handle)).toMatchObject({ packets: count, replayDrops: count, integrityDrops: 0 });
    // Neither had it all to itself, or nothing was shown.
    expect(Math.min(first!.length, second!.length)).toBeGreaterThan(0);
  });
});
