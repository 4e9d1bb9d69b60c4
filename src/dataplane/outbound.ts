/**
 * From the TUN to the network, a batch at a time:
 *
 *   1. read      frames from the device until there are none, at most SLOTS; one where one comes at a time
 *   2. prepare   kernel: parse, SPD, SA, sequence numbers, ESP or AH headers
 *   3. seal      backend
 *   4. finish    kernel: messages, trains of segments where the socket takes them
 *   5. send      sendmmsg per lane; ICMP errors go back into the device
 *
 * Frames stay in their slots until all of their packets are sent: while a socket is full nothing
 * more is read, the device's queue fills, and the system drops there.
 */
import { OutSendError } from '../../assembly/drops.ts';
import {
  ARENA_CAPABILITIES,
  ARENA_LANE_COUNTS,
  ARENA_OUT_TAKEN,
  ARENA_REPLY_COUNT,
  CAPABILITY_UDP_SEGMENT,
  LANE_STRIDE,
  LANE_UDP4,
  LANE_UDP4_DF,
  LANES,
  MMSGHDR_PACKETS,
  MMSGHDR_SIZE,
  OUT_DUMMIES,
  OUT_DUMMIES_MAX,
  OUT_LENGTHS,
  OUT_MESSAGES,
  OUT_PACKETS,
  OUT_REPLY_FRAMES,
  OUT_SLOT_FRAME,
  OUT_SLOTS,
  SLOTS,
} from '../../assembly/layout/arena.ts';
import type { Arena } from './arena.ts';
import { BatchLimit } from './batch-limit.ts';
import type { Device } from './device.ts';
import type { ReadyCall } from './io/ready-calls.ts';
import { IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE, IPPROTO_IP } from './io/socket-options.ts';
import { EAGAIN, EINTR, EIO, ENOBUFS, errno, MSG_DONTWAIT, sendmmsg, setsockopt } from './io/syscalls.ts';
import type { KernelExports } from './kernel.ts';
import type { BackendHolder } from './worker-backends.ts';

const BATCH_BYTES = 524_288;

export interface OutboundOptions {
  readonly arena: Arena;
  readonly kernel: KernelExports;
  readonly backend: BackendHolder;
  readonly device: Device;
  /** Sockets by lane; -1 where there is none. */
  readonly lanes: readonly number[];
  /** Calls back once the socket takes more. */
  readonly awaitWritable: (fd: number, resume: () => void) => void;
  /** Is told when a batch is over that had been held up. */
  readonly released: () => void;
  /** Is told, once, that the network device cannot segment. */
  readonly unsegmented: () => void;
}

export class Outbound {
  readonly #options: OutboundOptions;
  readonly #arena: Arena;
  readonly #lanes: Int32Array;
  /** Where the first frame is read to. */
  readonly #slots: number;
  /** Bytes of a batch. */
  readonly #room = new BatchLimit(BATCH_BYTES);
  /** Frames in the slots that are being worked on; 0 while the trap queue is. */
  #frames = 0;
  /** Where sending stopped. */
  #lane = 0;
  #sent = 0;
  #blocked = false;
  /** Nothing of the frames is left to be prepared. */
  #over = true;
  #resumeWanted = false;
  /** The last frame came alone, and so will the next one: it is sent before the device is asked for another. */
  #alone = false;
  /** When the batch before was over. */
  #before = 0;
  #fragmentation = IP_PMTUDISC_DONT;

  constructor(options: OutboundOptions) {
    this.#options = options;
    this.#arena = options.arena;
    this.#slots = options.arena.absolute + OUT_SLOTS + OUT_SLOT_FRAME;
    this.#lanes = Int32Array.from(options.lanes);
  }

  /** A socket is full: nothing is read until it takes more. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** The call that reads what `run` begins with. */
  get firstRead(): ReadyCall {
    return this.#options.device.firstRead(this.#slots);
  }

  /** A frame came alone, not long ago. */
  get alone(): boolean {
    return this.#alone;
  }

  /**
   * Works on one batch of frames.
   * @param first what `firstRead` has returned; UNREAD if it was not called
   */
  run(first: number): void {
    if (this.#blocked) return;
    const { words, address } = this.#arena;
    const { device } = this.#options;
    const begun = this.#room.begin();
    const most = this.#alone ? 1 : SLOTS;
    const frames = device.read(this.#slots, most, words, (address + OUT_LENGTHS) >>> 2, this.#room.limit, first);
    if (frames === 0) return;
    this.#begin(frames);
    this.#room.end(begun, device.full);
    const { stamped } = this.#arena;
    // Where several batches fill a millisecond, frames come together if they are given the time.
    this.#alone = frames === 1 && stamped !== this.#before;
    this.#before = stamped;
  }

  /** An SA has come: frames that wait for it can go. */
  resume(): void {
    this.#resumeWanted = true;
    if (!this.#blocked) this.#begin(0);
  }

  /**
   * Sends a dummy packet for each SA, unless packets are waiting: then there is no need to look busy.
   * @param pairs for each the address of its record, and its handle
   */
  sendDummies(pairs: readonly number[]): void {
    const arena = this.#arena;
    for (let at = 0; at < pairs.length && !this.#blocked; at += 2 * OUT_DUMMIES_MAX) {
      const some = pairs.slice(at, at + 2 * OUT_DUMMIES_MAX);
      arena.words.set(some, (arena.address + OUT_DUMMIES) >>> 2);
      this.#frames = 0;
      this.#over = true;
      this.#finish(this.#options.kernel.outboundDummies(arena.address, some.length / 2));
    }
  }

  #begin(frames: number): void {
    this.#frames = frames;
    if (frames === 0) this.#resumeWanted = false;
    this.#work();
  }

  /** Batch by batch until all is sent or a socket is full. */
  #work(): void {
    const { kernel } = this.#options;
    const arena = this.#arena;
    for (;;) {
      const packets =
        this.#frames > 0 ? kernel.outboundPrepare(arena.address, this.#frames) : kernel.outboundResume(arena.address);
      this.#over = this.#frames > 0 ? arena.get(ARENA_OUT_TAKEN) >= this.#frames : packets === 0;
      this.#finish(packets);
      if (this.#blocked || this.#over) return;
    }
  }

  /** Seals what was prepared, and sends until a socket is full. */
  #finish(packets: number): void {
    const { kernel, backend } = this.#options;
    const { address } = this.#arena;
    if (packets > 0) backend.current.seal(address + OUT_PACKETS, packets);
    kernel.outboundFinish(address);
    this.#reply();
    this.#lane = 0;
    this.#sent = 0;
    this.#blocked = !this.#send();
  }

  /** The socket that was full takes more. */
  readonly #unblock = (): void => {
    if (!this.#send()) return;
    this.#blocked = false;
    if (!this.#over) this.#work();
    if (!this.#blocked && this.#resumeWanted) this.#begin(0);
    if (!this.#blocked) this.#options.released();
  };

  /** Sends from where it stopped. @returns false when a socket is full, and waits for it */
  #send(): boolean {
    for (; this.#lane < LANES; this.#lane++, this.#sent = 0) {
      const count = this.#arena.get(ARENA_LANE_COUNTS + this.#lane * 4);
      if (count > this.#sent && !this.#sendLane(count)) return false;
    }
    return true;
  }

  #sendLane(count: number): boolean {
    const lane = this.#lane;
    const fd = this.#lanes[lane]!;
    this.#setFragmentation(lane, fd);
    const messages = OUT_MESSAGES + lane * LANE_STRIDE;
    while (this.#sent < count) {
      const message = messages + this.#sent * MMSGHDR_SIZE;
      const sent = sendmmsg(fd, this.#arena.absolute + message, count - this.#sent, MSG_DONTWAIT);
      if (sent > 0) {
        this.#sent += sent;
        continue;
      }
      const error = errno();
      if (error === EINTR) continue;
      if (error === EAGAIN || error === ENOBUFS) {
        this.#options.awaitWritable(fd, this.#unblock);
        return false;
      }
      if (error === EIO) this.#stopSegmentation(lane);
      this.#arena.drop(OutSendError, this.#arena.get(message + MMSGHDR_PACKETS));
      this.#sent++;
    }
    return true;
  }

  /** The two lanes of UDP over IPv4 share a socket and differ in DF. */
  #setFragmentation(lane: number, fd: number): void {
    if (lane !== LANE_UDP4 && lane !== LANE_UDP4_DF) return;
    const wanted = lane === LANE_UDP4_DF ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;
    if (wanted === this.#fragmentation) return;
    setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, wanted);
    this.#fragmentation = wanted;
  }

  /** UDP_SEGMENT fails so on a path whose device does no checksums. */
  #stopSegmentation(lane: number): void {
    const capabilities = this.#arena.get(ARENA_CAPABILITIES);
    if (lane >= 3 || (capabilities & CAPABILITY_UDP_SEGMENT) === 0) return;
    this.#arena.set(ARENA_CAPABILITIES, capabilities & ~CAPABILITY_UDP_SEGMENT);
    this.#options.unsegmented();
  }

  /** ICMP errors for the senders behind us. */
  #reply(): void {
    const count = this.#arena.get(ARENA_REPLY_COUNT);
    if (count > 0) this.#options.device.write(OUT_REPLY_FRAMES, count);
  }
}
