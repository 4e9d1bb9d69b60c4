/**
 * A backend made of ciphers that take one packet at a time, for libraries that work on byte arrays.
 *
 *     batch ─► descriptor ─► KEY ─► cached PacketCipher ─► seal, or open ─► STATUS
 */
import * as L from '../../../assembly/layout.ts';
import { type CipherSuite, suiteLengths } from '../../algorithms.ts';
import type { CryptoBackend, KernelMemory } from './backend.ts';
import { KeyCache } from './key-cache.ts';
import { acceptsLength, type RawKeys, rawKeys, suiteOf } from './suites.ts';

/** One packet, as views of linear memory. The object is used again for the next one. */
export interface Packet {
  payload: Uint8Array;
  iv: Uint8Array;
  aad: Uint8Array;
  icv: Uint8Array;
  /** 4 bytes, network order, that the separate ICV covers too; empty without ESN. */
  sequenceHigh: Uint8Array;
}

/** The cipher of one KEY. Copies what it needs of the key. */
export interface PacketCipher {
  /** Encrypts the payload in place and writes the ICV. */
  seal(packet: Packet): void;
  /** Decrypts in place. @returns whether the packet is authentic; if not, the caller zeroes it */
  open(packet: Packet): boolean;
  /** Wipes the copies of the key. */
  wipe(): void;
}

export interface PacketCiphers {
  readonly name: string;
  supports(suite: CipherSuite): boolean;
  create(suite: CipherSuite, keys: RawKeys): PacketCipher;
}

interface KeyEntry {
  readonly suite: CipherSuite;
  readonly cipher: PacketCipher;
  readonly ivLength: number;
  readonly icvLength: number;
}

const EMPTY = new Uint8Array();

function seal(cipher: PacketCipher, packet: Packet): number {
  cipher.seal(packet);
  return L.STATUS_OK;
}

function open(cipher: PacketCipher, packet: Packet): number {
  if (cipher.open(packet)) return L.STATUS_OK;
  packet.payload.fill(0);
  return L.STATUS_BAD_ICV;
}

export class PacketBackend implements CryptoBackend {
  readonly name: string;
  readonly #kernel: KernelMemory;
  readonly #ciphers: PacketCiphers;
  readonly #keys: KeyCache<KeyEntry>;
  readonly #packet: Packet = { payload: EMPTY, iv: EMPTY, aad: EMPTY, icv: EMPTY, sequenceHigh: EMPTY };
  readonly #sequenceHigh = new Uint8Array(4);

  constructor(kernel: KernelMemory, ciphers: PacketCiphers) {
    this.name = ciphers.name;
    this.#kernel = kernel;
    this.#ciphers = ciphers;
    this.#keys = new KeyCache(
      kernel,
      (key) => this.#enter(key),
      ({ cipher }) => cipher.wipe(),
    );
  }

  supports(suite: CipherSuite): boolean {
    return this.#ciphers.supports(suite);
  }

  seal(descriptors: number, count: number): void {
    this.#run(descriptors, count, seal);
  }

  open(descriptors: number, count: number): void {
    this.#run(descriptors, count, open);
  }

  /** @param work is done to each packet that fits, and tells its STATUS */
  #run(descriptors: number, count: number, work: (cipher: PacketCipher, packet: Packet) => number): void {
    const { words } = this.#kernel;
    const end = descriptors + count * L.PACKET_SIZE;
    for (let at = descriptors; at < end; at += L.PACKET_SIZE) {
      const entry = this.#keys.get(words[(at + L.PACKET_KEY) >>> 2]!);
      const fits = acceptsLength(entry.suite, words[(at + L.PACKET_LENGTH) >>> 2]!);
      words[(at + L.PACKET_STATUS) >>> 2] = fits ? work(entry.cipher, this.#view(at, entry)) : L.STATUS_BAD_LENGTH;
    }
  }

  forget(key: number): void {
    this.#keys.forget(key);
  }

  close(): void {
    this.#keys.clear();
  }

  #enter(key: number): KeyEntry {
    const suite = suiteOf(this.#kernel, key);
    const lengths = suiteLengths(suite);
    const cipher = this.#ciphers.create(suite, rawKeys(this.#kernel, key, lengths.salt));
    return { suite, cipher, ivLength: lengths.iv, icvLength: lengths.icv };
  }

  #view(at: number, { ivLength, icvLength }: KeyEntry): Packet {
    const { bytes, words } = this.#kernel;
    const word = (offset: number) => words[(at + offset) >>> 2]!;
    const view = (start: number, length: number) => bytes.subarray(start, start + length);
    const packet = this.#packet;
    packet.payload = view(word(L.PACKET_PAYLOAD), word(L.PACKET_LENGTH));
    packet.iv = view(word(L.PACKET_IV), ivLength);
    packet.aad = view(word(L.PACKET_AAD), word(L.PACKET_AAD_LENGTH));
    packet.icv = view(word(L.PACKET_ICV), icvLength);
    packet.sequenceHigh = EMPTY;
    if ((word(L.PACKET_FLAGS) & L.PACKET_FLAG_ESN) !== 0) {
      const high = word(L.PACKET_SEQ_HI);
      this.#sequenceHigh.set([high >>> 24, high >>> 16, high >>> 8, high]);
      packet.sequenceHigh = this.#sequenceHigh;
    }
    return packet;
  }
}
