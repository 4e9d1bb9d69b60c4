/** Everything of the system that one data plane holds open: device, sockets, routing rules. */
import {
  CAPABILITY_TUN_TSO,
  CAPABILITY_TUN_USO,
  LANE_UDP4,
  LANE_UDP4_DF,
  LANE_UDP6,
  LANES,
  SOURCE_UDP4,
  SOURCE_UDP6,
} from '../../assembly/layout/arena.ts';
import type { DataPlaneOptions, DeviceOptions } from '../contract.ts';
import { EspalierError } from '../errors.ts';
import { InboundClear } from './inbound-clear.ts';
import { openRawSockets, type RawSockets, type Receiver } from './io/raw.ts';
import type { Missing } from './io/socket-options.ts';
import { close, SystemError } from './io/syscalls.ts';
import { openTun, type Tun } from './io/tun-tap.ts';
import { ANY_ADDRESSES, openEspSockets, openIkeSockets, type UdpSocket } from './io/udp.ts';
import { DEFAULT_MARK, Routes } from './routes.ts';
import { AF_INET, AF_INET6 } from './sockaddr.ts';
import { readSystemDrops } from './system-drops.ts';

const DEFAULT_DEVICE = 'espalier0';
const DEFAULT_PORTS = { ike: 500, natTraversal: 4500 };

/** What one worker works on. */
export interface WorkerDescriptors {
  readonly device: number;
  readonly receivers: readonly Receiver[];
  /** By LANE_*; -1 for none. */
  readonly lanes: readonly number[];
}

export interface Descriptors {
  readonly device: { readonly name: string; readonly mtu: number };
  readonly ports: { readonly ike: number; readonly natTraversal: number };
  /** SO_MARK of outer packets; 0 for none. */
  readonly mark: number;
  readonly capabilities: number;
  readonly workers: readonly WorkerDescriptors[];
  /** Sockets for datagrams of IKE on either port. */
  readonly ike: { readonly plain: readonly UdpSocket[]; readonly natTraversal: readonly UdpSocket[] };
  /** Undefined for a device that has no routes. */
  readonly routes: Routes | undefined;
  /** Undefined where what arrives in the clear is accepted, be it because the system cannot do otherwise. */
  readonly clear: InboundClear | undefined;
  /** What the system dropped, by reason, of what was to come to a worker. */
  drops(): Readonly<Record<string, number>>;
  close(): void;
}

/** Opens in order, and closes what is open when a step fails. */
export function openDescriptors(options: DataPlaneOptions, missing: Missing): Descriptors {
  const cleanup: (() => void)[] = [];
  const closeAll = () => {
    for (const undo of cleanup.splice(0).reverse()) undo();
  };
  try {
    const count = workerCount(options);
    const device = openDevice(options.device, count, missing);
    cleanup.push(device.close);
    const mark = options.mark ?? (device.index === undefined ? 0 : DEFAULT_MARK);
    const routes = device.index === undefined ? undefined : new Routes(device.index, mark);
    if (routes !== undefined) cleanup.push(() => routes.close());

    const ports = options.ports ?? DEFAULT_PORTS;
    const addresses = options.listen ?? ANY_ADDRESSES;
    const plain = openIkeSockets({ addresses, port: ports.ike, mark, missing });
    cleanup.push(() => closeSockets(plain));
    const esp = openEspSockets({ addresses, port: ports.natTraversal, mark, missing }, count);
    cleanup.push(() => esp.workers.forEach(closeSockets));
    const raw = Array.from({ length: count }, (_, worker) =>
      openRaw(options.raw, { worker, workers: count, mark, missing }),
    );
    cleanup.push(() => raw.forEach(closeRaw));

    const local = { ike: portOf(plain, ports.ike), natTraversal: portOf(esp.workers[0] ?? [], ports.natTraversal) };
    const clear = openInboundClear(options, device, [local.ike, local.natTraversal], missing);
    if (clear !== undefined) cleanup.push(() => clear.close());

    const workers = device.queues.map((queue, worker) => describeWorker(queue, esp.workers[worker]!, raw[worker]!));
    return {
      device: { name: device.name, mtu: device.mtu },
      ports: local,
      mark,
      capabilities: device.capabilities | esp.capabilities,
      workers,
      ike: { plain, natTraversal: esp.workers[0] ?? [] },
      routes,
      clear,
      drops: () => readSystemDrops({ device: device.index, workers, clear }),
      close: closeAll,
    };
  } catch (error) {
    closeAll();
    throw error;
  }
}

function workerCount({ workers, device }: DataPlaneOptions): number {
  const queues = device.kind === 'descriptors' ? device.descriptors.length : undefined;
  const count = workers ?? queues ?? 1;
  if (!Number.isInteger(count) || count < 1 || (queues !== undefined && queues !== count)) {
    throw new EspalierError('ERR_OPTIONS', `${count} workers: use one or more, and as many as the device has queues`);
  }
  return count;
}

interface OpenDevice extends Pick<Tun, 'name' | 'mtu' | 'queues' | 'capabilities' | 'close'> {
  /** Of a network interface. */
  readonly index?: number;
}

function openDevice(device: DeviceOptions, queues: number, missing: Missing): OpenDevice {
  if (device.kind === 'descriptors') {
    // The descriptors are their owner's to close.
    const capabilities = CAPABILITY_TUN_TSO | CAPABILITY_TUN_USO;
    return { name: 'link', mtu: device.mtu, queues: device.descriptors, capabilities, close: () => {} };
  }
  const { name = DEFAULT_DEVICE, mtu, addresses = [] } = device;
  const tun = openTun({ name, queues, mtu, addresses });
  for (const sentence of tun.missing) missing.add(sentence);
  return tun;
}

function openInboundClear(
  { inboundClear = 'discard', onWarning = () => {} }: DataPlaneOptions,
  { index, name }: OpenDevice,
  ports: readonly number[],
  missing: Missing,
): InboundClear | undefined {
  if (index === undefined || inboundClear === 'accept') return undefined;
  try {
    return new InboundClear({ device: index, name, ports, onWarning });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    missing.add(
      `What arrives in the clear is not dropped where it is to be protected, as the system has no nf_tables that can do it (Linux 5.12): ${error.message}.`,
    );
    return undefined;
  }
}

function openRaw(wanted: boolean | undefined, options: Parameters<typeof openRawSockets>[0]): RawSockets {
  const none = { receivers: [], senders: {} };
  if (wanted === false) return none;
  try {
    return openRawSockets(options);
  } catch (error) {
    if (wanted === true) throw error;
    options.missing.add('There are no raw sockets (CAP_NET_RAW): ESP needs UDP encapsulation, and AH is not possible.');
    return none;
  }
}

function describeWorker(device: number, udp: readonly UdpSocket[], raw: RawSockets): WorkerDescriptors {
  const first = (family: number) => udp.find((socket) => socket.family === family)?.fd ?? -1;
  const ipv4 = first(AF_INET);
  const senders: Record<number, number> = {
    [LANE_UDP4]: ipv4,
    [LANE_UDP4_DF]: ipv4,
    [LANE_UDP6]: first(AF_INET6),
    ...raw.senders,
  };
  return {
    device,
    receivers: [
      ...udp.map(({ fd, family }) => ({ fd, source: family === AF_INET ? SOURCE_UDP4 : SOURCE_UDP6 })),
      ...raw.receivers,
    ],
    lanes: Array.from({ length: LANES }, (_, lane) => senders[lane] ?? -1),
  };
}

const portOf = (sockets: readonly UdpSocket[], otherwise: number): number => sockets[0]?.local.port ?? otherwise;

const closeSockets = (sockets: readonly UdpSocket[]): void => {
  for (const { fd } of sockets) close(fd);
};

const closeRaw = ({ receivers, senders }: RawSockets): void => {
  for (const { fd } of receivers) close(fd);
  for (const fd of Object.values(senders)) close(fd);
};
