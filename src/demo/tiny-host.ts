/**
 * A host small enough for one file: IPv4, ICMP echo (RFC 792) and just enough TCP (RFC 9293) to move
 * bulk data one way. It sits on the far end of an in-process link, where there is no TUN.
 *
 *     | virtio header (10) | IPv4 (20) | ICMP, or TCP (20) | data |
 *
 * TCP goes out as super-frames with a partial checksum, as a kernel hands them to a TUN device.
 */
import { randomBytes } from 'node:crypto';
import { addressBytes } from '../control/wire/address.ts';
import type { PingOptions, PingReport } from './ping.ts';
import { internetChecksum, partialSum, summarise } from './ping.ts';

/** One end of a link that carries whole frames. */
export interface FrameLink {
  /** @returns false if the link is full: the frame was not taken */
  write(frame: Buffer): boolean;
  /** @param listener gets a frame that is only valid until it returns */
  onFrame(listener: (frame: Buffer) => void): void;
}

const VNET = 10;
const IP = VNET;
const L4 = IP + 20;
const DATA = L4 + 20;
const ICMP = 1;
const TCP = 6;

const NEEDS_CSUM = 1;
const GSO_TCPV4 = 1;

const FIN = 1;
const SYN = 2;
const ACK = 16;

/** Bytes of TCP data in one super-frame, and how many may be on their way. */
const BURST = 61_440;
const WINDOW = 16 * BURST;
/** Milliseconds without an acknowledgement after which everything unacknowledged goes again. */
const RETRANSMIT = 200;

export class TinyHost {
  readonly #link: FrameLink;
  readonly #address: Buffer;
  readonly #mss: number;
  readonly #replies = new Map<number, () => void>();
  /** Handles TCP segments: flags, sequence, acknowledgement, bytes of data. */
  #segment: (flags: number, sequence: number, acknowledgement: number, length: number, from: Buffer) => void;

  constructor(link: FrameLink, address: string, mtu: number) {
    this.#link = link;
    this.#address = Buffer.from(addressBytes(address));
    this.#mss = mtu - 40;
    this.#segment = () => {};
    link.onFrame((frame) => this.#receive(frame));
  }

  async ping(address: string, options: PingOptions): Promise<PingReport> {
    const id = randomBytes(2).readUInt16BE();
    const rtts: number[] = [];
    for (let sequence = 0; sequence < options.count; sequence++) {
      const started = performance.now();
      const data = Buffer.alloc(options.bytes);
      this.#sendIcmp(Buffer.from(addressBytes(address)), 8, id, sequence, data);
      const answered = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), 1000);
        this.#replies.set(sequence, () => {
          clearTimeout(timer);
          resolve(true);
        });
      });
      this.#replies.delete(sequence);
      if (answered) rtts.push(performance.now() - started);
      await new Promise((resolve) => setTimeout(resolve, options.intervalMillis));
    }
    return summarise(options.count, rtts);
  }

  /** Acknowledges whatever comes in order. @returns bytes so far, when called */
  serve(): () => number {
    let next = 0;
    let bytes = 0;
    this.#segment = (flags, sequence, _, length, from) => {
      if (flags & SYN) next = (sequence + 1) >>> 0;
      else if (sequence === next) {
        next = (next + length + (flags & FIN ? 1 : 0)) >>> 0;
        bytes += length;
      }
      this.#sendTcp(from, ACK | (flags & (SYN | FIN)), 1, next, 0);
    };
    return () => bytes;
  }

  /** Sends for `seconds`. @returns acknowledged bytes and the time they took */
  send(address: string, seconds: number): Promise<{ bytes: number; seconds: number }> {
    const to = Buffer.from(addressBytes(address));
    let connected = false;
    let acked = 0;
    let sent = 0;
    let progressed = performance.now();
    const started = performance.now();
    return new Promise((resolve) => {
      const pump = () => {
        while (connected && sent - acked + BURST <= WINDOW) {
          if (!this.#sendTcp(to, ACK, (1 + sent) >>> 0, 1, BURST)) break;
          sent += BURST;
        }
      };
      this.#segment = (flags, _, acknowledgement) => {
        if (flags & SYN) connected = true;
        else acked += (acknowledgement - 1 - acked) >>> 0 <= WINDOW ? (acknowledgement - 1 - acked) >>> 0 : 0;
        progressed = performance.now();
        pump();
      };
      this.#sendTcp(to, SYN, 0, 0, 0);
      const timer = setInterval(() => {
        const now = performance.now();
        if (now - started >= seconds * 1000) {
          clearInterval(timer);
          this.#segment = () => {};
          resolve({ bytes: acked, seconds: (now - started) / 1000 });
        } else if (now - progressed > RETRANSMIT) {
          progressed = now;
          sent = acked;
          if (!connected) this.#sendTcp(to, SYN, 0, 0, 0);
          pump();
        } else pump();
      }, 1);
    });
  }

  #receive(frame: Buffer): void {
    if (frame.length < L4 + 8 || frame[IP]! >> 4 !== 4) return;
    const from = Buffer.from(frame.subarray(IP + 12, IP + 16));
    const end = IP + frame.readUInt16BE(IP + 2);
    if (frame[IP + 9] === ICMP) this.#icmp(from, frame.subarray(L4, end));
    else if (frame[IP + 9] === TCP && frame.length >= DATA) {
      const header = (frame[L4 + 12]! >> 4) * 4;
      this.#segment(frame[L4 + 13]!, frame.readUInt32BE(L4 + 4), frame.readUInt32BE(L4 + 8), end - L4 - header, from);
    }
  }

  #icmp(from: Buffer, message: Buffer): void {
    if (message[0] === 0) this.#replies.get(message.readUInt16BE(6))?.();
    if (message[0] !== 8) return;
    this.#sendIcmp(from, 0, message.readUInt16BE(4), message.readUInt16BE(6), message.subarray(8));
  }

  #sendIcmp(to: Buffer, type: number, id: number, sequence: number, data: Buffer): void {
    const frame = this.#frame(to, ICMP, 8 + data.length);
    frame[L4] = type;
    frame.writeUInt16BE(id, L4 + 4);
    frame.writeUInt16BE(sequence, L4 + 6);
    data.copy(frame, L4 + 8);
    frame.writeUInt16BE(internetChecksum(frame.subarray(L4)), L4 + 2);
    this.#link.write(frame);
  }

  #sendTcp(to: Buffer, flags: number, sequence: number, acknowledgement: number, length: number): boolean {
    const frame = this.#frame(to, TCP, 20 + length);
    frame[0] = NEEDS_CSUM;
    if (length > this.#mss) {
      frame[1] = GSO_TCPV4;
      frame.writeUInt16LE(40, 2);
      frame.writeUInt16LE(this.#mss, 4);
    }
    frame.writeUInt16LE(L4 - VNET, 6);
    frame.writeUInt16LE(16, 8);
    frame.writeUInt16BE(5001, L4);
    frame.writeUInt16BE(5001, L4 + 2);
    frame.writeUInt32BE(sequence, L4 + 4);
    frame.writeUInt32BE(acknowledgement, L4 + 8);
    frame[L4 + 12] = 5 << 4;
    frame[L4 + 13] = flags;
    frame.writeUInt16BE(65_535, L4 + 14);
    // What is left to add is the segment itself: the pseudo header's sum stands in its place.
    const pseudo = Buffer.concat([
      frame.subarray(IP + 12, IP + 20),
      Buffer.from([0, TCP, (20 + length) >> 8, 20 + length]),
    ]);
    frame.writeUInt16BE(partialSum(pseudo), L4 + 16);
    return this.#link.write(frame);
  }

  #frame(to: Buffer, protocol: number, length: number): Buffer {
    const frame = Buffer.alloc(L4 + length);
    frame[IP] = 0x45;
    frame.writeUInt16BE(20 + length, IP + 2);
    frame.writeUInt16BE(0x4000, IP + 6);
    frame[IP + 8] = 64;
    frame[IP + 9] = protocol;
    this.#address.copy(frame, IP + 12);
    to.copy(frame, IP + 16);
    frame.writeUInt16BE(internetChecksum(frame.subarray(IP, L4)), IP + 10);
    return frame;
  }
}
