/** ICMP echo (RFC 792) and ICMPv6 echo (RFC 4443 §4.1) over a raw socket: no `ping` command is needed. */
import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import koffi from 'koffi';
import { addressBytes } from '../control/wire/address.ts';
import { EspalierError } from '../errors.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_RAW_NONBLOCK = 3 | 0o4000;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
/** Type of a request and of its reply. */
const ECHO4 = [8, 0] as const;
const ECHO6 = [128, 129] as const;
const ECHO_HEADER = 8;
/** How long an answer may take, in milliseconds. */
const PATIENCE = 1000;

const libc = koffi.load(null);
const socket = libc.func('int socket(int, int, int)');
const connect = libc.func('int connect(int, uint8_t *, uint32_t)');
const send = libc.func('intptr_t send(int, uint8_t *, size_t, int)');
const receive = libc.func('intptr_t recv(int, uint8_t *, size_t, int)');
const close = libc.func('int close(int)');

export interface PingOptions {
  readonly count: number;
  /** Bytes of ICMP data behind the header. */
  readonly bytes: number;
  readonly intervalMillis: number;
}

export interface PingReport {
  readonly sent: number;
  readonly received: number;
  readonly rttMillis: { readonly min: number; readonly median: number; readonly max: number };
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
    send(fd, request, request.length, 0);
    if (await awaitReply(fd, isIPv6(address), replyType, request)) rtts.push(performance.now() - started);
    const pause = options.intervalMillis - (performance.now() - started);
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
  }
  close(fd);
  rtts.sort((a, b) => a - b);
  const round = (value: number | undefined) => Math.round((value ?? 0) * 1000) / 1000;
  return {
    sent: options.count,
    received: rtts.length,
    rttMillis: { min: round(rtts[0]), median: round(rtts[rtts.length >> 1]), max: round(rtts.at(-1)) },
  };
}

function openSocket(address: string): number {
  const v6 = isIPv6(address);
  const fd: number = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW_NONBLOCK, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  const name = Buffer.alloc(v6 ? 28 : 16);
  name.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0);
  name.set(addressBytes(address), v6 ? 8 : 4);
  if (fd < 0 || connect(fd, name, name.length) !== 0) {
    throw new EspalierError('ERR_PING', `cannot open a raw socket to ${address}: run as root, and check the route`);
  }
  return fd;
}

function echoRequest(type: number, id: Uint8Array, sequence: number, bytes: number): Buffer {
  const packet = Buffer.alloc(ECHO_HEADER + bytes);
  for (let i = ECHO_HEADER; i < packet.length; i++) packet[i] = i & 0xff;
  packet[0] = type;
  packet.set(id, 4);
  packet.writeUInt16BE(sequence & 0xffff, 6);
  // The kernel fills in ICMPv6's checksum, which covers addresses; ICMP's is ours.
  if (type === ECHO4[0]) packet.writeUInt16BE(checksum(packet), 2);
  return packet;
}

/** RFC 1071. */
function checksum(packet: Buffer): number {
  let sum = 0;
  for (let i = 0; i + 1 < packet.length; i += 2) sum += packet.readUInt16BE(i);
  if (packet.length & 1) sum += packet[packet.length - 1]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** @returns whether the reply, with the request's identifier, number and data, came in time */
function awaitReply(fd: number, v6: boolean, replyType: number, request: Buffer): Promise<boolean> {
  const buffer = Buffer.alloc(65_536);
  return new Promise((resolve) => {
    const finish = (answered: boolean) => {
      clearTimeout(timer);
      handle.close();
      resolve(answered);
    };
    const timer = setTimeout(() => finish(false), PATIENCE);
    const handle = koffi.node.poll(fd, { readable: true }, () => {
      for (let length = Number(receive(fd, buffer, buffer.length, 0)); length > 0; ) {
        // A raw IPv4 socket hands out the IP header too.
        const message = buffer.subarray(v6 ? 0 : (buffer[0]! & 15) * 4, length);
        if (message[0] === replyType && message.subarray(4).equals(request.subarray(4))) return finish(true);
        length = Number(receive(fd, buffer, buffer.length, 0));
      }
    });
  });
}
