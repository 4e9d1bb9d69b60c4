/**
 * A worker thread of the data plane: one task that ends when the engine says so. It owns one queue
 * of the device, sockets and an arena, and works batches to completion, turn and turn about.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { ARENA_CAPABILITIES, ARENA_CRYPTO, ARENA_GATHER } from '../../assembly/layout/arena.ts';
import { monotonic } from '../clock.ts';
import type { Endpoint } from '../contract.ts';
import { Arena } from './arena.ts';
import type { WorkerDescriptors } from './descriptors.ts';
import { lower } from './io/poller.ts';
import { instantiateKernel, viewMemory } from './kernel.ts';
import { PacketLoop } from './packet-loop.ts';
import { warmUp } from './warm-up.ts';
import { type BackendCounters, type WantedBackend, WorkerBackends } from './worker-backends.ts';

/** Milliseconds that a wait for packets takes at most. */
const PATIENCE = 500;
/** Milliseconds after which the event loop is due for a turn: timers, and what Node.js and V8 do there. */
const LOOP_INTERVAL = 100;
/** It has the turn as soon as no packet has come for so long, for a turn takes as long as ten packets do … */
const LULL = 1;
/** … and in any case after so long. */
const LOOP_LATEST = 200;
/** Milliseconds after which what backends have counted is told, if it is another than before, and what waits is looked at. */
const LOOK_INTERVAL = 1000;

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
  /** Raised when there is something on the port. */
  readonly wake: number;
}

/** From the engine. */
export type WorkerCommand =
  /** An SA has come for frames that wait. */
  | { readonly type: 'resume' }
  /** A dummy packet for each SA: address of its record, handle. */
  | { readonly type: 'dummies'; readonly pairs: readonly number[] }
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
  await worker.run();
}

function reportedError(error: unknown): ReportedError {
  const { code = 'ERR_WORKER', message } = error as Error & { readonly code?: string };
  return { code, message };
}

class Worker {
  static async start(task: WorkerTask): Promise<Worker> {
    await warmUp(task.module);
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

  readonly #task: WorkerTask;
  readonly #arena: Arena;
  readonly #backends: WorkerBackends;
  readonly #loop: PacketLoop;
  readonly #timer: NodeJS.Timeout;
  #countersTold = '[]';
  #stopped = false;
  /** Backends are being made, which needs the event loop. */
  #changing = false;

  private constructor(
    task: WorkerTask,
    arena: Arena,
    kernel: ReturnType<typeof instantiateKernel>,
    backends: WorkerBackends,
  ) {
    this.#task = task;
    this.#arena = arena;
    this.#backends = backends;
    const missing = (sentence: string) => this.#report({ type: 'missing', sentence });
    this.#loop = new PacketLoop({
      device: task.device,
      receivers: task.receivers,
      lanes: task.lanes,
      arena,
      kernel,
      backend: backends,
      postIke: (datagrams) => this.#report({ type: 'ike', datagrams }),
      postEvents: (events) => this.#report({ type: 'events', events }),
      unsegmented: () => missing('The network device does not segment UDP: every outer packet is sent by itself.'),
      deviceLost: () => missing('The device has been removed by somebody else: restart the gateway.'),
    });
    this.#loop.watch(task.wake, () => this.#listen());
    this.#timer = setInterval(() => this.#look(), LOOK_INTERVAL).unref();
    this.#report({ type: 'ready' });
  }

  /** Works until the engine says stop. */
  async run(): Promise<void> {
    let turned = monotonic();
    while (!this.#stopped) {
      // The clock has been read for the packets already.
      const since = this.#arena.stamped - turned;
      const busy = this.#loop.step(this.#changing || since >= LOOP_INTERVAL ? LULL : PATIENCE);
      if (busy && !this.#changing && since < LOOP_LATEST) continue;
      await turn();
      turned = monotonic();
    }
    this.#close();
  }

  /** The engine has sent commands. */
  #listen(): void {
    lower(this.#task.wake);
    for (;;) {
      const received = receiveMessageOnPort(this.#task.port);
      if (received === undefined) return;
      this.#obey(received.message as WorkerCommand);
    }
  }

  #report(report: WorkerReport): void {
    this.#task.port.postMessage(report);
  }

  #obey(command: WorkerCommand): void {
    switch (command.type) {
      case 'resume':
        this.#loop.resume();
        break;
      case 'dummies':
        this.#loop.sendDummies(command.pairs);
        break;
      case 'forget':
        for (const key of command.keys) this.#backends.forget(key);
        break;
      case 'backends':
        void this.#changeBackends(command.wanted);
        break;
      case 'stop':
        this.#stopped = true;
        break;
    }
  }

  async #changeBackends(wanted: readonly WantedBackend[]): Promise<void> {
    this.#changing = true;
    try {
      await this.#backends.change(wanted);
      this.#reportCounters();
      this.#report({ type: 'backends' });
    } catch (error) {
      this.#report({ type: 'backends', error: reportedError(error) });
    } finally {
      this.#changing = false;
    }
  }

  #look(): void {
    this.#reportCounters();
    this.#loop.lookAtQueue();
  }

  #reportCounters(): void {
    const counters = this.#backends.counters();
    const text = JSON.stringify(counters);
    if (text === this.#countersTold) return;
    this.#countersTold = text;
    this.#report({ type: 'counters', counters });
  }

  #close(): void {
    this.#loop.close();
    clearInterval(this.#timer);
    this.#backends.close();
    this.#task.port.close();
  }
}
