/**
 * Node's own OpenSSL, without node:crypto: EVP calls through koffi over addresses in linear memory.
 * AES-NI and friends, with which large packets are fastest; small ones may be better off in
 * WebAssembly (see `hybrid`). Constant-time as far as OpenSSL is.
 */
import * as L from '../../../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG } from '../../../algorithms.ts';
import type { CryptoBackend, Direction, KernelMemory } from '../backend.ts';
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
  /** Takes batches off this backend. Default: nobody. */
  readonly rival?: Rival;
}

/**
 * Somebody who takes those batches that are not for OpenSSL. It is asked inside `seal` and `open`, which look
 * the SA up anyway, so that a batch that stays costs nothing more.
 */
export interface Rival {
  /** The name of the backend that the two are together. */
  readonly name: string;
  /** Who does the batches that are leased away. */
  readonly other: CryptoBackend | undefined;
  /** @returns what is to be kept for SAs of that suite, one for each SA and direction */
  lease(suite: CipherSuite, direction: Direction): Lease;
  /**
   * Is asked about a batch when the lease of its first packet's SA has ended.
   * @param openssl does the batch, if its lease is renewed first
   * @returns whether the batch is done
   */
  seal(descriptors: number, count: number, lease: Lease, openssl: CryptoBackend): boolean;
  open(descriptors: number, count: number, lease: Lease, openssl: CryptoBackend): boolean;
}

/** How many packets of an SA go where they go before the rival is asked again. */
export interface Lease {
  /** To OpenSSL. */
  left: number;
  /** To the other backend. */
  away: number;
}

/** Packets; signed 32-bit arithmetic is V8's fastest. */
const UNLIMITED = 0x3fffffff;

function renew(_descriptors: number, _count: number, lease: Lease): boolean {
  lease.left = UNLIMITED;
  return false;
}

const NOBODY: Rival = {
  name: 'openssl',
  other: undefined,
  lease: () => ({ left: UNLIMITED, away: 0 }),
  seal: renew,
  open: renew,
};

/** @throws EspalierError `ERR_BACKEND_UNAVAILABLE` if this node binary has no usable OpenSSL */
export function createOpensslBackend(
  kernel: KernelMemory,
  { callLists = true, rival = NOBODY }: OpensslOptions = {},
): CryptoBackend {
  const crypto = loadLibcrypto();
  selfTest((memory) => new OpensslBackend(crypto, memory, callLists, NOBODY));
  return new OpensslBackend(crypto, kernel, callLists, rival);
}

interface KeyEntry {
  readonly suite: CipherSuite;
  readonly cipher: NativeCipher;
  /** The same, if it goes into a batch. */
  readonly aead: Aead | undefined;
  readonly sealing: Lease;
  readonly opening: Lease;
}

class OpensslBackend implements CryptoBackend {
  readonly name: string;
  readonly #kernel: KernelMemory;
  readonly #words: Uint32Array;
  readonly #rival: Rival;
  readonly #other: CryptoBackend | undefined;
  readonly #keys: KeyCache<KeyEntry>;
  readonly #sealing: AeadBatch | undefined;
  readonly #opening: AeadBatch | undefined;

  constructor(crypto: Libcrypto, kernel: KernelMemory, callLists: boolean, rival: Rival) {
    this.name = rival.name;
    this.#kernel = kernel;
    this.#words = kernel.words;
    this.#rival = rival;
    this.#other = rival.other;
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
        return {
          suite,
          cipher,
          aead: batches && cipher instanceof Aead ? cipher : undefined,
          sealing: rival.lease(suite, 'seal'),
          opening: rival.lease(suite, 'open'),
        };
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
    if (count === 0) return;
    const words = this.#words;
    let entry = this.#keys.get(words[(descriptors + L.PACKET_KEY) >>> 2]!);
    const lease = entry.sealing;
    if (lease.away > 0) {
      lease.away -= count;
      this.#other!.seal(descriptors, count);
      return;
    }
    lease.left -= count;
    if (lease.left < 0 && this.#rival.seal(descriptors, count, lease, this)) return;
    const batch = this.#sealing;
    const last = descriptors + (count - 1) * L.PACKET_SIZE;
    for (let packet = descriptors; ; entry = this.#keys.get(words[(packet + L.PACKET_KEY) >>> 2]!)) {
      if (entry.aead === undefined)
        this.#settle(packet, this.#fits(packet, entry) ? entry.cipher.seal(packet) : L.STATUS_BAD_LENGTH);
      else batch!.add(packet, entry.aead);
      if (packet === last) break;
      packet += L.PACKET_SIZE;
    }
    batch?.run();
  }

  open(descriptors: number, count: number): void {
    if (count === 0) return;
    const words = this.#words;
    let entry = this.#keys.get(words[(descriptors + L.PACKET_KEY) >>> 2]!);
    const lease = entry.opening;
    if (lease.away > 0) {
      lease.away -= count;
      this.#other!.open(descriptors, count);
      return;
    }
    lease.left -= count;
    if (lease.left < 0 && this.#rival.open(descriptors, count, lease, this)) return;
    const batch = this.#opening;
    const last = descriptors + (count - 1) * L.PACKET_SIZE;
    for (let packet = descriptors; ; entry = this.#keys.get(words[(packet + L.PACKET_KEY) >>> 2]!)) {
      if (entry.aead === undefined)
        this.#settle(packet, this.#fits(packet, entry) ? entry.cipher.open(packet) : L.STATUS_BAD_LENGTH);
      else batch!.add(packet, entry.aead);
      if (packet === last) break;
      packet += L.PACKET_SIZE;
    }
    batch?.run();
  }

  #fits(packet: number, { suite }: KeyEntry): boolean {
    return acceptsLength(suite, this.#words[(packet + L.PACKET_LENGTH) >>> 2]!);
  }

  /** Writes STATUS. What a failed call has left of a payload is nobody's to see. */
  #settle(packet: number, status: number): void {
    const { bytes } = this.#kernel;
    const words = this.#words;
    words[(packet + L.PACKET_STATUS) >>> 2] = status;
    if (status !== L.STATUS_BAD_ICV) return;
    const payload = words[(packet + L.PACKET_PAYLOAD) >>> 2]!;
    bytes.fill(0, payload, payload + words[(packet + L.PACKET_LENGTH) >>> 2]!);
  }

  forget(key: number): void {
    this.#keys.forget(key);
    this.#other?.forget(key);
  }

  close(): void {
    this.#keys.clear();
    this.#other?.close();
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
