/** What a worker does all the time: waits for packets, and takes the batches of every descriptor in turns. */
import { ARENA_QUEUE_COUNT } from '../../assembly/layout/arena.ts';
import type { Arena } from './arena.ts';
import type { WorkerDescriptors } from './descriptors.ts';
import { Device } from './device.ts';
import { Inbound } from './inbound.ts';
import { Lookout } from './io/lookout.ts';
import { Poller, type PollerWatch } from './io/poller.ts';
import type { KernelExports } from './kernel.ts';
import { Outbound } from './outbound.ts';
import type { PostedDatagram } from './worker.ts';
import type { BackendHolder } from './worker-backends.ts';

/** Batches after which the clock is read again, though there is no pause. */
const BATCHES_PER_STAMP = 16;
/** `recvmmsg(fd, messages, most, …)` */
const MOST = 2;

export interface PacketLoopOptions extends WorkerDescriptors {
  readonly arena: Arena;
  readonly kernel: KernelExports;
  readonly backend: BackendHolder;
  /** Takes datagrams for IKE to the engine's thread. */
  readonly postIke: (datagrams: readonly PostedDatagram[]) => void;
  /** Takes EVENT records there, one behind the other. */
  readonly postEvents: (events: Uint8Array) => void;
  /** Is told, once, that the network device cannot segment. */
  readonly unsegmented: () => void;
  /** Is told that somebody has removed the device. */
  readonly deviceLost: () => void;
}

export class PacketLoop {
  readonly #options: PacketLoopOptions;
  readonly #poller = new Poller();
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  readonly #device: PollerWatch;
  readonly #watches: PollerWatch[];
  readonly #lookout: Lookout;
  #lost = false;
  /** The last packet went out, and alone. */
  #answerDue = false;
  /** Batches until the clock is read. */
  #unstamped = BATCHES_PER_STAMP;
  /** Datagrams that receivers ask for. */
  #most: number;

  constructor(options: PacketLoopOptions) {
    this.#options = options;
    const { arena, kernel, backend, lanes, receivers } = options;
    arena.stamp();
    const device = new Device(options.device, arena, () => this.#loseDevice());
    this.#outbound = new Outbound({
      arena,
      kernel,
      backend,
      device,
      lanes,
      awaitWritable: (fd, resume) => this.#watchOf(fd).awaitWritable(resume),
      released: () => this.#afterOutbound(),
      unsegmented: options.unsegmented,
    });
    this.#inbound = new Inbound({ arena, kernel, backend, device, postIke: options.postIke });
    const poller = this.#poller;
    this.#device = poller.watch(device.fd, (first) => this.#runOutbound(first), this.#outbound.firstRead);
    this.#watches = receivers.map(({ fd, source }) =>
      poller.watch(fd, (first) => this.#runInbound(fd, source, first), this.#inbound.receive(fd)),
    );
    this.#most = this.#inbound.most;
    this.#lookout = new Lookout(poller);
  }

  /** One more descriptor that ends a wait. */
  watch(fd: number, onReadable: () => void): void {
    this.#poller.watch(fd, onReadable);
  }

  /**
   * Waits until a descriptor is ready, and works.
   * @param millis at most
   * @returns whether any was ready
   */
  step(millis: number): boolean {
    if (this.#answerDue) {
      this.#answerDue = false;
      if (this.#lookout.look()) return true;
    } else if (this.#poller.wait(0)) {
      if (--this.#unstamped === 0) this.#stamp();
      return true;
    }
    this.#stamp();
    const ready = this.#poller.wait(millis);
    if (!ready) this.#stamp();
    return ready;
  }

  /** An SA has come for frames that wait. */
  resume(): void {
    this.#outbound.resume();
    this.#afterOutbound();
  }

  /** Frames that have waited too long for an SA are dropped, though none comes and nothing else is sent. */
  lookAtQueue(): void {
    if (this.#options.arena.get(ARENA_QUEUE_COUNT) > 0) this.resume();
  }

  /** See `Outbound.sendDummies`. */
  sendDummies(pairs: readonly number[]): void {
    this.#outbound.sendDummies(pairs);
    this.#afterOutbound();
  }

  close(): void {
    this.#poller.close();
  }

  #stamp(): void {
    this.#options.arena.stamp();
    this.#unstamped = BATCHES_PER_STAMP;
  }

  #runOutbound(first: number): void {
    this.#outbound.run(first);
    this.#answerDue = this.#outbound.alone;
    this.#afterOutbound();
  }

  #runInbound(fd: number, source: number, first: number): void {
    this.#inbound.run(fd, source, first);
    this.#answerDue = false;
    if (this.#inbound.most !== this.#most) this.#askForMost();
    this.#postEvents();
  }

  #askForMost(): void {
    this.#most = this.#inbound.most;
    for (const { fd } of this.#options.receivers) this.#poller.setArgument(this.#watchOf(fd), MOST, this.#most);
  }

  #afterOutbound(): void {
    this.#device.reading = !this.#outbound.blocked && !this.#lost;
    this.#postEvents();
  }

  #postEvents(): void {
    const events = this.#options.arena.takeEvents();
    if (events !== undefined) this.#options.postEvents(events);
  }

  /** Receivers may be lanes as well; a lane that only sends is not watched until it is full. */
  #watchOf(fd: number): PollerWatch {
    let watch = this.#watches.find((one) => one.fd === fd);
    if (watch === undefined) {
      watch = this.#poller.watch(fd, () => {});
      watch.reading = false;
      this.#watches.push(watch);
    }
    return watch;
  }

  #loseDevice(): void {
    this.#lost = true;
    this.#device.reading = false;
    this.#options.deviceLost();
  }
}
