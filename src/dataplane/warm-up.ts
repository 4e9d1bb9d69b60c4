/**
 * Runs packets through the kernel before there are any, so that the first real ones meet optimised
 * code: V8 compiles a function well only after it has worked for a while, but then for every
 * instance of the module, in every thread.
 *
 *     frames ─► outbound ─► seal ─► messages ══ copied ══► datagrams ─► open ─► inbound ─► frames
 *
 * All of it in a memory of its own, which is dropped afterwards.
 */
import { randomBytes } from 'node:crypto';
import * as A from '../../assembly/layout/arena.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../algorithms.ts';
import type { Direction, TrafficSelector } from '../contract.ts';
import type { KernelMemory } from './backends/backend.ts';
import { Heap } from './heap.ts';
import { createMemory, instantiateKernel, type KernelExports } from './kernel.ts';
import { arenaAddress, initialiseMemory, planMemory } from './memory.ts';
import { Sad } from './sad.ts';
import { addressBytes } from './selector.ts';
import { Spd } from './spd.ts';

/** The suites that most SAs have. */
const SUITES: readonly CipherSuite[] = [
  { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
  { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE },
];
/** Milliseconds for each: V8 needs 3 to 15 of them. */
const PATIENCE = 15;

const GATEWAYS = [
  { address: '192.0.2.1', port: 4500 },
  { address: '192.0.2.2', port: 4500 },
] as const;
const HOSTS = ['198.51.100.1', '203.0.113.1'] as const;
const EVERYTHING = { from: '0.0.0.0', to: '255.255.255.255' };
const ANY_PORTS = { from: 0, to: 65_535 };

const IPV4_HEADER = 20;
const TCP_HEADER = 20;
const SEGMENT = 1340;
/** TCP payloads of a round's frames: as many segments as a round of datagrams holds, or one alone. */
const TRAIN = [40 * SEGMENT, 15 * SEGMENT, 700, 100, 64, 1, 0];
const SINGLE = [64];
const VNET_NEEDS_CSUM = 1;
const VNET_GSO_TCPV4 = 1;
/** struct mmsghdr: msg_len behind the struct msghdr; its first iovec. */
const MSG_IOVEC = 16;
const MSG_LENGTH = 56;

export function warmUp(module: WebAssembly.Module): void {
  const plan = planMemory({ workers: 1, securityAssociations: 2, policies: 1 });
  const memory = createMemory(plan.size);
  initialiseMemory(memory, plan);
  const kernel = instantiateKernel(module, memory);
  const arena = arenaAddress(plan, 0);
  kernel.initialiseCrypto(arena + A.ARENA_CRYPTO);
  kernel.initialiseArena(arena);
  const heap = new Heap(memory, plan.heapBase, plan.heapSize);
  const sad = new Sad({ memory, kernel, plan, heap });
  const spd = new Spd({ memory, kernel, plan, heap, saAddress: (sa) => sad.address(sa) });
  for (const suite of SUITES) {
    const { key, salt } = suiteLengths(suite);
    const encryption = randomBytes(key + salt);
    const [out, back] = (['out', 'in'] as const).map((direction) =>
      sad.install(parametersOf(direction, suite, encryption)),
    );
    const policy = spd.install({
      direction: 'out',
      priority: 1,
      action: 'protect',
      selector: SELECTOR,
      sa: out!,
      name: 'warm-up',
    });
    const end = performance.now() + PATIENCE;
    for (let round = 0; performance.now() < end; round++) {
      carry(memory, kernel, arena, round % 2 === 0 ? TRAIN : SINGLE, round);
    }
    spd.remove(policy);
    for (const sa of [out!, back!]) sad.remove(sa);
  }
  sad.close();
}

const SELECTOR: TrafficSelector = {
  protocol: 0,
  local: { addresses: EVERYTHING, ports: ANY_PORTS },
  remote: { addresses: EVERYTHING, ports: ANY_PORTS },
};

function parametersOf(direction: Direction, suite: CipherSuite, encryption: Uint8Array) {
  return {
    direction,
    protocol: 'esp',
    mode: 'tunnel',
    spi: 256,
    local: GATEWAYS[direction === 'out' ? 0 : 1],
    remote: GATEWAYS[direction === 'out' ? 1 : 0],
    udpEncapsulation: true,
    suite,
    keys: { encryption, integrity: new Uint8Array() },
    esn: true,
    replayWindow: 1024,
    selectors: [SELECTOR],
    name: 'warm-up',
  } as const;
}

/** One round: a batch out, and what comes of it in again. */
function carry(
  memory: KernelMemory,
  kernel: KernelExports,
  arena: number,
  payloads: readonly number[],
  round: number,
): void {
  const { bytes, words } = memory;
  for (const [slot, payload] of payloads.entries()) {
    const frame = frameOf(payload, round);
    bytes.set(frame, arena + A.OUT_SLOTS + slot * A.SLOT_SIZE + A.OUT_SLOT_FRAME);
    words[(arena + A.OUT_LENGTHS + slot * 4) >>> 2] = frame.length;
  }
  const sealed = kernel.outboundPrepare(arena, payloads.length);
  kernel.sealBatch(arena + A.OUT_PACKETS, sealed);
  kernel.outboundFinish(arena);

  kernel.inboundArm(arena);
  const count = Math.min(A.SLOTS, words[(arena + A.ARENA_LANE_COUNTS + A.LANE_UDP4 * 4) >>> 2]!);
  const view = new DataView(memory.memory.buffer);
  for (let index = 0; index < count; index++) {
    const message = arena + A.OUT_MESSAGES + A.LANE_UDP4 * A.LANE_STRIDE + index * A.MMSGHDR_SIZE;
    const iovec = Number(view.getBigUint64(message + MSG_IOVEC, true)) - memory.base;
    const from = Number(view.getBigUint64(iovec, true)) - memory.base;
    const length = words[(iovec + 8) >>> 2]!;
    bytes.copyWithin(arena + A.IN_SLOTS + index * A.SLOT_SIZE + A.IN_SLOT_DATA, from, from + length);
    words[(arena + A.IN_MESSAGES + index * A.MMSGHDR_SIZE + MSG_LENGTH) >>> 2] = length;
  }
  const opened = kernel.inboundPrepare(arena, A.SOURCE_UDP4, count);
  kernel.openBatch(arena + A.IN_PACKETS, opened);
  kernel.inboundFinish(arena);
}

/** A frame of one TCP flow, as the TUN hands it out: a super-frame where it does not fit one segment. */
function frameOf(payload: number, round: number): Uint8Array {
  const length = IPV4_HEADER + TCP_HEADER + payload;
  const frame = new Uint8Array(A.VNET_HEADER_SIZE + length);
  const vnet = new DataView(frame.buffer);
  vnet.setUint8(0, VNET_NEEDS_CSUM);
  if (payload > SEGMENT) vnet.setUint8(1, VNET_GSO_TCPV4);
  vnet.setUint16(2, IPV4_HEADER + TCP_HEADER, true);
  if (payload > SEGMENT) vnet.setUint16(4, SEGMENT, true);
  vnet.setUint16(6, IPV4_HEADER, true);
  vnet.setUint16(8, 16, true);
  const ip = new DataView(frame.buffer, A.VNET_HEADER_SIZE);
  ip.setUint8(0, 0x45);
  ip.setUint16(2, length);
  ip.setUint8(8, 64);
  ip.setUint8(9, 6);
  frame.set(addressBytes(HOSTS[0]), A.VNET_HEADER_SIZE + 12);
  frame.set(addressBytes(HOSTS[1]), A.VNET_HEADER_SIZE + 16);
  ip.setUint16(20, 50_000);
  ip.setUint16(22, 443);
  ip.setUint32(24, round * 100_000);
  ip.setUint8(32, (TCP_HEADER / 4) << 4);
  ip.setUint8(33, 0x10);
  return frame;
}
