/**
 * UDP from host A to many addresses behind gateway B, as fast as it arrives: no more is under way than
 * the queues hold. One process with a socket in each of both namespaces.
 *
 *     node spray.js '{"from": "…-ha", "to": "…-hb", "peers": 10000, "segments": 1, "bytes": 1380, "seconds": 2}'
 *
 * Prints a report in JSON at the end.
 */
import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';
import { SO_RCVBUFFORCE, SO_SNDBUFFORCE, SOCK_DGRAM, SOL_SOCKET } from '../../src/dataplane/io/socket-options.ts';
import {
  addressOf,
  bind,
  MSG_DONTWAIT,
  recvmmsg,
  sendmmsg,
  setsockopt,
  socket,
} from '../../src/dataplane/io/syscalls.ts';
import { AF_INET, SOCKADDR_IN6, writeSockaddr } from '../../src/dataplane/sockaddr.ts';
import { peerAddress, STRIDE } from './spread.ts';

export interface SprayOptions {
  /** Namespaces. */
  readonly from: string;
  readonly to: string;
  /** Addresses that traffic goes to in turn. */
  readonly peers: number;
  /** Datagrams to each in turn: one, or a burst that the system takes as one super-packet. */
  readonly segments: number;
  /** Of UDP payload. */
  readonly bytes: number;
  readonly seconds: number;
}

export interface SprayReport {
  readonly sent: number;
  readonly received: number;
  readonly seconds: number;
}

const CLONE_NEWNET = 0x40000000;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;
const SO_RCVTIMEO = 20;
const F_SETFL = 4;
const MSG_WAITFORONE = 0x10000;
const PORT = 5202;
const MESSAGES = 32;
const LARGEST = 65_536;
/** Datagrams under way, and milliseconds after which what has not come is lost. */
const WINDOW = 4096;
const PATIENCE = 100;
const BUFFER = 64 << 20;

// struct mmsghdr of 64-bit Linux, and what it points to.
const HEADER = { size: 64, name: 0, nameLength: 8, iovec: 16, iovecs: 24, length: 56 } as const;
const NAME = 16;
const IOVEC = 16;

const libc = koffi.load(null);
const setns = libc.func('int setns(int, int)') as (fd: number, type: number) => number;
const fcntl = libc.func('int fcntl(int, int, int)') as (fd: number, command: number, value: number) => number;

/** A socket belongs to the namespace in which it was made, wherever its thread goes. */
function enter(namespace: string): void {
  const fd = openSync(`/run/netns/${namespace}`, 'r');
  if (setns(fd, CLONE_NEWNET) !== 0) throw new Error(`there is no entering ${namespace}`);
  closeSync(fd);
}

function open(): number {
  const fd = socket(AF_INET, SOCK_DGRAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER);
  return fd;
}

/** Messages of recvmmsg(2) and sendmmsg(2), laid out once. */
class Messages {
  readonly address: number;
  readonly #bytes: Buffer;
  readonly #view: DataView;

  /** @param stride bytes between the buffers of two messages; 0 if all share one */
  constructor(size: number, stride: number) {
    const fixed = MESSAGES * (HEADER.size + NAME + IOVEC);
    this.#bytes = Buffer.alloc(fixed + size + (MESSAGES - 1) * stride, 0x5a).fill(0, 0, fixed);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
    this.address = addressOf(this.#bytes);
    const pointer = (at: number, offset: number) => this.#view.setBigUint64(at, BigInt(this.address + offset), true);
    for (let index = 0; index < MESSAGES; index++) {
      const header = index * HEADER.size;
      const iovec = MESSAGES * (HEADER.size + NAME) + index * IOVEC;
      pointer(header + HEADER.name, this.#name(index));
      this.#view.setUint32(header + HEADER.nameLength, NAME, true);
      pointer(header + HEADER.iovec, iovec);
      this.#view.setBigUint64(header + HEADER.iovecs, 1n, true);
      pointer(iovec, fixed + index * stride);
      this.#view.setBigUint64(iovec + 8, BigInt(size), true);
      this.#view.setUint16(this.#name(index), AF_INET, true);
      this.#view.setUint16(this.#name(index) + 2, PORT);
    }
  }

  aim(index: number, address: readonly number[]): void {
    this.#bytes.set(address, this.#name(index) + 4);
  }

  /** @returns bytes received as that message */
  received(index: number): number {
    return this.#view.getUint32(index * HEADER.size + HEADER.length, true);
  }

  #name(index: number): number {
    return MESSAGES * HEADER.size + index * NAME;
  }
}

function spray({ from, to, peers, segments, bytes, seconds }: SprayOptions): SprayReport {
  enter(from);
  const sender = open();
  if (segments > 1) setsockopt(sender, SOL_UDP, UDP_SEGMENT, bytes);
  enter(to);
  const receiver = open();
  const name = new Uint8Array(SOCKADDR_IN6);
  bind(receiver, name.subarray(0, writeSockaddr(name, 0, { address: '0.0.0.0', port: PORT })), `port ${PORT}`);
  setsockopt(receiver, SOL_UDP, UDP_GRO, 1);
  // It waits, but not longer than a millisecond (struct timeval).
  fcntl(receiver, F_SETFL, 0);
  setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(BigInt64Array.of(0n, 1000n).buffer));

  const outgoing = new Messages(bytes * segments, 0);
  const incoming = new Messages(LARGEST, LARGEST);
  let [sent, lost, received, peer] = [0, 0, 0, 0];
  const started = performance.now();
  let progress = started;
  for (;;) {
    const now = performance.now();
    const over = now - started >= seconds * 1000;
    const underWay = sent - lost - received;
    if (now - progress > PATIENCE) {
      if (over) break;
      lost += underWay;
      progress = now;
    }
    if (over && underWay <= 0) break;
    const goes = !over && underWay + segments * MESSAGES <= WINDOW;
    if (goes) {
      for (let index = 0; index < MESSAGES; index++, peer = (peer + STRIDE) % peers) {
        outgoing.aim(index, peerAddress(peer));
      }
      sent += segments * Math.max(0, sendmmsg(sender, outgoing.address, MESSAGES, MSG_DONTWAIT));
    }
    const count = recvmmsg(receiver, incoming.address, MESSAGES, goes ? MSG_DONTWAIT : MSG_WAITFORONE, 0);
    for (let index = 0; index < count; index++) received += incoming.received(index) / bytes;
    if (count > 0) progress = now;
  }
  return { sent, received, seconds: (progress - started) / 1000 };
}

process.stdout.write(`${JSON.stringify(spray(JSON.parse(process.argv[2]!) as SprayOptions))}\n`);
