/**
 * A worker thread of the data plane: one task that ends when the engine says so. It owns one queue
 * of the device, sockets and an arena, and works batches to completion, turn and turn about.
 */
import type { MessagePort } from 'node:worker_threads';
import { ARENA_CAPABILITIES, ARENA_CRYPTO, ARENA_GATHER } from '../../assembly/layout/arena.ts';
import type { Endpoint } from '../contract.ts';
import { Arena } from './arena.ts';
import type { WorkerDescriptors } from './descriptors.ts';
import { Device } from './device.ts';
import { Inbound } from './inbound.ts';
import type { Receiver } from './io/raw.ts';
import { Watch } from './io/watch.ts';
import { instantiateKernel, viewMemory } from './kernel.ts';
import { Outbound } from './outbound.ts';
import { warmUp } from './warm-up.ts';
import { type BackendCounters, type WantedBackend, WorkerBackends } from './worker-backends.ts';

/** Batches of one descriptor before another one has its turn. */
const TURN = 4;
/** Milliseconds after which what backends have counted is told, if it is another than before. */
const COUNTERS_INTERVAL = 1000;

/** What the engine gives to a worker. Descriptors stay the engine's, which closes them. */
export interface WorkerTask extends WorkerDescriptors {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  /** Offset of the arena. */
  readonly arena: number;
  /** CAPABILITY_* bits. */
  readonly capabilities: number;
  readonly backends: readonly WantedBackend[];
  readonly port: MessagePort;
}

/** From the engine. */
export type WorkerCommand =
  /** An SA has come for frames that wait. */
  | { readonly type: 'resume' }
  /** These KEY blocks are no longer in use. */
  | { readonly type: 'forget'; readonly keys: readonly number[] }
  | { readonly type: 'backends'; readonly wanted: readonly WantedBackend[] }
  | { readonly type: 'stop' };

export interface PostedDatagram {
  readonly local: string;
  readonly remote: Endpoint;
  readonly data: Uint8Array;
}

/** An EspalierError, whose code would not survive the way to the other thread. */
interface ReportedError {
  readonly code: string;
  readonly message: string;
}

/** To the engine. */
export type WorkerReport =
  /** The worker watches its descriptors, or why it cannot. */
  | { readonly type: 'ready'; readonly error?: ReportedError }
  | { readonly type: 'ike'; readonly datagrams: readonly PostedDatagram[] }
  /** EVENT records, one behind the other. */
  | { readonly type: 'events'; readonly events: Uint8Array }
  /** The backends have been changed, or why not. */
  | { readonly type: 'backends'; readonly error?: ReportedError }
  | { readonly type: 'counters'; readonly counters: readonly BackendCounters[] }
  /** What the operator should know: one sentence. */
  | { readonly type: 'warning'; readonly sentence: string }
  /** Something that this system lacks, or that has gone wrong: one sentence. */
  | { readonly type: 'missing'; readonly sentence: string };

/** piscina's entry point. */
export default async function work(task: WorkerTask): Promise<void> {
  let worker: Worker;
  try {
    worker = await Worker.start(task);
  } catch (error) {
    task.port.postMessage({ type: 'ready', error: reportedError(error) } satisfies WorkerReport);
    task.port.close();
    return;
  }
  await worker.stopped;
}

function reportedError(error: unknown): ReportedError {
  const { code = 'ERR_WORKER', message } = error as Error & { readonly code?: string };
  return { code, message };
}

class Worker {
  static async start(task: WorkerTask): Promise<Worker> {
    warmUp(task.module);
    const memory = viewMemory(task.memory);
    const kernel = instantiateKernel(task.module, memory);
    const arena = new Arena(memory, task.arena);
    arena.populate();
    kernel.initialiseCrypto(task.arena + ARENA_CRYPTO);
    kernel.initialiseArena(task.arena);
    const log = (sentence: string) => task.port.postMessage({ type: 'warning', sentence } satisfies WorkerReport);
    const gather = task.arena + ARENA_GATHER;
    const backends = await WorkerBackends.create({ memory, kernel, gather, log }, task.backends);
    arena.set(ARENA_CAPABILITIES, task.capabilities);
    return new Worker(task, arena, kernel, backends);
  }

  readonly stopped: Promise<void>;
  readonly #task: WorkerTask;
  readonly #arena: Arena;
  readonly #backends: WorkerBackends;
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  readonly #countersTimer: NodeJS.Timeout;
  #countersTold = '[]';
  /** By descriptor. */
  readonly #watches = new Map<number, Watch>();

  private constructor(
    task: WorkerTask,
    arena: Arena,
    kernel: ReturnType<typeof instantiateKernel>,
    backends: WorkerBackends,
  ) {
    this.#task = task;
    this.#arena = arena;
    this.#backends = backends;
    const device = new Device(task.device, arena, () => this.#loseDevice());
    const shared = { arena, kernel, backend: backends, device };
    this.#outbound = new Outbound({
      ...shared,
      lanes: task.lanes,
      awaitWritable: (fd, resume) => this.#awaitWritable(fd, resume),
      released: () => this.#afterOutbound(),
      unsegmented: () =>
        this.#report({
          type: 'missing',
          sentence: 'The network device does not segment UDP: every outer packet is sent by itself.',
        }),
    });
    this.#inbound = new Inbound({ ...shared, postIke: (datagrams) => this.#report({ type: 'ike', datagrams }) });
    this.#watches.set(task.device, new Watch(task.device, () => this.#runOutbound(), false));
    for (const receiver of task.receivers) {
      this.#watches.set(receiver.fd, new Watch(receiver.fd, () => this.#runInbound(receiver), false));
    }
    this.stopped = new Promise((resolve) => {
      task.port.on('message', (command: WorkerCommand) => {
        if (command.type === 'stop') {
          this.#close();
          resolve();
        } else void this.#obey(command);
      });
    });
    this.#countersTimer = setInterval(() => this.#reportCounters(), COUNTERS_INTERVAL).unref();
    this.#report({ type: 'ready' });
  }

  #report(report: WorkerReport): void {
    this.#task.port.postMessage(report);
  }

  async #obey(command: Exclude<WorkerCommand, { type: 'stop' }>): Promise<void> {
    switch (command.type) {
      case 'resume':
        this.#outbound.resume();
        return this.#afterOutbound();
      case 'forget':
        for (const key of command.keys) this.#backends.forget(key);
        return;
      case 'backends':
        return this.#changeBackends(command.wanted);
    }
  }

  async #changeBackends(wanted: readonly WantedBackend[]): Promise<void> {
    try {
      await this.#backends.change(wanted);
      this.#reportCounters();
      this.#report({ type: 'backends' });
    } catch (error) {
      this.#report({ type: 'backends', error: reportedError(error) });
    }
  }

  #reportCounters(): void {
    const counters = this.#backends.counters();
    const text = JSON.stringify(counters);
    if (text === this.#countersTold) return;
    this.#countersTold = text;
    this.#report({ type: 'counters', counters });
  }

  #runOutbound(): void {
    for (let batch = 0; batch < TURN && this.#outbound.run(); batch++);
    this.#afterOutbound();
  }

  #runInbound(receiver: Receiver): void {
    for (let batch = 0; batch < TURN && this.#inbound.run(receiver); batch++);
    this.#postEvents();
  }

  #afterOutbound(): void {
    const watch = this.#watches.get(this.#task.device);
    if (watch !== undefined) watch.reading = !this.#outbound.blocked;
    this.#postEvents();
  }

  #postEvents(): void {
    const events = this.#arena.takeEvents();
    if (events !== undefined) this.#report({ type: 'events', events });
  }

  #awaitWritable(fd: number, resume: () => void): void {
    let watch = this.#watches.get(fd);
    if (watch === undefined) {
      watch = new Watch(fd, () => {}, false);
      watch.reading = false;
      this.#watches.set(fd, watch);
    }
    watch.awaitWritable(resume);
  }

  /** Somebody has removed the device. */
  #loseDevice(): void {
    this.#watches.get(this.#task.device)?.close();
    this.#watches.delete(this.#task.device);
    this.#report({ type: 'missing', sentence: 'The device has been removed by somebody else: restart the gateway.' });
  }

  #close(): void {
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
    clearInterval(this.#countersTimer);
    this.#backends.close();
    this.#task.port.close();
  }
}
