/** A thread that prepares, seals and finishes the frames of its arena until it is told to stop. */
import { workerData } from 'node:worker_threads';
import { ARENA_CRYPTO, OUT_PACKETS } from '../../assembly/layout/arena.ts';
import { instantiateKernel, viewMemory } from '../../src/dataplane/kernel.ts';

export interface TrafficTask {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly arena: number;
  /** Frames in its slots. */
  readonly frames: number;
  /** [0]: not 0 to stop; [1]: batches made so far. */
  readonly state: Int32Array;
}

const { memory, module, arena, frames, state } = workerData as TrafficTask;
const kernel = instantiateKernel(module, viewMemory(memory));
kernel.initialiseCrypto(arena + ARENA_CRYPTO);
while (Atomics.load(state, 0) === 0) {
  kernel.sealBatch(arena + OUT_PACKETS, kernel.outboundPrepare(arena, frames));
  kernel.outboundFinish(arena);
  Atomics.add(state, 1, 1);
}
