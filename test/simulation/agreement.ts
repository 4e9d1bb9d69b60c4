/** When everything had time to come right: do the two sides of each connection have the same SAs? */
import type { ChildSaStatus, IkeSaStatus } from '../../src/control/manage/status.ts';
import { priorityOf } from './configuration.ts';
import type { InstalledSa } from './data-plane.ts';
import type { Gateway } from './gateway.ts';
import { connectionName, GIVES_UP_AFTER, type Link } from './schedule.ts';
import { Violation } from './violation.ts';
import type { World } from './world.ts';

export const RESTLESS = 'exchanges come to an end';
export const FORGOTTEN = 'redundant SAs are forgotten, others are not';
const LEAVES_WITHIN = 2 * GIVES_UP_AFTER + 5_000;
const CARRIED = 'what is up carries its packets';
const RULE = 'both sides have the same SAs or none';

const describeSa = ({ connection, spiI, spiR, state, children }: IkeSaStatus): string =>
  `${connection} ${spiI}/${spiR} ${state} {${children.map(({ name, spiIn, spiOut, state: own }) => `${name} ${spiIn}/${spiOut} ${own}`).join(', ')}}`;

/** @returns the SAs that a program knows of that listens to the gateway's events */
function announcedBy({ events }: Gateway, connection: string, kind: 'ike' | 'child'): Set<number> {
  const up = new Set<number>();
  for (const event of events) {
    if (event.connection !== connection || !('id' in event)) continue;
    if (event.type === `${kind}-up`) up.add(event.id);
    else if (event.type === `${kind}-down`) up.delete(event.id);
    else if (event.type === `${kind}-rekeyed` && 'replacedBy' in event) {
      up.delete(event.id);
      up.add(event.replacedBy);
    }
  }
  return up;
}

/** What is wrong at a moment: for long, there is always something. */
export interface Problem {
  readonly rule: string;
  describe(): string;
}

export class Agreement {
  private readonly world: World;
  /** Every gateway's SAs at the moment that is looked at. */
  private statuses: readonly IkeSaStatus[][] = [];

  /** Since when children were seen on their way out. */
  private readonly leaving = new Map<string, number>();

  constructor(world: World) {
    this.world = world;
  }

  describe(): string {
    return this.world.gateways
      .map((gateway) => {
        const { sas, reserved } = gateway.dataPlane;
        const sasText = gateway.status().map(describeSa).join('; ');
        return `${gateway.name} has ${sas.size} SAs installed, ${reserved.size} SPIs reserved: ${sasText}`;
      })
      .join(' | ');
  }

  /** @returns what keeps things from being right at this moment */
  problem(): Problem | undefined {
    this.statuses = this.world.gateways.map((gateway) => gateway.status());
    this.checkLeaving();
    if (!this.isAtRest()) return { rule: RESTLESS, describe: () => this.describe() };
    try {
      for (const link of this.world.schedule.links) {
        if (link.estranged) continue;
        this.compare(link);
        for (const gateway of [link.left, link.right]) this.checkLineage(this.world.gateways[gateway]!, link);
        for (const gateway of [link.left, link.right]) this.checkWanted(gateway, link);
        for (const gateway of [link.left, link.right]) this.checkCarried(this.world.gateways[gateway]!, link);
      }
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      return { rule: error.rule, describe: () => error.details };
    }
    return undefined;
  }

  private statusOf({ index }: Gateway): readonly IkeSaStatus[] {
    return this.statuses[index]!;
  }

  /** Nobody has an exchange under way, and the data planes hold what the cores believe they do. */
  private isAtRest(): boolean {
    if (this.world.inFlight > 0) return false;
    // Those who will never believe each other may go on trying for ever.
    const estranged = this.world.schedule.links.filter((link) => link.estranged);
    const isTrying = (gateway: Gateway) => estranged.some(({ left, right }) => [left, right].includes(gateway.index));
    return this.world.gateways.every((gateway) => {
      const names = estranged.map(connectionName);
      const sas = this.statusOf(gateway).filter(({ connection }) => !names.includes(connection));
      const children = sas.flatMap((sa) => sa.children);
      const { dataPlane } = gateway;
      return (
        sas.every(({ state }) => state === 'ESTABLISHED') &&
        children.every(({ state }) => state === 'INSTALLED') &&
        dataPlane.sas.size === 2 * children.length &&
        (dataPlane.reserved.size === 0 || isTrying(gateway))
      );
    });
  }

  /** With the network in order a deletion takes no longer than a request is retransmitted. */
  private checkLeaving(): void {
    const { now, gateways } = this.world;
    for (const gateway of gateways) {
      for (const { id, name, state } of this.statusOf(gateway).flatMap(({ children }) => children)) {
        if (state === 'INSTALLED') continue;
        const key = `${gateway.name}/${gateway.incarnation}/${id}`;
        const since = this.leaving.get(key) ?? now;
        this.leaving.set(key, since);
        if (now - since > LEAVES_WITHIN) throw new Violation(FORGOTTEN, `${gateway.name} keeps ${name} as ${state}`);
      }
    }
  }

  private compare(link: Link): void {
    const [left, right] = [link.left, link.right].map((index) => this.world.gateways[index]!) as [Gateway, Gateway];
    const [ours, theirs] = [left, right].map((gateway) =>
      this.statusOf(gateway).filter(({ connection }) => connection === connectionName(link)),
    ) as [IkeSaStatus[], IkeSaStatus[]];
    const bySpi = new Map(theirs.map((sa) => [`${sa.spiI}/${sa.spiR}`, sa]));
    if (ours.length !== theirs.length) throw new Violation(RULE, this.describe());
    for (const sa of ours) {
      const twin = bySpi.get(`${sa.spiI}/${sa.spiR}`);
      if (twin === undefined || twin.initiator === sa.initiator || twin.children.length !== sa.children.length)
        throw new Violation(RULE, this.describe());
      for (const child of sa.children) this.compareChild(left, right, child, twin);
    }
  }

  private compareChild(left: Gateway, right: Gateway, child: ChildSaStatus, peer: IkeSaStatus): void {
    const twin = peer.children.find(({ spiIn, spiOut }) => spiIn === child.spiOut && spiOut === child.spiIn);
    if (twin === undefined) throw new Violation(RULE, this.describe());
    for (const [from, to, spi] of [
      [left, right, Number.parseInt(child.spiOut, 16)],
      [right, left, Number.parseInt(child.spiIn, 16)],
    ] as const) {
      const out = [...from.dataPlane.sas.values()].filter((sa) => sa.direction === 'out' && sa.spi === spi);
      const inbound = to.dataPlane.inbound(spi);
      if (out.length !== 1 || inbound === undefined || out[0]!.secret !== inbound.secret)
        throw new Violation('both sides have the same keys', `${child.name} from ${from.name} to ${to.name}`);
      this.checkPath(child, from, to, out[0]!);
    }
  }

  /** Wherever the two have been since: what one sends gets to the other. */
  private checkPath({ name }: ChildSaStatus, from: Gateway, to: Gateway, sa: InstalledSa): void {
    const arrival = this.world.network.route(from.index, sa.local, sa.remote, sa.encapsulated);
    if (arrival?.gateway === to.index) return;
    const path = `${sa.local.address}:${sa.local.port} to ${sa.remote.address}:${sa.remote.port}`;
    throw new Violation('packets find their way', `${name} from ${from.name} to ${to.name} goes from ${path}`);
  }

  /**
   * A rekeying leaves one SA where there was one, and of two children that both sides made at once one
   * stays: no redundant one is kept, and none is missing.
   */
  private checkLineage(gateway: Gateway, link: Link): void {
    const connection = connectionName(link);
    const sas = this.statusOf(gateway).filter((sa) => sa.connection === connection);
    const children = sas.flatMap((sa) => sa.children.map(({ id, name }) => ({ id, name: `${name} of ${sa.id}` })));
    const isTwice = new Set(children.map(({ name }) => name)).size < children.length;
    if (isTwice) throw new Violation(FORGOTTEN, `${gateway.name} has two of a child: ${this.describe()}`);
    for (const [kind, are] of [
      ['ike', sas],
      ['child', children],
    ] as const) {
      const announced = [...announcedBy(gateway, connection, kind)].sort().join(' ');
      const there = are
        .map(({ id }) => id)
        .sort()
        .join(' ');
      if (announced === there) continue;
      const told = `${gateway.name} announced ${kind} ${announced || 'none'} of ${connection}, and has ${there || 'none'}`;
      throw new Violation(FORGOTTEN, `${told}: ${this.describe()}`);
    }
  }

  /** The policy that packets of a child meet first leads to a child that both sides have. */
  private checkCarried(gateway: Gateway, link: Link): void {
    const { sas, policies } = gateway.dataPlane;
    for (const { name } of this.statusOf(gateway).flatMap((sa) => sa.children)) {
      if (!name.startsWith(`${connectionName(link)}-`)) continue;
      const policy = gateway.dataPlane.policyOf(name);
      const sa = policy?.sa === undefined ? undefined : sas.get(policy.sa);
      if (sa?.name !== name)
        throw new Violation(CARRIED, `${gateway.name} has ${name}, and sends through ${sa?.name ?? 'none'}`);
    }
    const priority = priorityOf(this.world.schedule, gateway.variant);
    for (const { parameters } of policies.values()) {
      // Wide selectors add less than a hundred.
      if (parameters.priority < priority || parameters.priority >= priority + 100)
        throw new Violation(
          'a reload leaves no policy behind',
          `${gateway.name} has an old one for ${parameters.name}`,
        );
    }
  }

  private checkWanted(index: number, link: Link): void {
    const gateway = this.world.gateways[index]!;
    const up = new Set(this.statusOf(gateway).flatMap((sa) => sa.children.map(({ name }) => name)));
    for (const child of this.world.wanted(gateway)) {
      if (child.startsWith(`${connectionName(link)}-`) && !up.has(child))
        throw new Violation('what is to be up comes up again', `${gateway.name}: ${child} is not`);
    }
    const trapped = gateway.core.trapped().filter(({ connection }) => connection === connectionName(link));
    for (const { child, from } of this.world.flows) {
      if (from === index && trapped.some(({ name }) => name === child) && !up.has(child))
        throw new Violation('a trap brings up what a packet needs', `${gateway.name}: ${child} is not up`);
    }
  }

  /** After `stop` and a while. */
  checkNothingLeft(): void {
    for (const gateway of this.world.gateways) {
      const { sas, policies, routes, guards, reserved } = gateway.dataPlane;
      const left = [
        ...gateway.status().map(describeSa),
        ...(sas.size > 0 ? [`${sas.size} SAs`] : []),
        ...(policies.size > 0 ? [`${policies.size} policies`] : []),
        ...(routes.size > 0 ? [`${routes.size} routes`] : []),
        ...(guards.size > 0 ? [`${guards.size} guards`] : []),
        ...(reserved.size > 0 ? [`${reserved.size} reserved SPIs`] : []),
        ...(gateway.isWaiting ? ['a timer'] : []),
      ];
      if (left.length > 0)
        throw new Violation('a gateway that stopped has nothing left', `${gateway.name} has ${left.join(', ')}`);
    }
  }
}
