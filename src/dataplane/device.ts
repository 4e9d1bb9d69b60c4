/** One queue of the device that plain packets come from and go to. */
import { InWriteError } from '../../assembly/drops.ts';
import {
  FRAME_IOVEC_COUNT,
  FRAME_IOVECS,
  FRAME_PACKETS,
  FRAME_SIZE,
  OUT_SLOT_FRAME,
  SLOT_SIZE,
} from '../../assembly/layout/arena.ts';
import type { Arena } from './arena.ts';
import type { ReadyCall } from './io/ready-calls.ts';
import { EAGAIN, EINTR, errno, read, writev } from './io/syscalls.ts';

const FRAME_ROOM = SLOT_SIZE - OUT_SLOT_FRAME;

export class Device {
  readonly fd: number;
  readonly #arena: Arena;
  readonly #base: number;
  readonly #failed: () => void;
  #full = false;

  /** @param failed is told that the device can no longer be read */
  constructor(fd: number, arena: Arena, failed: () => void) {
    this.fd = fd;
    this.#arena = arena;
    this.#base = arena.absolute - arena.address;
    this.#failed = failed;
  }

  /**
   * Reads frames into slots until there are none.
   * @param slots absolute address of the first frame; the others follow SLOT_SIZE bytes apart
   * @param lengths index of the array in `words` that takes each frame's length
   * @param room bytes after which it reads no more
   * @param first what `firstRead` has returned; nothing of it counts if it is negative
   * @returns frames read
   */
  read(slots: number, most: number, words: Uint32Array, lengths: number, room: number, first: number): number {
    let bytes = 0;
    this.#full = false;
    for (let frame = 0; frame < most; frame++) {
      const length = frame === 0 && first >= 0 ? first : read(this.fd, slots + frame * SLOT_SIZE, FRAME_ROOM);
      if (length > 0) {
        words[lengths + frame] = length;
        bytes += length;
        if (bytes < room) continue;
        this.#full = true;
        return frame + 1;
      }
      const error = errno();
      if (length === 0 || (error !== EAGAIN && error !== EINTR)) this.#failed();
      return frame;
    }
    return most;
  }

  /** Has the last read ended because there was no more room? */
  get full(): boolean {
    return this.#full;
  }

  /** The call that reads a frame into the first slot. */
  firstRead(slots: number): ReadyCall {
    return { name: 'read', values: [this.fd, slots, FRAME_ROOM] };
  }

  /** Writes FRAMEs, one after the other. @param frames offset of their array in the arena */
  write(frames: number, count: number): void {
    const { words, address } = this.#arena;
    for (let at = (address + frames) >>> 2; count > 0; count--, at += FRAME_SIZE >>> 2) {
      const iovecs = this.#base + words[at + (FRAME_IOVECS >>> 2)]!;
      if (writev(this.fd, iovecs, words[at + (FRAME_IOVEC_COUNT >>> 2)]!) >= 0) continue;
      this.#arena.drop(InWriteError, words[at + (FRAME_PACKETS >>> 2)]!);
    }
  }
}
