/** ICMP echo (RFC 792) and ICMPv6 echo (RFC 4443 §4.1) over a raw socket: no `ping` command is needed. */
import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { close, connect, receive, SystemError, send, setsockopt, socket } from '../dataplane/io/syscalls.ts';
import { Watch } from '../dataplane/io/watch.ts';
import { AF_INET, AF_INET6, SOCKADDR_IN6, writeSockaddr } from '../dataplane/sockaddr.ts';
import { EspalierError } from '../errors.ts';

const SOCK_RAW = 3;
const SOL_IP = 0;
const IP_MTU_DISCOVER = 10;
const SOL_IPV6 = 41;
const IPV6_MTU_DISCOVER = 23;
const PMTUDISC_DONT = 0;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
/** Type of a request and of its reply. */
const ECHO4 = [8, 0] as const;
const ECHO6 = [128, 129] as const;
const ECHO_HEADER = 8;
/** How long an answer may take, in milliseconds. */
const PATIENCE = 1000;

export interface PingOptions {
  readonly count: number;
  /** Bytes of ICMP data behind the header. */
  readonly bytes: number;
  readonly intervalMillis: number;
}

export interface PingReport {
  readonly sent: number;
  readonly received: number;
  readonly rttMillis: { readonly min: number; readonly median: number; readonly p99: number; readonly max: number };
}

/** Sends echo requests one after the other. @throws EspalierError `ERR_PING` without CAP_NET_RAW */
export async function ping(address: string, options: PingOptions): Promise<PingReport> {
  const fd = openSocket(address);
  const rtts: number[] = [];
  const [requestType, replyType] = isIPv6(address) ? ECHO6 : ECHO4;
  const id = randomBytes(2);
  for (let sequence = 0; sequence < options.count; sequence++) {
    const request = echoRequest(requestType, id, sequence, options.bytes);
    const started = performance.now();
    send(fd, request);
    if (await awaitReply(fd, isIPv6(address), replyType, request)) rtts.push(performance.now() - started);
    const pause = options.intervalMillis - (performance.now() - started);
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
  }
  close(fd);
  return summarise(options.count, rtts);
}

/** @param rtts in milliseconds, of those that were answered */
export function summarise(sent: number, rtts: readonly number[]): PingReport {
  const sorted = rtts.toSorted((a, b) => a - b);
  const round = (value: number | undefined) => Math.round((value ?? 0) * 1000) / 1000;
  const at = (fraction: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))]);
  return {
    sent,
    received: sorted.length,
    rttMillis: { min: at(0), median: at(0.5), p99: at(0.99), max: at(1) },
  };
}

function openSocket(address: string): number {
  const v6 = isIPv6(address);
  try {
    const fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
    // Without DF: requests that are too large travel in fragments, the first one too.
    if (v6) setsockopt(fd, SOL_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DONT);
    else setsockopt(fd, SOL_IP, IP_MTU_DISCOVER, PMTUDISC_DONT);
    const name = new Uint8Array(SOCKADDR_IN6);
    connect(fd, name.subarray(0, writeSockaddr(name, 0, { address, port: 0 })), address);
    return fd;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new EspalierError('ERR_PING', `${error.message}: a raw socket needs root, and ${address} a route`);
  }
}

function echoRequest(type: number, id: Uint8Array, sequence: number, bytes: number): Buffer {
  const packet = Buffer.alloc(ECHO_HEADER + bytes);
  for (let i = ECHO_HEADER; i < packet.length; i++) packet[i] = i & 0xff;
  packet[0] = type;
  packet.set(id, 4);
  packet.writeUInt16BE(sequence & 0xffff, 6);
  // The kernel fills in ICMPv6's checksum, which covers addresses; ICMP's is ours.
  if (type === ECHO4[0]) packet.writeUInt16BE(internetChecksum(packet), 2);
  return packet;
}

/** @returns the one's complement sum of RFC 1071, not complemented */
export function partialSum(packet: Buffer): number {
  let sum = 0;
  for (let i = 0; i + 1 < packet.length; i += 2) sum += packet.readUInt16BE(i);
  if (packet.length & 1) sum += packet[packet.length - 1]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

export const internetChecksum = (packet: Buffer): number => ~partialSum(packet) & 0xffff;

/** @returns whether the reply, with the request's identifier, number and data, came in time */
function awaitReply(fd: number, v6: boolean, replyType: number, request: Buffer): Promise<boolean> {
  const buffer = Buffer.alloc(65_536);
  return new Promise((resolve) => {
    const finish = (answered: boolean) => {
      clearTimeout(timer);
      watch.close();
      resolve(answered);
    };
    const timer = setTimeout(() => finish(false), PATIENCE);
    const watch = new Watch(fd, () => {
      for (let length = receive(fd, buffer); length > 0; length = receive(fd, buffer)) {
        // A raw IPv4 socket hands out the IP header too.
        const message = buffer.subarray(v6 ? 0 : (buffer[0]! & 15) * 4, length);
        if (message[0] === replyType && message.subarray(4).equals(request.subarray(4))) return finish(true);
      }
    });
  });
}
