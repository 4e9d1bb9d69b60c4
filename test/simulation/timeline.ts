/** What happens next: a heap of things to do by time; what is due at one time happens in the order of its planning. */

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export class Timeline {
  now = 0;
  private readonly heap: Entry[] = [];
  private order = 0;

  plan(at: number, run: () => void): void {
    const entry = { at: Math.max(at, this.now), order: this.order++, run };
    const { heap } = this;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  /** Lets everything happen that is due until `end`; it is `end` then. */
  runUntil(end: number): void {
    for (;;) {
      const first = this.heap[0];
      if (first === undefined || first.at > end) break;
      this.pop();
      this.now = first.at;
      first.run();
    }
    this.now = end;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let least = 2 * index + 1;
      if (least >= heap.length) break;
      if (least + 1 < heap.length && before(heap[least + 1]!, heap[least]!)) least++;
      if (!before(heap[least]!, last)) break;
      heap[index] = heap[least]!;
      index = least;
    }
    heap[index] = last;
  }
}
