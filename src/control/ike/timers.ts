/** Every deadline of the core, in one heap; the driver needs to know of the earliest only. */

import type { Context } from './context.ts';
import type { SmallMap } from './small-map.ts';

/** An IKE SA or a child SA, with its timers by purpose. */
export interface TimerOwner {
  readonly timers: SmallMap<string, Timer>;
}

/** Stands for one deadline. */
export interface Timer {
  readonly at: number;
  /** Its place in the heap; `NOWHERE` once it has run or was cancelled. */
  place: number;
  /** Whoever has it: it is taken out of the owner's timers before it runs. */
  owner: TimerOwner | undefined;
}

interface Entry extends Timer {
  readonly order: number;
  readonly run: (cx: Context, owner: TimerOwner) => void;
}

const NOWHERE = -1;

/** Deadlines of one time run in the order in which they were set: a schedule replays exactly. */
const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export class Timers {
  private readonly cx: Context;
  private readonly heap: Entry[] = [];
  private order = 0;

  constructor(cx: Context) {
    this.cx = cx;
  }

  /** @param at milliseconds, on the clock that `run` is given */
  set(at: number, run: () => void): Timer {
    return this.add(at, run, undefined);
  }

  /** The same for one of an owner's timers: with thousands of owners, one function for all saves a closure for each. */
  setFor<Owner extends TimerOwner>(owner: Owner, at: number, run: (cx: Context, owner: Owner) => void): Timer {
    return this.add(at, run as Entry['run'], owner);
  }

  private add(at: number, run: Entry['run'], owner: TimerOwner | undefined): Timer {
    const entry: Entry = { at, run, order: this.order++, place: this.heap.length, owner };
    this.heap.push(entry);
    this.up(entry);
    return entry;
  }

  /** Takes it out at once: long deadlines are often cancelled long before, and hold on to what they are for. */
  cancel(timer: Timer | undefined): void {
    if (timer !== undefined && timer.place !== NOWHERE) this.remove(this.heap[timer.place]!);
  }

  /** @returns the earliest deadline */
  next(): number | undefined {
    return this.heap[0]?.at;
  }

  /** Runs everything that is due, including what becomes due on the way. */
  run(now: number): void {
    for (;;) {
      const first = this.heap[0];
      if (first === undefined || first.at > now) return;
      this.remove(first);
      first.owner?.timers.deleteValue(first);
      first.run(this.cx, first.owner!);
    }
  }

  /** The last one takes its place, and goes from there to where it belongs. */
  private remove(entry: Entry): void {
    const last = this.heap.pop()!;
    if (last !== entry) {
      this.put(last, entry.place);
      this.up(last);
      this.down(last);
    }
    entry.place = NOWHERE;
  }

  private up(entry: Entry): void {
    while (entry.place > 0) {
      const parent = this.heap[(entry.place - 1) >> 1]!;
      if (!before(entry, parent)) return;
      this.swap(entry, parent);
    }
  }

  private down(entry: Entry): void {
    for (;;) {
      const left = this.heap[2 * entry.place + 1];
      const right = this.heap[2 * entry.place + 2];
      const least = left !== undefined && right !== undefined && before(right, left) ? right : left;
      if (least === undefined || !before(least, entry)) return;
      this.swap(entry, least);
    }
  }

  private swap(a: Entry, b: Entry): void {
    const { place } = a;
    this.put(a, b.place);
    this.put(b, place);
  }

  private put(entry: Entry, place: number): void {
    this.heap[place] = entry;
    entry.place = place;
  }
}
