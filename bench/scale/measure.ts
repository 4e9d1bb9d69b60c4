/** What `bench scale` measures of a data plane that holds many SAs and policies. */
import { Worker } from 'node:worker_threads';
import { OUT_PACKETS, SLOTS } from '../../assembly/layout/arena.ts';
import { SA_SIZE } from '../../assembly/layout/records.ts';
import { PACKET_SIZE, PACKET_STATUS, STATUS_OK } from '../../assembly/layout.ts';
import { type FrameKind, frameOf, PAYLOADS, Plane } from './plane.ts';
import { STRIDE } from './spread.ts';
import type { TrafficTask } from './traffic.ts';

/** Frames of a batch: few enough to stay in the cache, so that what is far away is the SAs. */
const BATCH = 8;
/** Rounds between two looks at the clock, which is a system call. */
const ROUNDS = 20;

export interface Figures {
  /** Mbit/s of TCP payload through parse, SPD, SA, framing and AES-128-GCM, spread over all SAs. */
  readonly throughputMbps: number;
  /** The same of UDP datagrams that fill a packet, each by another SA than the one before; and of small ones. */
  readonly scatteredMbps: number;
  readonly scatteredSmallMbps: number;
  /** Nanoseconds to parse a packet and find its policy: in the flow cache, and without it. */
  readonly lookupNanos: number;
  readonly coldLookupNanos: number;
  /** Bytes of shared memory for each SA beyond the first. Of one SA there is no such figure, nor a rate: 0. */
  readonly bytesPerSa: number;
  /** SAs with their policies a second, by an idle data plane and beside traffic. */
  readonly installsPerSecond: number;
  readonly loadedInstallsPerSecond: number;
}

const secondsSince = (start: number) => (performance.now() - start) / 1000;

/** Processor time of this process, so that what else the machine does matters less. */
function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Calls `round` until the time is up, after a tenth of it to warm up. @returns rounds per second of processor time */
function rate(seconds: number, round: () => void): number {
  let start = processorSeconds();
  while (processorSeconds() - start < seconds / 10) round();
  let rounds = 0;
  start = processorSeconds();
  do {
    for (let i = 0; i < ROUNDS; i++) round();
    rounds += ROUNDS;
  } while (processorSeconds() - start < seconds);
  return rounds / (processorSeconds() - start);
}

/** Makes batches whose frames go to one peer after another. */
function batches(plane: Plane, kind: FrameKind, peers: number, frames: number): () => number {
  let peer = 0;
  plane.load(frameOf(kind), frames);
  return () => {
    for (let slot = 0; slot < frames; slot++) {
      plane.address(slot, peer);
      peer = (peer + STRIDE) % peers;
    }
    return plane.kernel.outboundPrepare(plane.arena, frames);
  };
}

/** @returns Mbit/s of payload */
function throughput(plane: Plane, kind: FrameKind, peers: number, seconds: number): number {
  const frames = kind === 'super' ? BATCH : SLOTS;
  const prepare = batches(plane, kind, peers, frames);
  const packets = plane.arena + OUT_PACKETS;
  const round = () => {
    const count = prepare();
    plane.kernel.sealBatch(packets, count);
    plane.kernel.outboundFinish(plane.arena);
    return count;
  };
  verify(plane, packets, round());
  return (rate(seconds, round) * frames * PAYLOADS[kind] * 8) / 1e6;
}

/** The batch must open under the keys it was sealed with. @throws Error if a packet does not */
function verify(plane: Plane, packets: number, count: number): void {
  plane.kernel.openBatch(packets, count);
  for (let i = 0; i < count; i++) {
    const status = plane.memory.words[(packets + i * PACKET_SIZE + PACKET_STATUS) >>> 2];
    if (status !== STATUS_OK) throw new Error(`packet ${i} of ${count} does not open again`);
  }
  if (count === 0) throw new Error('nothing was sealed');
}

function lookup(module: WebAssembly.Module, peers: number, capacity: number, seconds: number, cold: boolean): number {
  const plane = new Plane(module, capacity);
  for (let peer = 0; peer < peers; peer++) plane.discard(peer);
  const prepare = batches(plane, 'small', peers, SLOTS);
  const batchesPerSecond = rate(seconds, () => {
    if (cold) plane.touch();
    if (prepare() !== 0) throw new Error('a discarded packet was sealed');
    plane.kernel.outboundFinish(plane.arena);
  });
  return 1e9 / (batchesPerSecond * SLOTS);
}

/** Installs beside a thread that sends all the while by the first SA. */
async function loadedInstalls(module: WebAssembly.Module, peers: number, capacity: number): Promise<number> {
  const plane = new Plane(module, capacity);
  plane.protect(0);
  plane.load(frameOf('super'), BATCH);
  const state = new Int32Array(new SharedArrayBuffer(8));
  const task: TrafficTask = { memory: plane.memory.memory, module, arena: plane.arena, frames: BATCH, state };
  const thread = new Worker(new URL('./traffic.js', import.meta.url), { workerData: task });
  try {
    while (Atomics.load(state, 1) < 100) await new Promise((resolve) => setTimeout(resolve, 5));
    const before = Atomics.load(state, 1);
    const start = performance.now();
    for (let peer = 1; peer <= peers; peer++) plane.protect(peer);
    const seconds = secondsSince(start);
    if (peers > 1000 && Atomics.load(state, 1) === before)
      throw new Error('no traffic flowed during the installations');
    return peers / seconds;
  } finally {
    Atomics.store(state, 0, 1);
    await new Promise((resolve) => thread.once('exit', resolve));
  }
}

/** @param count SAs, and as many policies */
export async function measure(module: WebAssembly.Module, count: number, seconds: number): Promise<Figures> {
  const capacity = count + 8;
  const plane = new Plane(module, capacity);
  plane.protect(0);
  const first = plane.heap.used;
  const start = performance.now();
  for (let peer = 1; peer < count; peer++) plane.protect(peer);
  const installing = secondsSince(start);
  const more = count - 1;
  return {
    throughputMbps: throughput(plane, 'super', count, seconds),
    scatteredMbps: throughput(plane, 'full', count, seconds),
    scatteredSmallMbps: throughput(plane, 'small', count, seconds),
    lookupNanos: lookup(module, count, capacity, seconds / 2, false),
    coldLookupNanos: lookup(module, count, capacity, seconds / 2, true),
    bytesPerSa: count === 1 ? 0 : (plane.heap.used - first) / more + SA_SIZE,
    installsPerSecond: count === 1 ? 0 : more / installing,
    loadedInstallsPerSecond: count === 1 ? 0 : await loadedInstalls(module, more, capacity),
  };
}
