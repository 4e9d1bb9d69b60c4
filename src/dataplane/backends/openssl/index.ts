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
import { AeadRunner } from './aead-runner.ts';
import { AeadRuns } from './aead-runs.ts';
import type { NativeCipher } from './contexts.ts';
import { EncryptThenMac } from './encrypt-then-mac.ts';
import { type Libcrypto, loadLibcrypto } from './libcrypto.ts';

export interface OpensslOptions {
  /** Have machine code make the calls, where this system can (`aead-runs.ts`). Default: true. */
  readonly machineCode?: boolean;
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
  { machineCode = true, rival = NOBODY }: OpensslOptions = {},
): CryptoBackend {
  const crypto = loadLibcrypto();
  selfTest((memory) => new OpensslBackend(crypto, memory, machineCode, NOBODY));
  return new OpensslBackend(crypto, kernel, machineCode, rival);
}

interface KeyEntry {
  readonly suite: CipherSuite;
  /** For machine code; else `cipher` does packets one by one. */
  readonly runner: AeadRunner | undefined;
  readonly cipher: NativeCipher | undefined;
  readonly sealing: Lease;
  readonly opening: Lease;
}

class OpensslBackend implements CryptoBackend {
  readonly name: string;
  readonly #crypto: Libcrypto;
  readonly #kernel: KernelMemory;
  readonly #words: Uint32Array;
  readonly #rival: Rival;
  readonly #other: CryptoBackend | undefined;
  readonly #keys: KeyCache<KeyEntry>;
  readonly #runs: AeadRuns | undefined;

  constructor(crypto: Libcrypto, kernel: KernelMemory, machineCode: boolean, rival: Rival) {
    this.name = rival.name;
    this.#crypto = crypto;
    this.#kernel = kernel;
    this.#words = kernel.words;
    this.#rival = rival;
    this.#other = rival.other;
    const runs = machineCode ? AeadRuns.create(kernel) : undefined;
    this.#runs = runs;
    this.#keys = new KeyCache(
      kernel,
      (key) => {
        const suite = suiteOf(kernel, key);
        const runner = runs !== undefined && isAead(suite) ? new AeadRunner(crypto, kernel, suite, key) : undefined;
        return {
          suite,
          runner,
          cipher: runner ? undefined : createNativeCipher(crypto, kernel, suite, key),
          sealing: rival.lease(suite, 'seal'),
          opening: rival.lease(suite, 'open'),
        };
      },
      ({ runner, cipher }) => (runner ?? cipher)?.free(),
    );
  }

  supports(suite: CipherSuite): boolean {
    return isKnownSuite(suite);
  }

  seal(descriptors: number, count: number): void {
    if (count === 0) return;
    const end = descriptors + count * L.PACKET_SIZE;
    let entry = this.#keys.get(this.#words[(descriptors + L.PACKET_KEY) >>> 2]!);
    const lease = entry.sealing;
    if (lease.away > 0) {
      lease.away -= count;
      this.#other!.seal(descriptors, count);
      return;
    }
    lease.left -= count;
    if (lease.left < 0 && this.#rival.seal(descriptors, count, lease, this)) return;
    this.#runs?.clear();
    for (let first = descriptors; ; entry = this.#keys.get(this.#words[(first + L.PACKET_KEY) >>> 2]!)) {
      const next = this.#endOfRun(first, end);
      if (entry.runner === undefined) this.#sealSingly(first, next, entry);
      else this.#add(first, next, entry.runner.sealing);
      if (next === end) break;
      first = next;
    }
    this.#makeCalls();
  }

  open(descriptors: number, count: number): void {
    if (count === 0) return;
    const end = descriptors + count * L.PACKET_SIZE;
    let entry = this.#keys.get(this.#words[(descriptors + L.PACKET_KEY) >>> 2]!);
    const lease = entry.opening;
    if (lease.away > 0) {
      lease.away -= count;
      this.#other!.open(descriptors, count);
      return;
    }
    lease.left -= count;
    if (lease.left < 0 && this.#rival.open(descriptors, count, lease, this)) return;
    this.#runs?.clear();
    for (let first = descriptors; ; entry = this.#keys.get(this.#words[(first + L.PACKET_KEY) >>> 2]!)) {
      const next = this.#endOfRun(first, end);
      if (entry.runner === undefined) this.#openSingly(first, next, entry);
      else this.#add(first, next, entry.runner.opening);
      if (next === end) break;
      first = next;
    }
    this.#makeCalls();
  }

  /** @returns where the packets end that have the KEY of the one at `first`, at most `end` */
  #endOfRun(first: number, end: number): number {
    const words = this.#words;
    const key = words[(first + L.PACKET_KEY) >>> 2]!;
    let next = first + L.PACKET_SIZE;
    while (next < end && words[(next + L.PACKET_KEY) >>> 2]! === key) next += L.PACKET_SIZE;
    return next;
  }

  /** @param runner of the packets from `first` to `end` */
  #add(first: number, end: number, runner: number): void {
    const runs = this.#runs!;
    if (runs.full || runs.end !== first) this.#makeCalls();
    runs.add(first, end, runner);
  }

  #makeCalls(): void {
    const runs = this.#runs;
    if (runs !== undefined && !runs.make()) this.#wipeFailed(runs.first, runs.end);
  }

  #sealSingly(first: number, end: number, { suite, cipher }: KeyEntry): void {
    for (let packet = first; packet < end; packet += L.PACKET_SIZE) {
      this.#settle(packet, this.#fits(packet, suite) ? cipher!.seal(packet) : L.STATUS_BAD_LENGTH);
    }
  }

  #openSingly(first: number, end: number, { suite, cipher }: KeyEntry): void {
    for (let packet = first; packet < end; packet += L.PACKET_SIZE) {
      this.#settle(packet, this.#fits(packet, suite) ? cipher!.open(packet) : L.STATUS_BAD_LENGTH);
    }
  }

  #fits(packet: number, suite: CipherSuite): boolean {
    return acceptsLength(suite, this.#words[(packet + L.PACKET_LENGTH) >>> 2]!);
  }

  #settle(packet: number, status: number): void {
    this.#words[(packet + L.PACKET_STATUS) >>> 2] = status;
    if (status === L.STATUS_BAD_ICV) this.#wipe(packet);
  }

  #wipeFailed(first: number, end: number): void {
    for (let packet = first; packet < end; packet += L.PACKET_SIZE) {
      if (this.#words[(packet + L.PACKET_STATUS) >>> 2] !== L.STATUS_OK) this.#wipe(packet);
    }
  }

  /** What a failed call has left of a payload is nobody's to see, and what it says of it not Node's to find. */
  #wipe(packet: number): void {
    const words = this.#words;
    const payload = words[(packet + L.PACKET_PAYLOAD) >>> 2]!;
    this.#kernel.bytes.fill(0, payload, payload + words[(packet + L.PACKET_LENGTH) >>> 2]!);
    this.#crypto.ERR_clear_error();
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

/** Those that an AeadRunner does. */
const isAead = ({ encr, integ }: CipherSuite): boolean => integ === INTEG.NONE && encr !== undefined && AEADS.has(encr);

const AEADS: ReadonlySet<number> = new Set([ENCR.AES_GCM_8, ENCR.AES_GCM_12, ENCR.AES_GCM_16, ENCR.CHACHA20_POLY1305]);

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
  return new (isAead(suite) ? Aead : EncryptThenMac)(crypto, kernel, suite, key);
}
