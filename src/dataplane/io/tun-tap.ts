/**
 * A TUN device with every offload that the kernel has: frames of up to 64 KiB cross it behind a
 * struct virtio_net_hdr (IFF_VNET_HDR), whole TCP and UDP segments trains at a time.
 */
import { CAPABILITY_TUN_TSO, CAPABILITY_TUN_USO, VNET_HEADER_SIZE } from '../../../assembly/layout/arena.ts';
import { EspalierError } from '../../errors.ts';
import { Rtnetlink } from './rtnetlink.ts';
import { close, EPERM, errno, ioctl, ioctlValue, open, SystemError } from './syscalls.ts';

const DEVICE_FILE = '/dev/net/tun';

const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;

const IFF_TUN = 0x0001;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;

const TUN_F_CSUM = 0x01;
const TUN_F_TSO = 0x02 | 0x04;
const TUN_F_USO = 0x20 | 0x40;

/** struct ifreq: 16 bytes of name, then the union. */
const IFREQ_SIZE = 40;
const IFREQ_FLAGS = 16;
const NAME_MAX = 15;

/**
 * What ESP adds at the most common: outer IPv4 20, UDP 8, ESP 8, IV 8, trailer 2, ICV 16. An SA that
 * adds more has an inner MTU of its own, of which the kernel tells hosts by MSS and ICMP.
 */
const OVERHEAD = 62;
const MTU_LEAST = 1280;
const MTU_UNKNOWN = 1500;
/** Frames that wait for a worker: a few milliseconds of small packets, and a bounded delay of large ones. */
const QUEUE_LENGTH = 1000;

export interface TunOptions {
  /** `%d` in it becomes a number. */
  readonly name: string;
  /** One per worker. */
  readonly queues: number;
  /** By default what fits the smallest link of this host after encapsulation. */
  readonly mtu: number | undefined;
  /** With prefix length. */
  readonly addresses: readonly string[];
}

export interface Tun {
  readonly name: string;
  readonly index: number;
  readonly mtu: number;
  /** A descriptor per queue, non-blocking. */
  readonly queues: readonly number[];
  /** CAPABILITY_TUN_* bits. */
  readonly capabilities: number;
  /** A sentence per offload that the kernel lacks. */
  readonly missing: readonly string[];
  /** The device goes with its last descriptor, and its addresses and routes with it. */
  close(): void;
}

/** @throws EspalierError `ERR_NO_TUN` when this process cannot have one */
export function openTun(options: TunOptions): Tun {
  if (options.name.length === 0 || options.name.length > NAME_MAX) {
    throw new EspalierError('ERR_NO_TUN', `device name '${options.name}': use 1 to ${NAME_MAX} characters`);
  }
  const queues: number[] = [];
  const closeAll = () => queues.forEach(close);
  try {
    let name = options.name;
    for (let queue = 0; queue < options.queues; queue++) {
      const fd = openDeviceFile();
      queues.push(fd);
      name = attach(fd, name, options.queues > 1);
    }
    const { capabilities, missing } = setOffloads(queues);
    const { index, mtu } = configure(name, options);
    return { name, index, mtu, queues, capabilities, missing, close: closeAll };
  } catch (error) {
    closeAll();
    throw error;
  }
}

function openDeviceFile(): number {
  try {
    return open(DEVICE_FILE);
  } catch (cause) {
    throw new EspalierError('ERR_NO_TUN', `${(cause as Error).message}: load the tun module, or allow ${DEVICE_FILE}`, {
      cause,
    });
  }
}

/** @returns the name that the kernel gave it */
function attach(fd: number, name: string, multiQueue: boolean): string {
  const request = new Uint8Array(IFREQ_SIZE);
  request.set(Buffer.from(name, 'latin1'));
  const flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | (multiQueue ? IFF_MULTI_QUEUE : 0);
  new DataView(request.buffer).setUint16(IFREQ_FLAGS, flags, true);
  if (!ioctl(fd, TUNSETIFF, request)) {
    const error = new SystemError(`create the TUN device ${name}`);
    const hint = error.errno === EPERM ? 'run as root or with CAP_NET_ADMIN' : 'is the name taken?';
    throw new EspalierError('ERR_NO_TUN', `${error.message}: ${hint}`, { cause: error });
  }
  if (!ioctl(fd, TUNSETVNETHDRSZ, new Uint8Array(Int32Array.of(VNET_HEADER_SIZE).buffer))) {
    throw new SystemError('set the size of the virtio header');
  }
  return Buffer.from(request.subarray(0, 16)).toString('latin1').replace(/\0.*$/, '');
}

/** From everything down to nothing: kernels before 6.2 have no USO, and so on. */
const OFFLOADS = [
  {
    features: TUN_F_CSUM | TUN_F_TSO | TUN_F_USO,
    capabilities: CAPABILITY_TUN_TSO | CAPABILITY_TUN_USO,
    missing: [],
  },
  {
    features: TUN_F_CSUM | TUN_F_TSO,
    capabilities: CAPABILITY_TUN_TSO,
    missing: ['The TUN device takes no UDP super-frames (TUN_F_USO4, Linux 6.2): UDP crosses it packet by packet.'],
  },
  {
    features: 0,
    capabilities: 0,
    missing: ['The TUN device takes no super-frames (TUN_F_TSO4): everything crosses it packet by packet.'],
  },
] as const;

function setOffloads(queues: readonly number[]): Pick<Tun, 'capabilities' | 'missing'> {
  for (const step of OFFLOADS) {
    if (queues.every((fd) => ioctlValue(fd, TUNSETOFFLOAD, step.features))) return step;
  }
  throw new SystemError('set the offloads of the TUN device', errno());
}

function configure(name: string, options: TunOptions): { index: number; mtu: number } {
  const netlink = new Rtnetlink();
  try {
    const links = netlink.links();
    const own = links.find((link) => link.name === name);
    if (own === undefined) throw new EspalierError('ERR_NO_TUN', `the TUN device ${name} has vanished`);
    const paths = links.filter((link) => link.up && link.broadcast).map((link) => link.mtu);
    const mtu = options.mtu ?? Math.max(MTU_LEAST, Math.min(MTU_UNKNOWN, ...paths) - OVERHEAD);
    netlink.withoutLinkLocal(own.index);
    netlink.configureLink(own.index, mtu, QUEUE_LENGTH);
    for (const address of options.addresses) netlink.addAddress(own.index, address);
    return { index: own.index, mtu };
  } finally {
    netlink.close();
  }
}
