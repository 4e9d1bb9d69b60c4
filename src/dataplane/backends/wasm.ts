/** The default: the kernel's own ciphers, a batch per call, every suite. */
import type { KernelExports } from '../kernel.ts';
import type { CryptoBackend } from './backend.ts';

export function createWasmBackend(exports: KernelExports): CryptoBackend {
  return {
    name: 'wasm',
    supports: ({ encr, keyBits, integ }) =>
      exports.keyStateLength(encr ?? 0, keyBits / 8, integ) >>> 0 !== UNKNOWN_SUITE,
    seal: exports.sealBatch,
    open: exports.openBatch,
    // Most of its key state lies in the KEY block, which the engine wipes.
    forget: exports.forgetKey,
    close: () => exports.forgetKey(0),
  };
}

/** What `keyStateLength` says of a suite that the kernel does not have (assembly/crypto/ciphers.ts). */
const UNKNOWN_SUITE = 0xffffffff;
