/**
 * Runs packets through a worker before there are any, so that the first real ones meet optimised code:
 * V8 compiles a function well only after it has worked for a while. The kernel's functions are then
 * ready for every thread, those of the way around it for this one.
 *
 *     host ══ link ══ device ─► outbound ─► seal ─► lane ══ link ══ receiver ─► open ─► inbound ─► device ══ host
 *
 * All of it in a memory of its own, over links inside this process, which are dropped afterwards.
 */
import { randomBytes } from 'node:crypto';
import * as A from '../../assembly/layout/arena.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../algorithms.ts';
import type { Direction, TrafficSelector } from '../contract.ts';
import { Arena } from './arena.ts';
import { createWasmBackend } from './backends/wasm.ts';
import { Device } from './device.ts';
import { Heap } from './heap.ts';
import { Inbound } from './inbound.ts';
import { createLink } from './io/link.ts';
import type { Receiver } from './io/raw.ts';
import { addressOf, read, write } from './io/syscalls.ts';
import { createMemory, instantiateKernel } from './kernel.ts';
import { arenaAddress, initialiseMemory, planMemory } from './memory.ts';
import { Outbound } from './outbound.ts';
import { Sad } from './sad.ts';
import { addressBytes } from './selector.ts';
import { Spd } from './spd.ts';

/** The suites that most SAs have. */
const SUITES: readonly CipherSuite[] = [
  { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
  { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE },
];
/** Milliseconds for each: V8 needs 3 to 15 of them. */
const PATIENCE = 25;

const GATEWAYS = [
  { address: '192.0.2.1', port: 4500 },
  { address: '192.0.2.2', port: 4500 },
] as const;
const HOSTS = ['198.51.100.1', '203.0.113.1'] as const;
const EVERYTHING = { from: '0.0.0.0', to: '255.255.255.255' };
const ANY_PORTS = { from: 0, to: 65_535 };

const IPV4_HEADER = 20;
const TCP_HEADER = 20;
const TCP_CHECKSUM = 16;
const TCP_ACK = 0x10;
const IPPROTO_TCP = 6;
const SEGMENT = 1340;
/** TCP payloads of a round's frames: as many segments as a round of datagrams holds, or one alone. */
const TRAIN = [40 * SEGMENT, 15 * SEGMENT, 700, 100, 64, 1, 0];
const SINGLE = [64];
/** Most rounds are single packets: what counts for the way around the kernel is how often it is gone. */
const TRAIN_EVERY = 8;
const VNET_NEEDS_CSUM = 1;
const VNET_GSO_TCPV4 = 1;

interface Bench {
  readonly outbound: Outbound;
  readonly inbound: Inbound;
  readonly receiver: Receiver;
  /** The host's end of the device. */
  readonly host: number;
  /** Room for a frame that the host takes. */
  readonly taken: Uint8Array;
}

export function warmUp(module: WebAssembly.Module): void {
  const plan = planMemory({ workers: 1, securityAssociations: 2, policies: 1 });
  const memory = createMemory(plan.size);
  initialiseMemory(memory, plan);
  const kernel = instantiateKernel(module, memory);
  const arena = new Arena(memory, arenaAddress(plan, 0));
  kernel.initialiseCrypto(arena.address + A.ARENA_CRYPTO);
  kernel.initialiseArena(arena.address);
  arena.set(A.ARENA_CAPABILITIES, A.CAPABILITY_TUN_TSO);
  const heap = new Heap(memory, plan.heapBase, plan.heapSize);
  const sad = new Sad({ memory, kernel, plan, heap });
  const spd = new Spd({ memory, kernel, plan, heap, saAddress: (sa) => sad.address(sa) });
  const [lan, wan] = [createLink(), createLink()];
  const nothing = () => {};
  const device = new Device(lan.device[0]!, arena, nothing);
  const shared = { arena, kernel, device, backend: { current: createWasmBackend(kernel) } };
  const lanes = Array.from({ length: A.LANES }, () => wan.device[0]!);
  const bench = {
    outbound: new Outbound({ ...shared, lanes, awaitWritable: nothing, released: nothing, unsegmented: nothing }),
    inbound: new Inbound({ ...shared, postIke: nothing }),
    receiver: { fd: wan.host[0]!, source: A.SOURCE_UDP4 },
    host: lan.host[0]!,
    taken: new Uint8Array(A.SLOT_SIZE),
  };
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
    for (let round = 0; performance.now() < end; round++)
      carry(bench, round % TRAIN_EVERY === 0 ? TRAIN : SINGLE, round);
    spd.remove(policy);
    for (const sa of [out!, back!]) sad.remove(sa);
  }
  sad.close();
  lan.close();
  wan.close();
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

/** One round: frames of a host go out, what comes of them comes in again, and the host takes it. */
function carry({ outbound, inbound, receiver, host, taken }: Bench, payloads: readonly number[], round: number): void {
  for (const payload of payloads) {
    const frame = frameOf(payload, round);
    write(host, addressOf(frame), frame.length);
  }
  while (outbound.run());
  while (inbound.run(receiver));
  while (read(host, addressOf(taken), taken.length) > 0);
}

/** A frame of one TCP flow, as the TUN hands it out: a super-frame where it does not fit one segment. */
function frameOf(payload: number, round: number): Uint8Array {
  const segment = TCP_HEADER + payload;
  const frame = new Uint8Array(A.VNET_HEADER_SIZE + IPV4_HEADER + segment);
  const vnet = new DataView(frame.buffer);
  vnet.setUint8(0, VNET_NEEDS_CSUM);
  if (payload > SEGMENT) vnet.setUint8(1, VNET_GSO_TCPV4);
  vnet.setUint16(2, IPV4_HEADER + TCP_HEADER, true);
  if (payload > SEGMENT) vnet.setUint16(4, SEGMENT, true);
  vnet.setUint16(6, IPV4_HEADER, true);
  vnet.setUint16(8, TCP_CHECKSUM, true);
  const ip = new DataView(frame.buffer, A.VNET_HEADER_SIZE);
  ip.setUint8(0, 0x45);
  ip.setUint16(2, IPV4_HEADER + segment);
  ip.setUint8(8, 64);
  ip.setUint8(9, IPPROTO_TCP);
  HOSTS.forEach((host, index) => {
    frame.set(addressBytes(host), A.VNET_HEADER_SIZE + 12 + index * 4);
  });
  const tcp = new DataView(frame.buffer, A.VNET_HEADER_SIZE + IPV4_HEADER);
  tcp.setUint16(0, 50_000);
  tcp.setUint16(2, 443);
  tcp.setUint32(4, round * 100_000);
  tcp.setUint8(12, (TCP_HEADER / 4) << 4);
  tcp.setUint8(13, TCP_ACK);
  // Of the pseudo-header alone: the kernel sums the rest.
  const sum = [12, 14, 16, 18].reduce((total, at) => total + ip.getUint16(at), IPPROTO_TCP + segment);
  tcp.setUint16(TCP_CHECKSUM, (sum & 0xffff) + (sum >>> 16));
  return frame;
}
