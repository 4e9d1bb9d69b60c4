/**
 * Node's own OpenSSL, without node:crypto: EVP calls through koffi over addresses in linear memory.
 * AES-NI and friends for large packets; a call costs about 20 ns, so small ones are better off in
 * WebAssembly (see `hybrid`). Constant-time as far as OpenSSL is.
 */
import * as L from '../../../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG } from '../../../algorithms.ts';
import type { CryptoBackend, KernelMemory } from '../backend.ts';
import { KeyCache } from '../key-cache.ts';
import { selfTest } from '../known-answers.ts';
import { acceptsLength, isGmac, isKnownSuite, suiteOf } from '../suites.ts';
import { Aead, Ccm, Gmac } from './aead.ts';
import type { NativeCipher } from './contexts.ts';
import { EncryptThenMac } from './encrypt-then-mac.ts';
import { type Libcrypto, loadLibcrypto } from './libcrypto.ts';

/** @throws EspalierError `ERR_BACKEND_UNAVAILABLE` if this node binary has no usable OpenSSL */
export function createOpensslBackend(kernel: KernelMemory): CryptoBackend {
  const crypto = loadLibcrypto();
  selfTest((memory) => new OpensslBackend(crypto, memory));
  return new OpensslBackend(crypto, kernel);
}

interface KeyEntry {
  readonly suite: CipherSuite;
  readonly cipher: NativeCipher;
}

class OpensslBackend implements CryptoBackend {
  readonly name = 'openssl';
  readonly #kernel: KernelMemory;
  readonly #keys: KeyCache<KeyEntry>;

  constructor(crypto: Libcrypto, kernel: KernelMemory) {
    this.#kernel = kernel;
    this.#keys = new KeyCache(
      kernel,
      (key) => {
        const suite = suiteOf(kernel, key);
        return { suite, cipher: createNativeCipher(crypto, kernel, suite, key) };
      },
      ({ cipher }) => cipher.free(),
    );
  }

  supports(suite: CipherSuite): boolean {
    return isKnownSuite(suite);
  }

  seal(descriptors: number, count: number): void {
    const { words } = this.#kernel;
    const end = descriptors + count * L.PACKET_SIZE;
    for (let packet = descriptors; packet < end; packet += L.PACKET_SIZE) {
      const { suite, cipher } = this.#keys.get(words[(packet + L.PACKET_KEY) >>> 2]!);
      const fits = acceptsLength(suite, words[(packet + L.PACKET_LENGTH) >>> 2]!);
      this.#settle(packet, fits ? cipher.seal(packet) : L.STATUS_BAD_LENGTH);
    }
  }

  open(descriptors: number, count: number): void {
    const { words } = this.#kernel;
    const end = descriptors + count * L.PACKET_SIZE;
    for (let packet = descriptors; packet < end; packet += L.PACKET_SIZE) {
      const { suite, cipher } = this.#keys.get(words[(packet + L.PACKET_KEY) >>> 2]!);
      const fits = acceptsLength(suite, words[(packet + L.PACKET_LENGTH) >>> 2]!);
      this.#settle(packet, fits ? cipher.open(packet) : L.STATUS_BAD_LENGTH);
    }
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
