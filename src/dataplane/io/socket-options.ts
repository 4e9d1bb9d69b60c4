/** What every socket for outer packets is set to. */
import { setsockopt } from './syscalls.ts';

export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;

export const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
export const SO_REUSEPORT = 15;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
const SO_MARK = 36;

export const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
export const IP_MTU_DISCOVER = 10;
const IP_RECVTOS = 13;
/** Without DF, fragmented where the path needs it. */
export const IP_PMTUDISC_DONT = 0;
/** With DF, of any length the device takes: the SA's own path MTU rules. */
export const IP_PMTUDISC_PROBE = 3;

const IP_MULTICAST_TTL = 33;

export const SOL_UDP = 17;
/** Bytes of each datagram that the system cuts a train into. */
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;

export const IPPROTO_IPV6 = 41;
const IPV6_MULTICAST_HOPS = 18;
export const IPV6_MTU_DISCOVER = 23;
export const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const IPV6_RECVHOPLIMIT = 51;
const IPV6_RECVHOPOPTS = 53;
const IPV6_RECVRTHDR = 56;
const IPV6_RECVDSTOPTS = 59;
const IPV6_FLOWINFO = 11;
const IPV6_RECVTCLASS = 66;

/**
 * Bytes in socket buffers. Received super-packets count with their overhead; this holds about 10 ms
 * at 3 Gbit/s, which bounds the delay under overload.
 */
const RECEIVE_BUFFER = 8 << 20;
const SEND_BUFFER = 4 << 20;
const HOP_LIMIT = 64;

/** Sentences about what a socket could not have, each told once. */
export type Missing = Set<string>;

export function enlargeBuffers(fd: number, missing: Missing): void {
  const forced =
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER) &&
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER);
  if (forced) return;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
  missing.add('Socket buffers stay within net.core.rmem_max and wmem_max: bursts may be lost without CAP_NET_ADMIN.');
}

/** Marks outer packets, so that a routing rule keeps them out of the TUN; 0 is no mark. */
export function markPackets(fd: number, mark: number, missing: Missing): void {
  if (mark === 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, mark)) return;
  missing.add('Outer packets bear no mark (SO_MARK, CAP_NET_ADMIN): they must not be routed into the TUN.');
}

/** Datagrams to a group go as far as others, not to the next router only. */
export function reachGroups(fd: number, ipv4: boolean): void {
  if (ipv4) setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, HOP_LIMIT);
  else setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, HOP_LIMIT);
}

/** Where a datagram was sent to, its DSCP and ECN. */
export function receiveOuterHeader4(fd: number): void {
  setsockopt(fd, IPPROTO_IP, IP_PKTINFO, 1);
  setsockopt(fd, IPPROTO_IP, IP_RECVTOS, 1);
}

export function receiveOuterHeader6(fd: number): void {
  setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
}

/** What AH authenticates besides (RFC 4302 §3.3.3.1.2). */
export function receiveExtensionHeaders6(fd: number): void {
  for (const option of [IPV6_RECVHOPLIMIT, IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS, IPV6_RECVRTHDR, IPV6_FLOWINFO]) {
    setsockopt(fd, IPPROTO_IPV6, option, 1);
  }
}
