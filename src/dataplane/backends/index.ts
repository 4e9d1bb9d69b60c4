/** The crypto backends by name, and those a user brings along. */
import { BACKENDS } from '../../contract.ts';
import { EspalierError } from '../../errors.ts';
import type { KernelExports } from '../kernel.ts';
import type { CryptoBackend, KernelMemory } from './backend.ts';
import { type CheckResult, conform, type MakeBackend } from './conformance.ts';
import { withFallback } from './fallback.ts';
import { Hybrid } from './hybrid.ts';
import { GuardedBackend, isModulePath, loadModuleBackend } from './module.ts';
import { nobleCiphers } from './noble.ts';
import { nodeCiphers } from './node.ts';
import { createOpensslBackend } from './openssl/index.ts';
import { PacketBackend } from './packet-backend.ts';
import { ShadowBackend } from './shadow.ts';
import { ALL_SUITES } from './suites.ts';
import { createWasmBackend } from './wasm.ts';
import { Workbench } from './workbench.ts';

export type { CreateBackend, CryptoBackend, KernelMemory } from './backend.ts';
export type { CheckResult } from './conformance.ts';
export { isModulePath } from './module.ts';

interface BackendEntry {
  /** One line for lists and `--help`. */
  readonly about: string;
  create(kernel: KernelMemory, exports: KernelExports): CryptoBackend | Promise<CryptoBackend>;
}

const ENTRIES: Readonly<Record<(typeof BACKENDS)[number], BackendEntry>> = {
  wasm: {
    about: 'WebAssembly SIMD, constant-time, nothing native; the default',
    create: (_, exports) => createWasmBackend(exports),
  },
  openssl: {
    about: 'the OpenSSL inside the node binary, called directly: fastest for large packets',
    create: (kernel) => createOpensslBackend(kernel),
  },
  hybrid: {
    about: 'wasm or openssl, per batch whichever is measured to be faster',
    create: (kernel, exports) =>
      createOpensslBackend(kernel, { rival: new Hybrid(kernel, createWasmBackend(exports)) }),
  },
  node: {
    about: 'node:crypto, a cipher object per packet',
    create: (kernel) => new PacketBackend(kernel, nodeCiphers),
  },
  noble: {
    about: '@noble/ciphers, the readable reference',
    create: (kernel) => new PacketBackend(kernel, nobleCiphers),
  },
};

/** Bytes of packets and keys that checking a sample has room for. */
const SHADOW_MEMORY = 524_288;

/** @returns one line about each backend, by name */
export const describeBackends = (): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(ENTRIES).map(([name, { about }]) => [name, about]));

export interface BackendOptions {
  /** Name, or path, of a backend that does a sample of the packets over again (`shadow.ts`). */
  readonly shadow?: string;
  /** Is told what the operator should know, a line at a time. Default: `process.emitWarning`. */
  readonly log?: (message: string) => void;
}

const warn = (message: string) => process.emitWarning(message, { code: 'ESPALIER_BACKEND' });

/**
 * Makes the backend of one worker thread. Suites that it does not support are done by `wasm`, and so
 * is everything where this system lacks what it needs.
 * @param name one of BACKENDS, or the path of a module (`./my-backend.js`) that exports a
 *   `CreateBackend` as `createBackend` or as its default
 * @throws EspalierError `ERR_BACKEND` for a name or module that cannot be used
 */
export async function createBackend(
  name: string,
  kernel: KernelMemory,
  exports: KernelExports,
  { shadow, log = warn }: BackendOptions = {},
): Promise<CryptoBackend> {
  const first = await createComplete(name, kernel, exports, log);
  if (shadow === undefined) return first;
  try {
    const bench = new Workbench(SHADOW_MEMORY);
    const second = await createComplete(shadow, bench.kernel, await bench.instantiate(), log);
    return new ShadowBackend(kernel, first, second, bench, log);
  } catch (error) {
    first.close();
    throw error;
  }
}

async function createComplete(
  name: string,
  kernel: KernelMemory,
  exports: KernelExports,
  log: (message: string) => void,
): Promise<CryptoBackend> {
  const wasm = createWasmBackend(exports);
  try {
    const loaded = await loadBackend(name, kernel, exports);
    const backend = isModulePath(name) ? new GuardedBackend(loaded, wasm, kernel, log) : loaded;
    if (name === 'wasm' || ALL_SUITES.every((suite) => backend.supports(suite))) return backend;
    return withFallback(backend, wasm, kernel, log);
  } catch (error) {
    if (!(error instanceof EspalierError) || error.code !== 'ERR_BACKEND_UNAVAILABLE') throw error;
    log(`backend '${name}' cannot be used, 'wasm' takes its place: ${error.message}`);
    return wasm;
  }
}

/**
 * Makes the backend as it is, without anything to stand in for it: for tests of backends.
 * @throws EspalierError `ERR_BACKEND`, `ERR_BACKEND_UNAVAILABLE`
 */
export async function loadBackend(name: string, kernel: KernelMemory, exports: KernelExports): Promise<CryptoBackend> {
  return creatorOf(name)(kernel, exports);
}

/**
 * Checks whether a backend, ours or a user's, does what the seam asks (`conformance.ts`).
 * @throws EspalierError `ERR_BACKEND` for a name that is none
 */
export function runConformance(name: string): AsyncIterable<CheckResult> {
  const make = (wanted: string): MakeBackend => {
    const create = creatorOf(wanted);
    return async (kernel, exports) => create(kernel, exports);
  };
  return conform(make(name), make(name === 'node' ? 'wasm' : 'node'));
}

/** @throws EspalierError `ERR_BACKEND` for what is neither a name of ours nor a path */
function creatorOf(name: string): BackendEntry['create'] {
  if (Object.hasOwn(ENTRIES, name)) return ENTRIES[name as keyof typeof ENTRIES].create;
  if (isModulePath(name)) return (kernel) => loadModuleBackend(name, kernel);
  throw new EspalierError(
    'ERR_BACKEND',
    `no backend '${name}': use one of ${BACKENDS.join(', ')}, or the path of a module such as ./my-backend.js`,
  );
}
