/** struct sockaddr_in and sockaddr_in6 of Linux, as SA records, messages and system calls hold them. */
import type { Endpoint } from '../contract.ts';
import { addressBytes, addressText } from './selector.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
/** Bytes of either structure. */
export const SOCKADDR_IN = 16;
export const SOCKADDR_IN6 = 28;

/** Writes an endpoint at `at`. @returns bytes of the structure */
export function writeSockaddr(bytes: Uint8Array, at: number, { address, port }: Endpoint): number {
  const octets = addressBytes(address);
  const length = octets.length === 4 ? SOCKADDR_IN : SOCKADDR_IN6;
  bytes.fill(0, at, at + SOCKADDR_IN6);
  bytes[at] = octets.length === 4 ? AF_INET : AF_INET6;
  bytes[at + 2] = port >>> 8;
  bytes[at + 3] = port & 255;
  bytes.set(octets, at + (octets.length === 4 ? 4 : 8));
  return length;
}

/** Reads an endpoint; an IPv4-mapped IPv6 address comes out as IPv4. */
export function readSockaddr(bytes: Uint8Array, at: number): Endpoint {
  const port = (bytes[at + 2]! << 8) | bytes[at + 3]!;
  if (bytes[at] === AF_INET) return { address: addressText(bytes.slice(at + 4, at + 8)), port };
  const octets = bytes.slice(at + 8, at + 24);
  const mapped = octets.subarray(0, 10).every((octet) => octet === 0) && octets[10] === 255 && octets[11] === 255;
  return { address: addressText(mapped ? octets.subarray(12) : octets), port };
}
