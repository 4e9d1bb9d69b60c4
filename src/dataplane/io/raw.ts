/**
 * Raw sockets: ESP and AH without UDP come by protocol 50 and 51, and leave as whole IP packets
 * through sockets of IPPROTO_RAW.
 */
import { LANE_RAW4, LANE_RAW6, SOURCE_RAW4, SOURCE_RAW6_AH, SOURCE_RAW6_ESP } from '../../../assembly/layout/arena.ts';
import { AF_INET, AF_INET6 } from '../sockaddr.ts';
import {
  enlargeBuffers,
  IPPROTO_IPV6,
  type Missing,
  markPackets,
  receiveExtensionHeaders6,
  receiveOuterHeader6,
  SOCK_RAW,
} from './socket-options.ts';
import { keepOwnSpis } from './steering.ts';
import { close, setsockopt, socket } from './syscalls.ts';

const IPPROTO_ESP = 50;
const IPPROTO_AH = 51;
/** Send only. */
const IPPROTO_RAW = 255;
const IPV6_HDRINCL = 36;

export interface Receiver {
  readonly fd: number;
  /** One of SOURCE_*. */
  readonly source: number;
}

export interface RawSockets {
  readonly receivers: readonly Receiver[];
  /** By LANE_*. */
  readonly senders: Readonly<Record<number, number>>;
}

export interface RawOptions {
  readonly worker: number;
  readonly workers: number;
  readonly mark: number;
  readonly missing: Missing;
}

/** @throws SystemError without CAP_NET_RAW */
export function openRawSockets(options: RawOptions): RawSockets {
  const receivers: Receiver[] = [];
  const senders: Record<number, number> = {};
  try {
    senders[LANE_RAW4] = openSender(AF_INET, options);
    receivers.push({ fd: openReceiver(AF_INET, IPPROTO_ESP, options), source: SOURCE_RAW4 });
    receivers.push({ fd: openReceiver(AF_INET, IPPROTO_AH, options), source: SOURCE_RAW4 });
    if (!hasIpv6()) return { receivers, senders };
    senders[LANE_RAW6] = openSender(AF_INET6, options);
    receivers.push({ fd: openReceiver(AF_INET6, IPPROTO_ESP, options), source: SOURCE_RAW6_ESP });
    receivers.push({ fd: openReceiver(AF_INET6, IPPROTO_AH, options), source: SOURCE_RAW6_AH });
    return { receivers, senders };
  } catch (error) {
    for (const fd of [...receivers.map((receiver) => receiver.fd), ...Object.values(senders)]) close(fd);
    throw error;
  }
}

function hasIpv6(): boolean {
  try {
    close(socket(AF_INET6, SOCK_RAW, IPPROTO_RAW));
    return true;
  } catch {
    return false;
  }
}

function openSender(family: number, { mark, missing }: RawOptions): number {
  const fd = socket(family, SOCK_RAW, IPPROTO_RAW);
  if (family === AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, 1);
  enlargeBuffers(fd, missing);
  markPackets(fd, mark, missing);
  return fd;
}

function openReceiver(family: number, protocol: number, options: RawOptions): number {
  const { worker, workers, mark, missing } = options;
  const fd = socket(family, SOCK_RAW, protocol);
  const ipv4 = family === AF_INET;
  const ah = protocol === IPPROTO_AH;
  enlargeBuffers(fd, missing);
  // ICMP errors come to these sockets, and teach the system of the way of packets that are marked as they are.
  markPackets(fd, mark, missing);
  if (!ipv4) receiveOuterHeader6(fd);
  if (!ipv4 && ah) receiveExtensionHeaders6(fd);
  if (workers > 1 && !keepOwnSpis(fd, { worker, workers, ipv4, ah })) {
    missing.add('Raw sockets cannot be filtered by SPI (SO_ATTACH_FILTER): every worker sees every packet.');
  }
  return fd;
}
