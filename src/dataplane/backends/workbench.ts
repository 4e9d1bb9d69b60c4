/**
 * A memory of its own in which keys and packets are laid out by hand: for a backend's self-test,
 * for the conformance suite and for the benchmark. Every packet stands between canaries, so a
 * cipher that writes a byte too many is seen.
 */
import * as L from '../../../assembly/layout.ts';
import { type CipherSuite, INTEG, suiteLengths } from '../../algorithms.ts';
import {
  chooseBuild,
  compileKernel,
  createMemory,
  instantiateKernel,
  type KernelBuild,
  type KernelExports,
} from '../kernel.ts';
import type { KernelMemory } from './backend.ts';

export interface SuiteKeys {
  readonly key: Uint8Array;
  readonly salt: Uint8Array;
  readonly integKey: Uint8Array;
}

/** A packet to lay out; the lengths of `iv` and of the ICV are the suite's. */
export interface PacketSpec {
  /** Address of its KEY block. */
  readonly key: number;
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
  readonly payload: Uint8Array;
  /** Of a packet to be opened; zeros without. */
  readonly icv?: Uint8Array;
  /** Sets FLAG_ESN. */
  readonly sequenceHigh?: number;
  /** Bytes past a 64-byte boundary. */
  readonly shift?: number;
}

/** A packet in place; the arrays are views of linear memory. */
export interface PacketView {
  readonly descriptor: number;
  readonly payload: Uint8Array;
  readonly icv: Uint8Array;
  /** @returns one of STATUS_* */
  status(): number;
  /** @returns whether the bytes around payload and ICV, the IV and the AAD are as they were */
  intact(): boolean;
}

/** What of a kernel lays out KEY blocks. */
export type KeySetup = Pick<KernelExports, 'keyStateLength' | 'setupKey'>;

const CANARY = 64;
const CANARY_BYTE = 0xc5;
/** What a backend may read past the last thing it is given. */
const READ_AHEAD = 1024;

export class Workbench {
  readonly kernel: KernelMemory;
  readonly #end: number;
  #next = L.STATIC_END + L.CRYPTO_SCRATCH_SIZE;
  #serial = 0;
  #kernelSetup: KeySetup | undefined;

  /** @param size bytes for keys and packets */
  constructor(size: number) {
    const total = this.#next + size + READ_AHEAD;
    this.kernel = createMemory(total);
    this.#end = total - READ_AHEAD;
  }

  /** Puts a kernel over this memory; keys laid out from now on are expanded by it. */
  async instantiate(build?: KernelBuild): Promise<KernelExports> {
    // Choosing also switches relaxed SIMD on where Node.js hides it.
    const best = chooseBuild();
    const exports = instantiateKernel((await compileKernel(build ?? best)).module, this.kernel);
    exports.initialiseCrypto(L.STATIC_END);
    this.expandWith(exports);
    return exports;
  }

  /** Has keys that are laid out from now on expanded by that kernel. */
  expandWith(setup: KeySetup): void {
    this.#kernelSetup = setup;
  }

  /** Takes all keys and packets away; what lay there is zero again. */
  clear(): void {
    const start = L.STATIC_END + L.CRYPTO_SCRATCH_SIZE;
    this.kernel.bytes.fill(0, start, this.#next + READ_AHEAD);
    this.#next = start;
  }

  /** @returns the address of `size` bytes, `shift` past a 64-byte boundary */
  allocate(size: number, shift = 0): number {
    const address = ((this.#next + 63) & ~63) + shift;
    this.#next = address + size;
    if (this.#next > this.#end) throw new RangeError(`the workbench has no room for ${size} more bytes`);
    return address;
  }

  /** Lays out a KEY block. @returns its address */
  key(suite: CipherSuite, keys: SuiteKeys): number {
    const { bytes } = this.kernel;
    const lengths = suiteLengths(suite);
    const length = (this.#kernelSetup?.keyStateLength(suite.encr ?? 0, lengths.key, suite.integ) ?? 0) >>> 0;
    // A suite that the kernel does not have has no STATE; other backends may know it.
    const known = length !== 0xffffffff;
    const address = this.allocate(L.KEY_STATE + (known ? length : 0));
    this.#words(address, [
      [L.KEY_ENCR, suite.encr ?? 0],
      [L.KEY_INTEG, suite.integ],
      [L.KEY_KEY_LENGTH, keys.key.length],
      [L.KEY_INTEG_KEY_LENGTH, keys.integKey.length],
      [L.KEY_ICV_LENGTH, lengths.icv],
      [L.KEY_IV_LENGTH, lengths.iv],
      [L.KEY_SERIAL, ++this.#serial],
      [L.KEY_STATE_LENGTH, known ? length : 0],
    ]);
    bytes.set(keys.salt, address + L.KEY_SALT);
    bytes.set(keys.key, address + L.KEY_KEY);
    bytes.set(keys.integKey, address + L.KEY_INTEG_KEY);
    if (known) this.#kernelSetup?.setupKey(address);
    return address;
  }

  /** Puts other keys in the block at `address`, as when the SAD gives it to another SA. */
  rekey(address: number, keys: SuiteKeys): void {
    const { bytes } = this.kernel;
    this.#words(address, [[L.KEY_SERIAL, ++this.#serial]]);
    bytes.set(keys.salt, address + L.KEY_SALT);
    bytes.set(keys.key, address + L.KEY_KEY);
    bytes.set(keys.integKey, address + L.KEY_INTEG_KEY);
    this.#kernelSetup?.setupKey(address);
  }

  /**
   * Lays packets out as ESP and AH have them: with a separate ICV, AAD ‖ payload ‖ ICV in one
   * piece; for a combined mode the AAD lies elsewhere.
   * @returns a view each; the first's `descriptor` is the batch's
   */
  packets(specs: readonly PacketSpec[]): PacketView[] {
    const descriptors = this.allocate(specs.length * L.PACKET_SIZE);
    return specs.map((spec, index) => this.#place(descriptors + index * L.PACKET_SIZE, spec));
  }

  #place(descriptor: number, spec: PacketSpec): PacketView {
    const { bytes, words } = this.kernel;
    const icvLength = words[(spec.key + L.KEY_ICV_LENGTH) >>> 2]!;
    const separate = words[(spec.key + L.KEY_INTEG) >>> 2] !== INTEG.NONE;
    const front = CANARY + (separate ? spec.aad.length : 0);
    const tail = icvLength + CANARY;
    const start = this.allocate(front + spec.payload.length + tail, spec.shift ?? 0);
    const payload = start + front;
    const icv = payload + spec.payload.length;
    bytes.fill(CANARY_BYTE, start, icv + tail);
    const iv = this.#copy(spec.iv);
    const aad = separate ? payload - spec.aad.length : this.#copy(spec.aad);
    bytes.set(spec.aad, aad);
    bytes.set(spec.payload, payload);
    bytes.set(spec.icv ?? new Uint8Array(icvLength), icv);
    this.#words(descriptor, [
      [L.PACKET_KEY, spec.key],
      [L.PACKET_PAYLOAD, payload],
      [L.PACKET_LENGTH, spec.payload.length],
      [L.PACKET_IV, iv],
      [L.PACKET_AAD, aad],
      [L.PACKET_AAD_LENGTH, spec.aad.length],
      [L.PACKET_ICV, icv],
      [L.PACKET_STATUS, L.STATUS_PENDING],
      [L.PACKET_SEQ_HI, spec.sequenceHigh ?? 0],
      [L.PACKET_FLAGS, spec.sequenceHigh === undefined ? 0 : L.PACKET_FLAG_ESN],
    ]);
    const around = [
      bytes.subarray(start, payload),
      bytes.subarray(icv + icvLength, icv + tail),
      bytes.subarray(iv, iv + spec.iv.length),
      bytes.subarray(aad, aad + spec.aad.length),
    ];
    const before = around.map((part) => part.slice());
    return {
      descriptor,
      payload: bytes.subarray(payload, icv),
      icv: bytes.subarray(icv, icv + icvLength),
      status: () => words[(descriptor + L.PACKET_STATUS) >>> 2]!,
      intact: () => around.every((part, i) => Buffer.compare(part, before[i]!) === 0),
    };
  }

  /** At an odd address, as headers lie on the wire. */
  #copy(data: Uint8Array): number {
    const address = this.allocate(data.length, 1 + (this.#next % 7));
    this.kernel.bytes.set(data, address);
    return address;
  }

  #words(address: number, values: readonly (readonly [offset: number, value: number])[]): void {
    for (const [offset, value] of values) this.kernel.words[(address + offset) >>> 2] = value;
  }
}
