/**
 * UDP sockets for IKE (500) and for IKE and ESP (4500, RFC 3948): one of each family and worker on
 * 4500, bound to one port with SO_REUSEPORT and steered by SPI.
 */
import { CAPABILITY_UDP_SEGMENT } from '../../../assembly/layout/arena.ts';
import type { Endpoint } from '../../contract.ts';
import { AF_INET, AF_INET6, readSockaddr, SOCKADDR_IN6, writeSockaddr } from '../sockaddr.ts';
import {
  enlargeBuffers,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_DONT,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  type Missing,
  markPackets,
  reachGroups,
  receiveOuterHeader4,
  receiveOuterHeader6,
  SO_REUSEPORT,
  SOCK_DGRAM,
  SOL_SOCKET,
  SOL_UDP,
  UDP_GRO,
  UDP_SEGMENT,
} from './socket-options.ts';
import { steerBySpi } from './steering.ts';
import { bind, close, getsockname, SystemError, setsockopt, socket } from './syscalls.ts';

const UDP_NO_CHECK6_RX = 102;

/** IPv4 and IPv6 on all addresses. */
export const ANY_ADDRESSES = ['0.0.0.0', '::'] as const;

export interface UdpSocket {
  readonly fd: number;
  readonly family: typeof AF_INET | typeof AF_INET6;
  readonly local: Endpoint;
}

export interface UdpOptions {
  readonly addresses: readonly string[];
  /** 0 lets the kernel choose one, the same for all. */
  readonly port: number;
  readonly mark: number;
  readonly missing: Missing;
}

/** @returns a socket per address for IKE alone */
export function openIkeSockets(options: UdpOptions): UdpSocket[] {
  return openAll(options, 1, () => {});
}

export interface EspSockets {
  /** By worker. */
  readonly workers: readonly (readonly UdpSocket[])[];
  /** CAPABILITY_UDP_SEGMENT or 0. */
  readonly capabilities: number;
}

/** @returns sockets per worker that carry super-packets where the kernel can */
export function openEspSockets(options: UdpOptions, workers: number): EspSockets {
  const { missing } = options;
  let capabilities = CAPABILITY_UDP_SEGMENT;
  const all = openAll(options, workers, (fd) => {
    enlargeBuffers(fd, missing);
    // A checksum of zero is usual for ESP (RFC 3948 §2.1); over IPv6 too it has an ICV of its own (RFC 6935).
    setsockopt(fd, SOL_UDP, UDP_NO_CHECK6_RX, 1);
    if (!setsockopt(fd, SOL_UDP, UDP_SEGMENT, 0)) {
      capabilities = 0;
      missing.add('UDP sockets do not segment (UDP_SEGMENT, Linux 4.18): every outer packet is sent by itself.');
    }
    if (!setsockopt(fd, SOL_UDP, UDP_GRO, 1)) {
      missing.add('UDP sockets do not coalesce (UDP_GRO, Linux 5.0): every outer packet is received by itself.');
    }
  });
  // Sockets lie address by address, worker by worker.
  const perWorker = Array.from({ length: workers }, (_, worker) =>
    all.filter((_, index) => index % workers === worker),
  );
  if (workers > 1 && !all.every(({ fd }) => steerBySpi(fd, workers))) {
    missing.add('UDP sockets cannot be steered by SPI (SO_ATTACH_REUSEPORT_CBPF): one peer keeps one worker busy.');
  }
  return { workers: perWorker, capabilities };
}

function openAll(options: UdpOptions, copies: number, prepare: (fd: number) => void): UdpSocket[] {
  const opened: UdpSocket[] = [];
  let { port } = options;
  try {
    for (const address of options.addresses) {
      // The members of a SO_REUSEPORT group count in the order in which they are bound.
      for (let copy = 0; copy < copies; copy++) {
        const one = openOne({ address, port }, copies > 1, options, prepare);
        if (one === undefined) break;
        opened.push(one);
        port = one.local.port;
      }
    }
    return opened;
  } catch (error) {
    for (const { fd } of opened) close(fd);
    throw error;
  }
}

/** @returns undefined where IPv6 is switched off and was not asked for by name */
function openOne(
  local: Endpoint,
  shared: boolean,
  { mark, missing }: UdpOptions,
  prepare: (fd: number) => void,
): UdpSocket | undefined {
  const family = local.address.includes(':') ? AF_INET6 : AF_INET;
  let fd = -1;
  try {
    fd = socket(family, SOCK_DGRAM, 0);
    if (family === AF_INET6) {
      setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
      receiveOuterHeader6(fd);
    } else {
      setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
      receiveOuterHeader4(fd);
    }
    reachGroups(fd, family === AF_INET);
    markPackets(fd, mark, missing);
    if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    prepare(fd);
    const name = new Uint8Array(SOCKADDR_IN6);
    const length = writeSockaddr(name, 0, local);
    bind(fd, name.subarray(0, length), `${local.address} port ${local.port}`);
    return { fd, family, local: readSockaddr(getsockname(fd), 0) };
  } catch (error) {
    if (fd >= 0) close(fd);
    if (local.address !== ANY_ADDRESSES[1] || !(error instanceof SystemError)) throw error;
    missing.add('There is no IPv6 here: only IPv4 peers can be reached.');
    return undefined;
  }
}
