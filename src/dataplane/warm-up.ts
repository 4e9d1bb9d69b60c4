/**
 * Runs packets through a worker before there are any, so that the first real ones meet optimised code:
 * V8 compiles a function well only after it has worked for a while. The kernel's functions are then
 * ready for every thread, those of the way around it for this one.
 *
 *     host ══ link ══ device ─► gateway ─► lane ══ link ══ receiver ─► gateway ─► device ══ link ══ host
 *
 * Two gateways, because V8 takes what it has seen once only for all that there is: code for the kernel,
 * the arena and the backend of one gateway would be thrown away at the first packet of the real one.
 * All of it in memories of its own, over links inside this process, which are dropped afterwards.
 */
import { randomBytes } from 'node:crypto';
import * as A from '../../assembly/layout/arena.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../algorithms.ts';
import type { Direction, TrafficSelector } from '../contract.ts';
import { Arena } from './arena.ts';
import { Heap } from './heap.ts';
import { createLink, type Link } from './io/link.ts';
import { addressOf, read, write } from './io/syscalls.ts';
import { createMemory, instantiateKernel } from './kernel.ts';
import { arenaAddress, initialiseMemory, planMemory } from './memory.ts';
import { PacketLoop } from './packet-loop.ts';
import { Sad } from './sad.ts';
import { addressBytes } from './selector.ts';
import { Spd } from './spd.ts';
import { WorkerBackends } from './worker-backends.ts';

/** The suites that most SAs have. */
const SUITES: readonly CipherSuite[] = [
  { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
  { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE },
];
/** Milliseconds of trains for each: V8 needs 3 to 15 of them for the ciphers. */
const CIPHER_PATIENCE = 20;
/** Round trips of single packets: so often must the way around the ciphers be gone. */
const ROUND_TRIPS = 2500;
/** Milliseconds after which that must do, on a slow machine. */
const PATIENCE = 500;

const GATEWAYS = [
  { address: '192.0.2.1', port: 4500 },
  { address: '192.0.2.2', port: 4500 },
] as const;
const HOSTS = ['198.51.100.1', '203.0.113.1'] as const;
const EVERYTHING = { from: '0.0.0.0', to: '255.255.255.255' };
const ANY_PORTS = { from: 0, to: 65_535 };

const IPV4_HEADER = 20;
const IP_DF = 0x4000;
const TCP_HEADER = 20;
const TCP_CHECKSUM = 16;
const TCP_ACK = 0x10;
const IPPROTO_TCP = 6;
const SEGMENT = 1340;
/** TCP payloads of a round's frames: as many segments as a round of datagrams holds, or one alone. */
const TRAIN = [40 * SEGMENT, 15 * SEGMENT, 700, 100, 64, 1, 0];
const SINGLE = 64;
const VNET_NEEDS_CSUM = 1;
const VNET_GSO_TCPV4 = 1;

type Side = 0 | 1;

/** One gateway, and the host behind it. */
interface Gateway {
  readonly sad: Sad;
  readonly spd: Spd;
  readonly loop: PacketLoop;
  readonly lan: Link;
}

export async function warmUp(module: WebAssembly.Module): Promise<void> {
  const wan = createLink();
  const gateways = [await createGateway(module, wan.device[0]!), await createGateway(module, wan.host[0]!)] as const;
  const taken = new Uint8Array(A.SLOT_SIZE);
  /** Frames of one side's host go out, come in at the other side, and its host takes them. */
  const carry = (frames: readonly Uint8Array[], from: Side): void => {
    const [near, far] = [gateways[from], gateways[1 - from]!];
    for (const frame of frames) write(near.lan.host[0]!, addressOf(frame), frame.length);
    while (near.loop.step(0));
    while (far.loop.step(0));
    while (read(far.lan.host[0]!, addressOf(taken), taken.length) > 0);
  };
  const sides = [0, 1] as const;
  const trains = sides.map((side) => TRAIN.map((payload) => frameOf(payload, side)));
  const singles = sides.map((side) => [frameOf(SINGLE, side, true)]);
  for (const suite of SUITES) {
    const remove = connect(gateways, suite);
    const end = performance.now() + CIPHER_PATIENCE;
    while (performance.now() < end) for (const side of sides) carry(trains[side]!, side);
    remove();
  }
  const remove = connect(gateways, SUITES[0]!);
  const end = performance.now() + PATIENCE;
  for (let trip = 0; trip < ROUND_TRIPS && performance.now() < end; trip++) {
    for (const side of sides) carry(singles[side]!, side);
  }
  remove();
  for (const { loop, sad, lan } of gateways) {
    loop.close();
    sad.close();
    lan.close();
  }
  wan.close();
}

/** @param wan its end of the network */
async function createGateway(module: WebAssembly.Module, wan: number): Promise<Gateway> {
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
  const lan = createLink();
  const nothing = () => {};
  const gather = arena.address + A.ARENA_GATHER;
  const loop = new PacketLoop({
    device: lan.device[0]!,
    receivers: [{ fd: wan, source: A.SOURCE_UDP4 }],
    lanes: Array.from({ length: A.LANES }, () => wan),
    arena,
    kernel,
    backend: await WorkerBackends.create({ memory, kernel, gather, log: nothing }, [{ name: 'wasm' }]),
    postIke: nothing,
    postEvents: nothing,
    unsegmented: nothing,
    deviceLost: nothing,
  });
  return { sad, spd, loop, lan };
}

/** Installs SAs both ways. @returns what removes them */
function connect(gateways: readonly [Gateway, Gateway], suite: CipherSuite): () => void {
  const { key, salt } = suiteLengths(suite);
  const encryption = randomBytes(key + salt);
  const undo = gateways.map(({ sad, spd }, side) => {
    const [out, back] = (['out', 'in'] as const).map((direction) =>
      sad.install(parametersOf(side as Side, direction, suite, encryption)),
    );
    const protect = { direction: 'out', priority: 1, action: 'protect', name: 'warm-up' } as const;
    const policy = spd.install({ ...protect, selector: SELECTOR, sa: out! });
    return () => {
      spd.remove(policy);
      for (const sa of [out!, back!]) sad.remove(sa);
    };
  });
  return () => {
    for (const remove of undo) remove();
  };
}

const SELECTOR: TrafficSelector = {
  protocol: 0,
  local: { addresses: EVERYTHING, ports: ANY_PORTS },
  remote: { addresses: EVERYTHING, ports: ANY_PORTS },
};

function parametersOf(side: Side, direction: Direction, suite: CipherSuite, encryption: Uint8Array) {
  return {
    direction,
    protocol: 'esp',
    mode: 'tunnel',
    spi: 256,
    local: GATEWAYS[side],
    remote: GATEWAYS[1 - side]!,
    udpEncapsulation: true,
    suite,
    keys: { encryption, integrity: new Uint8Array() },
    esn: true,
    replayWindow: 1024,
    selectors: [SELECTOR],
    name: 'warm-up',
  } as const;
}

/** A frame of one TCP flow, as the TUN hands it out: a super-frame where it does not fit one segment. */
function frameOf(payload: number, from: Side, df = false): Uint8Array {
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
  ip.setUint16(6, df ? IP_DF : 0);
  ip.setUint8(8, 64);
  ip.setUint8(9, IPPROTO_TCP);
  frame.set(addressBytes(HOSTS[from]), A.VNET_HEADER_SIZE + 12);
  frame.set(addressBytes(HOSTS[1 - from]!), A.VNET_HEADER_SIZE + 16);
  const tcp = new DataView(frame.buffer, A.VNET_HEADER_SIZE + IPV4_HEADER);
  tcp.setUint16(0, 50_000);
  tcp.setUint16(2, 443);
  tcp.setUint8(12, (TCP_HEADER / 4) << 4);
  tcp.setUint8(13, TCP_ACK);
  // Of the pseudo-header alone: the kernel sums the rest.
  const sum = [12, 14, 16, 18].reduce((total, at) => total + ip.getUint16(at), IPPROTO_TCP + segment);
  tcp.setUint16(TCP_CHECKSUM, (sum & 0xffff) + (sum >>> 16));
  return frame;
}
