/**
 * Waiting for descriptors in the event loop of the thread, so that messages and the thread's end
 * are never held up (a thread that sits in poll(2) cannot be stopped).
 */
import koffi from 'koffi';

interface Interest {
  readonly readable: boolean;
  readonly writable: boolean;
}

type Callback = (status: number, events: Interest) => void;

interface PollHandle {
  start(interest: Interest, callback: Callback): void;
  stop(): void;
  close(): void;
}

/** The type that koffi declares lacks the callback's first argument. */
const poll = koffi.node.poll as unknown as (fd: number, interest: Interest, callback: Callback) => PollHandle;

const nothing = (): void => undefined;

/** One descriptor; libuv allows one watch each and thread. */
export class Watch {
  readonly #handle: PollHandle;
  readonly #onReadable: () => void;
  #onWritable: (() => void) | undefined;
  #reading = true;

  /** @param onReadable runs, once a turn of the event loop, as long as there is something to read */
  constructor(fd: number, onReadable: () => void) {
    this.#onReadable = onReadable;
    this.#handle = poll(fd, { readable: true, writable: false }, this.#onEvents);
  }

  /** Runs `onWritable` once, as soon as the descriptor takes more. */
  awaitWritable(onWritable: () => void): void {
    this.#onWritable = onWritable;
    this.#restart();
  }

  /** Is what can be read of interest? */
  set reading(reading: boolean) {
    if (reading === this.#reading) return;
    this.#reading = reading;
    this.#restart();
  }

  close(): void {
    this.#handle.close();
  }

  #restart(): void {
    const interest = { readable: this.#reading, writable: this.#onWritable !== undefined };
    if (interest.readable || interest.writable) this.#handle.start(interest, this.#onEvents);
    else this.#handle.stop();
  }

  readonly #onEvents: Callback = (_status, { readable, writable }) => {
    const onWritable = this.#onWritable;
    if (writable && onWritable !== undefined) {
      this.#onWritable = undefined;
      this.#restart();
      onWritable();
    }
    if (readable && this.#reading) this.#onReadable();
    // Node.js 26 does not run promise reactions behind a callback that koffi calls: they would wait for
    // whatever happens next. An immediate takes the event loop to where it does.
    setImmediate(nothing);
  };
}
