/** The worker threads as the engine sees them: started together, told the same, stopped together. */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { EspalierError } from '../errors.ts';
import { packagePath } from '../package-root.ts';
import { Wake } from './io/poller.ts';
import type { WorkerCommand, WorkerReport, WorkerTask } from './worker.ts';
import type { WantedBackend } from './worker-backends.ts';

/** Threads run compiled code, also where the engine itself runs from its TypeScript sources. */
const WORKER_FILE = packagePath('dist', 'src', 'dataplane', 'worker.js');
/** Milliseconds that a worker has to end its task before its thread is ended. */
const STOP_PATIENCE = 500;

type Answer = Extract<WorkerReport, { type: 'ready' } | { type: 'backends' }>;
export type WorkerReports = Exclude<WorkerReport, Answer>;

export interface PoolOptions {
  readonly tasks: readonly Omit<WorkerTask, 'port' | 'wake'>[];
  /** @param worker its index */
  readonly onReport: (worker: number, report: WorkerReports) => void;
  /** Is told when a task ends that was not asked to. */
  readonly onFailure: (cause: Error) => void;
}

export class WorkerPool {
  /** @returns once every worker watches its descriptors */
  static async start(options: PoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options);
    try {
      await pool.#answers();
    } catch (error) {
      await pool.stop();
      throw error;
    }
    pool.#ended.catch((error: Error) => {
      if (!pool.#stopping) options.onFailure(error);
    });
    return pool;
  }

  readonly #piscina: Piscina;
  readonly #ports: readonly MessagePort[];
  readonly #wakes: readonly Wake[];
  /** Ends when every task has; fails with the first that fails. */
  readonly #ended: Promise<unknown>;
  readonly #onReport: PoolOptions['onReport'];
  /** Who waits for an answer of each worker. */
  readonly #waiting: ((answer: Answer) => void)[] = [];
  #stopping = false;

  private constructor({ tasks, onReport }: PoolOptions) {
    this.#onReport = onReport;
    const threads = tasks.length;
    this.#piscina = new Piscina({ filename: WORKER_FILE, minThreads: threads, maxThreads: threads });
    const started = tasks.map((task, worker) => this.#run(task, worker));
    this.#ports = started.map(({ port }) => port);
    this.#wakes = started.map(({ wake }) => wake);
    this.#ended = Promise.all(started.map(({ ended }) => ended));
    // Failures are seen by whoever waits; an early one must not end the process meanwhile.
    this.#ended.catch(() => {});
  }

  tell(command: WorkerCommand): void {
    for (const port of this.#ports) port.postMessage(command);
    for (const wake of this.#wakes) wake.raise();
  }

  /** Tells one worker, whichever. */
  tellOne(command: WorkerCommand): void {
    this.#ports[0]?.postMessage(command);
    this.#wakes[0]?.raise();
  }

  /**
   * Changes the backends of every worker. The caller waits for one change before it begins another.
   * @throws EspalierError of the first worker that cannot
   */
  async changeBackends(wanted: readonly WantedBackend[]): Promise<void> {
    const answers = this.#answers();
    this.tell({ type: 'backends', wanted });
    await answers;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.tell({ type: 'stop' });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_PATIENCE);
    });
    await Promise.race([this.#ended.catch(() => {}), late]);
    clearTimeout(timer);
    await this.#piscina.destroy();
    for (const port of this.#ports) port.close();
    for (const wake of this.#wakes) wake.close();
  }

  #run(
    task: Omit<WorkerTask, 'port' | 'wake'>,
    worker: number,
  ): { port: MessagePort; wake: Wake; ended: Promise<unknown> } {
    const { port1, port2 } = new MessageChannel();
    const wake = new Wake();
    port1.on('message', (report: WorkerReport) => {
      if (report.type === 'ready' || report.type === 'backends') this.#waiting[worker]?.(report);
      else this.#onReport(worker, report);
    });
    const ended = this.#piscina.run({ ...task, port: port2, wake: wake.fd }, { transferList: [port2] });
    return { port: port1, wake, ended };
  }

  /**
   * Waits for the next answer of every worker.
   * @throws EspalierError of the first that reports one; the error of a thread that has failed
   */
  async #answers(): Promise<void> {
    const failure = new Promise<never>((_, reject) => void this.#ended.catch(reject));
    const answers = await Promise.race([Promise.all(this.#ports.map((_, worker) => this.#answer(worker))), failure]);
    for (const { error } of answers) {
      if (error !== undefined) throw new EspalierError(error.code, error.message);
    }
  }

  #answer(worker: number): Promise<Answer> {
    return new Promise((resolve) => {
      this.#waiting[worker] = resolve;
    });
  }
}
