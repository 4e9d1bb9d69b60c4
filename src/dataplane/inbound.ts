/**
 * From the network to the TUN, a batch at a time:
 *
 *   1. receive   recvmmsg, trains of datagrams where the socket coalesces
 *   2. prepare   kernel: split, SPI, SAD, replay check; datagrams for IKE are set aside
 *   3. open      backend
 *   4. finish    kernel: replay commit, unframe, selector check, coalesce
 *   5. write     writev per frame; IKE datagrams go to the engine's thread
 */
import { XfrmInBufferError } from '../../assembly/drops.ts';
import {
  ARENA_IKE_COUNT,
  ARENA_IKE_PENDING,
  IKE_ADDRESS,
  IKE_LENGTH,
  IKE_SLOT,
  IN_FRAMES,
  IN_IKE,
  IN_IKE_SIZE,
  IN_LOCAL_SIZE,
  IN_LOCALS,
  IN_MESSAGES,
  IN_NAME_SIZE,
  IN_NAMES,
  IN_PACKETS,
  LOCAL_ADDRESS,
  LOCAL_FAMILY,
  SLOTS,
} from '../../assembly/layout/arena.ts';
import type { Arena } from './arena.ts';
import { BatchLimit } from './batch-limit.ts';
import type { Device } from './device.ts';
import { UNREAD } from './io/poller.ts';
import type { ReadyCall } from './io/ready-calls.ts';
import { MSG_DONTWAIT, recvmmsg } from './io/syscalls.ts';
import type { KernelExports } from './kernel.ts';
import { addressText } from './selector.ts';
import { readSockaddr } from './sockaddr.ts';
import type { PostedDatagram } from './worker.ts';
import type { BackendHolder } from './worker-backends.ts';

/** IKE datagrams on their way to the engine's thread, per worker; a flood beyond is dropped. */
const IKE_PENDING_MAX = 1024;

const BATCH_PACKETS = 512;
const LEAST_SLOTS = 4;

export interface InboundOptions {
  readonly arena: Arena;
  readonly kernel: KernelExports;
  readonly backend: BackendHolder;
  readonly device: Device;
  /** Takes datagrams for IKE to the engine's thread. */
  readonly postIke: (datagrams: readonly PostedDatagram[]) => void;
}

export class Inbound {
  readonly #options: InboundOptions;
  readonly #arena: Arena;
  readonly #messages: number;
  /** Packets of a batch, which is kept near it by asking for fewer datagrams: several packets may be in one. */
  readonly #room = new BatchLimit(BATCH_PACKETS);
  #most = SLOTS;

  constructor(options: InboundOptions) {
    this.#options = options;
    this.#arena = options.arena;
    this.#messages = options.arena.absolute + IN_MESSAGES;
  }

  /** Datagrams to ask for. */
  get most(): number {
    return this.#most;
  }

  /** The call that receives what `run` works on. */
  receive(fd: number): ReadyCall {
    return { name: 'recvmmsg', values: [fd, this.#messages, this.#most, MSG_DONTWAIT, 0] };
  }

  /**
   * Works on one batch of a socket.
   * @param source one of SOURCE_*
   * @param first what `receive` has returned; UNREAD if it was not called
   */
  run(fd: number, source: number, first: number): void {
    const { kernel, backend, device } = this.#options;
    const arena = this.#arena;
    const begun = this.#room.begin();
    const received = first === UNREAD ? recvmmsg(fd, this.#messages, this.#most, MSG_DONTWAIT, 0) : first;
    if (received <= 0) return;
    const packets = kernel.inboundPrepare(arena.address, source, received);
    if (packets > 0) backend.current.open(arena.address + IN_PACKETS, packets);
    const frames = kernel.inboundFinish(arena.address);
    device.write(IN_FRAMES, frames);
    if (arena.get(ARENA_IKE_COUNT) > 0) this.#postIke();
    kernel.inboundArm(arena.address, received);
    this.#room.end(begun, packets >= this.#room.limit);
    if (packets > this.#room.limit) this.#most = Math.max(LEAST_SLOTS, this.#most >>> 1);
    else if (received === this.#most) this.#most = Math.min(SLOTS, this.#most * 2);
  }

  #postIke(): void {
    const arena = this.#arena;
    const pending = (arena.address + ARENA_IKE_PENDING) >>> 2;
    const count = arena.get(ARENA_IKE_COUNT);
    const datagrams: PostedDatagram[] = [];
    for (let index = 0; index < count; index++) {
      if (Atomics.load(arena.words, pending) >= IKE_PENDING_MAX) {
        arena.drop(XfrmInBufferError, 1);
        continue;
      }
      Atomics.add(arena.words, pending, 1);
      datagrams.push(this.#copyIke(IN_IKE + index * IN_IKE_SIZE));
    }
    if (datagrams.length > 0) this.#options.postIke(datagrams);
  }

  #copyIke(entry: number): PostedDatagram {
    const arena = this.#arena;
    const { bytes } = arena;
    const copy = (start: number, length: number): Uint8Array => Uint8Array.from(bytes.subarray(start, start + length));
    const slot = arena.get(entry + IKE_SLOT);
    const local = IN_LOCALS + slot * IN_LOCAL_SIZE;
    return {
      local: addressText(copy(arena.address + local + LOCAL_ADDRESS, arena.get(local + LOCAL_FAMILY) === 4 ? 4 : 16)),
      remote: readSockaddr(bytes, arena.address + IN_NAMES + slot * IN_NAME_SIZE),
      data: copy(arena.get(entry + IKE_ADDRESS), arena.get(entry + IKE_LENGTH)),
    };
  }
}
