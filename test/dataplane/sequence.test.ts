import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import * as K from '../../assembly/layout.ts';
import { compileKernel } from '../../src/dataplane/kernel.ts';
import { arenaAddress } from '../../src/dataplane/memory.ts';
import { layOut, SA } from './bed.ts';
import { ALL4, selector } from './outbound-bed.ts';
import { ip, pattern, tcp, unfinished } from './packets.ts';

const PACKETS = 10_000_000;
const WORKERS = 2;

/**
 * Prepares the frame in its slot again and again, and marks every sequence number in a bitmap that
 * all workers share. Plain JavaScript, so that a thread can run it as it is.
 */
const PREPARER = `
  const { parentPort, workerData: { memory, module, arena, bitmap, share, A, K } } = require('node:worker_threads');
  const kernel = new WebAssembly.Instance(module, { env: { memory } }).exports;
  const words = new Uint32Array(memory.buffer);
  const view = new DataView(memory.buffer);
  kernel.initialiseCrypto(arena + A.ARENA_CRYPTO);
  kernel.initialiseArena(arena);
  let made = 0;
  let repeated = 0;
  while (made < share) {
    const packets = kernel.outboundPrepare(arena, 1);
    for (let i = 0; i < packets; i++) {
      const esp = words[(arena + A.OUT_PACKETS + i * K.PACKET_SIZE + K.PACKET_AAD) >>> 2];
      const sequence = view.getUint32(esp + 4);
      const bit = 1 << (sequence & 31);
      if (Atomics.or(bitmap, sequence >>> 5, bit) & bit) repeated++;
    }
    kernel.outboundFinish(arena);
    made += packets;
  }
  parentPort.postMessage({ made, repeated });
`;

describe('several workers on one SA', () => {
  it(`never use a sequence number twice in ${PACKETS} packets, and leave no gap`, async () => {
    const { module } = await compileKernel();
    const { plan, memory, sad, spd } = layOut(module, { workers: WORKERS });
    const sa = sad.install({ ...SA, esn: false });
    spd.install({ direction: 'out', priority: 1, action: 'protect', sa, selector: selector(ALL4, ALL4), name: 'all' });
    const read = unfinished(ip(tcp(pattern(65_000)), { protocol: 6 }), 20, 16, { gsoType: 1, gsoSize: 8 });
    const bitmap = new Int32Array(new SharedArrayBuffer(PACKETS / 4));
    const runs = Array.from({ length: WORKERS }, (_, worker) => {
      const arena = arenaAddress(plan, worker);
      memory.bytes.set(read, arena + A.OUT_SLOTS + A.OUT_SLOT_FRAME);
      memory.words[(arena + A.OUT_LENGTHS) >>> 2] = read.length;
      const share = PACKETS / WORKERS;
      const workerData = { memory: memory.memory, module, arena, bitmap, share, A: { ...A }, K: { ...K } };
      const thread = new Worker(PREPARER, { eval: true, workerData });
      return new Promise<{ made: number; repeated: number }>((resolve, reject) => {
        thread.once('message', resolve).once('error', reject);
      });
    });
    const results = await Promise.all(runs);
    const made = results.reduce((sum, result) => sum + result.made, 0);
    expect(made).toBeGreaterThanOrEqual(PACKETS);
    expect(results.map(({ repeated }) => repeated)).toEqual([0, 0]);
    expect(sad.counters(sa)).toMatchObject({ sequence: made, packets: made });
  });
});
