/**
 * When dummy packets are due (RFC 4303 §2.6): an SA that is to send so many packets a second sends what
 * its own traffic leaves of them as dummies. So below that rate an observer sees no difference.
 */
import type { SaHandle } from '../contract.ts';

/** Milliseconds between looks. */
const INTERVAL = 20;
/** Seconds for which packets that could not be sent are made up for. */
const ARREARS = 0.1;

interface Schedule {
  readonly perSecond: number;
  /** Packets that should have left by now, on the scale of sequence numbers. */
  due: number;
}

export interface DummySurroundings {
  /** @returns address of the SA's record and its last sequence number; undefined if it is gone */
  look(sa: SaHandle): { readonly address: number; readonly sequence: number } | undefined;
  /** Has a dummy packet sent for each pair of address and handle. */
  send(pairs: readonly number[]): void;
}

export class Dummies {
  readonly #surroundings: DummySurroundings;
  readonly #schedules = new Map<SaHandle, Schedule>();
  #timer: NodeJS.Timeout | undefined;
  #looked = 0;

  constructor(surroundings: DummySurroundings) {
    this.#surroundings = surroundings;
  }

  /** @param perSecond packets that an outbound SA sends at least; 0 for no dummies */
  set(sa: SaHandle, perSecond: number): void {
    if (perSecond <= 0) return;
    this.#schedules.set(sa, { perSecond, due: 0 });
    if (this.#timer !== undefined) return;
    this.#looked = performance.now();
    this.#timer = setInterval(() => this.#tick(), INTERVAL).unref();
  }

  delete(sa: SaHandle): void {
    this.#schedules.delete(sa);
    if (this.#schedules.size === 0) this.close();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const now = performance.now();
    const seconds = (now - this.#looked) / 1000;
    this.#looked = now;
    const pairs: number[] = [];
    for (const [sa, schedule] of this.#schedules) {
      const found = this.#surroundings.look(sa);
      if (found === undefined) continue;
      const { perSecond } = schedule;
      const most = found.sequence + 1 + perSecond * Math.max(ARREARS, seconds);
      schedule.due = Math.min(most, Math.max(schedule.due + perSecond * seconds, found.sequence));
      for (let missing = Math.floor(schedule.due - found.sequence); missing > 0; missing--)
        pairs.push(found.address, sa);
    }
    if (pairs.length > 0) this.#surroundings.send(pairs);
  }
}
