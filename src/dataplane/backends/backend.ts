/**
 * The seam between packet processing and cryptography.
 *
 * A backend seals and opens batches of packets that lie in shared linear memory. It is created once
 * per worker thread and never shared between threads. The descriptors, the KEY blocks and what a
 * backend may touch are drawn in `assembly/layout.ts`.
 */
import type { CipherSuite } from '../../algorithms.ts';

/** What a backend is given to work on. */
export interface KernelMemory {
  /** The one shared memory; its views stay valid for the life of the process (it never grows). */
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  /** Absolute address of linear memory's byte 0 in this process, for native backends. */
  readonly base: number;
}

export type Direction = 'seal' | 'open';

/** Nothing of it throws or returns a promise: a user's backend that does is given up, and `wasm` takes its place. */
export interface CryptoBackend {
  /** As it is written in the configuration and on the command line. */
  readonly name: string;
  /** Can this backend protect packets with that suite? */
  supports(suite: CipherSuite): boolean;
  /**
   * Encrypts and authenticates `count` packets in place, in the order of the array.
   * @param descriptors address of the first PACKET descriptor, `count` of them, 64 B each
   */
  seal(descriptors: number, count: number): void;
  /**
   * Verifies and decrypts `count` packets in place and writes each one's STATUS. A packet that does
   * not authenticate is left zeroed, never decrypted.
   */
  open(descriptors: number, count: number): void;
  /** Drops and wipes whatever is kept for the KEY block at `key` (its SA is gone). */
  forget(key: number): void;
  /** Drops and wipes everything. */
  close(): void;
  /** What the backend has counted, by name, for whoever asks (`shadow_packets`, …). */
  counters?(): Readonly<Record<string, number>>;
}

/** A module that provides a backend exports one of these, as `createBackend` or as its default. */
export type CreateBackend = (kernel: KernelMemory) => CryptoBackend | Promise<CryptoBackend>;
