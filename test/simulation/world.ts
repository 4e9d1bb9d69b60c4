/**
 * Runs one schedule: gateways over a network, in virtual time.
 *
 *   events and faults ─► calm, until everything had time to come right ─► at rest, all agree? ─► stop ─► nothing left?
 */
import type { IkeDatagram } from '../../src/contract.ts';
import type { Effect, Input } from '../../src/control/ike/effects.ts';
import { awayAddress, homeAddress, isMobile } from './addresses.ts';
import { Agreement, type Problem, RESTLESS } from './agreement.ts';
import { host } from './configuration.ts';
import type { InstalledPolicy, Packet } from './data-plane.ts';
import { Gateway, type Surroundings } from './gateway.ts';
import { type Arrival, Network } from './network.ts';
import { endsPeace } from './peace.ts';
import { childName, GIVES_UP_AFTER, type Schedule, type ScheduledEvent } from './schedule.ts';
import { Timeline } from './timeline.ts';
import { Violation } from './violation.ts';
import { Witness } from './witness.ts';

/** Liveness has found out about whatever was broken. */
const SETTLES_AFTER = 10_000 + 2 * GIVES_UP_AFTER;
/** An SA that a peer's rekeying left behind goes after 240 s, a connection is tried again after 120 s at most. */
const COMES_RIGHT_WITHIN = 240_000 + 120_000 + 2 * GIVES_UP_AFTER + 60_000;
const REST_STEP = 500;
/** After `stop`: deletions go unanswered, the last answer is kept, packets on their way arrive. */
const FORGETS_AFTER = 2 * GIVES_UP_AFTER + 40_000;
/** Milliseconds between the packets of one flow, more or less. */
const PACE = 700;
/** Milliseconds between packets that go where nothing is. */
const STRAYS_EVERY = 7_000;
/** Old datagrams that somebody might keep to send them again. */
const KEPT_DATAGRAMS = 64;

/** What happens to one gateway. */
type GatewayEvent = Exclude<ScheduledEvent, { kind: 'cut' | 'replay' }>;

/** Who looks on, to tell the story afterwards. */
export interface Observer {
  note(at: number, gateway: Gateway | undefined, text: string): void;
}

export interface Flow {
  readonly child: string;
  readonly from: number;
  readonly to: number;
}

export interface Outcome {
  readonly violation?: Violation;
  /** Every fate that was not plain delivery. */
  readonly fates: Schedule['fates'];
  /** Messages that were sent, and packets that arrived. */
  readonly messages: number;
  readonly packets: number;
}

export class World implements Surroundings {
  readonly schedule: Schedule;
  readonly gateways: readonly Gateway[];
  readonly network: Network;
  readonly flows: readonly Flow[];
  readonly timeline = new Timeline();
  messages = 0;
  private readonly witness: Witness;
  private readonly observer: Observer | undefined;
  private readonly wakeups: number[] = [];
  private readonly kept: { readonly from: number; readonly datagram: IkeDatagram }[] = [];
  /** IKE datagrams on their way. */
  inFlight = 0;

  constructor(schedule: Schedule, observer?: Observer) {
    this.schedule = schedule;
    this.observer = observer;
    this.network = new Network(schedule);
    this.gateways = Array.from({ length: schedule.gateways }, (_, index) => new Gateway(schedule, index, this));
    this.flows = schedule.links.flatMap((link) => {
      const children = Array.from({ length: link.children }, (_, index) => childName(link, index));
      const { left, right, traffic } = link;
      return children.flatMap((child) => [
        ...(traffic === 'both' || traffic === 'left' ? [{ child, from: left, to: right }] : []),
        ...(traffic === 'both' || traffic === 'right' ? [{ child, from: right, to: left }] : []),
      ]);
    });
    this.witness = new Witness(this);
  }

  get now(): number {
    return this.timeline.now;
  }

  get isWatched(): boolean {
    return this.observer !== undefined;
  }

  /** Names of the children that the configuration of that gateway wants up. */
  wanted(gateway: Gateway): readonly string[] {
    return this.witness.wanted(gateway);
  }

  run(): Outcome {
    let violation: Violation | undefined;
    try {
      this.live();
    } catch (error) {
      violation = error instanceof Violation ? error : new Violation('the core does not throw', textOf(error));
    }
    const { fates } = this.network;
    const base = { fates, messages: this.messages, packets: this.witness.delivered };
    return violation === undefined ? base : { ...base, violation };
  }

  private live(): void {
    const { schedule, timeline, gateways } = this;
    for (const event of schedule.events) {
      timeline.plan(event.at, () => {
        if (event.kind === 'cut') this.cut(event);
        else if (event.kind === 'replay') this.replay(event);
        else if (this.gateways[event.gateway]!.running) this.happen(this.gateways[event.gateway]!, event);
      });
    }
    this.flows.forEach((flow, index) => {
      timeline.plan(100 + index * 37, () => this.flow(flow, index));
    });
    for (const gateway of gateways) gateway.feed({ type: 'start' });
    timeline.runUntil(schedule.chaos);
    this.note(undefined, 'the network is in order from now on');
    this.network.heal();
    for (const gateway of gateways)
      if (isMobile(schedule, gateway.index)) this.readdress(gateway, [homeAddress(schedule, gateway.index)]);
    for (const gateway of gateways) if (!gateway.running) this.restart(gateway);
    timeline.runUntil(schedule.chaos + SETTLES_AFTER);
    const agreement = new Agreement(this);
    this.comeRight(agreement);
    this.witness.checkAnswers();
    this.stop(agreement);
  }

  /** Goes on until nobody has anything under way, and both sides of every connection agree. */
  private comeRight(agreement: Agreement): void {
    const end = this.now + COMES_RIGHT_WITHIN;
    let lasting: Problem | undefined;
    for (;;) {
      const problem = agreement.problem();
      if (problem === undefined) return;
      // What is wrong at rest matters more than that there is none at this moment.
      if (lasting === undefined || problem.rule !== RESTLESS) lasting = problem;
      if (this.now >= end) throw new Violation(lasting.rule, lasting.describe());
      this.timeline.runUntil(this.now + REST_STEP);
    }
  }

  private stop(agreement: Agreement): void {
    this.witness.endPeace();
    for (const gateway of this.gateways) {
      this.note(gateway, 'stops');
      gateway.stop();
    }
    this.timeline.runUntil(this.now + FORGETS_AFTER);
    agreement.checkNothingLeft();
    this.witness.checkAnswers();
  }

  private happen(gateway: Gateway, event: GatewayEvent): void {
    this.note(gateway, describe(event));
    switch (event.kind) {
      case 'initiate':
      case 'terminate':
      case 'rekey':
        this.witness.commanded(gateway, event.kind, event.name);
        gateway.command(event.kind, event.name);
        return;
      case 'expire':
      case 'install-failed': {
        const keys = [...gateway.dataPlane.sas.keys()];
        const sa = keys[event.which % keys.length];
        if (sa === undefined) return;
        if (event.kind === 'install-failed') gateway.feed({ type: event.kind, sa, reason: 'it was drawn' });
        else gateway.feed({ type: event.kind, sa, kind: event.hard ? 'hard' : 'soft', reason: 'packets' });
        return;
      }
      case 'crash':
        this.witness.crashed(gateway);
        gateway.crash();
        this.timeline.plan(this.now + event.downtime, () => this.restart(gateway));
        return;
      case 'rebind':
        this.network.nat.forget();
        return;
      case 'move':
        this.move(gateway, event);
        return;
      case 'clock':
        gateway.setTime(event.step);
        return;
      case 'stall':
        gateway.stall(event.step);
        return;
      case 'reload':
        gateway.reload(event.changed);
        return;
    }
  }

  private restart(gateway: Gateway): void {
    if (gateway.running) return;
    this.note(gateway, 'starts again');
    gateway.restart();
  }

  /** To another network: with a gap, without one, or with both addresses for a while. */
  private move(gateway: Gateway, { to, gap }: Extract<GatewayEvent, { kind: 'move' }>): void {
    // The network is in order again, and everybody at home.
    if (this.now >= this.schedule.chaos) return;
    const { index } = gateway;
    const next = to === 'home' ? homeAddress(this.schedule, index) : awayAddress(index);
    const before = this.network.addressesOf(index).filter((address) => address !== next);
    this.readdress(gateway, [...(gap < 0 ? before : []), ...(gap > 0 ? [] : [next])]);
    if (gap === 0) return;
    this.timeline.plan(this.now + Math.abs(gap), () => {
      if (this.now < this.schedule.chaos) this.readdress(gateway, [next]);
    });
  }

  private readdress(gateway: Gateway, addresses: readonly string[]): void {
    this.network.setAddresses(gateway.index, addresses);
    this.note(gateway, `its address is ${addresses.join(' and ') || 'gone'}`);
    if (gateway.running) gateway.feed({ type: 'addresses', addresses });
  }

  addressesOf({ index }: Gateway): readonly string[] {
    return this.network.addressesOf(index);
  }

  private cut({ link, way, duration }: Extract<ScheduledEvent, { kind: 'cut' }>): void {
    const { left, right } = this.schedule.links[link]!;
    const ways = [...(way === 'right' ? [] : [[left, right]]), ...(way === 'left' ? [] : [[right, left]])];
    this.note(undefined, `no way from ${ways.map(([from, to]) => `g${from} to g${to}`).join(' and ')}`);
    for (const [from, to] of ways) this.network.cut(from!, to!, 1);
    this.timeline.plan(this.now + duration, () => {
      for (const [from, to] of ways) this.network.cut(from!, to!, -1);
    });
  }

  /** Somebody sends again what was seen before, as it was or with a bit changed. */
  private replay({ which, flip }: Extract<ScheduledEvent, { kind: 'replay' }>): void {
    const old = this.kept[which % this.kept.length];
    if (old === undefined) return;
    const data = old.datagram.data.slice();
    if (flip !== undefined) flipBit(data, flip % (data.length * 8));
    this.note(this.gateways[old.from], `somebody sends an old datagram again${flip === undefined ? '' : ', altered'}`);
    this.deliver(old.from, { ...old.datagram, data }, this.schedule.latency);
  }

  send(from: Gateway, datagram: IkeDatagram): void {
    this.messages++;
    const copy = { ...datagram, data: datagram.data.slice() };
    if (this.kept.length < KEPT_DATAGRAMS) this.kept.push({ from: from.index, datagram: copy });
    else this.kept[this.messages % KEPT_DATAGRAMS] = { from: from.index, datagram: copy };
    const { latency } = this.schedule;
    const fate = this.network.fate(from.index, copy.data.length);
    if (fate !== undefined) this.note(from, `what it sent: ${fateText(fate)}`);
    if (fate !== undefined && endsPeace(this.schedule, fate)) this.witness.endPeace();
    if (fate?.kind === 'lose') return;
    if (fate?.kind === 'corrupt') flipBit(copy.data, fate.at % (copy.data.length * 8));
    this.deliver(from.index, copy, fate?.kind === 'late' ? latency + fate.after : latency);
    if (fate?.kind === 'duplicate') this.deliver(from.index, copy, latency + fate.after);
  }

  private deliver(from: number, { local, remote, data }: IkeDatagram, after: number): void {
    const arrival = this.network.route(from, local, remote);
    if (arrival === undefined || this.network.isCut(from, arrival.gateway)) {
      this.note(this.gateways[from], 'what it sent finds no way');
      return;
    }
    this.inFlight++;
    this.timeline.plan(this.now + after, () => {
      this.inFlight--;
      const gateway = this.gateways[arrival.gateway]!;
      // A keepalive ends in the data plane.
      if (!gateway.running || data.length < 28 || !this.network.isAt(gateway.index, arrival.local)) return;
      gateway.feed({ type: 'datagram', datagram: { local: arrival.local, remote: arrival.remote, data } });
    });
  }

  /** The next packet of a flow. */
  private flow(flow: Flow, index: number): void {
    this.timeline.plan(this.now + PACE + ((index * 53 + this.now) % 200), () => this.flow(flow, index));
    const gateway = this.gateways[flow.from]!;
    if (!gateway.running) return;
    const policy = gateway.dataPlane.policyOf(flow.child);
    const packet = policy && gateway.dataPlane.send(policy, gateway.clock);
    if (packet !== undefined) {
      this.sendPacket(flow, packet);
      this.stray(flow, gateway);
      return;
    }
    this.witness.unsent(flow, policy !== undefined);
    if (policy !== undefined) this.acquire(flow, policy, 1000, false);
  }

  /** Now and then there is a packet that what is up does not take, as the peer has narrowed it, but its trap does. */
  private stray(flow: Flow, { dataPlane }: Gateway): void {
    for (const policy of dataPlane.policies.values()) {
      if (policy.parameters.name !== flow.child || policy.sa !== undefined) continue;
      this.acquire(flow, policy, STRAYS_EVERY, true);
      return;
    }
  }

  private acquire({ child, from, to }: Flow, policy: InstalledPolicy, pause: number, isStray: boolean): void {
    if (this.now - policy.acquiredAt < pause) return;
    policy.acquiredAt = this.now;
    this.gateways[from]!.acquire(policy.key, host(from, child), host(to, child, isStray));
  }

  private sendPacket(flow: Flow, packet: Packet): void {
    const arrival = this.network.route(flow.from, packet.local, packet.remote, packet.encapsulated);
    const isCut = this.network.isCut(flow.from, flow.to);
    const sent = this.now;
    if (isCut && !this.network.isCut(flow.to, flow.from)) {
      this.witness.undecided(flow);
      return;
    }
    if (!isCut && this.network.losesPacket()) return;
    const receiver = isCut || arrival === undefined ? undefined : this.gateways[arrival.gateway];
    this.timeline.plan(sent + this.schedule.latency + this.network.packetDelay(), () => {
      if (receiver?.running && this.network.isAt(receiver.index, arrival!.local))
        this.receivePacket(flow, packet, arrival!, receiver, sent);
      else this.witness.swallowed(flow, sent, 'there is nobody');
    });
  }

  private receivePacket(flow: Flow, packet: Packet, arrival: Arrival, receiver: Gateway, sent: number): void {
    const { verdict, sa } = receiver.dataPlane.receive(packet, receiver.clock);
    if (verdict !== 'accepted') {
      this.witness.swallowed(flow, sent, verdict);
      return;
    }
    this.witness.accepted(flow);
    const { address, port } = arrival.remote;
    const moved = sa!.remote.address !== address || (packet.encapsulated && sa!.remote.port !== port);
    if (packet.encapsulated && moved) receiver.feed({ type: 'mapping', sa: sa!.key, remote: { address, port } });
  }

  wake(gateway: Gateway, at: number | undefined): void {
    const ticket = (this.wakeups[gateway.index] ?? 0) + 1;
    this.wakeups[gateway.index] = ticket;
    if (at === undefined) return;
    this.timeline.plan(at, () => {
      if (this.wakeups[gateway.index] === ticket && gateway.running) gateway.feed({ type: 'timer' });
    });
  }

  stepping(gateway: Gateway, input: Input): void {
    this.witness.stepping(gateway, input);
  }

  performed(gateway: Gateway, effect: Effect, input: Input): void {
    if (effect.type === 'log' && this.observer !== undefined) this.note(gateway, effect.message);
    this.witness.performed(gateway, effect, input);
  }

  stepped(gateway: Gateway, input: Input): void {
    this.witness.stepped(gateway, input);
  }

  private note(gateway: Gateway | undefined, text: string): void {
    this.observer?.note(this.now, gateway, text);
  }
}

function flipBit(data: Uint8Array, bit: number): void {
  data[bit >> 3]! ^= 1 << (bit & 7);
}

function textOf(error: unknown): string {
  return error instanceof Error
    ? `${error.message}\n${(error.stack ?? '').split('\n').slice(1, 6).join('\n')}`
    : String(error);
}

function fateText(fate: NonNullable<ReturnType<Network['fate']>>): string {
  switch (fate.kind) {
    case 'lose':
      return 'is lost';
    case 'duplicate':
      return `arrives twice, again after ${fate.after} ms`;
    case 'corrupt':
      return `bit ${fate.at} is flipped`;
    case 'late':
      return `is late by ${fate.after} ms`;
  }
}

function describe(event: GatewayEvent): string {
  switch (event.kind) {
    case 'initiate':
    case 'terminate':
    case 'rekey':
      return `is told: ${event.kind} ${event.name}`;
    case 'expire':
      return `an SA is at its ${event.hard ? 'hard' : 'soft'} limit`;
    case 'install-failed':
      return 'an SA could not be installed';
    case 'crash':
      return `crashes for ${event.downtime} ms`;
    case 'move':
      return `moves ${event.to}`;
    case 'rebind':
      return 'its NAT forgets all mappings';
    case 'clock':
      return `its time of day is set by ${event.step} ms`;
    case 'stall':
      return `it is held up for ${event.step} ms`;
    case 'reload':
      return event.changed ? 'its configuration is changed' : 'its configuration is read again';
  }
}
