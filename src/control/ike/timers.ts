/** Every deadline of the core, in one heap; the driver needs to know of the earliest only. */

import type { SmallMap } from './small-map.ts';

/** Stands for one deadline. */
export interface Timer {
  readonly at: number;
  cancelled: boolean;
  /** The timers of whoever has it: it is taken out of them before it runs. */
  among: SmallMap<string, Timer> | undefined;
}

interface Entry extends Timer {
  readonly order: number;
  readonly run: () => void;
}

/** Deadlines of one time run in the order in which they were set: a schedule replays exactly. */
const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export class Timers {
  private readonly heap: Entry[] = [];
  private order = 0;
  private cancelledCount = 0;

  /** @param at milliseconds, on the clock that `run` is given */
  set(at: number, run: () => void, among?: SmallMap<string, Timer>): Timer {
    const entry: Entry = { at, run, order: this.order++, cancelled: false, among };
    this.heap.push(entry);
    this.up(this.heap.length - 1);
    return entry;
  }

  cancel(timer: Timer | undefined): void {
    if (timer === undefined || timer.cancelled) return;
    timer.cancelled = true;
    this.cancelledCount++;
    // Memory stays bounded by the timers that live: long deadlines are often cancelled long before.
    if (this.cancelledCount > 64 && this.cancelledCount > this.heap.length / 2) this.sweep();
  }

  /** @returns the earliest deadline */
  next(): number | undefined {
    this.dropCancelled();
    return this.heap[0]?.at;
  }

  /** Runs everything that is due, including what becomes due on the way. */
  run(now: number): void {
    for (;;) {
      this.dropCancelled();
      const first = this.heap[0];
      if (first === undefined || first.at > now) return;
      this.pop();
      first.cancelled = true;
      first.among?.deleteValue(first);
      first.run();
    }
  }

  private dropCancelled(): void {
    while (this.heap[0]?.cancelled) {
      this.pop();
      this.cancelledCount--;
    }
  }

  private sweep(): void {
    const alive = this.heap.filter(({ cancelled }) => !cancelled).sort((a, b) => (before(a, b) ? -1 : 1));
    this.heap.splice(0, this.heap.length, ...alive);
    this.cancelledCount = 0;
  }

  private pop(): void {
    const last = this.heap.pop();
    if (last === undefined || this.heap.length === 0) return;
    this.heap[0] = last;
    this.down(0);
  }

  private up(index: number): void {
    let at = index;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(this.heap[at]!, this.heap[parent]!)) return;
      this.swap(at, parent);
      at = parent;
    }
  }

  private down(index: number): void {
    let at = index;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      let least = at;
      if (left < this.heap.length && before(this.heap[left]!, this.heap[least]!)) least = left;
      if (right < this.heap.length && before(this.heap[right]!, this.heap[least]!)) least = right;
      if (least === at) return;
      this.swap(at, least);
      at = least;
    }
  }

  private swap(a: number, b: number): void {
    const held = this.heap[a]!;
    this.heap[a] = this.heap[b]!;
    this.heap[b] = held;
  }
}
