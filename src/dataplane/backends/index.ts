/** The crypto backends by name, and those a user brings along. */
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { EspalierError } from '../../errors.ts';
import type { KernelExports } from '../kernel.ts';
import type { CreateBackend, CryptoBackend, KernelMemory } from './backend.ts';
import { withFallback } from './fallback.ts';
import { nodeCiphers } from './node.ts';
import { createOpensslBackend } from './openssl/index.ts';
import { PacketBackend } from './packet-backend.ts';
import { ALL_SUITES } from './suites.ts';
import { createWasmBackend } from './wasm.ts';

export type { CreateBackend, CryptoBackend, KernelMemory } from './backend.ts';

interface BackendEntry {
  /** One line for lists and `--help`. */
  readonly about: string;
  create(kernel: KernelMemory, exports: KernelExports): CryptoBackend | Promise<CryptoBackend>;
}

const ENTRIES: Readonly<Record<string, BackendEntry>> = {
  wasm: {
    about: 'WebAssembly SIMD, constant-time, nothing native; the default',
    create: (_, exports) => createWasmBackend(exports),
  },
  openssl: {
    about: 'the OpenSSL inside the node binary, called directly: fastest for large packets',
    create: (kernel) => createOpensslBackend(kernel),
  },
  node: {
    about: 'node:crypto, a cipher object per packet',
    create: (kernel) => new PacketBackend(kernel, nodeCiphers),
  },
};

/** Names of the backends that come with Espalier. */
export const BACKENDS: readonly string[] = Object.keys(ENTRIES);

/** @returns one line about each backend, by name */
export const describeBackends = (): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(ENTRIES).map(([name, { about }]) => [name, about]));

export interface BackendOptions {
  /** Is told what the operator should know, a line at a time. Default: `process.emitWarning`. */
  readonly log?: (message: string) => void;
}

/**
 * Makes the backend of one worker thread. Suites that it does not support are done by `wasm`.
 * @param name one of BACKENDS, or the path of a module (`./my-backend.js`) that exports a
 *   `CreateBackend` as `createBackend` or as its default
 * @throws EspalierError `ERR_BACKEND`
 */
export async function createBackend(
  name: string,
  kernel: KernelMemory,
  exports: KernelExports,
  { log = (message) => process.emitWarning(message, { code: 'ESPALIER_BACKEND' }) }: BackendOptions = {},
): Promise<CryptoBackend> {
  const own = ENTRIES[name];
  const backend = own ? await own.create(kernel, exports) : await (await loadModule(name))(kernel);
  if (ALL_SUITES.every((suite) => backend.supports(suite))) return backend;
  return backend.name === 'wasm' ? backend : withFallback(backend, createWasmBackend(exports), kernel, log);
}

/** Is that the path of a user's module, not a name of ours? */
export const isModulePath = (name: string): boolean => name.startsWith('.') || isAbsolute(name);

async function loadModule(path: string): Promise<CreateBackend> {
  if (!isModulePath(path)) {
    throw new EspalierError(
      'ERR_BACKEND',
      `no backend '${path}': use one of ${BACKENDS.join(', ')}, or the path of a module such as ./my-backend.js`,
    );
  }
  let loaded: { readonly createBackend?: unknown; readonly default?: unknown };
  try {
    loaded = await import(pathToFileURL(resolve(path)).href);
  } catch (cause) {
    throw new EspalierError('ERR_BACKEND', `cannot load the backend ${path}: ${(cause as Error).message}`, { cause });
  }
  const create = loaded.createBackend ?? loaded.default;
  if (typeof create !== 'function') {
    throw new EspalierError('ERR_BACKEND', `${path} exports no createBackend function (or default)`);
  }
  return create as CreateBackend;
}
