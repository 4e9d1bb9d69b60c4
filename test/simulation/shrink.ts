/**
 * Makes a failing schedule smaller while the same rule is still broken: fewer events, fewer faults,
 * less configuration. What is left is what matters.
 */
import type { Link, Schedule, Side } from './schedule.ts';
import { World } from './world.ts';

const PLAIN_SIDE: Partial<Side> = { childRekey: 0, ikeRekey: 0, reauth: 0, encap: false, unique: 'no' };
const PLAIN_LINKS: readonly Partial<Link>[] = [
  { children: 1 },
  { groups: ['x25519', 'x25519'] },
  { hybrid: false },
  { pfs: false },
  { mobike: false },
  { childless: 'allow' },
  { traffic: 'none' },
];

export class Shrinker {
  /** Runs so far. */
  runs = 0;
  private best: Schedule;
  private readonly rule: string;
  private readonly most: number;

  /** @param rule that the schedule breaks @param most runs to spend */
  constructor(schedule: Schedule, rule: string, most = 600) {
    this.best = schedule;
    this.rule = rule;
    this.most = most;
  }

  shrink(): Schedule {
    this.fixFates();
    this.try({ ...this.best, nat: false });
    this.try({ ...this.best, cookieThreshold: 3 });
    this.try({ ...this.best, window: 1, skew: this.best.skew.map(() => 0), realCrypto: false });
    this.shrinkEvents();
    if (this.best.fates !== undefined) this.shrinkFates();
    this.shrinkLinks();
    this.shrinkEvents();
    return this.best;
  }

  /** Writes down what the network did, so that the parts of it can be left out. */
  private fixFates(): void {
    const { fates } = new World(this.best).run();
    this.try({ ...this.best, fates: {} });
    if (this.best.fates === undefined) this.try({ ...this.best, fates: fates ?? {} });
  }

  private shrinkEvents(): void {
    this.best = this.minimise(this.best.events, (events) => ({ ...this.best, events }));
  }

  private shrinkFates(): void {
    const entries = Object.entries(this.best.fates!);
    this.best = this.minimise(entries, (some) => ({ ...this.best, fates: Object.fromEntries(some) }));
  }

  private shrinkLinks(): void {
    if (this.best.gateways > 2)
      this.try({ ...this.best, gateways: 2, links: this.best.links.filter(({ right }) => right === 1) });
    for (let index = 0; index < this.best.links.length; index++) {
      for (const plain of PLAIN_LINKS) this.tryLink(index, plain);
      for (const [key, value] of Object.entries(PLAIN_SIDE)) {
        for (const at of [0, 1]) {
          const { sides } = this.best.links[index]!;
          const plainer = sides.map((side, which) => (which === at ? { ...side, [key]: value } : side));
          this.tryLink(index, { sides: plainer as unknown as Link['sides'] });
        }
      }
    }
  }

  private tryLink(index: number, change: Partial<Link>): void {
    this.try({
      ...this.best,
      links: this.best.links.map((link, at) => (at === index ? { ...link, ...change } : link)),
    });
  }

  /** Keeps the schedule if it breaks the rule too. */
  private try(schedule: Schedule): boolean {
    if (this.runs >= this.most) return false;
    this.runs++;
    if (new World(schedule).run().violation?.rule !== this.rule) return false;
    this.best = schedule;
    return true;
  }

  /** Leaves out halves, quarters, … and then one after the other. */
  private minimise<T>(all: readonly T[], make: (some: readonly T[]) => Schedule): Schedule {
    let kept = all;
    for (let size = Math.ceil(all.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let at = 0; at < kept.length; ) {
        const rest = [...kept.slice(0, at), ...kept.slice(at + size)];
        if (this.try(make(rest))) kept = rest;
        else at += size;
      }
    }
    return this.best;
  }
}
