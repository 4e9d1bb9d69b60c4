/**
 * Numbered UDP datagrams at a steady rate, and a receiver that misses nothing of what goes wrong with
 * them. Both take many in one system call, so that at the rates of a gateway it is not they that lose.
 *
 *      0         4         6         8
 *     +---------+---------+---------+----------------------
 *     | NUMBER  | FLOW    | LENGTH  | NUMBER's lowest byte …
 *     +---------+---------+---------+----------------------
 *
 * Numbers go up by one whatever the flow; flows differ in their source port.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SO_RCVBUFFORCE, SO_SNDBUFFORCE, SOCK_DGRAM, SOL_SOCKET } from '../dataplane/io/socket-options.ts';
import {
  addressOf,
  bind,
  close,
  connect,
  MSG_DONTWAIT,
  recvmmsg,
  sendmmsg,
  setsockopt,
  socket,
} from '../dataplane/io/syscalls.ts';
import { Watch } from '../dataplane/io/watch.ts';
import { AF_INET, AF_INET6, SOCKADDR_IN6, writeSockaddr } from '../dataplane/sockaddr.ts';
import { EspalierError } from '../errors.ts';

const HEADER = 8;
const LARGEST = 65_507;
const HIGHEST = 1 << 24;
/** Messages of one system call. */
const BURST = 32;
/** A sender that was held up makes up for so many milliseconds, and not at one blow for all. */
const SLACK = 4;
/** Calls of the receiver before it looks at its timer again. */
const TURN = 64;
/** Bytes: everything that one run sends may wait there. */
const RECEIVE_BUFFER = 512 << 20;
const SEND_BUFFER = 8 << 20;

export interface DatagramLoad {
  readonly count: number;
  /** Of UDP payload. */
  readonly bytes: number;
  /** 0 for as fast as can be. */
  readonly perSecond: number;
  readonly flows: number;
}

export interface UdpSendReport {
  readonly sent: number;
  readonly seconds: number;
}

export interface UdpReport {
  readonly received: number;
  readonly duplicates: number;
  readonly corrupted: number;
  /** Came after a later one of their flow. */
  readonly reordered: number;
  /** From the first to the last. */
  readonly seconds: number;
}

/** Messages of recvmmsg(2) and sendmmsg(2), each with a buffer of its own, laid out once. */
class Messages {
  static readonly #HEADER = 64;
  static readonly #IOVEC = 16;
  /** struct mmsghdr: msg_iov, msg_iovlen and, behind the msghdr, msg_len. */
  static readonly #FIELDS = { iovec: 16, iovecs: 24, length: 56 };
  readonly #view: DataView;
  readonly #base: number;
  readonly #size: number;
  readonly #bytes: Buffer;

  constructor(size: number) {
    this.#size = size;
    this.#bytes = Buffer.alloc(BURST * (Messages.#HEADER + Messages.#IOVEC + size));
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
    this.#base = addressOf(this.#bytes);
    for (let index = 0; index < BURST; index++) {
      const header = index * Messages.#HEADER;
      const iovec = BURST * Messages.#HEADER + index * Messages.#IOVEC;
      this.#view.setBigUint64(header + Messages.#FIELDS.iovec, BigInt(this.#base + iovec), true);
      this.#view.setBigUint64(header + Messages.#FIELDS.iovecs, 1n, true);
      this.#view.setBigUint64(iovec, BigInt(this.#base + this.#at(index)), true);
      this.#view.setBigUint64(iovec + 8, BigInt(size), true);
    }
  }

  buffer(index: number): Buffer {
    return this.#bytes.subarray(this.#at(index), this.#at(index) + this.#size);
  }

  /** @returns what was received as that message */
  received(index: number): Buffer {
    const length = this.#view.getUint32(index * Messages.#HEADER + Messages.#FIELDS.length, true);
    return this.#bytes.subarray(this.#at(index), this.#at(index) + length);
  }

  /** @returns messages sent; none if there is no room */
  send(fd: number, first: number, count: number): number {
    return Math.max(0, sendmmsg(fd, this.#base + first * Messages.#HEADER, count, MSG_DONTWAIT));
  }

  receive(fd: number): number {
    return Math.max(0, recvmmsg(fd, this.#base, BURST, MSG_DONTWAIT, 0));
  }

  #at(index: number): number {
    return BURST * (Messages.#HEADER + Messages.#IOVEC) + index * this.#size;
  }
}

function openSocket(use: typeof bind, address: string, port: number): number {
  const fd = socket(address.includes(':') ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER);
  const name = new Uint8Array(SOCKADDR_IN6);
  use(fd, name.subarray(0, writeSockaddr(name, 0, { address, port })), `${address} port ${port}`);
  return fd;
}

/** Sends them all, flow by flow in turns. */
export async function sendDatagrams(address: string, port: number, load: DatagramLoad): Promise<UdpSendReport> {
  const { count, bytes, perSecond, flows } = load;
  if (bytes < HEADER || bytes > LARGEST || count > HIGHEST) {
    throw new EspalierError('ERR_OPTIONS', `datagrams have ${HEADER} to ${LARGEST} bytes, and are ${HIGHEST} at most`);
  }
  const sockets = Array.from({ length: flows }, () => openSocket(connect, address, port));
  const messages = new Messages(bytes);
  const interval = perSecond === 0 ? 0 : 1000 / perSecond;
  const started = performance.now();
  let due = started;
  for (let sent = 0, turn = 0; sent < count; turn++) {
    const now = performance.now();
    due = Math.max(due, now - SLACK);
    if (due > now) {
      await sleep(1);
      continue;
    }
    const ready = interval === 0 ? BURST : 1 + Math.floor((now - due) / interval);
    const burst = Math.min(BURST, count - sent, ready);
    const flow = turn % flows;
    for (let index = 0; index < burst; index++) fill(messages.buffer(index), sent + index, flow);
    for (let done = 0; done < burst; ) {
      const taken = messages.send(sockets[flow]!, done, burst - done);
      done += taken;
      if (taken === 0) await sleep(1);
    }
    sent += burst;
    due += burst * interval;
  }
  sockets.forEach(close);
  return { sent: count, seconds: (performance.now() - started) / 1000 };
}

function fill(datagram: Buffer, number: number, flow: number): void {
  datagram.fill(number & 0xff);
  datagram.writeUInt32BE(number, 0);
  datagram.writeUInt16BE(flow, 4);
  datagram.writeUInt16BE(datagram.length, 6);
}

/** Counts until nothing has come for `idle` milliseconds after the first datagram. */
export function receiveDatagrams(address: string, port: number, idle: number, ready: () => void): Promise<UdpReport> {
  const fd = openSocket(bind, address, port);
  const messages = new Messages(LARGEST);
  const tally = new Tally();
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const done = () => {
      watch.close();
      close(fd);
      resolve(tally.report());
    };
    const watch = new Watch(fd, () => {
      for (let turn = 0, received = BURST; turn < TURN && received === BURST; turn++) {
        received = messages.receive(fd);
        for (let index = 0; index < received; index++) tally.take(messages.received(index));
      }
      if (timer === undefined) timer = setTimeout(done, idle);
      else timer.refresh();
    });
    ready();
  });
}

class Tally {
  readonly #fills = Array.from({ length: 256 }, (_, byte) => Buffer.alloc(LARGEST, byte));
  readonly #seen = new Uint8Array(HIGHEST);
  readonly #highest: number[] = [];
  #received = 0;
  #duplicates = 0;
  #corrupted = 0;
  #reordered = 0;
  #first = 0;
  #last = 0;

  take(datagram: Buffer): void {
    this.#received++;
    this.#last = performance.now();
    if (this.#received === 1) this.#first = this.#last;
    if (!this.#isWhole(datagram)) {
      this.#corrupted++;
      return;
    }
    const number = datagram.readUInt32BE(0);
    const flow = datagram.readUInt16BE(4);
    if (this.#seen[number]) this.#duplicates++;
    this.#seen[number] = 1;
    const highest = this.#highest[flow] ?? -1;
    if (number < highest) this.#reordered++;
    else this.#highest[flow] = number;
  }

  report(): UdpReport {
    return {
      received: this.#received,
      duplicates: this.#duplicates,
      corrupted: this.#corrupted,
      reordered: this.#reordered,
      seconds: (this.#last - this.#first) / 1000,
    };
  }

  #isWhole(datagram: Buffer): boolean {
    if (datagram.length < HEADER || datagram.readUInt16BE(6) !== datagram.length) return false;
    const number = datagram.readUInt32BE(0);
    const expected = this.#fills[number & 0xff]!;
    return number < HIGHEST && expected.compare(datagram, HEADER, datagram.length, 0, datagram.length - HEADER) === 0;
  }
}
