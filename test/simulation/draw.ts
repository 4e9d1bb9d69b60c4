/** Draws a schedule from a seed: mostly few faults and many coincidences, for that is where bugs are. */
import type { ClosingAction, StartAction } from '../../src/control/config/model.ts';
import { Random } from './random.ts';
import {
  childName,
  connectionName,
  type FaultRates,
  type Link,
  type Schedule,
  type ScheduledEvent,
  type Side,
} from './schedule.ts';

const CLOSING: readonly ClosingAction[] = ['none', 'clear', 'trap', 'start', 'restart'];
const STARTING: readonly StartAction[] = ['none', 'trap', 'start', 'trap|start'];

function drawSide(random: Random, mayCall: boolean, isPeaceful: boolean): Side {
  return {
    startAction: mayCall && !isPeaceful ? random.pick(STARTING) : 'none',
    closeAction: mayCall ? random.pick(CLOSING) : 'none',
    dpdAction: mayCall ? random.pick(CLOSING) : 'clear',
    dpdDelay: random.pick([3, 5, 10]),
    keyingtries: random.pick([0, 1, 3]),
    unique: random.pick(['no', 'no', 'replace', 'never', 'keep']),
    childRekey: random.pick([0, 20, 45, 90]),
    ikeRekey: random.pick([0, 0, 30, 70]),
    reauth: random.chance(0.1) && !isPeaceful ? 60 : 0,
    encap: random.chance(0.1),
  };
}

const SAME: Link['groups'] = ['x25519', 'x25519'];
const GROUPS: readonly Link['groups'][] = [
  SAME,
  SAME,
  SAME,
  ['x25519-ecp256', 'ecp256'],
  ['ecp256', 'x25519-ecp256'],
  ['x25519-ecp256', 'ecp256-x25519'],
];

/** @param more was thought of later, so it takes nothing from `random`: seeds keep their meaning */
function drawLink(random: Random, more: Random, left: number, right: number, nat: boolean, isPeaceful: boolean): Link {
  const sides = [drawSide(random, true, isPeaceful), drawSide(random, !nat, isPeaceful)] as const;
  return {
    left,
    right,
    sides,
    children: random.pick([1, 1, 2]),
    narrowed: random.chance(0.25),
    pfs: random.chance(0.4),
    groups: more.pick(GROUPS),
    hybrid: random.chance(0.12),
    mobike: random.chance(0.3),
    childless: random.pick(['allow', 'allow', 'allow', 'prefer', 'never']),
    estranged: random.chance(0.03) && !isPeaceful,
    traffic: random.pick(['both', 'both', 'both', 'left', 'right', 'none']),
  };
}

const PERFECT: FaultRates = { loss: 0, duplicate: 0, corrupt: 0, late: 0 };

function drawFaults(random: Random, isPeaceful: boolean): FaultRates {
  if (isPeaceful) return { ...PERFECT, duplicate: random.below(100), late: random.below(150) };
  if (random.chance(0.25)) return PERFECT;
  const heavy = random.chance(0.2);
  return {
    loss: random.below(heavy ? 400 : 80),
    duplicate: random.below(100),
    corrupt: random.chance(0.3) ? random.below(60) : 0,
    late: random.below(150),
  };
}

type Kind = ScheduledEvent['kind'];
/** How often each kind is drawn, against the others. */
const WEIGHTS: readonly (readonly [Kind, number])[] = [
  ['rekey', 40],
  ['initiate', 14],
  ['terminate', 6],
  ['expire', 12],
  ['cut', 7],
  ['crash', 5],
  ['replay', 8],
  ['clock', 2],
  ['stall', 2],
  ['reload', 6],
  ['rebind', 3],
  ['move', 5],
  ['install-failed', 1],
];
/** By so much somebody sets the time of day. */
const HOUR = 3_600_000;
/** Nothing that takes an SA down: nothing may go down then, and no packet be lost. */
const PEACEFUL: readonly Kind[] = ['rekey', 'replay'];

class EventDrawer {
  private readonly random: Random;
  private readonly links: readonly Link[];
  private readonly nat: boolean;
  private readonly latency: number;
  private readonly isPeaceful: boolean;

  constructor(random: Random, links: readonly Link[], nat: boolean, latency: number, isPeaceful: boolean) {
    this.random = random;
    this.links = links;
    this.nat = nat;
    this.latency = latency;
    this.isPeaceful = isPeaceful;
  }

  draw(kind: Kind, at: number): ScheduledEvent[] {
    const { random } = this;
    const link = random.pick(this.links);
    const gateway = random.pick([link.left, link.right]);
    const name = random.chance(0.3) ? connectionName(link) : childName(link, random.below(link.children));
    switch (kind) {
      case 'initiate':
      case 'terminate':
      case 'rekey':
        return this.coincide({ at, kind, gateway: this.caller(kind, link, gateway), name }, link);
      case 'expire':
        return [{ at, kind, gateway, hard: random.chance(0.2), which: random.below(8) }];
      case 'install-failed':
        return [{ at, kind, gateway, which: random.below(8) }];
      case 'crash':
        return [{ at, kind, gateway, downtime: random.between(50, 30_000) }];
      case 'cut':
        return [this.cut(at)];
      case 'rebind':
        return this.nat ? [{ at, kind, gateway: 0 }] : [];
      case 'move':
        return this.journey(at, gateway);
      case 'clock':
        return [{ at, kind, gateway, step: random.pick([-HOUR, HOUR]) }];
      case 'stall':
        return [{ at, kind, gateway, step: random.between(0, 15_000) }];
      case 'reload':
        return this.reload(at, link, gateway, name);
      case 'replay':
        return [{ at, kind, which: random.next(), flip: random.chance(0.5) ? random.next() : undefined }];
    }
  }

  /** Often in the middle of something, or once more before what the first one began is over. */
  private reload(at: number, link: Link, gateway: number, name: string): ScheduledEvent[] {
    const { random, latency } = this;
    const again = (): ScheduledEvent => ({ at, kind: 'reload', gateway, changed: random.chance(0.6) });
    const before = at - random.below(3 * latency + 5);
    const kind = random.pick(['rekey', 'rekey', 'terminate', 'reload', 'none', 'none'] as const);
    if (kind === 'none') return [again()];
    if (kind === 'reload') return [{ ...again(), at: before }, again()];
    return [{ at: before, kind, gateway: random.pick([link.left, link.right]), name }, again()];
  }

  private cut(at: number): ScheduledEvent {
    const way = this.random.pick(['both', 'both', 'left', 'right'] as const);
    const duration = this.random.between(500, 40_000);
    return { at, kind: 'cut', link: this.random.below(this.links.length), way, duration };
  }

  /** Somewhere else, and often back again, before or after anybody could notice. */
  private journey(at: number, gateway: number): ScheduledEvent[] {
    const { random } = this;
    const gap = () => random.pick([0, 0, 0, -2000, 300, 3000, 20_000]);
    const out: ScheduledEvent = { at, kind: 'move', gateway, to: random.chance(0.9) ? 'away' : 'home', gap: gap() };
    if (!random.chance(0.6)) return [out];
    const stay = random.chance(0.5) ? random.between(0, 4 * this.latency) : random.between(1000, 40_000);
    return [out, { at: at + stay, kind: 'move', gateway, to: 'home', gap: gap() }];
  }

  /** Nobody calls through a NAT from outside. */
  private caller(kind: Kind, link: Link, gateway: number): number {
    return kind === 'initiate' && this.nat && link.left === 0 ? 0 : gateway;
  }

  /** Often the other side does something too, before or after it hears of this. */
  private coincide(event: ScheduledEvent & { kind: 'initiate' | 'terminate' | 'rekey' }, link: Link): ScheduledEvent[] {
    const { random } = this;
    const events: ScheduledEvent[] = [event];
    if (!random.chance(0.6)) return events;
    const gateway = random.chance(0.8) ? link.left + link.right - event.gateway : event.gateway;
    const at = event.at + random.below(3 * this.latency + 5);
    const kind =
      random.chance(0.75) || this.isPeaceful ? event.kind : random.pick(['rekey', 'terminate', 'initiate'] as const);
    const name = random.chance(0.7) ? event.name : connectionName(link);
    events.push({ at, kind, gateway: this.caller(kind, link, gateway), name });
    return events;
  }
}

export function drawSchedule(seed: number): Schedule {
  const random = new Random('schedule', seed);
  const isPeaceful = random.chance(0.2);
  const nat = random.chance(0.2) && !isPeaceful;
  const gateways = random.chance(0.15) ? 3 : 2;
  const ends = gateways === 2 ? [[0, 1] as const] : [[0, 1] as const, [0, 2] as const];
  const more = new Random('more', seed);
  const links = ends.map(([left, right]) => drawLink(random, more, left, right, nat, isPeaceful));
  const latency = random.pick([1, 10, 40, 150]);
  const chaos = random.between(20, 120) * 1000;
  const kinds = WEIGHTS.filter(([kind]) => !isPeaceful || PEACEFUL.includes(kind));
  const bag = kinds.flatMap(([kind, weight]) => Array<Kind>(weight).fill(kind));
  const drawer = new EventDrawer(random, links, nat, latency, isPeaceful);
  const first: ScheduledEvent = {
    at: random.below(2000),
    kind: 'initiate',
    gateway: links[0]!.left,
    name: connectionName(links[0]!),
  };
  const count = random.between(2, 14);
  const rest = Array.from({ length: count }, () => drawer.draw(random.pick(bag), random.between(500, chaos))).flat();
  return {
    seed,
    gateways,
    links,
    nat,
    skew: Array.from({ length: gateways }, () => random.between(-20_000, 20_000)),
    window: random.pick([1, 1, 1, 2, 4]),
    cookieThreshold: more.pick([0, 1, 3, 3]),
    realCrypto: random.chance(0.02),
    latency,
    faults: drawFaults(random, isPeaceful),
    chaos,
    events: [first, ...rest].sort((a, b) => a.at - b.at),
  };
}
