/** Watches every step of every gateway, and every packet: what must never be, while it goes on. */
import type { Effect, Input } from '../../src/control/ike/effects.ts';
import type { EffectOf, Verdict } from './data-plane.ts';
import type { Gateway } from './gateway.ts';
import { Guard } from './guard.ts';
import { MessageWatch } from './messages.ts';
import { LATEST } from './network.ts';
import { isPeaceful } from './peace.ts';
import { connectionName, GIVES_UP_AFTER, type Link } from './schedule.ts';
import { Violation } from './violation.ts';
import type { Flow, World } from './world.ts';

/** More SAs than that are never needed by so few children. */
const MOST_SAS = 200;
/** Clocks are off by some per cent, and packets come at a pace. */
const SLACK = 5_000;

interface FlowState {
  /** When the first of the packets was sent that disappeared, with none arriving since. */
  since: number | undefined;
  everArrived: boolean;
}

export class Witness {
  delivered = 0;
  private readonly world: World;
  private readonly flows = new Map<Flow, FlowState>();
  private readonly outboundKeys = new Set<string>();
  private isPeaceful: boolean;
  private readonly watches: MessageWatch[] = [];
  private readonly guards: Guard[] = [];

  constructor(world: World) {
    this.world = world;
    this.isPeaceful = isPeaceful(world.schedule);
    for (const gateway of world.gateways) {
      this.watches[gateway.index] = new MessageWatch();
      this.guards[gateway.index] = new Guard(world.schedule, gateway);
    }
    for (const flow of world.flows) this.flows.set(flow, { since: undefined, everArrived: false });
  }

  stepping(gateway: Gateway, input: Input): void {
    this.watches[gateway.index]!.begin(input.type === 'datagram' ? input.datagram.data : undefined);
    this.guards[gateway.index]!.stepping(input);
  }

  performed(gateway: Gateway, effect: Effect, _input: Input): void {
    switch (effect.type) {
      case 'send':
        this.watches[gateway.index]!.sent(effect.datagram.data);
        return;
      case 'install-sa':
        this.installed(gateway, effect);
        return;
      case 'install-policy':
      case 'remove-policy':
        this.guards[gateway.index]!.performed(effect);
        return;
      case 'event':
        if (effect.event.type === 'ike-up' || effect.event.type === 'ike-down')
          this.begunAnew(gateway, effect.event.connection);
        return;
      case 'completed':
        if (gateway.completed.get(effect.request)! > 1)
          throw new Violation('a command is answered once', `${gateway.name}, command ${effect.request}`);
        return;
    }
  }

  stepped(gateway: Gateway, _input: Input): void {
    this.watches[gateway.index]!.end();
    const { sas, policies } = gateway.dataPlane;
    if (sas.size > MOST_SAS) throw new Violation('memory is bounded', `${gateway.name} has ${sas.size} SAs`);
    for (const { sa, parameters } of policies.values()) {
      if (sa !== undefined && sas.get(sa)?.direction !== 'out')
        throw new Violation('a policy points to an SA that is there', `${gateway.name}: ${parameters.name}`);
    }
    for (const { direction, name } of sas.values()) {
      if (direction === 'in') continue;
      const carries = [...policies.values()].some(({ sa, parameters }) => sa !== undefined && parameters.name === name);
      if (!carries)
        throw new Violation('a packet does not wait while an SA for it is there', `${gateway.name}: ${name}`);
    }
  }

  private installed(gateway: Gateway, { key, parameters }: EffectOf<'install-sa'>): void {
    const { name, direction, spi } = parameters;
    const where = `${gateway.name}: ${name}, ${direction}bound`;
    const link = this.linkOf(name);
    if (link?.estranged) throw new Violation('no key is used by an unauthenticated peer', where);
    if (!gateway.events.some((event) => event.type === 'ike-up' && event.connection === connectionName(link!)))
      throw new Violation('no key is used by an unauthenticated peer', `${where}, before the IKE SA is up`);
    if (direction === 'in') {
      const twin = [...gateway.dataPlane.sas.values()].find(
        (sa) => sa.direction === 'in' && sa.spi === spi && sa.key !== key,
      );
      if (twin !== undefined) throw new Violation('an SPI names one SA', where);
      return;
    }
    const { secret } = gateway.dataPlane.sas.get(key)!;
    if (this.outboundKeys.has(secret)) throw new Violation('no key protects twice from the first number on', where);
    this.outboundKeys.add(secret);
  }

  /**
   * With a new IKE SA both have just proved that they are there; one that is gone has been found dead, and another
   * one's children carry what its own did. What is lost from now on is a matter of its own.
   */
  private begunAnew(gateway: Gateway, connection: string): void {
    for (const [flow, state] of this.flows)
      if (flow.from === gateway.index && flow.child.startsWith(`${connection}-`)) state.since = undefined;
  }

  private linkOf(child: string): Link | undefined {
    return this.world.schedule.links.find((link) => child.startsWith(`${connectionName(link)}-`));
  }

  commanded(gateway: Gateway, kind: 'initiate' | 'terminate' | 'rekey', name: string): void {
    if (kind === 'terminate') this.guards[gateway.index]!.terminated(name);
    if (kind === 'initiate') this.guards[gateway.index]!.initiated(name);
  }

  crashed(gateway: Gateway): void {
    this.watches[gateway.index] = new MessageWatch();
    this.guards[gateway.index] = new Guard(this.world.schedule, gateway);
  }

  /** From now on packets may be lost. */
  endPeace(): void {
    this.isPeaceful = false;
  }

  /** What the user wants up is to be up in the end. */
  wanted(gateway: Gateway): readonly string[] {
    return this.guards[gateway.index]!.kept();
  }

  /** Every command has had its answer. */
  checkAnswers(): void {
    for (const gateway of this.world.gateways) {
      for (const [request, answers] of gateway.completed)
        if (answers === 0) throw new Violation('a command is answered', `${gateway.name}, command ${request}`);
    }
  }

  accepted(flow: Flow): void {
    this.delivered++;
    const state = this.flows.get(flow)!;
    state.since = undefined;
    state.everArrived = true;
  }

  /** There was no SA to send with. @param hasPolicy false: it would have left unprotected, had it been let */
  unsent(flow: Flow, hasPolicy: boolean): void {
    const state = this.flows.get(flow)!;
    if (this.isPeaceful && state.everArrived)
      throw new Violation('a rekeying loses no packet', `${flow.child} from g${flow.from} has no SA`);
    state.since = undefined;
    if (!hasPolicy) this.guards[flow.from]!.leaks(flow.child);
  }

  /** It got lost on a way that only its own direction has lost: what comes the other way says that the peer is alive. */
  undecided(flow: Flow): void {
    this.flows.get(flow)!.since = undefined;
  }

  /** A packet was protected and sent, and did not arrive for want of an SA, or of a peer. */
  swallowed(flow: Flow, sent: number, why: Verdict | 'there is nobody'): void {
    const what = `${flow.child} from g${flow.from} to g${flow.to}`;
    if (why === 'wrong key') throw new Violation('both sides have the same keys', what);
    const state = this.flows.get(flow)!;
    if (this.isPeaceful && state.everArrived) throw new Violation('a rekeying loses no packet', `${what}: ${why}`);
    state.since ??= sent;
    const link = this.linkOf(flow.child)!;
    const { dpdDelay } = link.sides[link.left === flow.from ? 0 : 1];
    // The last sign of life may come as late as anything.
    const allowed = dpdDelay * 1000 + 2 * GIVES_UP_AFTER + LATEST + SLACK;
    if (this.world.now - state.since <= allowed) return;
    const seconds = Math.round((this.world.now - state.since) / 1000);
    throw new Violation('nothing is black-holed for longer than liveness takes', `${what} for ${seconds} s: ${why}`);
  }
}
