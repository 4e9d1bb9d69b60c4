/**
 * Node's own OpenSSL, without node:crypto: EVP calls through koffi over addresses in linear memory.
 * AES-NI and friends, with which large packets are fastest; small ones may be better off in
 * WebAssembly (see `hybrid`). Constant-time as far as OpenSSL is.
 */
import * as L from '../../../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG } from '../../../algorithms.ts';
import type { CryptoBackend, KernelMemory } from '../backend.ts';
import { KeyCache } from '../key-cache.ts';
import { selfTest } from '../known-answers.ts';
import { acceptsLength, isGmac, isKnownSuite, suiteOf } from '../suites.ts';
import { Aead, Ccm, Gmac } from './aead.ts';
import { AeadBatch } from './aead-batch.ts';
import type { NativeCipher } from './contexts.ts';
import { EncryptThenMac } from './encrypt-then-mac.ts';
import { type Libcrypto, loadLibcrypto } from './libcrypto.ts';

export interface OpensslOptions {
  /** Make the calls of many packets at once, where this system can (`call-list.ts`). Default: true. */
  readonly callLists?: boolean;
}

/** @throws EspalierError `ERR_BACKEND_UNAVAILABLE` if this node binary has no usable OpenSSL */
export function createOpensslBackend(kernel: KernelMemory, { callLists = true }: OpensslOptions = {}): CryptoBackend {
  const crypto = loadLibcrypto();
  selfTest((memory) => new OpensslBackend(crypto, memory, callLists));
  return new OpensslBackend(crypto, kernel, callLists);
}

interface KeyEntry {
  readonly suite: CipherSuite;
  readonly cipher: NativeCipher;
  /** The same, if it goes into a batch. */
  readonly aead: Aead | undefined;
}

class OpensslBackend implements CryptoBackend {
  readonly name = 'openssl';
  readonly #kernel: KernelMemory;
  readonly #keys: KeyCache<KeyEntry>;
  readonly #sealing: AeadBatch | undefined;
  readonly #opening: AeadBatch | undefined;

  constructor(crypto: Libcrypto, kernel: KernelMemory, callLists: boolean) {
    this.#kernel = kernel;
    if (callLists) {
      const settle = (packet: number, status: number) => this.#settle(packet, status);
      this.#sealing = AeadBatch.create(kernel, 'Encrypt', settle);
      this.#opening = AeadBatch.create(kernel, 'Decrypt', settle);
    }
    const batches = this.#sealing !== undefined && this.#opening !== undefined;
    this.#keys = new KeyCache(
      kernel,
      (key) => {
        const suite = suiteOf(kernel, key);
        const cipher = createNativeCipher(crypto, kernel, suite, key);
        return { suite, cipher, aead: batches && cipher instanceof Aead ? cipher : undefined };
      },
      ({ cipher, aead }) => {
        if (aead !== undefined) {
          this.#sealing?.forget(aead);
          this.#opening?.forget(aead);
        }
        cipher.free();
      },
    );
  }

  supports(suite: CipherSuite): boolean {
    return isKnownSuite(suite);
  }

  seal(descriptors: number, count: number): void {
    const { words } = this.#kernel;
    const batch = this.#sealing;
    const end = descriptors + count * L.PACKET_SIZE;
    for (let packet = descriptors; packet < end; packet += L.PACKET_SIZE) {
      const { suite, cipher, aead } = this.#keys.get(words[(packet + L.PACKET_KEY) >>> 2]!);
      if (aead !== undefined) {
        batch!.add(packet, aead);
        continue;
      }
      const fits = acceptsLength(suite, words[(packet + L.PACKET_LENGTH) >>> 2]!);
      this.#settle(packet, fits ? cipher.seal(packet) : L.STATUS_BAD_LENGTH);
    }
    batch?.run();
  }

  open(descriptors: number, count: number): void {
    const { words } = this.#kernel;
    const batch = this.#opening;
    const end = descriptors + count * L.PACKET_SIZE;
    for (let packet = descriptors; packet < end; packet += L.PACKET_SIZE) {
      const { suite, cipher, aead } = this.#keys.get(words[(packet + L.PACKET_KEY) >>> 2]!);
      if (aead !== undefined) {
        batch!.add(packet, aead);
        continue;
      }
      const fits = acceptsLength(suite, words[(packet + L.PACKET_LENGTH) >>> 2]!);
      this.#settle(packet, fits ? cipher.open(packet) : L.STATUS_BAD_LENGTH);
    }
    batch?.run();
  }

  /** Writes STATUS. What a failed call has left of a payload is nobody's to see. */
  #settle(packet: number, status: number): void {
    const { bytes, words } = this.#kernel;
    words[(packet + L.PACKET_STATUS) >>> 2] = status;
    if (status !== L.STATUS_BAD_ICV) return;
    const payload = words[(packet + L.PACKET_PAYLOAD) >>> 2]!;
    bytes.fill(0, payload, payload + words[(packet + L.PACKET_LENGTH) >>> 2]!);
  }

  forget(key: number): void {
    this.#keys.forget(key);
  }

  close(): void {
    this.#keys.clear();
  }
}

/** Makes the contexts of the KEY block at `key`. */
function createNativeCipher(crypto: Libcrypto, kernel: KernelMemory, suite: CipherSuite, key: number): NativeCipher {
  switch (suite.encr) {
    case ENCR.NULL_AUTH_AES_GMAC:
      return new Gmac(crypto, kernel, suite, key);
    case ENCR.AES_CCM_8:
    case ENCR.AES_CCM_12:
    case ENCR.AES_CCM_16:
      return new Ccm(crypto, kernel, suite, key);
  }
  if (isGmac(suite.integ)) return new Gmac(crypto, kernel, suite, key);
  return new (suite.integ === INTEG.NONE ? Aead : EncryptThenMac)(crypto, kernel, suite, key);
}
