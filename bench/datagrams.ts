/**
 * Datagrams from one namespace to another, many a system call, for benchmarks that make their own load:
 * one process with a socket in each of both.
 */
import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';
import { SO_RCVBUFFORCE, SO_SNDBUFFORCE, SOCK_DGRAM, SOL_SOCKET } from '../src/dataplane/io/socket-options.ts';
import { addressOf, bind, setsockopt, socket } from '../src/dataplane/io/syscalls.ts';
import { AF_INET, SOCKADDR_IN6, writeSockaddr } from '../src/dataplane/sockaddr.ts';

/** Messages of one system call. */
export const MESSAGES = 32;

const CLONE_NEWNET = 0x40000000;
const PORT = 5202;
const BUFFER = 64 << 20;

/** struct mmsghdr of 64-bit Linux. */
export const MESSAGE = {
  size: 64,
  name: 0,
  nameLength: 8,
  iovec: 16,
  iovecs: 24,
  control: 32,
  controlLength: 40,
  length: 56,
} as const;
// What it points to.
const NAME = 16;
const IOVEC = 16;

const setns = koffi.load(null).func('int setns(int, int)') as (fd: number, type: number) => number;

/** @returns a socket of that namespace: it belongs to where it was made, wherever its thread goes */
export function openSender(namespace: string): number {
  const netns = openSync(`/run/netns/${namespace}`, 'r');
  if (setns(netns, CLONE_NEWNET) !== 0) throw new Error(`there is no entering ${namespace}`);
  closeSync(netns);
  const fd = socket(AF_INET, SOCK_DGRAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER);
  return fd;
}

/** @returns a socket that hears what is sent to that namespace by `Messages` */
export function openReceiver(namespace: string): number {
  const fd = openSender(namespace);
  const name = new Uint8Array(SOCKADDR_IN6);
  bind(fd, name.subarray(0, writeSockaddr(name, 0, { address: '0.0.0.0', port: PORT })), `port ${PORT}`);
  return fd;
}

/** Messages of recvmmsg(2) and sendmmsg(2), laid out once. */
export class Messages {
  readonly address: number;
  readonly #bytes: Buffer;
  readonly #view: DataView;

  /** @param stride bytes between the buffers of two messages; 0 if all share one */
  constructor(size: number, stride: number) {
    const fixed = MESSAGES * (MESSAGE.size + NAME + IOVEC);
    this.#bytes = Buffer.alloc(fixed + size + (MESSAGES - 1) * stride, 0x5a).fill(0, 0, fixed);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
    this.address = addressOf(this.#bytes);
    const pointer = (at: number, offset: number) => this.#view.setBigUint64(at, BigInt(this.address + offset), true);
    for (let index = 0; index < MESSAGES; index++) {
      const header = index * MESSAGE.size;
      pointer(header + MESSAGE.name, this.#name(index));
      this.#view.setUint32(header + MESSAGE.nameLength, NAME, true);
      pointer(header + MESSAGE.iovec, this.#iovec(index));
      this.#view.setBigUint64(header + MESSAGE.iovecs, 1n, true);
      pointer(this.#iovec(index), fixed + index * stride);
      this.resize(index, size);
      this.#view.setUint16(this.#name(index), AF_INET, true);
      this.#view.setUint16(this.#name(index) + 2, PORT);
    }
  }

  aim(index: number, address: readonly number[]): void {
    this.#bytes.set(address, this.#name(index) + 4);
  }

  /** @param size at most that of the constructor */
  resize(index: number, size: number): void {
    this.#view.setUint32(this.#iovec(index) + 8, size, true);
  }

  /** @returns bytes received as that message */
  received(index: number): number {
    return this.#view.getUint32(index * MESSAGE.size + MESSAGE.length, true);
  }

  #name(index: number): number {
    return MESSAGES * MESSAGE.size + index * NAME;
  }

  #iovec(index: number): number {
    return MESSAGES * (MESSAGE.size + NAME) + index * IOVEC;
  }
}
