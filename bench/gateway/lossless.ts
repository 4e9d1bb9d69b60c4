/**
 * The most datagrams a second that arrive whole, from host A to host B, as RFC 2544 §26.1 looks for it:
 * offered at steady rates, between which the limit is enclosed by halves. One process with a socket in
 * each of both namespaces.
 *
 *     node lossless.js '{"from": "…-ha", "to": "…-hb", "address": [10, 2, 0, 2], "lengths": [64], "seconds": 3}'
 *
 * Prints a report in JSON at the end.
 */
import { MSG_DONTWAIT, recvmmsg, sendmmsg } from '../../src/dataplane/io/syscalls.ts';
import { MESSAGES, Messages, openReceiver, openSender } from '../datagrams.ts';

export interface LosslessOptions {
  /** Namespaces. */
  readonly from: string;
  readonly to: string;
  /** IPv4, of the receiver. */
  readonly address: readonly number[];
  /** Bytes of UDP payload of one datagram after the other, over and over. */
  readonly lengths: readonly number[];
  /** All rates that are tried take that long together, more or less. */
  readonly seconds: number;
}

export interface LosslessReport {
  /** Datagrams a second. */
  readonly pps: number;
}

interface Trial {
  readonly sent: number;
  readonly received: number;
  readonly seconds: number;
}

/** What may be missing: one in a thousand is the machine's jitter, not the gateway's limit. */
const LOSS = 0.001;
const STEPS = 8;
/** Datagrams under way while the limit is looked for roughly, and how far above it a rate may be. */
const WINDOW = 128;
const HEADROOM = 1.5;
/** Milliseconds of silence after which what has not come is lost. */
const PATIENCE = 50;
/** Milliseconds that the processor is left to the gateways where there is nothing to be done. */
const PAUSE = 0.1;
const LARGEST = 2048;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

class Line {
  readonly #sender: number;
  readonly #receiver: number;
  readonly #lengths: readonly number[];
  readonly #outgoing: Messages;
  readonly #incoming = new Messages(LARGEST, 0);
  #next = 0;

  constructor({ from, to, address, lengths }: LosslessOptions) {
    this.#sender = openSender(from);
    this.#receiver = openReceiver(to);
    this.#lengths = lengths;
    this.#outgoing = new Messages(Math.max(...lengths), 0);
    for (let index = 0; index < MESSAGES; index++) this.#outgoing.aim(index, address);
  }

  /** @param rate datagrams a second; without, as many as keep WINDOW of them under way */
  run(seconds: number, rate?: number): Trial {
    let [sent, received, lost] = [0, 0, 0];
    const started = performance.now();
    let progress = started;
    for (;;) {
      const now = performance.now();
      const over = now - started >= seconds * 1000;
      const silent = now - progress > PATIENCE;
      if (over && (silent || sent - lost <= received)) break;
      if (silent) lost = sent - received;
      const due = rate === undefined ? WINDOW - (sent - received - lost) : ((now - started) / 1000) * rate - sent;
      const count = over ? 0 : Math.min(MESSAGES, Math.floor(due));
      if (count > 0) sent += this.#send(count);
      const came = Math.max(0, recvmmsg(this.#receiver, this.#incoming.address, MESSAGES, MSG_DONTWAIT, 0));
      received += came;
      if (came > 0 || sent === 0) progress = now;
      if (count < MESSAGES && came < MESSAGES) Atomics.wait(sleeper, 0, 0, PAUSE);
    }
    return { sent, received, seconds: Math.max(seconds, (progress - started) / 1000) };
  }

  #send(count: number): number {
    for (let index = 0; index < count; index++) {
      this.#outgoing.resize(index, this.#lengths[(this.#next + index) % this.#lengths.length]!);
    }
    const sent = Math.max(0, sendmmsg(this.#sender, this.#outgoing.address, count, MSG_DONTWAIT));
    this.#next = (this.#next + sent) % this.#lengths.length;
    return sent;
  }
}

/** @returns datagrams a second that came, if they came whole: two trials in turn that fail are no accident */
function tryRate(line: Line, seconds: number, rate: number): number | undefined {
  for (let attempt = 0; attempt < 2; attempt++) {
    const { sent, received, seconds: taken } = line.run(seconds, rate);
    if (sent - received <= sent * LOSS) return received / taken;
  }
  return undefined;
}

function search(options: LosslessOptions): LosslessReport {
  const line = new Line(options);
  const seconds = options.seconds / STEPS;
  // The first code of an engine is its slow one.
  line.run(seconds);
  const rough = line.run(seconds);
  let pps = 0;
  let [low, high] = [0, (rough.received / rough.seconds) * HEADROOM];
  for (let step = 0; step < STEPS; step++) {
    const rate = (low + high) / 2;
    const reached = tryRate(line, seconds, rate);
    if (reached === undefined) high = rate;
    else {
      low = rate;
      pps = Math.max(pps, reached);
    }
  }
  return { pps };
}

process.stdout.write(`${JSON.stringify(search(JSON.parse(process.argv[2]!) as LosslessOptions))}\n`);
