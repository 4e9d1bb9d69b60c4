/**
 * Waiting for descriptors in the calling thread itself, by epoll(7). A packet that arrives wakes the
 * thread right where it goes on to read it: the way through the event loop, native callbacks and their
 * scopes costs 10 µs more, four times in a round trip through two gateways.
 *
 * A thread that waits here hears of nothing else, so one of the descriptors is a `Wake`.
 */
import { type ReadyCall, ReadyCalls } from './ready-calls.ts';
import {
  addressOf,
  close,
  createEpoll,
  createEventFd,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLIN,
  EPOLLOUT,
  epollControl,
  epollWait,
  read,
  SystemError,
  write,
} from './syscalls.ts';

/** Descriptors that one wait tells of. */
const EVENTS = 16;
/** struct epoll_event in words: the events, and two of the caller's own; only x86-64 packs it. */
const PACKED = process.arch === 'x64';
const EVENT_WORDS = PACKED ? 3 : 4;
const EVENT_DATA = PACKED ? 1 : 2;

/** What `onReadable` is given where nothing has been read yet. */
export const UNREAD = -2;

/** @param result what the descriptor's call returned; UNREAD if it has not been made */
type OnReadable = (result: number) => void;

export class Poller {
  readonly #epoll = createEpoll();
  readonly #watched: PollerWatch[] = [];
  readonly #events = new Int32Array(EVENTS * EVENT_WORDS);
  readonly #address = addressOf(new Uint8Array(this.#events.buffer));
  readonly #calls = ReadyCalls.create(this.#epoll, this.#address, EVENTS);

  /**
   * @param onReadable runs, once a wait, as long as there is something to read
   * @param call that reads it: made by the wait itself where possible, and at most once a wait
   */
  watch(fd: number, onReadable: OnReadable, call?: ReadyCall): PollerWatch {
    const watch = new PollerWatch(this.#epoll, this.#watched.length, fd, onReadable, call !== undefined);
    if (call !== undefined) this.#calls?.set(this.#watched.length, call);
    this.#watched.push(watch);
    return watch;
  }

  /** Changes one argument of a watch's call. */
  setArgument(watch: PollerWatch, argument: number, value: number): void {
    this.#calls?.setArgument(watch.index, argument, value);
  }

  /**
   * Waits until a descriptor is ready, and runs what was to run then.
   * @param millis at most
   * @returns whether any was ready
   */
  wait(millis: number): boolean {
    const calls = this.#calls;
    const count = calls === undefined ? epollWait(this.#epoll, this.#address, EVENTS, millis) : calls.wait(millis);
    for (let at = 0; at < count * EVENT_WORDS; at += EVENT_WORDS) {
      const events = this.#events[at]!;
      const watch = this.#watched[this.#events[at + EVENT_DATA]!]!;
      const called = at === 0 && events === EPOLLIN && calls !== undefined && watch.calls;
      watch.handle(events, called ? calls.result(watch.index) : UNREAD);
    }
    return count > 0;
  }

  close(): void {
    close(this.#epoll);
  }
}

const nothing = (): void => undefined;

/** One descriptor of a Poller. */
class PollerWatch {
  readonly fd: number;
  /** What the system tells of it by. */
  readonly index: number;
  /** Has it a call that reads it? */
  readonly calls: boolean;
  readonly #epoll: number;
  readonly #onReadable: OnReadable;
  #onWritable: () => void = nothing;
  #reading = true;
  /** EPOLL* bits that the system knows of; 0 while it does not watch the descriptor. */
  #interest = 0;

  constructor(epoll: number, index: number, fd: number, onReadable: OnReadable, calls: boolean) {
    this.fd = fd;
    this.index = index;
    this.calls = calls;
    this.#epoll = epoll;
    this.#onReadable = onReadable;
    this.#update();
  }

  /** Is what can be read of interest? */
  set reading(reading: boolean) {
    if (reading === this.#reading) return;
    this.#reading = reading;
    this.#update();
  }

  /** Runs `onWritable` once, as soon as the descriptor takes more. */
  awaitWritable(onWritable: () => void): void {
    this.#onWritable = onWritable;
    this.#update();
  }

  /**
   * @param events EPOLL* bits; errors are found out by reading or writing
   * @param result what its call returned, or UNREAD
   */
  handle(events: number, result: number): void {
    if (this.#onWritable !== nothing && events !== EPOLLIN) {
      const onWritable = this.#onWritable;
      this.#onWritable = nothing;
      this.#update();
      onWritable();
    }
    // What ran before may have lost interest.
    if (this.#reading && events !== EPOLLOUT) this.#onReadable(result);
  }

  #update(): void {
    const interest = (this.#reading ? EPOLLIN : 0) | (this.#onWritable === nothing ? 0 : EPOLLOUT);
    if (interest === this.#interest) return;
    // The system tells of errors in any case, so that a descriptor of no interest must not be there at all.
    const operation = interest === 0 ? EPOLL_CTL_DEL : this.#interest === 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    this.#interest = interest;
    const event = new Int32Array(32);
    event[0] = interest;
    event[EVENT_DATA] = this.index;
    const failed = epollControl(this.#epoll, operation, this.fd, addressOf(new Uint8Array(event.buffer))) < 0;
    if (failed && operation !== EPOLL_CTL_DEL) throw new SystemError('epoll_ctl');
  }
}

export type { PollerWatch };

/** Ends another thread's wait: an eventfd(2). */
export class Wake {
  #fd = createEventFd();
  readonly #one = Uint8Array.from({ length: 128 }, (_, index) => (index === 0 ? 1 : 0));

  get fd(): number {
    return this.#fd;
  }

  raise(): void {
    if (this.#fd >= 0) write(this.#fd, addressOf(this.#one), 8);
  }

  close(): void {
    close(this.#fd);
    this.#fd = -1;
  }
}

const lowered = new Uint8Array(128);

/** In the thread that was woken, before it looks for what it was woken for. @param fd of a Wake */
export const lower = (fd: number): void => {
  read(fd, addressOf(lowered), 8);
};
