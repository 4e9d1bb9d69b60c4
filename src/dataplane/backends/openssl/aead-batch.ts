/**
 * AEAD packets of any SAs, sealed or opened by one call list.
 *
 *     SLOT: a packet ─► its RECORDs, one for each of OpenSSL's calls
 *                   └─► a NativeBlock for its nonce and its tag parameter
 *
 * What a packet of the same SA had in its slot before is still right, but for addresses, lengths and
 * the nonce; so little is written per packet.
 */
import * as L from '../../../../assembly/layout.ts';
import { functionAddress } from '../../io/machine-code.ts';
import type { KernelMemory } from '../backend.ts';
import type { Aead } from './aead.ts';
import { CallList } from './call-list.ts';
import type { Direction } from './contexts.ts';
import { NativeBlock } from './libcrypto.ts';

/** Packets per list: RECORDs and blocks of all slots take half of a first-level cache. */
const SLOTS = 32;

// The calls of a packet, in their order; opening has no FETCH_TAG.
const SET_NONCE = 0;
const AAD = 1;
const PAYLOAD = 2;
const FINAL = 3;
const FETCH_TAG = 4;

const SALT_SIZE = 4;
const NONCE_SIZE = 12;

type Fail = (packet: number, status: number) => void;

export class AeadBatch {
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #base: number;
  readonly #direction: Direction;
  readonly #calls: CallList;
  readonly #callsPerPacket: number;
  readonly #blocks = Array.from({ length: SLOTS }, () => new NativeBlock(16));
  /** Whose packet was in a slot last. */
  readonly #owners: (Aead | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #packets = new Uint32Array(SLOTS);
  readonly #fail: Fail;
  #count = 0;

  /**
   * @param fail is told the STATUS of a packet that is not OK
   * @returns undefined where there is no call list
   */
  static create(kernel: KernelMemory, direction: Direction, fail: Fail): AeadBatch | undefined {
    const callsPerPacket = direction === 'Encrypt' ? FETCH_TAG + 1 : FINAL + 1;
    const calls = CallList.create(SLOTS * callsPerPacket, kernel.base);
    return calls && new AeadBatch(kernel, direction, calls, callsPerPacket, fail);
  }

  private constructor(kernel: KernelMemory, direction: Direction, calls: CallList, callsPerPacket: number, fail: Fail) {
    this.#fail = fail;
    this.#words = kernel.words;
    this.#bytes = kernel.bytes;
    this.#base = kernel.base;
    this.#direction = direction;
    this.#calls = calls;
    this.#callsPerPacket = callsPerPacket;
    const update = functionAddress(`EVP_${direction}Update`);
    const functions = [
      functionAddress(`EVP_${direction}Init_ex2`),
      update,
      update,
      functionAddress(`EVP_${direction}Final_ex`),
      functionAddress('EVP_CIPHER_CTX_get_params'),
    ];
    for (const [slot, block] of this.#blocks.entries()) {
      const first = slot * callsPerPacket;
      for (let call = 0; call < callsPerPacket; call++) calls.setFunction(first + call, functions[call]!);
      calls.setArgument(first + SET_NONCE, 3, block.nonce);
      calls.setArgument(first + AAD, 2, block.written);
      calls.setArgument(first + PAYLOAD, 2, block.written);
      // Nothing is left for Final to write.
      calls.setArgument(first + FINAL, 1, block.mac);
      calls.setArgument(first + FINAL, 2, block.written);
      if (direction === 'Encrypt') calls.setArgument(first + FETCH_TAG, 1, block.tagParameter);
      else calls.setArgument(first + SET_NONCE, 4, block.tagParameter);
    }
  }

  /** Puts a packet on the list, and makes the calls when it is full. */
  add(packet: number, aead: Aead): void {
    const words = this.#words;
    const calls = this.#calls;
    const slot = this.#count++;
    const block = this.#blocks[slot]!;
    const first = slot * this.#callsPerPacket;
    if (this.#owners[slot] !== aead) this.#assign(slot, aead);
    this.#packets[slot] = packet;
    const payload = words[(packet + L.PACKET_PAYLOAD) >>> 2]!;
    calls.setPointer(first + AAD, 3, words[(packet + L.PACKET_AAD) >>> 2]!);
    calls.setLength(first + AAD, 4, words[(packet + L.PACKET_AAD_LENGTH) >>> 2]!);
    calls.setPointer(first + PAYLOAD, 1, payload);
    calls.setPointer(first + PAYLOAD, 3, payload);
    calls.setLength(first + PAYLOAD, 4, words[(packet + L.PACKET_LENGTH) >>> 2]!);
    block.setTag(this.#base + words[(packet + L.PACKET_ICV) >>> 2]!);
    this.#loadIv(block, words[(packet + L.PACKET_IV) >>> 2]!);
    if (this.#count === SLOTS) this.run();
  }

  /** Makes the calls of all packets on the list. */
  run(): void {
    const count = this.#count;
    if (count === 0) return;
    const calls = this.#calls;
    const callsPerPacket = this.#callsPerPacket;
    const words = this.#words;
    const allDone = calls.run(count * callsPerPacket);
    this.#count = 0;
    if (allDone) {
      for (let slot = 0; slot < count; slot++) words[(this.#packets[slot]! + L.PACKET_STATUS) >>> 2] = L.STATUS_OK;
      return;
    }
    for (let slot = 0; slot < count; slot++) {
      const first = slot * callsPerPacket;
      let done = 1;
      for (let call = 0; call < callsPerPacket; call++) if (calls.result(first + call) !== 1) done = 0;
      const packet = this.#packets[slot]!;
      if (done === 1) words[(packet + L.PACKET_STATUS) >>> 2] = L.STATUS_OK;
      else this.#fail(packet, this.#owners[slot]!.status(done));
    }
  }

  /** The contexts are about to go: what is on the list comes before that. */
  forget(aead: Aead): void {
    this.run();
    for (const [slot, owner] of this.#owners.entries()) {
      if (owner !== aead) continue;
      this.#owners[slot] = undefined;
      this.#blocks[slot]!.bytes.fill(0, 0, NONCE_SIZE);
    }
  }

  /** Four bytes of salt, eight of IV (RFC 4106 §4, RFC 7634 §2). The IV lies at a word's address if the peer pads to four. */
  #loadIv(block: NativeBlock, iv: number): void {
    if ((iv & 3) === 0) block.setIv(this.#words[iv >>> 2]!, this.#words[(iv >>> 2) + 1]!);
    else for (let i = 0; i < NONCE_SIZE - SALT_SIZE; i++) block.bytes[SALT_SIZE + i] = this.#bytes[iv + i]!;
  }

  #assign(slot: number, aead: Aead): void {
    const block = this.#blocks[slot]!;
    const context = aead.context(this.#direction);
    for (let call = 0; call < this.#callsPerPacket; call++) {
      this.#calls.setArgument(slot * this.#callsPerPacket + call, 0, context);
    }
    block.bytes.set(aead.salt);
    block.setTagLength(aead.tagLength);
    this.#owners[slot] = aead;
  }
}
