/**
 * One worker's inbound path over a memory of its own: tests put datagrams where recvmmsg would, and
 * get frames as writev would send them.
 */

import * as drops from '../../assembly/drops.ts';
import * as A from '../../assembly/layout/arena.ts';
import type { Endpoint, SaHandle, SaParameters } from '../../src/contract.ts';
import type { KernelMemory } from '../../src/dataplane/backends/backend.ts';
import type { Heap } from '../../src/dataplane/heap.ts';
import { compileKernel, type KernelExports } from '../../src/dataplane/kernel.ts';
import { arenaAddress, type MemoryPlan } from '../../src/dataplane/memory.ts';
import type { Sad } from '../../src/dataplane/sad.ts';
import { addressBytes } from '../../src/dataplane/selector.ts';
import { readSockaddr, writeSockaddr } from '../../src/dataplane/sockaddr.ts';
import type { Spd } from '../../src/dataplane/spd.ts';
import { layOut } from './bed.ts';

/** What recvmmsg finds in one slot. */
export interface Datagram {
  readonly data: Uint8Array;
  /** UDP_GRO: bytes of each datagram but the last. */
  readonly segment?: number;
  readonly from?: Endpoint;
  readonly to?: string;
  readonly tos?: number;
  /** Raw IPv6: hop limit, and extension headers by the type of their control message. */
  readonly hopLimit?: number;
  readonly extensions?: readonly (readonly [type: number, header: Uint8Array])[];
}

export interface Frame {
  /** struct virtio_net_hdr. */
  readonly flags: number;
  readonly gsoType: number;
  readonly headerLength: number;
  readonly gsoSize: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
  readonly packet: Buffer;
  readonly iovecs: number;
  /** That it was made of. */
  readonly packets: number;
}

export const ALL_CAPABILITIES = A.CAPABILITY_TUN_TSO | A.CAPABILITY_TUN_USO;

const PEER: Endpoint = { address: '192.0.2.2', port: 4500 };
const PEER6: Endpoint = { address: '2001:db8::2', port: 4500 };

export class Receiver {
  readonly module: WebAssembly.Module;
  readonly memory: KernelMemory;
  readonly plan: MemoryPlan;
  readonly kernel: KernelExports;
  readonly heap: Heap;
  readonly sad: Sad;
  readonly spd: Spd;
  readonly arena: number;
  readonly #longs: BigUint64Array;

  private constructor(module: WebAssembly.Module, securityAssociations: number, workers: number) {
    this.module = module;
    const { plan, memory, kernel, heap, sad, spd } = layOut(module, { workers, securityAssociations });
    this.plan = plan;
    this.memory = memory;
    this.kernel = kernel;
    this.heap = heap;
    this.sad = sad;
    this.spd = spd;
    this.#longs = new BigUint64Array(memory.memory.buffer);
    this.arena = arenaAddress(plan, 0);
    kernel.initialiseArena(this.arena);
    this.capabilities = ALL_CAPABILITIES;
    this.now = 1_700_000_000_000;
  }

  static async open(securityAssociations = 64, workers = 1): Promise<Receiver> {
    return new Receiver((await compileKernel()).module, securityAssociations, workers);
  }

  set capabilities(bits: number) {
    this.memory.words[(this.arena + A.ARENA_CAPABILITIES) >>> 2] = bits;
  }

  set now(milliseconds: number) {
    new Float64Array(this.memory.memory.buffer)[(this.arena + A.ARENA_NOW) >>> 3] = milliseconds;
  }

  install(parameters: SaParameters): SaHandle {
    return this.sad.install(parameters);
  }

  /** Lays datagrams into the slots and prepares them. @returns packets to be opened */
  prepare(datagrams: readonly Datagram[], source = A.SOURCE_UDP4): number {
    this.kernel.inboundArm(this.arena, A.SLOTS);
    datagrams.forEach((datagram, slot) => {
      this.#lay(datagram, slot, source);
    });
    return this.kernel.inboundPrepare(this.arena, source, datagrams.length);
  }

  open(packets: number): void {
    this.kernel.openBatch(this.arena + A.IN_PACKETS, packets);
  }

  finish(): Frame[] {
    const count = this.kernel.inboundFinish(this.arena);
    return Array.from({ length: count }, (_, index) => this.#frame(index));
  }

  /** Prepare, open and finish. */
  receive(datagrams: readonly Datagram[], source = A.SOURCE_UDP4): Frame[] {
    const packets = this.prepare(datagrams, source);
    if (packets > 0) this.open(packets);
    return this.finish();
  }

  /** @returns the counters that are not zero, by name */
  drops(): Record<string, number> {
    const counters: Record<string, number> = {};
    for (const [name, number] of Object.entries(drops)) {
      if (name === 'DROP_REASONS') continue;
      const value = Number(this.#longs[(this.arena + A.ARENA_DROPS) / 8 + number]);
      if (value > 0) counters[name] = value;
    }
    return counters;
  }

  ike(): { data: Buffer; from: Endpoint; family: number }[] {
    const { bytes } = this.memory;
    return Array.from({ length: this.word(this.arena + A.ARENA_IKE_COUNT) }, (_, index) => {
      const entry = this.arena + A.IN_IKE + index * A.IN_IKE_SIZE;
      const address = this.word(entry + A.IKE_ADDRESS);
      const slot = this.word(entry + A.IKE_SLOT);
      return {
        data: Buffer.from(bytes.slice(address, address + this.word(entry + A.IKE_LENGTH))),
        from: readSockaddr(bytes, this.arena + A.IN_NAMES + slot * A.IN_NAME_SIZE),
        family: this.word(this.arena + A.IN_LOCALS + slot * A.IN_LOCAL_SIZE + A.LOCAL_FAMILY),
      };
    });
  }

  /** Takes the events out of the arena. */
  events(): { kind: number; handle: number; reason: number; remote: Endpoint | undefined }[] {
    const count = this.word(this.arena + A.ARENA_EVENT_COUNT);
    this.memory.words[(this.arena + A.ARENA_EVENT_COUNT) >>> 2] = 0;
    return Array.from({ length: count }, (_, index) => {
      const event = this.arena + A.ARENA_EVENTS + index * A.EVENT_SIZE;
      const kind = this.word(event + A.EVENT_KIND);
      return {
        kind,
        handle: this.word(event + A.EVENT_HANDLE),
        reason: this.word(event + A.EVENT_REASON),
        remote: kind === A.EVENT_MAPPING ? readSockaddr(this.memory.bytes, event + A.EVENT_NAME) : undefined,
      };
    });
  }

  word(address: number): number {
    return this.memory.words[address >>> 2]!;
  }

  #lay({ data, segment, from, to, tos, hopLimit, extensions }: Datagram, slot: number, source: number): void {
    const { bytes, words } = this.memory;
    const version6 = source !== A.SOURCE_UDP4 && source !== A.SOURCE_RAW4;
    bytes.set(data, this.arena + A.IN_SLOTS + slot * A.SLOT_SIZE + A.IN_SLOT_DATA);
    writeSockaddr(bytes, this.arena + A.IN_NAMES + slot * A.IN_NAME_SIZE, from ?? (version6 ? PEER6 : PEER));
    const control = new ControlMessages(bytes, this.arena + A.IN_CONTROLS + slot * A.IN_CONTROL_SIZE);
    const local = addressBytes(to ?? (version6 ? '2001:db8::1' : '192.0.2.1'));
    if (version6) {
      control.add(41, 50, Buffer.concat([local, Buffer.alloc(4)]));
      control.add(41, 67, Uint8Array.of(tos ?? 0, 0, 0, 0));
      if (hopLimit !== undefined) control.add(41, 52, Uint8Array.of(hopLimit, 0, 0, 0));
      for (const [type, header] of extensions ?? []) control.add(41, type, header);
    } else {
      control.add(0, 8, Buffer.concat([Buffer.alloc(8), local]));
      control.add(0, 1, Uint8Array.of(tos ?? 0));
    }
    if (segment !== undefined) control.add(17, 104, Uint8Array.of(segment & 255, segment >> 8, 0, 0));
    const message = (this.arena + A.IN_MESSAGES + slot * A.MMSGHDR_SIZE) >>> 2;
    words[message + 10] = control.length;
    words[message + 11] = 0;
    words[message + 14] = data.length;
  }

  /** Fills a slot with control messages just as they are given. */
  layRaw(slot: number, data: Uint8Array, control: Uint8Array, controlLength: number): void {
    const { bytes, words } = this.memory;
    bytes.set(data, this.arena + A.IN_SLOTS + slot * A.SLOT_SIZE + A.IN_SLOT_DATA);
    bytes.set(control, this.arena + A.IN_CONTROLS + slot * A.IN_CONTROL_SIZE);
    const message = (this.arena + A.IN_MESSAGES + slot * A.MMSGHDR_SIZE) >>> 2;
    words[message + 10] = controlLength;
    words[message + 11] = 0;
    words[message + 14] = data.length;
  }

  #frame(index: number): Frame {
    const frame = this.arena + A.IN_FRAMES + index * A.FRAME_SIZE;
    const first = this.word(frame + A.FRAME_IOVECS);
    const iovecs = this.word(frame + A.FRAME_IOVEC_COUNT);
    const parts: Uint8Array[] = [];
    for (let i = 0; i < iovecs; i++) {
      const at = (first + i * 16) / 8;
      const base = Number(this.#longs[at]!) - this.memory.base;
      parts.push(this.memory.bytes.slice(base, base + Number(this.#longs[at + 1]!)));
    }
    const whole = Buffer.concat(parts);
    return {
      flags: whole[0]!,
      gsoType: whole[1]!,
      headerLength: whole.readUInt16LE(2),
      gsoSize: whole.readUInt16LE(4),
      checksumStart: whole.readUInt16LE(6),
      checksumOffset: whole.readUInt16LE(8),
      packet: whole.subarray(10),
      iovecs,
      packets: this.word(frame + A.FRAME_PACKETS),
    };
  }
}

class ControlMessages {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#start = at;
    this.#at = at;
  }

  /** Bytes up to the end of the last message's padding, as the kernel counts them. */
  get length(): number {
    return this.#at - this.#start;
  }

  add(level: number, type: number, data: Uint8Array): void {
    const header = Buffer.alloc(16);
    header.writeUInt32LE(16 + data.length, 0);
    header.writeUInt32LE(level, 8);
    header.writeUInt32LE(type, 12);
    this.#bytes.set(header, this.#at);
    this.#bytes.set(data, this.#at + 16);
    this.#at += Math.ceil((16 + data.length) / 8) * 8;
  }
}

/** Concatenates datagrams as UDP_GRO does: all of one length, only the last shorter. */
export function gro(packets: readonly Uint8Array[]): Datagram {
  return { data: Buffer.concat(packets), segment: packets[0]!.length };
}
