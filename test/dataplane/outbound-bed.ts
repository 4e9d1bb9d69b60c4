/** The outbound half of the kernel over a memory of its own: frames in, datagrams out, no system call. */

import * as drops from '../../assembly/drops.ts';
import * as A from '../../assembly/layout/arena.ts';
import type { Endpoint, PolicyParameters, SaHandle, SaParameters, TrafficSelector } from '../../src/contract.ts';
import type { KernelMemory } from '../../src/dataplane/backends/backend.ts';
import type { Heap } from '../../src/dataplane/heap.ts';
import { compileKernel, type KernelExports } from '../../src/dataplane/kernel.ts';
import { arenaAddress, type MemoryPlan } from '../../src/dataplane/memory.ts';
import type { Sad } from '../../src/dataplane/sad.ts';
import { readSockaddr } from '../../src/dataplane/sockaddr.ts';
import type { Spd } from '../../src/dataplane/spd.ts';
import { layOut, SA } from './bed.ts';

export const ANY_PORT = { from: 0, to: 65_535 } as const;

/** @returns a selector over address ranges; ANY where nothing is said */
export function selector(local: string, remote: string, more: Partial<TrafficSelector> = {}): TrafficSelector {
  const side = (range: string) => {
    const [from, to] = range.split('-');
    return { addresses: { from: from!, to: to ?? from! }, ports: ANY_PORT };
  };
  return { protocol: 0, local: side(local), remote: side(remote), ...more };
}

export const ALL4 = '0.0.0.0-255.255.255.255';
export const ALL6 = '::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';

export const LOCAL6: Endpoint = { address: '2001:db8::1', port: 4500 };
export const REMOTE6: Endpoint = { address: '2001:db8::2', port: 4500 };

/** One datagram as it would reach the network, and what the system was asked to do with it. */
export interface Datagram {
  readonly lane: number;
  readonly to: Endpoint;
  /** Address asked for with IP_PKTINFO or IPV6_PKTINFO. */
  readonly from: string | undefined;
  readonly tos: number;
  /** Index of the message; datagrams of one UDP_SEGMENT message share it. */
  readonly message: number;
  readonly bytes: Uint8Array;
}

export interface EventRecord {
  readonly kind: number;
  readonly handle: number;
  readonly reason: number;
  readonly protocol: number;
  readonly ports: readonly [number, number];
}

const compiled = compileKernel();

export class OutboundBed {
  readonly plan: MemoryPlan;
  readonly memory: KernelMemory;
  readonly kernel: KernelExports;
  readonly heap: Heap;
  readonly sad: Sad;
  readonly spd: Spd;
  readonly arena: number;
  readonly #view: DataView;

  private constructor(module: WebAssembly.Module, policies: number) {
    const { plan, memory, kernel, heap, sad, spd } = layOut(module, { policies });
    this.plan = plan;
    this.memory = memory;
    this.kernel = kernel;
    this.heap = heap;
    this.sad = sad;
    this.spd = spd;
    this.arena = arenaAddress(plan, 0);
    this.#view = new DataView(memory.memory.buffer);
    kernel.initialiseArena(this.arena);
    this.capabilities = A.CAPABILITY_UDP_SEGMENT;
    this.now = 1_700_000_000_000;
  }

  static async open(policies = 64): Promise<OutboundBed> {
    return new OutboundBed((await compiled).module, policies);
  }

  set capabilities(bits: number) {
    this.memory.words[(this.arena + A.ARENA_CAPABILITIES) >>> 2] = bits;
  }

  set now(milliseconds: number) {
    this.#view.setFloat64(this.arena + A.ARENA_NOW, milliseconds, true);
  }

  /** Installs an SA, and a policy for `selectors` (by default everything of both families) that uses it. */
  protect(parameters: Partial<SaParameters> = {}, policy: Partial<PolicyParameters> = {}): SaHandle {
    const sa = this.sad.install({ ...SA, ...parameters });
    const rest = { direction: 'out', priority: 100, action: 'protect', sa, name: 'test', ...policy } as const;
    if (policy.selector !== undefined) this.spd.install({ ...rest, selector: policy.selector });
    else for (const all of [ALL4, ALL6]) this.spd.install({ ...rest, selector: selector(all, all) });
    return sa;
  }

  /** Writes a field of an SA's record, as the engine would. */
  setSaWord(sa: SaHandle, field: number, value: number): void {
    this.memory.words[(this.sad.address(sa)! + field) >>> 2] = value;
  }

  setSaLong(sa: SaHandle, field: number, value: bigint): void {
    this.#view.setBigUint64(this.sad.address(sa)! + field, value, true);
  }

  /** Puts frames into the slots as read(2) would. */
  fill(frames: readonly Uint8Array[]): void {
    frames.forEach((bytes, slot) => {
      this.memory.bytes.set(bytes, this.arena + A.OUT_SLOTS + slot * A.SLOT_SIZE + A.OUT_SLOT_FRAME);
      this.memory.words[(this.arena + A.OUT_LENGTHS + slot * 4) >>> 2] = bytes.length;
    });
  }

  /** Sends up to SLOTS frames, in as many rounds as the kernel wants. */
  send(...frames: Uint8Array[]): Datagram[] {
    this.fill(frames);
    const sent: Datagram[] = [];
    do {
      const packets = this.kernel.outboundPrepare(this.arena, frames.length);
      sent.push(...this.finish(packets));
    } while (this.word(A.ARENA_OUT_TAKEN) < frames.length);
    return sent;
  }

  /** Seals and finishes what a Prepare left. @returns what went into the lanes, in their order */
  finish(packets: number): Datagram[] {
    this.kernel.sealBatch(this.arena + A.OUT_PACKETS, packets);
    this.kernel.outboundFinish(this.arena);
    return this.#messages();
  }

  word(offset: number): number {
    return this.memory.words[(this.arena + offset) >>> 2]!;
  }

  /** @returns dropped packets by name, those that are not 0 */
  drops(): Record<string, number> {
    const counted: Record<string, number> = {};
    for (const [name, reason] of Object.entries(drops)) {
      if (name === 'DROP_REASONS') continue;
      const count = Number(this.#view.getBigUint64(this.arena + A.ARENA_DROPS + reason * 8, true));
      if (count > 0) counted[name] = count;
    }
    return counted;
  }

  /** Takes the events of the last batch. */
  events(): EventRecord[] {
    const count = this.word(A.ARENA_EVENT_COUNT);
    this.memory.words[(this.arena + A.ARENA_EVENT_COUNT) >>> 2] = 0;
    return Array.from({ length: count }, (_, index) => {
      const at = A.ARENA_EVENTS + index * A.EVENT_SIZE;
      return {
        kind: this.word(at + A.EVENT_KIND),
        handle: this.word(at + A.EVENT_HANDLE),
        reason: this.word(at + A.EVENT_REASON),
        protocol: this.memory.bytes[this.arena + at + A.EVENT_PROTOCOL]!,
        ports: [this.word(at + A.EVENT_LOCAL_PORT), this.word(at + A.EVENT_REMOTE_PORT)],
      };
    });
  }

  /** @returns the frames for the TUN, virtio header included */
  replies(): Uint8Array[] {
    return Array.from({ length: this.word(A.ARENA_REPLY_COUNT) }, (_, index) => {
      const at = A.OUT_REPLY_FRAMES + index * A.FRAME_SIZE;
      return this.#gather(this.word(at + A.FRAME_IOVECS), this.word(at + A.FRAME_IOVEC_COUNT));
    });
  }

  #relative(address: number): number {
    return Number(this.#view.getBigUint64(address, true)) - this.memory.base;
  }

  #gather(iovecs: number, count: number): Uint8Array {
    const parts = Array.from({ length: count }, (_, index) => {
      const start = this.#relative(iovecs + index * 16);
      return this.memory.bytes.subarray(start, start + Number(this.#view.getBigUint64(iovecs + index * 16 + 8, true)));
    });
    return Uint8Array.from(Buffer.concat(parts));
  }

  #messages(): Datagram[] {
    const datagrams: Datagram[] = [];
    for (let lane = 0; lane < A.LANES; lane++) {
      const count = this.word(A.ARENA_LANE_COUNTS + lane * 4);
      for (let message = 0; message < count; message++) {
        const at = this.arena + A.OUT_MESSAGES + lane * A.LANE_STRIDE + message * A.MMSGHDR_SIZE;
        datagrams.push(...this.#message(at, lane, message));
      }
    }
    return datagrams;
  }

  #message(at: number, lane: number, message: number): Datagram[] {
    const view = this.#view;
    const to = readSockaddr(this.memory.bytes, this.#relative(at));
    const bytes = this.#gather(this.#relative(at + 16), Number(view.getBigUint64(at + 24, true)));
    let from: string | undefined;
    let tos = 0;
    let segment = bytes.length;
    const controlLength = Number(view.getBigUint64(at + 40, true));
    let control = controlLength === 0 ? 0 : this.#relative(at + 32);
    for (const end = control + controlLength; control < end; ) {
      const length = Number(view.getBigUint64(control, true));
      const kind = `${view.getInt32(control + 8, true)}/${view.getInt32(control + 12, true)}`;
      const data = control + 16;
      if (kind === '0/8') from = [...this.memory.bytes.subarray(data + 4, data + 8)].join('.');
      else if (kind === '41/50') from = Buffer.from(this.memory.bytes.slice(data, data + 16)).toString('hex');
      else if (kind === '0/1' || kind === '41/67') tos = view.getInt32(data, true);
      else if (kind === '17/103') segment = view.getUint16(data, true);
      else throw new Error(`unknown control message ${kind}`);
      control += (length + 7) & ~7;
    }
    const datagrams: Datagram[] = [];
    for (let start = 0; start < bytes.length; start += segment) {
      datagrams.push({ lane, to, from, tos, message, bytes: bytes.slice(start, start + segment) });
    }
    return datagrams;
  }
}
