/**
 * A backend that a user brings along: looked at before it may touch a packet, and kept from ending the gateway
 * with an error of its own.
 *
 *     module ─► createBackend(kernel) ─► is it a backend? ─► GuardedBackend ─► packets
 *                                                                 └─ it throws: that batch is dropped, `wasm` goes on
 */
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as L from '../../../assembly/layout.ts';
import { type CipherSuite, suiteName } from '../../algorithms.ts';
import { EspalierError } from '../../errors.ts';
import type { CreateBackend, CryptoBackend, Direction, KernelMemory } from './backend.ts';
import { ALL_SUITES } from './suites.ts';

/** What a backend must be able to do. */
const METHODS = ['supports', 'seal', 'open', 'forget', 'close'] as const;

/** Is that the path of a user's module, not a name of ours? */
export const isModulePath = (name: string): boolean => name.startsWith('.') || isAbsolute(name);

/**
 * Makes the backend of a module.
 * @throws EspalierError `ERR_BACKEND` with what to change; of the module's own errors, `ERR_BACKEND_UNAVAILABLE`
 */
export async function loadModuleBackend(path: string, kernel: KernelMemory): Promise<CryptoBackend> {
  const create = await importCreate(path);
  let made: unknown;
  try {
    made = await create(kernel);
  } catch (cause) {
    if (cause instanceof EspalierError) throw cause;
    throw new EspalierError('ERR_BACKEND', `${path}: createBackend throws ${textOf(cause)}`, { cause });
  }
  const wrong = wrongWith(made);
  if (wrong !== undefined) throw new EspalierError('ERR_BACKEND', `${path}: ${wrong}`);
  return synchronous(made as CryptoBackend);
}

async function importCreate(path: string): Promise<CreateBackend> {
  let loaded: { readonly createBackend?: unknown; readonly default?: unknown };
  try {
    loaded = await import(pathToFileURL(resolve(path)).href);
  } catch (cause) {
    throw new EspalierError('ERR_BACKEND', `cannot load the backend ${path}: ${textOf(cause)}`, { cause });
  }
  const create = loaded.createBackend ?? loaded.default;
  if (typeof create !== 'function') {
    throw new EspalierError('ERR_BACKEND', `${path} exports no createBackend function (or default)`);
  }
  return create as CreateBackend;
}

/** @returns what keeps it from being a backend, as a sentence that says what to change */
function wrongWith(made: unknown): string | undefined {
  if (typeof made !== 'object' || made === null) {
    const what = made === undefined ? 'nothing' : String(made);
    return `createBackend returns ${what}; it must return an object with name, ${METHODS.join(', ')}`;
  }
  const backend = made as Readonly<Record<string, unknown>>;
  if (typeof backend['name'] !== 'string') return 'the backend needs a name, which is a string';
  const missing = METHODS.filter((method) => typeof backend[method] !== 'function');
  if (missing.length > 0) return `the backend '${backend['name']}' needs functions ${missing.join(', ')}`;
  if (!['function', 'undefined'].includes(typeof backend['counters'])) return 'counters, if there, must be a function';
  for (const suite of ALL_SUITES) {
    try {
      (made as CryptoBackend).supports(suite);
    } catch (error) {
      return `supports throws ${textOf(error)} when it is asked for ${suiteName(suite)}; it must answer true or false`;
    }
  }
  return undefined;
}

/** The same, but a call that is not over when it returns is an error: its packets go on meanwhile. */
function synchronous(backend: CryptoBackend): CryptoBackend {
  const over = (result: unknown): void => {
    if (!(result instanceof Promise)) return;
    result.catch(() => {});
    throw new Error('a promise is returned, but packets must be done by then');
  };
  return {
    name: backend.name,
    supports: (suite) => backend.supports(suite),
    seal: (descriptors, count) => over(backend.seal(descriptors, count)),
    open: (descriptors, count) => over(backend.open(descriptors, count)),
    forget: (key) => over(backend.forget(key)),
    close: () => over(backend.close()),
    ...(backend.counters && { counters: () => backend.counters!() }),
  };
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Has another backend take the place of one that throws, from the next batch on; what it threw is told. The
 * packets of the batch are dropped and counted as not sealed, or as not authentic: nobody knows which of them it
 * had done, and to do one over again would use a nonce twice.
 */
export class GuardedBackend implements CryptoBackend {
  readonly name: string;
  readonly #backend: CryptoBackend;
  readonly #other: CryptoBackend;
  readonly #kernel: KernelMemory;
  readonly #log: (message: string) => void;
  /** By name; asked for once, when nothing depended on the answer yet. */
  readonly #supported: ReadonlySet<string>;
  #failed = false;

  /**
   * @param other supports every suite
   * @param log is told when, and why, the backend is given up
   */
  constructor(backend: CryptoBackend, other: CryptoBackend, kernel: KernelMemory, log: (message: string) => void) {
    this.name = backend.name;
    this.#backend = backend;
    this.#other = other;
    this.#kernel = kernel;
    this.#log = log;
    this.#supported = new Set(ALL_SUITES.filter((suite) => backend.supports(suite)).map(suiteName));
  }

  supports(suite: CipherSuite): boolean {
    return this.#supported.has(suiteName(suite));
  }

  seal(descriptors: number, count: number): void {
    this.#run('seal', descriptors, count);
  }

  open(descriptors: number, count: number): void {
    this.#run('open', descriptors, count);
  }

  forget(key: number): void {
    this.#attempt('forget', () => this.#backend.forget(key));
    this.#other.forget(key);
  }

  close(): void {
    this.#attempt('close', () => this.#backend.close());
    this.#other.close();
  }

  counters(): Readonly<Record<string, number>> {
    const counted = this.#attempt('counters', () => this.#backend.counters?.());
    return this.#failed ? { failures: 1 } : (counted ?? {});
  }

  #run(direction: Direction, descriptors: number, count: number): void {
    if (this.#failed) {
      this.#other[direction](descriptors, count);
      return;
    }
    this.#attempt(direction, () => this.#backend[direction](descriptors, count));
    if (this.#failed) this.#discard(direction, descriptors, count);
  }

  /** Gives the backend up if it throws. */
  #attempt<T>(what: string, run: () => T): T | undefined {
    if (this.#failed) return undefined;
    try {
      return run();
    } catch (error) {
      this.#failed = true;
      this.#log(`backend '${this.name}' fails, '${this.#other.name}' takes its place; ${what}: ${textOf(error)}`);
      this.#wipe();
      return undefined;
    }
  }

  /** What it keeps of keys shall go, if it can still do that. */
  #wipe(): void {
    try {
      this.#backend.close();
    } catch {
      // It has been given up already.
    }
  }

  #discard(direction: Direction, descriptors: number, count: number): void {
    const { bytes, words } = this.#kernel;
    const end = descriptors + count * L.PACKET_SIZE;
    for (let at = descriptors; at < end; at += L.PACKET_SIZE) {
      words[(at + L.PACKET_STATUS) >>> 2] = direction === 'seal' ? L.STATUS_PENDING : L.STATUS_BAD_ICV;
      if (direction === 'seal') continue;
      // Whatever it had decrypted.
      const payload = words[(at + L.PACKET_PAYLOAD) >>> 2]!;
      bytes.fill(0, payload, payload + words[(at + L.PACKET_LENGTH) >>> 2]!);
    }
  }
}
