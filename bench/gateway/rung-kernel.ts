/**
 * The two lowest rungs of the ladder, in place of the WebAssembly kernel under the gateway's own I/O:
 *
 *   forward   frames go out as the device gave them, cut by the system into datagrams of one size,
 *             and come in as they went out: what system calls cost
 *   frame     the same, with an ESP packet around each piece: header, IV, trailer, ICV (RFC 4303 §2)
 *
 * Nobody looks into a frame but for its length, and there are no SAs. As from a gateway, small frames of
 * one size travel in one message. Frames stay whole only where the network device takes trains of
 * datagrams (UDP_SEGMENT, UDP_GRO).
 */
import {
  ARENA_LANE_COUNTS,
  ARENA_OUT_TAKEN,
  FRAME_IOVEC_COUNT,
  FRAME_SIZE,
  IN_FRAME_IOVECS,
  IN_FRAMES,
  IN_MESSAGES,
  IN_SIDE,
  IN_SLOT_DATA,
  IN_SLOTS,
  LANE_STRIDE,
  LANE_UDP4,
  MMSGHDR_SIZE,
  OUT_EXTRA_CONTROL,
  OUT_EXTRA_SIZE,
  OUT_EXTRAS,
  OUT_IOVECS,
  OUT_LENGTHS,
  OUT_MESSAGES,
  OUT_OUTPUT,
  OUT_SLOT_FRAME,
  OUT_SLOTS,
  SLOT_SIZE,
  VNET_HEADER_SIZE,
} from '../../assembly/layout/arena.ts';
import type { Endpoint } from '../../src/contract.ts';
import type { KernelMemory } from '../../src/dataplane/backends/backend.ts';
import { SOL_UDP, UDP_SEGMENT } from '../../src/dataplane/io/socket-options.ts';
import type { KernelExports } from '../../src/dataplane/kernel.ts';
import { SOCKADDR_IN, writeSockaddr } from '../../src/dataplane/sockaddr.ts';
import { MESSAGE } from '../datagrams.ts';

export type RungName = 'forward' | 'frame';

/** Bytes of a frame in one datagram: an inner packet of the default MTU, so that there are as many as with ESP. */
const PIECE = 1438;
/** SPI, sequence number and IV in front; pad length and next header, and the ICV, behind. */
const HEAD = 16;
const ICV = 16;
const TAIL = 2 + ICV;
const NEXT_HEADER_IPV4 = 4;
/** Pieces of a message: with what is around them they stay below 65,507 bytes. */
const TRAIN = 44;
/** SPI of the packet that a frame begins with, and of those that continue it. */
const SPI_FIRST = 0x1000;
const SPI_NEXT = 0x1001;
/** Room for HEAD and TAIL of a packet. */
const PACKET_ROOM = 64;

const IOVEC = 16;
/** struct cmsghdr with one u16: UDP_SEGMENT of SOL_UDP. */
const CONTROL = { length: 18, level: SOL_UDP, type: UDP_SEGMENT, data: 16, room: 24 } as const;

/** @returns the kernel's exports, with those of a rung in place of the path of packets */
export function rungKernel(
  name: RungName,
  kernel: KernelExports,
  memory: KernelMemory,
  arena: number,
  remote: Endpoint,
): KernelExports {
  const rung = new Rung(name, memory, arena, remote);
  let frames = 0;
  let received = 0;
  return {
    ...kernel,
    outboundPrepare: (_, count) => {
      frames = count;
      return 0;
    },
    outboundFinish: () => rung.send(frames),
    inboundPrepare: (_, _source, count) => {
      received = count;
      return rung.datagrams(count);
    },
    inboundFinish: () => rung.take(received),
  };
}

class Rung {
  readonly #framed: boolean;
  readonly #arena: number;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #view: DataView;
  readonly #base: number;
  readonly #remote: Endpoint;
  /** Where the next iovec, the next head and tail go, while a batch is laid out. */
  #iovec = 0;
  #packet = 0;
  #messages = 0;
  /** Bytes of a packet of the message that small frames may still join, and how many may; 0 for none. */
  #runSize = 0;
  #runRoom = 0;
  #sequence = 0;
  /** Sequence number that continues an unfinished frame, whose bytes so far lie in IN_SIDE; 0 for none. */
  #expected = 0;
  #carried = 0;
  /** Bytes that the unfinished frame lacks. */
  #left = 0;
  #frames = 0;
  /** The first iovec of the frame that is put together. */
  #first = 0;

  constructor(name: RungName, { memory, bytes, words, base }: KernelMemory, arena: number, remote: Endpoint) {
    this.#framed = name === 'frame';
    this.#arena = arena;
    this.#bytes = bytes;
    this.#words = words;
    this.#view = new DataView(memory.buffer);
    this.#base = base;
    this.#remote = remote;
  }

  /** Lays out the messages of `count` frames. @returns their number */
  send(count: number): number {
    const arena = this.#arena;
    this.#messages = 0;
    this.#runRoom = 0;
    this.#iovec = arena + OUT_IOVECS;
    this.#packet = arena + OUT_OUTPUT;
    for (let slot = 0; slot < count; slot++) {
      const frame = arena + OUT_SLOTS + slot * SLOT_SIZE + OUT_SLOT_FRAME;
      const length = this.#words[(arena + OUT_LENGTHS + slot * 4) >>> 2]!;
      if (length <= PIECE) this.#sendSmall(frame, length);
      else this.#sendLarge(frame, frame + length);
    }
    this.#set(arena + ARENA_OUT_TAKEN, count);
    this.#set(arena + ARENA_LANE_COUNTS + LANE_UDP4 * 4, this.#messages);
    return this.#messages;
  }

  /** Frames of one size are one message. */
  #sendSmall(frame: number, length: number): void {
    const size = this.#sizeOf(length);
    const joins = this.#runRoom > 0 && size === this.#runSize;
    const first = this.#iovec;
    this.#addPiece(frame, length, SPI_FIRST);
    if (joins) {
      this.#runRoom--;
      const iovecs = this.#message(this.#messages - 1) + MESSAGE.iovecs;
      this.#set(iovecs, this.#words[iovecs >>> 2]! + (this.#iovec - first) / IOVEC);
      return;
    }
    this.#addMessage(first, size);
    this.#runSize = size;
    this.#runRoom = TRAIN - 1;
  }

  #sendLarge(start: number, end: number): void {
    this.#runRoom = 0;
    if (!this.#framed) this.#addMessage(this.#addBytes(start, end - start), PIECE);
    else this.#sendPieces(start, end);
  }

  #sendPieces(start: number, end: number): void {
    for (let from = start; from < end; from += PIECE * TRAIN) {
      const first = this.#iovec;
      const to = Math.min(end, from + PIECE * TRAIN);
      for (let at = from; at < to; at += PIECE) {
        this.#addPiece(at, Math.min(PIECE, to - at), at === start ? SPI_FIRST : SPI_NEXT);
      }
      this.#addMessage(first, HEAD + PIECE + TAIL);
    }
  }

  /** @returns bytes of a packet around a piece of `length` bytes */
  #sizeOf(length: number): number {
    return this.#framed ? HEAD + length + paddingOf(length) + TAIL : length;
  }

  #addPiece(piece: number, length: number, spi: number): void {
    if (!this.#framed) {
      this.#addBytes(piece, length);
      return;
    }
    const head = this.#packet;
    const tail = head + HEAD;
    this.#packet += PACKET_ROOM;
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.#view.setUint32(head, spi);
    this.#view.setUint32(head + 4, this.#sequence);
    this.#view.setUint32(head + 12, this.#sequence);
    const padding = paddingOf(length);
    for (let i = 0; i < padding; i++) this.#bytes[tail + i] = i + 1;
    this.#bytes[tail + padding] = padding;
    this.#bytes[tail + padding + 1] = NEXT_HEADER_IPV4;
    this.#addBytes(head, HEAD);
    this.#addBytes(piece, length);
    this.#addBytes(tail, padding + TAIL);
  }

  /** @returns the address of the iovec */
  #addBytes(address: number, length: number): number {
    const iovec = this.#iovec;
    this.#iovec += IOVEC;
    this.#setPointer(iovec, address);
    this.#setLength(iovec + 8, length);
    return iovec;
  }

  #message(index: number): number {
    return this.#arena + OUT_MESSAGES + LANE_UDP4 * LANE_STRIDE + index * MMSGHDR_SIZE;
  }

  /** One message for the iovecs from `first` on. */
  #addMessage(first: number, segment: number): void {
    const message = this.#message(this.#messages);
    const extra = this.#arena + OUT_EXTRAS + this.#messages * OUT_EXTRA_SIZE;
    const control = extra + OUT_EXTRA_CONTROL;
    this.#messages++;
    // The name is the same for ever.
    if (this.#words[extra >>> 2] === 0) writeSockaddr(this.#bytes, extra, this.#remote);
    this.#setPointer(message + MESSAGE.name, extra);
    this.#set(message + MESSAGE.nameLength, SOCKADDR_IN);
    this.#setPointer(message + MESSAGE.iovec, first);
    this.#setLength(message + MESSAGE.iovecs, (this.#iovec - first) / IOVEC);
    this.#setPointer(message + MESSAGE.control, control);
    this.#setLength(message + MESSAGE.controlLength, CONTROL.room);
    this.#setLength(control, CONTROL.length);
    this.#set(control + 8, CONTROL.level);
    this.#set(control + 12, CONTROL.type);
    this.#set(control + CONTROL.data, segment);
  }

  /** @returns how many datagrams have come in `count` messages, about: the batches that follow are sized by it */
  datagrams(count: number): number {
    let sum = 0;
    for (let slot = 0; slot < count; slot++) sum += Math.ceil(this.#received(slot) / PIECE);
    return sum;
  }

  /** Makes frames of `count` messages. @returns their number */
  take(count: number): number {
    const arena = this.#arena;
    this.#frames = 0;
    this.#iovec = arena + IN_FRAME_IOVECS;
    this.#first = this.#iovec;
    // What came with the last batch.
    if (this.#expected !== 0) this.#addBytes(arena + IN_SIDE, this.#carried);
    for (let slot = 0; slot < count; slot++) {
      const data = arena + IN_SLOTS + slot * SLOT_SIZE + IN_SLOT_DATA;
      this.#takeMessage(data, data + this.#received(slot));
    }
    if (this.#expected !== 0) this.#carry();
    return this.#frames;
  }

  #takeMessage(start: number, end: number): void {
    const begins = !this.#framed || this.#view.getUint32(start) === SPI_FIRST;
    const continues = !begins && this.#view.getUint32(start + 4) === this.#expected;
    // A frame whose rest was lost is given up, and a rest whose beginning was.
    if (!continues) {
      this.#iovec = this.#first;
      this.#expected = 0;
    }
    if (!begins && !continues) return;
    const head = this.#framed ? HEAD : 0;
    const length = continues ? this.#left : this.#frameLength(start + head);
    if (continues || (this.#framed && length > PIECE)) {
      this.#takePieces(start, end, length);
      return;
    }
    for (let packet = start; packet < end; packet += this.#sizeOf(length)) {
      this.#addBytes(packet + head, length);
      this.#endFrame();
    }
  }

  /** @param left bytes of the frame that have not come with an earlier message */
  #takePieces(start: number, end: number, left: number): void {
    for (let packet = start; packet < end; packet += HEAD + PIECE + TAIL) {
      const length = Math.min(PIECE, left);
      this.#addBytes(packet + HEAD, length);
      left -= length;
    }
    this.#left = left;
    this.#expected = left > 0 ? (this.#view.getUint32(start + 4) + TRAIN) >>> 0 : 0;
    if (left === 0) this.#endFrame();
  }

  #endFrame(): void {
    const frame = this.#arena + IN_FRAMES + this.#frames++ * FRAME_SIZE;
    this.#set(frame, this.#first);
    this.#set(frame + FRAME_IOVEC_COUNT, (this.#iovec - this.#first) / IOVEC);
    this.#first = this.#iovec;
  }

  /** Copies the beginning of a frame, before its slots are received into again. */
  #carry(): void {
    const to = this.#arena + IN_SIDE;
    let carried = 0;
    for (let iovec = this.#first; iovec < this.#iovec; iovec += IOVEC) {
      const length = this.#words[(iovec + 8) >>> 2]!;
      const from = Number(this.#view.getBigUint64(iovec, true)) - this.#base;
      this.#bytes.copyWithin(to + carried, from, from + length);
      carried += length;
    }
    this.#carried = carried;
  }

  /** @returns bytes of a message */
  #received(slot: number): number {
    return this.#words[(this.#arena + IN_MESSAGES + slot * MMSGHDR_SIZE + MESSAGE.length) >>> 2]!;
  }

  /** @returns bytes of a frame that begins there: virtio header, IPv4 packet */
  #frameLength(frame: number): number {
    return VNET_HEADER_SIZE + this.#view.getUint16(frame + VNET_HEADER_SIZE + 2);
  }

  #set(address: number, value: number): void {
    this.#words[address >>> 2] = value;
  }

  /** A size_t. */
  #setLength(address: number, value: number): void {
    this.#set(address, value);
    this.#set(address + 4, 0);
  }

  #setPointer(address: number, target: number): void {
    const absolute = this.#base + target;
    this.#set(address, absolute % 2 ** 32);
    this.#set(address + 4, absolute / 2 ** 32);
  }
}

/** Payload, padding, pad length and next header end on a boundary of four bytes (RFC 4303 §2.4). */
const paddingOf = (length: number): number => -(length + 2) & 3;
