/** One gateway: a core, its clock, and what it has had its data plane do. A crash makes it a new one. */
import type { IkeDatagram, SelectorSide } from '../../src/contract.ts';
import { IkeCore } from '../../src/control/ike/core.ts';
import type { Effect, IkeEvent, Input } from '../../src/control/ike/effects.ts';
import type { IkeSaStatus } from '../../src/control/manage/status.ts';
import { configOf } from './configuration.ts';
import { DataPlane } from './data-plane.ts';
import { simulatedProvider } from './provider.ts';
import { Random } from './random.ts';
import type { Schedule } from './schedule.ts';
import { standInProvider } from './stand-in.ts';

/** What the world around a gateway does for it, and watches. */
export interface Surroundings {
  /** Milliseconds of true time. */
  readonly now: number;
  /** Addresses that the gateway has. */
  addressesOf(gateway: Gateway): readonly string[];
  /** Does anybody read what cores log? */
  readonly isWatched: boolean;
  send(from: Gateway, datagram: IkeDatagram): void;
  /** The core wants to be woken at that true time. */
  wake(gateway: Gateway, at: number | undefined): void;
  /** Sees every effect after it was performed. */
  performed(gateway: Gateway, effect: Effect, input: Input): void;
  /** Before and after each step of the core. */
  stepping(gateway: Gateway, input: Input): void;
  stepped(gateway: Gateway, input: Input): void;
}

/** Local time is far from zero, as it is outside. */
const EPOCH = 1_700_000_000_000;
/** What the gateways' clocks showed at first, in milliseconds since they were booted. */
const UPTIME = 4_000_000;

export class Gateway {
  readonly index: number;
  dataPlane = new DataPlane();
  core: IkeCore;
  /** Counts crashes. */
  incarnation = 0;
  running = true;
  /** Answers to commands: how often each was given one. */
  readonly completed = new Map<number, number>();
  events: IkeEvent[] = [];
  private lastRequest = 0;
  /** How often its configuration was changed. */
  variant = 0;
  private readonly schedule: Schedule;
  private readonly world: Surroundings;
  private readonly rate: number;
  private offset: number;
  private timeOfDay = EPOCH;
  private timerAt: number | undefined;

  constructor(schedule: Schedule, index: number, world: Surroundings) {
    this.schedule = schedule;
    this.index = index;
    this.world = world;
    this.rate = 1 + (schedule.skew[index] ?? 0) / 1_000_000;
    this.offset = UPTIME + index * 12_345;
    this.core = this.makeCore();
  }

  get name(): string {
    return `g${this.index}`;
  }

  /** What its own clock shows, which nobody sets. */
  get clock(): number {
    return this.offset + Math.round(this.world.now * this.rate);
  }

  private makeCore(): IkeCore {
    const random = new Random(this.schedule.seed, this.index, this.incarnation);
    const { dataPlane } = this;
    return new IkeCore({
      config: configOf(this.schedule, this.index, this.variant),
      debug: () => this.world.isWatched,
      environment: {
        crypto: this.schedule.realCrypto ? simulatedProvider(random.bytes, true) : standInProvider(random.bytes),
        wallClock: () => this.timeOfDay + this.clock,
        reserveSpi: () => {
          const spi = 256 + random.below(0xffff_ff00);
          dataPlane.reserved.add(spi);
          return spi;
        },
        releaseSpi: (spi) => dataPlane.reserved.delete(spi),
        counters: (sa) => dataPlane.counters(sa),
        sourceAddress: () => this.world.addressesOf(this)[0],
      },
    });
  }

  feed(input: Input): void {
    this.world.stepping(this, input);
    for (const effect of this.core.handle(input, this.clock)) {
      this.perform(effect);
      this.world.performed(this, effect, input);
    }
    this.world.stepped(this, input);
  }

  /** @returns the number under which the answer will come */
  command(kind: 'initiate' | 'terminate' | 'rekey', name: string): number {
    const request = ++this.lastRequest;
    this.completed.set(request, 0);
    this.feed({ type: kind, request, name });
    return request;
  }

  stop(): void {
    const request = ++this.lastRequest;
    this.completed.set(request, 0);
    this.feed({ type: 'stop', request });
  }

  reload(changed: boolean): void {
    if (changed) this.variant++;
    this.feed({ type: 'reload', config: configOf(this.schedule, this.index, this.variant) });
  }

  /** Everything is lost but the configuration. */
  crash(): void {
    this.running = false;
    this.dataPlane = new DataPlane();
    this.completed.clear();
    this.events = [];
    this.timerAt = undefined;
    this.world.wake(this, undefined);
  }

  restart(): void {
    this.incarnation++;
    this.running = true;
    this.core = this.makeCore();
    this.feed({ type: 'start' });
  }

  /** Somebody sets its time of day. */
  setTime(milliseconds: number): void {
    this.timeOfDay += milliseconds;
  }

  /** It was held up: by its own clock it is so much later at once. */
  stall(milliseconds: number): void {
    this.offset += milliseconds;
    this.setTimer(this.timerAt);
  }

  status(): IkeSaStatus[] {
    return this.core.status(this.clock);
  }

  get isWaiting(): boolean {
    return this.timerAt !== undefined;
  }

  private setTimer(at: number | undefined): void {
    this.timerAt = at;
    this.world.wake(this, at === undefined ? undefined : Math.ceil((at - this.offset) / this.rate));
  }

  private perform(effect: Effect): void {
    const { sas, policies, routes, guards } = this.dataPlane;
    switch (effect.type) {
      case 'send':
        this.world.send(this, effect.datagram);
        return;
      case 'timer':
        this.setTimer(effect.at);
        return;
      case 'install-sa':
        this.dataPlane.install(effect.key, effect.parameters);
        return;
      case 'move-sa': {
        const sa = sas.get(effect.key);
        const { local, remote, udpEncapsulation: encapsulated } = effect;
        if (sa !== undefined) Object.assign(sa, { local, remote, encapsulated });
        return;
      }
      case 'remove-sa':
        sas.delete(effect.key);
        return;
      case 'install-policy': {
        const { key, parameters, sa } = effect;
        policies.set(key, { key, parameters, sa, acquiredAt: -Infinity });
        return;
      }
      case 'set-policy-sa':
        policies.get(effect.key)!.sa = effect.sa;
        return;
      case 'remove-policy':
        policies.delete(effect.key);
        return;
      case 'add-route':
        routes.add(effect.prefix);
        return;
      case 'remove-route':
        routes.delete(effect.prefix);
        return;
      case 'guard':
        guards.add(effect.key);
        return;
      case 'unguard':
        guards.delete(effect.key);
        return;
      case 'event':
        this.events.push(effect.event);
        return;
      case 'completed':
        this.completed.set(effect.request, (this.completed.get(effect.request) ?? 0) + 1);
        return;
    }
  }

  /** A packet from one host to another met a policy without an SA. */
  acquire(policy: number, from: string, to: string): void {
    const side = (address: string): SelectorSide => ({
      addresses: { from: address, to: address },
      ports: { from: 8080, to: 8080 },
    });
    this.feed({ type: 'acquire', policy, packet: { protocol: 6, local: side(from), remote: side(to) } });
  }
}
