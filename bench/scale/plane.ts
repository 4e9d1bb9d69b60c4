/** A data plane without devices: shared memory, SAD, SPD and one arena, filled with SAs and policies by number. */
import {
  ARENA_CAPABILITIES,
  CAPABILITY_UDP_SEGMENT,
  OUT_LENGTHS,
  OUT_SLOT_FRAME,
  OUT_SLOTS,
  SLOT_SIZE,
} from '../../assembly/layout/arena.ts';
import { CRYPTO_SCRATCH_SIZE } from '../../assembly/layout.ts';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import type { PolicyParameters, SaHandle, TrafficSelector } from '../../src/contract.ts';
import type { KernelMemory } from '../../src/dataplane/backends/backend.ts';
import { Heap } from '../../src/dataplane/heap.ts';
import { preferHugePages } from '../../src/dataplane/io/syscalls.ts';
import { createMemory, instantiateKernel, type KernelExports } from '../../src/dataplane/kernel.ts';
import { arenaAddress, initialiseMemory, type MemoryPlan, planMemory } from '../../src/dataplane/memory.ts';
import { Sad } from '../../src/dataplane/sad.ts';
import { Spd } from '../../src/dataplane/spd.ts';
import { peerAddress } from './spread.ts';

/** TCP payload of a segment, segments of a super-frame. */
const SEGMENT = 1388;
const SEGMENTS = 45;
const VIRTIO_HEADER = 10;
const IP_HEADER = 20;
const DESTINATION = VIRTIO_HEADER + 16;

const HOST = [10, 1, 0, 1] as const;

/** 45 TCP segments in one; a UDP datagram that fills a packet; one of 64 bytes. */
export type FrameKind = 'super' | 'full' | 'small';

/** Payload bytes of a frame. */
export const PAYLOADS: Readonly<Record<FrameKind, number>> = { super: SEGMENT * SEGMENTS, full: 1380, small: 64 };

/** @returns a frame as the TUN gives it, for peer 0. The checksum is left to the kernel. */
export function frameOf(kind: FrameKind): Buffer {
  const isTcp = kind === 'super';
  const upper = isTcp ? 20 : 8;
  const payload = PAYLOADS[kind];
  const frame = Buffer.alloc(VIRTIO_HEADER + IP_HEADER + upper + payload, 0x5a);
  frame.fill(0, 0, VIRTIO_HEADER + IP_HEADER + upper);
  // NEEDS_CSUM, GSO type (1: TCP over IPv4), header length, segment size, checksum's start and offset.
  frame.writeUInt8(1, 0);
  frame.writeUInt8(isTcp ? 1 : 0, 1);
  frame.writeUInt16LE(IP_HEADER + upper, 2);
  frame.writeUInt16LE(isTcp ? SEGMENT : 0, 4);
  frame.writeUInt16LE(IP_HEADER, 6);
  frame.writeUInt16LE(isTcp ? 16 : 6, 8);
  const ip = frame.subarray(VIRTIO_HEADER);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(ip.length, 2);
  ip.writeUInt16BE(0x4000, 6);
  ip.writeUInt8(64, 8);
  ip.writeUInt8(isTcp ? 6 : 17, 9);
  ip.set(HOST, 12);
  ip.set(peerAddress(0), 16);
  ip.writeUInt16BE(40_000, IP_HEADER);
  ip.writeUInt16BE(5201, IP_HEADER + 2);
  if (isTcp) ip.writeUInt8(0x50, IP_HEADER + 12);
  else ip.writeUInt16BE(upper + payload, IP_HEADER + 4);
  return frame;
}

export class Plane {
  readonly memory: KernelMemory;
  readonly plan: MemoryPlan;
  readonly kernel: KernelExports;
  readonly arena: number;
  readonly heap: Heap;
  readonly sad: Sad;
  readonly spd: Spd;

  /** @param capacity SAs and policies that it has room for */
  constructor(module: WebAssembly.Module, capacity: number) {
    const plan = planMemory({ workers: 1, securityAssociations: capacity, policies: capacity });
    const memory = createMemory(plan.size);
    preferHugePages(memory.base, plan.size);
    initialiseMemory(memory, plan);
    const kernel = instantiateKernel(module, memory);
    const heap = new Heap(memory, plan.heapBase, plan.heapSize);
    const arena = arenaAddress(plan, 0);
    // Scratch of its own, as the engine has it: the arena's belongs to the thread that sends.
    kernel.initialiseCrypto(heap.allocate(CRYPTO_SCRATCH_SIZE));
    kernel.initialiseArena(arena);
    memory.words[(arena + ARENA_CAPABILITIES) >>> 2] = CAPABILITY_UDP_SEGMENT;
    this.sad = new Sad({ memory, kernel, plan, heap });
    this.spd = new Spd({ memory, kernel, plan, heap, saAddress: (sa) => this.sad.address(sa) });
    this.memory = memory;
    this.plan = plan;
    this.kernel = kernel;
    this.heap = heap;
    this.arena = arena;
  }

  /** One outbound SA to a peer, and the policy that sends 10.1.0.0/16 to the peer's address by it. */
  protect(peer: number): SaHandle {
    const sa = this.sad.install({
      direction: 'out',
      protocol: 'esp',
      mode: 'tunnel',
      spi: 0x1000 + peer,
      local: { address: '192.0.2.1', port: 4500 },
      remote: { address: '198.51.100.1', port: 4500 },
      udpEncapsulation: true,
      suite: { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
      keys: { encryption: Uint8Array.from({ length: 20 }, (_, i) => (peer + i) & 255), integrity: new Uint8Array() },
      esn: true,
      replayWindow: 1024,
      selectors: [toPeer(peer)],
      name: `peer ${peer}`,
    });
    this.#policy(peer, 'protect', sa);
    return sa;
  }

  /** A policy that discards what goes to the peer. */
  discard(peer: number): void {
    this.#policy(peer, 'discard');
  }

  /** Adds and removes a policy that matches nothing, which voids the flow cache. */
  touch(): void {
    const selector = { ...toPeer(0), local: toPeer(60_000).remote };
    this.spd.remove(this.spd.install({ direction: 'out', priority: 9, action: 'discard', selector, name: 'touch' }));
  }

  /** Puts the same frame into `count` slots. */
  load(frame: Uint8Array, count: number): void {
    for (let slot = 0; slot < count; slot++) {
      this.memory.bytes.set(frame, this.#slot(slot));
      this.memory.words[(this.arena + OUT_LENGTHS + slot * 4) >>> 2] = frame.length;
    }
  }

  /** Sends the frame in a slot to another peer. */
  address(slot: number, peer: number): void {
    this.memory.bytes.set(peerAddress(peer), this.#slot(slot) + DESTINATION);
  }

  #slot(slot: number): number {
    return this.arena + OUT_SLOTS + slot * SLOT_SIZE + OUT_SLOT_FRAME;
  }

  #policy(peer: number, action: PolicyParameters['action'], sa?: SaHandle): void {
    const parameters = {
      direction: 'out',
      priority: 10,
      action,
      selector: toPeer(peer),
      name: `peer ${peer}`,
    } as const;
    this.spd.install(sa === undefined ? parameters : { ...parameters, sa });
  }
}

function toPeer(peer: number): TrafficSelector {
  const ports = { from: 0, to: 65_535 };
  const address = peerAddress(peer).join('.');
  return {
    protocol: 0,
    local: { addresses: { from: '10.1.0.0', to: '10.1.255.255' }, ports },
    remote: { addresses: { from: address, to: address }, ports },
  };
}
