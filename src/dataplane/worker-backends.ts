/** The crypto backends of one worker thread: mostly one, else one for each that connections have chosen. */
import type { CryptoBackend, KernelMemory } from './backends/backend.ts';
import { createBackend } from './backends/index.ts';
import { SplitBackend } from './backends/split.ts';
import type { KernelExports } from './kernel.ts';

/** A backend to be had, under its number in the list: KEY_BACKEND of the SAs that use it. */
export interface WantedBackend {
  readonly name: string;
  readonly shadow?: string;
}

/** What one of them has counted. */
export interface BackendCounters {
  readonly name: string;
  readonly counters: Readonly<Record<string, number>>;
}

/** The backend in use, exchanged between two batches. */
export interface BackendHolder {
  readonly current: CryptoBackend;
}

export interface WorkerBackendsOptions {
  readonly memory: KernelMemory;
  readonly kernel: KernelExports;
  /** Address of ARENA_GATHER. */
  readonly gather: number;
  readonly log: (sentence: string) => void;
}

interface Entry extends WantedBackend {
  readonly backend: CryptoBackend;
}

export class WorkerBackends implements BackendHolder {
  /** @throws EspalierError `ERR_BACKEND` */
  static async create(options: WorkerBackendsOptions, wanted: readonly WantedBackend[]): Promise<WorkerBackends> {
    return new WorkerBackends(options, await make(options, wanted, []));
  }

  readonly #options: WorkerBackendsOptions;
  #entries: readonly Entry[];
  #current: CryptoBackend;
  #closed = false;

  private constructor(options: WorkerBackendsOptions, entries: readonly Entry[]) {
    this.#options = options;
    this.#entries = entries;
    this.#current = this.#join();
  }

  get current(): CryptoBackend {
    return this.#current;
  }

  /**
   * Makes what is not there yet, puts it to work, and closes what is no longer wanted.
   * @throws EspalierError `ERR_BACKEND`, and then nothing has changed
   */
  async change(wanted: readonly WantedBackend[]): Promise<void> {
    const before = this.#entries;
    const after = await make(this.#options, wanted, before);
    if (this.#closed) return close(after, before);
    this.#entries = after;
    this.#current = this.#join();
    close(before, after);
  }

  /** The KEY block at `key` is no longer in use. */
  forget(key: number): void {
    this.#current.forget(key);
  }

  counters(): BackendCounters[] {
    return this.#entries.flatMap(({ name, backend }) =>
      backend.counters === undefined ? [] : [{ name, counters: backend.counters() }],
    );
  }

  close(): void {
    this.#closed = true;
    close(this.#entries, []);
  }

  /** Where there is but one, packets go to it directly. */
  #join(): CryptoBackend {
    const backends = this.#entries.map(({ backend }) => backend);
    return backends.length === 1
      ? backends[0]!
      : new SplitBackend(this.#options.memory, backends, this.#options.gather);
  }
}

/** @returns an entry for each that is wanted, those of `there` where they are the same */
async function make(
  { memory, kernel, log }: WorkerBackendsOptions,
  wanted: readonly WantedBackend[],
  there: readonly Entry[],
): Promise<Entry[]> {
  const entries: Entry[] = [];
  try {
    for (const { name, shadow } of wanted) {
      const same = there.find((entry) => entry.name === name && entry.shadow === shadow);
      const options = { log, ...(shadow !== undefined && { shadow }) };
      const backend = same?.backend ?? (await createBackend(name, memory, kernel, options));
      entries.push({ name, backend, ...(shadow !== undefined && { shadow }) });
    }
  } catch (error) {
    close(entries, there);
    throw error;
  }
  return entries;
}

/** Closes the backends of `entries` that `kept` has not. */
function close(entries: readonly Entry[], kept: readonly Entry[]): void {
  for (const { backend } of entries) {
    if (!kept.some((entry) => entry.backend === backend)) backend.close();
  }
}
