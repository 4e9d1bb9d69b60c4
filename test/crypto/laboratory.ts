/**
 * A kernel of either build with memory of its own, in which tests place KEYs and packets.
 *
 * Every packet stands between canaries, at the alignment asked for, so that a cipher that writes a
 * byte too many is seen.
 */
import { setFlagsFromString } from 'node:v8';
import * as L from '../../assembly/layout.ts';
import { type CipherSuite, INTEG, suiteLengths } from '../../src/algorithms.ts';
import type { KernelMemory } from '../../src/dataplane/backends/backend.ts';
import {
  compileKernel,
  createMemory,
  instantiateKernel,
  type KernelBuild,
  type KernelExports,
} from '../../src/dataplane/kernel.ts';

export const BUILDS: readonly KernelBuild[] = ['plain', 'relaxed', 'wide'];

/** Bytes of canary on either side of every region. */
const CANARY = 64;
const CANARY_BYTE = 0xc5;
const MEMORY_SIZE = 16 << 20;

export interface SuiteKeys {
  readonly key?: Uint8Array;
  readonly salt?: Uint8Array;
  readonly integKey?: Uint8Array;
}

/** What a test says of a packet; lengths of `iv` and the ICV are the suite's. */
export interface PacketSpec {
  readonly key: number;
  readonly iv?: Uint8Array;
  readonly aad: Uint8Array;
  readonly payload: Uint8Array;
  /** To be opened; left out, the field is zero and `seal` writes it. */
  readonly icv?: Uint8Array;
  /** Sets FLAG_ESN. */
  readonly sequenceHigh?: number;
  /** Puts the AAD elsewhere, though the suite has a separate ICV. */
  readonly apart?: boolean;
  /** Shifts the packet by this many bytes from a 64-byte boundary. */
  readonly shift?: number;
}

export interface PacketView {
  readonly descriptor: number;
  readonly payload: Uint8Array;
  readonly icv: Uint8Array;
  readonly status: () => number;
  /** @returns whether the bytes around the packet are as they were */
  readonly intact: () => boolean;
}

export class Laboratory {
  readonly build: KernelBuild;
  readonly kernel: KernelMemory;
  readonly exports: KernelExports;
  readonly scratch: number;
  readonly #start: number;
  #next: number;
  #serial = 0;

  private constructor(build: KernelBuild, module: WebAssembly.Module) {
    this.build = build;
    this.kernel = createMemory(MEMORY_SIZE);
    this.exports = instantiateKernel(module, this.kernel);
    this.scratch = L.STATIC_END;
    this.exports.initialiseCrypto(this.scratch);
    this.#start = this.scratch + L.CRYPTO_SCRATCH_SIZE;
    this.#next = this.#start;
  }

  static async open(build: KernelBuild): Promise<Laboratory> {
    // Node 20 has relaxed SIMD behind this flag; later versions have it always.
    if (build !== 'plain' && process.versions.node.startsWith('20.')) {
      setFlagsFromString('--experimental-wasm-relaxed-simd');
    }
    return new Laboratory(build, (await compileKernel(build)).module);
  }

  /** Gives all memory back: KEYs and packets of before are gone, and zeroed. */
  reset(): void {
    this.kernel.bytes.fill(0, this.#start, this.#next);
    this.#next = this.#start;
  }

  /** @returns the address of `size` bytes, `shift` past a 64-byte boundary */
  allocate(size: number, shift = 0): number {
    const address = ((this.#next + 63) & ~63) + shift;
    this.#next = address + size;
    // The layout lets a backend read 1024 bytes past what it is given.
    if (this.#next + 2048 > MEMORY_SIZE) throw new Error('the laboratory is full');
    return address;
  }

  /** Writes a KEY block and has the kernel expand it. @returns its address */
  key(suite: CipherSuite, keys: SuiteKeys): number {
    const lengths = suiteLengths(suite);
    const stateLength = this.exports.keyStateLength(suite.encr ?? 0, lengths.key, suite.integ) >>> 0;
    if (stateLength > 1 << 20) throw new Error('the kernel does not know this suite');
    const address = this.allocate(L.KEY_STATE + stateLength);
    const { bytes } = this.kernel;
    this.#word(address + L.KEY_ENCR, suite.encr ?? 0);
    this.#word(address + L.KEY_INTEG, suite.integ);
    this.#word(address + L.KEY_KEY_LENGTH, lengths.key);
    this.#word(address + L.KEY_INTEG_KEY_LENGTH, keys.integKey?.length ?? 0);
    this.#word(address + L.KEY_ICV_LENGTH, lengths.icv);
    this.#word(address + L.KEY_IV_LENGTH, lengths.iv);
    this.#word(address + L.KEY_SERIAL, ++this.#serial);
    this.#word(address + L.KEY_STATE_LENGTH, stateLength);
    bytes.set(keys.salt ?? [], address + L.KEY_SALT);
    bytes.set(keys.key ?? [], address + L.KEY_KEY);
    bytes.set(keys.integKey ?? [], address + L.KEY_INTEG_KEY);
    this.exports.setupKey(address);
    return address;
  }

  /**
   * Places packets as frames of AAD ‖ payload ‖ ICV. A suite with a separate ICV covers IV and AAD as
   * they lie before the payload; a combined mode gets its AAD and IV from elsewhere, as in ESP.
   * @returns one view per packet; the first's `descriptor` is the batch's
   */
  packets(specs: readonly PacketSpec[]): PacketView[] {
    const descriptors = this.allocate(specs.length * L.PACKET_SIZE);
    return specs.map((spec, index) => this.#place(descriptors + index * L.PACKET_SIZE, spec));
  }

  seal(packets: readonly PacketView[]): void {
    this.exports.sealBatch(packets[0]!.descriptor, packets.length);
  }

  open(packets: readonly PacketView[]): void {
    this.exports.openBatch(packets[0]!.descriptor, packets.length);
  }

  #place(descriptor: number, spec: PacketSpec): PacketView {
    const { bytes, words } = this.kernel;
    const icvLength = words[(spec.key + L.KEY_ICV_LENGTH) >> 2]!;
    const combined = words[(spec.key + L.KEY_INTEG) >> 2] === INTEG.NONE;
    const frameLength = spec.aad.length + spec.payload.length + icvLength;
    const frame = this.allocate(frameLength + 2 * CANARY, spec.shift ?? 0) + CANARY;
    const payload = frame + spec.aad.length;
    const icv = payload + spec.payload.length;
    bytes.fill(CANARY_BYTE, frame - CANARY, frame + frameLength + CANARY);
    bytes.set(spec.aad, frame);
    bytes.set(spec.payload, payload);
    bytes.set(spec.icv ?? new Uint8Array(icvLength), icv);
    const aad = combined || spec.apart ? this.#copy(spec.aad) : frame;
    this.#word(descriptor + L.PACKET_KEY, spec.key);
    this.#word(descriptor + L.PACKET_PAYLOAD, payload);
    this.#word(descriptor + L.PACKET_LENGTH, spec.payload.length);
    this.#word(descriptor + L.PACKET_IV, this.#copy(spec.iv ?? new Uint8Array()));
    this.#word(descriptor + L.PACKET_AAD, aad);
    this.#word(descriptor + L.PACKET_AAD_LENGTH, spec.aad.length);
    this.#word(descriptor + L.PACKET_ICV, icv);
    this.#word(descriptor + L.PACKET_STATUS, L.STATUS_PENDING);
    this.#word(descriptor + L.PACKET_SEQ_HI, spec.sequenceHigh ?? 0);
    this.#word(descriptor + L.PACKET_FLAGS, spec.sequenceHigh === undefined ? 0 : L.PACKET_FLAG_ESN);
    const before = bytes.slice(frame - CANARY, payload);
    return {
      descriptor,
      payload: bytes.subarray(payload, icv),
      icv: bytes.subarray(icv, icv + icvLength),
      status: () => words[(descriptor + L.PACKET_STATUS) >> 2]!,
      intact: () =>
        Buffer.compare(before, bytes.subarray(frame - CANARY, payload)) === 0 &&
        bytes.subarray(icv + icvLength, icv + icvLength + CANARY).every((byte) => byte === CANARY_BYTE),
    };
  }

  #copy(data: Uint8Array): number {
    const address = this.allocate(data.length, 1 + (this.#next % 7));
    this.kernel.bytes.set(data, address);
    return address;
  }

  #word(address: number, value: number): void {
    this.kernel.words[address >> 2] = value;
  }
}

/** @returns bytes from hexadecimal digits; white space and colons are ignored */
export function hex(digits: string): Uint8Array {
  return Uint8Array.from(Buffer.from(digits.replace(/[\s:]/g, ''), 'hex'));
}

/** A small deterministic generator (xorshift32), so that a failure can be repeated. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  /** @returns an integer in [0, limit) */
  below(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % limit;
  }

  bytes(length: number): Uint8Array {
    const words = new Uint32Array((length >> 2) + 1);
    for (let i = 0; i < words.length; i++) words[i] = this.below(2 ** 32);
    return new Uint8Array(words.buffer, 0, length);
  }
}
