/** What the system's routing says of the way to a peer: a socket is connected, and nothing sent through it. */
import type { Endpoint } from '../../contract.ts';
import { AF_INET, AF_INET6, readSockaddr, SOCKADDR_IN6, writeSockaddr } from '../sockaddr.ts';
import { IPPROTO_IP, IPPROTO_IPV6, markPackets, SOCK_DGRAM } from './socket-options.ts';
import { close, connect, getsockname, getsockopt, socket } from './syscalls.ts';

const IP_MTU = 14;
const IPV6_MTU = 24;
const ANY_PORT = 9;

/** @returns bytes of an outer packet that get through, as far as is known; 0 where there is no way to the peer */
export const pathMtu = (remote: Endpoint, mark: number): number =>
  ask(remote, mark, (fd, v6) => getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU : IP_MTU)) ?? 0;

/** @returns which of this host's addresses outer packets to `address` are sent from; undefined where there is no way */
export const sourceAddress = (address: string, mark: number): string | undefined =>
  ask({ address, port: ANY_PORT }, mark, (fd) => readSockaddr(getsockname(fd), 0).address);

/** @param mark of outer packets: the way is theirs, not that of what they protect */
function ask<T>(remote: Endpoint, mark: number, question: (fd: number, v6: boolean) => T): T | undefined {
  const v6 = remote.address.includes(':');
  let fd: number | undefined;
  try {
    fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    const name = new Uint8Array(SOCKADDR_IN6);
    const length = writeSockaddr(name, 0, { ...remote, port: remote.port || ANY_PORT });
    markPackets(fd, mark, new Set());
    connect(fd, name.subarray(0, length), remote.address);
    return question(fd, v6);
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) close(fd);
  }
}
