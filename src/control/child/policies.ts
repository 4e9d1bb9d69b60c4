/**
 * The outbound SPD entries of children, and the routes that lead packets to them (RFC 4301 §4.4.1).
 *
 * An entry belongs to its selectors, not to a child: whoever protects these shares it. It stands as long as
 * anybody needs it, and what a packet meets in it is the first of these that there is:
 *
 *   the child that was put to use last ─► another one that is installed ─► a trap, which brings one up ─► a drop
 *
 * What nobody needs any more goes at the end of a step of the core, so that an entry or a route that changes
 * hands within a step is there all the time: in a rekeying, and where a reload begins a connection anew.
 */
import type { SelectorSide, TrafficSelector } from '../../contract.ts';
import type { ChildConfig, ConnectionConfig } from '../config/model.ts';
import type { Effect, PolicyKey } from '../ike/effects.ts';
import type { Selector } from '../wire/payloads/ts.ts';
import type { ChildSa } from './child-sa.ts';
import { pairs } from './narrowing.ts';
import { freeBits, prefixesOf } from './routes.ts';

/** What a trapped packet brings up. */
export interface Trap {
  readonly connection: ConnectionConfig;
  readonly child: ChildConfig;
  readonly local: readonly Selector[];
  readonly remote: readonly Selector[];
}

interface Entry {
  readonly name: string;
  readonly key: PolicyKey;
  readonly selector: TrafficSelector;
  readonly prefixes: readonly string[];
  /** Children that are installed for it: the last one carries what is sent, those that were never used stand first. */
  readonly users: ChildSa[];
  /** Of children with the same selectors, in the order in which they came: a packet brings the first one up. */
  readonly traps: Trap[];
  /** How many lost children there are whose packets must not leave in the clear. */
  blocks: number;
}

/** What is not to be taken in the clear, and how many held children name it. */
interface Guard {
  readonly key: PolicyKey;
  readonly name: string;
  users: number;
}

interface Held {
  readonly prefixes: readonly string[];
  readonly guards: readonly Guard[];
}

export interface PolicySurroundings {
  push(effect: Effect): void;
  nextId(): number;
  installRoutes(): boolean;
}

export class PolicyTable {
  private readonly entries = new Map<string, Entry>();
  private readonly byKey = new Map<PolicyKey, Entry>();
  /** How many there are that need a route. */
  private readonly routes = new Map<string, number>();
  private readonly traps = new Map<string, { readonly trap: Trap; readonly entries: readonly Entry[] }>();
  /** Routes and guards of children that are configured, up or not, by name. */
  private readonly held = new Map<string, Held>();
  private readonly guards = new Map<string, Guard>();
  /** The entries of each lost child. */
  private readonly blocked = new Map<string, Set<Entry>>();
  /** Somebody has let go of these in this step. */
  private readonly idleEntries = new Set<Entry>();
  private readonly idleRoutes = new Set<string>();
  private readonly idleGuards = new Set<Guard>();
  private readonly out: PolicySurroundings;

  constructor(surroundings: PolicySurroundings) {
    this.out = surroundings;
  }

  /** Installs the child's policies without an SA: a packet raises `acquire`. What it had trapped before is let go. */
  trap(trap: Trap): void {
    const name = trapName(trap);
    this.untrapName(name);
    const entries = pairs(trap.local, trap.remote).map((selector) => this.entry(selector, trap.child, undefined));
    for (const entry of entries) entry.traps.push(trap);
    this.traps.set(name, { trap, entries });
  }

  /** Removes the child's trap; policies in use stay. */
  untrap(connection: ConnectionConfig, child: ChildConfig): void {
    this.untrapName(trapName({ connection, child }));
  }

  private untrapName(name: string): void {
    const known = this.traps.get(name);
    this.traps.delete(name);
    for (const entry of known?.entries ?? []) {
      entry.traps.splice(entry.traps.indexOf(known!.trap), 1);
      this.idleEntries.add(entry);
    }
  }

  /**
   * Leads what the child is to protect into the device, whether it is up or not: there it meets the policy of a
   * child that is up, or none and is dropped (RFC 4301 §5.1). No policy, which would stand before others'. And
   * nothing of it is taken that arrives in the clear (§5.2).
   */
  hold(trap: Trap): void {
    const name = trapName(trap);
    if (this.held.has(name)) return;
    const selectors = pairs(trap.local, trap.remote);
    const prefixes = [...new Set(selectors.flatMap(({ remote }) => prefixesOf(remote.addresses)))];
    for (const prefix of prefixes) this.addRoute(prefix);
    const guards = selectors.map((selector) => this.guard(selector, trap.child));
    this.held.set(name, { prefixes, guards });
  }

  private guard(selector: TrafficSelector, child: ChildConfig): Guard {
    const name = entryName(selector, child);
    const known = this.guards.get(name);
    const guard = known ?? { key: this.out.nextId(), name, users: 0 };
    guard.users++;
    if (known !== undefined) return known;
    this.guards.set(name, guard);
    this.out.push({ type: 'guard', key: guard.key, priority: priorityOf(child, selector), selector });
    return guard;
  }

  /** What the child is to protect may leave in the clear. */
  unhold(connection: ConnectionConfig, child: ChildConfig): void {
    this.unholdName(trapName({ connection, child }));
  }

  private unholdName(name: string): void {
    const held = this.held.get(name);
    if (held === undefined) return;
    for (const guard of held.guards) {
      guard.users--;
      this.idleGuards.add(guard);
    }
    for (const prefix of held.prefixes) this.removeRoute(prefix);
    this.held.delete(name);
  }

  /** A child is lost: its policies stay, and drop what they protected. To be called before `release`. */
  block(connection: ConnectionConfig, child: ChildSa): void {
    const name = trapName({ connection, child: child.config });
    const blocked = this.blocked.get(name) ?? new Set();
    for (const entry of this.entriesOf(child)) {
      if (!entry.users.includes(child) || blocked.has(entry)) continue;
      blocked.add(entry);
      entry.blocks++;
    }
    if (blocked.size > 0) this.blocked.set(name, blocked);
  }

  /** The child is up again, or was taken down. */
  unblock(connection: ConnectionConfig, child: ChildConfig): void {
    this.unblockName(trapName({ connection, child }));
  }

  private unblockName(name: string): void {
    const entries = this.blocked.get(name) ?? [];
    this.blocked.delete(name);
    for (const entry of entries) {
      entry.blocks--;
      this.idleEntries.add(entry);
    }
  }

  /** Lets go of every trap, block and route. */
  clear(): void {
    for (const name of [...this.traps.keys()]) this.untrapName(name);
    for (const name of [...this.held.keys()]) this.unholdName(name);
    for (const name of [...this.blocked.keys()]) this.unblockName(name);
  }

  /**
   * The child is installed, and the peer may not know yet: it carries packets of policies that are there only
   * where no other child does, or none any more.
   */
  admit(child: ChildSa): void {
    for (const entry of this.entriesOf(child)) {
      entry.users.unshift(child);
      if (entry.users.length === 1) this.point(entry);
    }
  }

  /** Sends through this child from now on. */
  use(child: ChildSa): void {
    child.sending = true;
    for (const selector of pairs(child.agreement.local, child.agreement.remote)) {
      const entry = this.entry(selector, child.config, child);
      if (entry.users.at(-1) === child) continue;
      const at = entry.users.indexOf(child);
      if (at >= 0) entry.users.splice(at, 1);
      entry.users.push(child);
      this.point(entry);
    }
  }

  /** Do packets go through this child now, and not through one that came after it? */
  carries(child: ChildSa): boolean {
    return this.entriesOf(child).some(({ users }) => users.at(-1) === child);
  }

  /** Sends through what there is beside it, traps, drops, or forgets the policy. */
  release(child: ChildSa): void {
    child.sending = false;
    const heirs = new Set<ChildSa>();
    for (const entry of this.entriesOf(child)) {
      const at = entry.users.indexOf(child);
      if (at < 0) continue;
      entry.users.splice(at, 1);
      this.idleEntries.add(entry);
      if (at < entry.users.length) continue;
      this.point(entry);
      const heir = entry.users.at(-1);
      if (heir?.sending === false) heirs.add(heir);
    }
    // Nothing is gained by waiting any longer for a sign that the peer knows it.
    for (const heir of heirs) this.use(heir);
  }

  /** At the end of a step: what nobody needs goes. */
  sweep(): void {
    for (const entry of this.idleEntries) {
      if (entry.users.length > 0 || entry.traps.length > 0 || entry.blocks > 0) continue;
      this.entries.delete(entry.name);
      this.byKey.delete(entry.key);
      this.out.push({ type: 'remove-policy', key: entry.key });
      for (const prefix of entry.prefixes) this.removeRoute(prefix);
    }
    this.idleEntries.clear();
    for (const guard of this.idleGuards) {
      if (guard.users > 0) continue;
      this.guards.delete(guard.name);
      this.out.push({ type: 'unguard', key: guard.key });
    }
    this.idleGuards.clear();
    // Routes go last: until then packets end in the device, not in the clear.
    for (const prefix of this.idleRoutes) {
      if (this.routes.get(prefix) !== 0) continue;
      this.routes.delete(prefix);
      if (this.out.installRoutes()) this.out.push({ type: 'remove-route', prefix });
    }
    this.idleRoutes.clear();
  }

  /** The configuration has another mind about routes now. */
  reroute(): void {
    const type = this.out.installRoutes() ? 'add-route' : 'remove-route';
    for (const prefix of this.routes.keys()) this.out.push({ type, prefix });
  }

  /** What a packet that met the policy is to bring up. */
  trapOf(key: PolicyKey): Trap | undefined {
    return this.byKey.get(key)?.traps[0];
  }

  trapped(): Trap[] {
    return [...this.traps.values()].map(({ trap }) => trap);
  }

  isTrapped(connection: ConnectionConfig, child: ChildConfig): boolean {
    return this.traps.has(trapName({ connection, child }));
  }

  /** @returns the entries with the child's selectors, as far as they are there */
  private entriesOf({ agreement, config }: ChildSa): Entry[] {
    return pairs(agreement.local, agreement.remote)
      .map((selector) => this.entries.get(entryName(selector, config)))
      .filter((entry) => entry !== undefined);
  }

  private entry(selector: TrafficSelector, config: ChildConfig, child: ChildSa | undefined): Entry {
    const name = entryName(selector, config);
    const known = this.entries.get(name);
    if (known !== undefined) return known;
    const entry: Entry = {
      name,
      key: this.out.nextId(),
      selector,
      prefixes: prefixesOf(selector.remote.addresses),
      users: child ? [child] : [],
      traps: [],
      blocks: 0,
    };
    this.entries.set(name, entry);
    this.byKey.set(entry.key, entry);
    const parameters = {
      direction: 'out',
      priority: priorityOf(config, selector),
      action: 'protect',
      selector,
      name: config.name,
    } as const;
    this.out.push({ type: 'install-policy', key: entry.key, parameters, ...(child && { sa: child.keyOut }) });
    for (const prefix of entry.prefixes) this.addRoute(prefix);
    return entry;
  }

  /** Sends through the last of an entry's children; without one a packet meets the trap, or is dropped. */
  private point({ key, users }: Entry): void {
    const child = users.at(-1);
    this.out.push({ type: 'set-policy-sa', key, ...(child && { sa: child.keyOut }) });
  }

  private addRoute(prefix: string): void {
    const users = this.routes.get(prefix);
    this.routes.set(prefix, (users ?? 0) + 1);
    if (users === undefined && this.out.installRoutes()) this.out.push({ type: 'add-route', prefix });
  }

  private removeRoute(prefix: string): void {
    this.routes.set(prefix, this.routes.get(prefix)! - 1);
    this.idleRoutes.add(prefix);
  }
}

const priorityOf = (config: ChildConfig, selector: TrafficSelector): number => config.priority + breadth(selector);

/** Added to a child's priority, so that of two children the one with the narrower selectors is looked up first. */
const MAX_BREADTH = 98;

/** @returns 0 for one host and protocol to 99 for everything */
function breadth({ protocol, local, remote }: TrafficSelector): number {
  const width = local.addresses.from.includes(':') ? 128 : 32;
  const free = freeBits(local.addresses) + freeBits(remote.addresses);
  return Math.round((free * MAX_BREADTH) / (2 * width)) + (protocol === 0 ? 1 : 0);
}

/** Joined, not put together bit by bit, of which each bit would be kept. */
const entryName = ({ protocol, local, remote }: TrafficSelector, { priority }: ChildConfig): string =>
  [priority, protocol, ...sideName(local), ...sideName(remote)].join(' ');

const sideName = ({ addresses, ports }: SelectorSide) => [addresses.from, addresses.to, ports.from, ports.to];

const trapName = ({ connection, child }: Pick<Trap, 'connection' | 'child'>): string =>
  `${connection.name}/${child.name}`;
