/**
 * One KEY's cipher contexts. They are made with the key once; a packet only sets its nonce
 * (`EVP_*Init_ex2` without cipher and key), which is what makes a packet cheap.
 *
 * Each takes the address of a PACKET descriptor and returns a STATUS. Every call returns 1 for
 * success; they are ANDed, so that a packet counts as done only if all of it was.
 */
import * as L from '../../../../assembly/layout.ts';
import { type CipherSuite, suiteLengths } from '../../../algorithms.ts';
import type { KernelMemory } from '../backend.ts';
import { EVP_CTRL_AEAD_SET_IVLEN, EVP_CTRL_AEAD_SET_TAG, type Libcrypto, MAC, must, NativeBlock } from './libcrypto.ts';

export interface NativeCipher {
  /** @returns a STATUS; unless it is OK, the payload is anything and must be zeroed */
  seal(packet: number): number;
  /** @returns a STATUS; unless it is OK, the payload is anything and must be zeroed */
  open(packet: number): number;
  free(): void;
}

export type Direction = 'Encrypt' | 'Decrypt';

/** A context with its key. @param ivLength bytes, where it is not the cipher's own */
export function createContext(
  crypto: Libcrypto,
  direction: Direction,
  name: string,
  key: number,
  { ivLength, tagLength }: { readonly ivLength?: number; readonly tagLength?: number } = {},
): number {
  const cipher = crypto.EVP_CIPHER_fetch(0, name, null);
  if (cipher === 0) must(0, `EVP_CIPHER_fetch ${name}`);
  const context = crypto.EVP_CIPHER_CTX_new();
  const initialise = direction === 'Encrypt' ? crypto.EVP_EncryptInit_ex2 : crypto.EVP_DecryptInit_ex2;
  try {
    must(initialise(context, cipher, 0, 0, 0), `EVP_${direction}Init_ex2 ${name}`);
    if (ivLength !== undefined) {
      must(crypto.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, ivLength, 0), 'setting the IV length');
    }
    if (tagLength !== undefined) {
      must(crypto.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tagLength, 0), 'setting the tag length');
    }
    must(initialise(context, 0, key, 0, 0), `EVP_${direction}Init_ex2 with the key`);
  } catch (error) {
    crypto.EVP_CIPHER_CTX_free(context);
    throw error;
  } finally {
    crypto.EVP_CIPHER_free(cipher);
  }
  return context;
}

/** What all of them share: the nonce, the way to linear memory, a context per direction on demand. */
export abstract class Contexts implements NativeCipher {
  protected readonly crypto: Libcrypto;
  protected readonly words: Uint32Array;
  protected readonly base: number;
  protected readonly block: NativeBlock;
  protected readonly icvLength: number;
  readonly #bytes: Uint8Array;
  readonly #saltLength: number;
  readonly #ivLength: number;
  #sealing = 0;
  #opening = 0;

  constructor(crypto: Libcrypto, kernel: KernelMemory, suite: CipherSuite, key: number) {
    const { salt, iv, icv } = suiteLengths(suite);
    this.crypto = crypto;
    this.words = kernel.words;
    this.base = kernel.base;
    this.block = new NativeBlock(icv);
    this.icvLength = icv;
    this.#bytes = kernel.bytes;
    this.#saltLength = salt;
    this.#ivLength = iv;
    this.block.bytes.set(kernel.bytes.subarray(key + L.KEY_SALT, key + L.KEY_SALT + salt));
  }

  abstract seal(packet: number): number;
  abstract open(packet: number): number;
  protected abstract create(direction: Direction): number;

  free(): void {
    this.block.bytes.fill(0);
    if (this.#sealing !== 0) this.crypto.EVP_CIPHER_CTX_free(this.#sealing);
    if (this.#opening !== 0) this.crypto.EVP_CIPHER_CTX_free(this.#opening);
    this.#sealing = 0;
    this.#opening = 0;
  }

  protected get sealing(): number {
    if (this.#sealing === 0) this.#sealing = this.create('Encrypt');
    return this.#sealing;
  }

  protected get opening(): number {
    if (this.#opening === 0) this.#opening = this.create('Decrypt');
    return this.#opening;
  }

  /** Salt ‖ IV: not contiguous in the frame, so put together here. */
  protected loadNonce(packet: number): void {
    const from = this.words[(packet + L.PACKET_IV) >>> 2]!;
    const to = this.#saltLength;
    for (let i = 0; i < this.#ivLength; i++) this.block.bytes[to + i] = this.#bytes[from + i]!;
  }

  protected pointer(packet: number, field: number): number {
    return this.base + this.words[(packet + field) >>> 2]!;
  }

  protected word(packet: number, field: number): number {
    return this.words[(packet + field) >>> 2]!;
  }

  /** Copies the MAC in the native block, cut to the ICV's length, into the packet. */
  protected writeIcv(packet: number): void {
    const to = this.words[(packet + L.PACKET_ICV) >>> 2]!;
    const from = this.block.bytes;
    for (let i = 0; i < this.icvLength; i++) this.#bytes[to + i] = from[MAC + i]!;
  }

  /** @param done 1 if every call has succeeded */
  protected status(done: number): number {
    return done === 1 ? L.STATUS_OK : L.STATUS_BAD_ICV;
  }
}
