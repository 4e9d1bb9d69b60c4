/**
 * The protocol core: `handle(input, now) → effects`. It has no clock, no socket and no randomness of
 * its own, so that whoever holds those can replay it step by step.
 *
 *   datagram ─► receive.ts ─► tasks/* ─┐
 *   timer ────► timers.ts ─► upkeep.ts ├─► effects
 *   command ──► connections.ts ────────┘
 */
import { EspalierError } from '../../errors.ts';
import type { ChildSa } from '../child/child-sa.ts';
import { removeChild } from '../child/install.ts';
import { hardExpire, softExpire } from '../child/lifetime.ts';
import { sideSelector } from '../child/narrowing.ts';
import { PolicyTable } from '../child/policies.ts';
import { connectionFingerprint } from '../config/compare.ts';
import type { ChildConfig, Config, ConnectionConfig } from '../config/model.ts';
import type { ChildSaState, IkeSaStatus, TrappedChildStatus } from '../manage/status.ts';
import { Commands } from './commands.ts';
import { ConnectionManager } from './connections.ts';
import { Context } from './context.ts';
import { Cookies } from './cookie.ts';
import { renewCredentials } from './credentials.ts';
import type { Effect, Environment, Input } from './effects.ts';
import { operations } from './operations.ts';
import { receive } from './receive.ts';
import { saStatus, trappedStatus } from './report.ts';
import type { IkeSa } from './sa.ts';
import { isInstalled, isLive, isUsable } from './states.ts';
import { SaTable } from './table.ts';
import { movePath } from './tasks/mobike.ts';
import { Throttle } from './throttle.ts';
import { Timers } from './timers.ts';

export interface IkeCoreOptions {
  readonly config: Config;
  readonly environment: Environment;
  /** Emit `keys` effects. */
  readonly exportKeys?: boolean;
  /** Is the level `debug` read? Default: yes. */
  readonly debug?: () => boolean;
}

/** How long a user waits for a deletion, and for a rekeying, in milliseconds. */
const DELETE_PATIENCE = 5_000;
const REKEY_PATIENCE = 10_000;

type InputOf<T extends Input['type']> = Extract<Input, { type: T }>;

export class IkeCore {
  private readonly cx: Context;
  private timerAt: number | undefined;
  private readonly stopRequests: number[] = [];
  private readonly commands: Commands;

  constructor({ config, environment, exportKeys = false, debug = () => true }: IkeCoreOptions) {
    this.cx = new Context(config, (cx) => ({
      environment,
      exportKeys,
      debug,
      timers: new Timers(cx),
      table: new SaTable(),
      cookies: new Cookies(environment.crypto),
      throttle: new Throttle(),
      connections: new ConnectionManager(cx),
      operations: operations(cx),
      policies: new PolicyTable({
        push: (effect) => cx.push(effect),
        nextId: () => cx.nextId(),
        installRoutes: () => cx.config.gateway.installRoutes,
      }),
    }));
    this.commands = new Commands(this.cx);
  }

  /**
   * One step.
   * @param now milliseconds above 0 of a clock that goes on whatever is done to the time of day; a time before the
   *   last one counts as that
   * @returns what is to be done, in this order
   */
  handle(input: Input, now: number): readonly Effect[] {
    const { cx } = this;
    cx.now = Math.max(cx.now, now);
    cx.timers.run(cx.now);
    this.step(input);
    this.commands.settle();
    this.finishStop();
    cx.policies.sweep();
    const at = cx.timers.next();
    if (at !== this.timerAt || input.type === 'timer') {
      this.timerAt = at;
      cx.push({ type: 'timer', at });
    }
    return cx.drain();
  }

  status(now: number): IkeSaStatus[] {
    return this.cx.table
      .all()
      .filter((sa) => sa.state !== 'DESTROYING')
      .map((sa) => saStatus(this.cx, sa, now));
  }

  trapped(): TrappedChildStatus[] {
    return this.cx.policies.trapped().map(trappedStatus);
  }

  private step(input: Input): void {
    try {
      this.steps[input.type](input as never);
    } catch (error) {
      if ('request' in input && error instanceof EspalierError) {
        this.cx.push({ type: 'completed', request: input.request, error });
        return;
      }
      throw error;
    }
  }

  private readonly steps: { readonly [T in Input['type']]: (input: InputOf<T>) => void } = {
    datagram: ({ datagram }) => receive(this.cx, datagram),
    timer: () => undefined,
    start: () => this.cx.connections.start(this.cx.config.connections),
    initiate: (input) => this.initiate(input),
    terminate: (input) => this.terminate(input),
    rekey: (input) => this.rekey(input),
    reload: ({ config }) => this.reload(config),
    stop: ({ request }) => this.stop(request),
    acquire: ({ policy, packet }) => {
      const trap = this.cx.policies.trapOf(policy);
      if (trap === undefined) return;
      const local = sideSelector(packet.protocol, packet.local);
      const remote = sideSelector(packet.protocol, packet.remote);
      this.cx.connections.acquire(trap.connection, trap.child, { local, remote });
    },
    expire: ({ sa, kind, reason }) => {
      const child = this.cx.children.get(sa);
      if (child === undefined) return;
      if (kind === 'soft') softExpire(this.cx, child);
      else hardExpire(this.cx, child, `its limit of ${reason} is reached`);
    },
    mapping: ({ sa, remote }) => {
      const owner = this.cx.children.get(sa)?.owner;
      // Only a peer behind a NAT moves without a word of its own (RFC 7296 §2.23).
      // What it still sends to a child that went with its IKE SA moves nothing: there would be keepalives for ever.
      if (!owner?.followsPeer || owner.state === 'DESTROYING') return;
      movePath(this.cx, owner, owner.local, remote);
    },
    'install-failed': ({ sa, reason }) => {
      const child = this.cx.children.get(sa);
      if (child === undefined || !isLive(child.state)) return;
      this.cx.operations.deleteChild(child.owner, child, 'failed', `it could not be installed: ${reason}`);
    },
    addresses: ({ addresses }) => {
      const before = this.cx.addresses;
      this.cx.addresses = addresses;
      for (const sa of this.cx.table.all()) this.cx.operations.updateAddresses(sa, addresses, before);
      this.cx.connections.addressesChanged(addresses);
    },
  };

  /** @throws EspalierError `ERR_UNKNOWN_NAME` */
  private named(name: string): { connection: ConnectionConfig; child: ChildConfig | undefined } {
    for (const connection of this.cx.config.connections) {
      if (connection.name === name) return { connection, child: undefined };
      const child = connection.children.find((candidate) => candidate.name === name);
      if (child !== undefined) return { connection, child };
    }
    const names = this.cx.config.connections.flatMap((each) => [
      each.name,
      ...each.children.map((child) => child.name),
    ]);
    throw new EspalierError(
      'ERR_UNKNOWN_NAME',
      `no connection or child is called "${name}"; there are ${names.join(', ')}`,
    );
  }

  private initiate({ request, name }: InputOf<'initiate'>): void {
    const { connection, child } = this.named(name);
    this.cx.connections.command(request, connection, child ? [child] : connection.children);
  }

  private sasOf(connection: ConnectionConfig): IkeSa[] {
    return this.cx.table.all().filter((sa) => sa.connection.name === connection.name && sa.state !== 'DESTROYING');
  }

  private terminate({ request, name }: InputOf<'terminate'>): void {
    const { connection, child } = this.named(name);
    this.cx.connections.release(connection, child ? [child] : connection.children);
    const sas = this.sasOf(connection);
    const children = child ? sas.flatMap((sa) => childrenOf(sa, child, isInstalled)) : [];
    for (const each of children) this.cx.operations.deleteChild(each.owner, each, 'command', 'taken down by command');
    if (child) for (const sa of sas) cancelChild(sa, child);
    if (!child) for (const sa of sas) this.cx.operations.deleteIke(sa, 'command', 'taken down by command');
    const isDone = () =>
      child ? children.every(({ state }) => state === 'DELETED') : sas.every(({ state }) => state === 'DESTROYING');
    // A peer that does not answer is given up in time, whether anybody waits for it or not.
    this.commands.await(request, isDone, DELETE_PATIENCE);
  }

  /** @throws EspalierError `ERR_NOT_UP` if there is nothing to replace */
  private rekey({ request, name }: InputOf<'rekey'>): void {
    const { connection, child } = this.named(name);
    const sas = this.sasOf(connection).filter(({ state }) => isUsable(state));
    const children = child ? sas.flatMap((sa) => childrenOf(sa, child, isLive)) : [];
    if ((child ? children : sas).length === 0) {
      throw new EspalierError('ERR_NOT_UP', `"${name}" is not up; "espalier up ${name}" brings it up`);
    }
    for (const each of children) softExpire(this.cx, each);
    if (!child) for (const sa of sas) this.cx.operations.rekeyIke(sa);
    const isDone = () =>
      child
        ? children.every(({ state, replacedBy }) => replacedBy !== undefined || !isLive(state))
        : sas.every(({ state, replacedBy }) => replacedBy !== undefined || !isUsable(state));
    this.commands.await(request, isDone, REKEY_PATIENCE, `"${name}" has not been rekeyed yet; the log says why`);
  }

  /** Connections that are written the same keep their SAs; what else there was is deleted and begun anew. */
  private reload(config: Config): void {
    const known = new Map(this.cx.config.connections.map((each) => [connectionFingerprint(each), each]));
    const read = config.connections.map((now) => ({ now, before: known.get(connectionFingerprint(now)) }));
    // What is written the same stays the same object: so it can be told whether an SA's connection is still there.
    const connections = read.map(({ now, before }) => before ?? now);
    const staying = new Set(connections);
    const { installRoutes } = this.cx.config.gateway;
    this.cx.config = { ...config, connections };
    if (config.gateway.installRoutes !== installRoutes) this.cx.policies.reroute();
    for (const connection of known.values()) {
      if (staying.has(connection)) continue;
      this.cx.connections.forget(connection);
      for (const sa of this.sasOf(connection)) {
        this.cx.operations.deleteIke(sa, 'reload', 'its connection was changed or removed');
      }
    }
    for (const { now, before } of read) if (before !== undefined) renewCredentials(this.cx, before, now);
    this.cx.connections.start(read.filter(({ before }) => before === undefined).map(({ now }) => now));
  }

  private stop(request: number): void {
    this.stopRequests.push(request);
    this.cx.connections.stop();
    this.cx.policies.clear();
    for (const sa of this.cx.table.all()) this.cx.operations.deleteIke(sa, 'stop', 'the gateway stops');
  }

  /** Answers `stop` once no SA is left. */
  private finishStop(): void {
    if (this.stopRequests.length === 0 || this.cx.table.all().some((sa) => sa.state !== 'DESTROYING')) return;
    for (const child of new Set(this.cx.children.values())) removeChild(this.cx, child, 'stop', 'the gateway stops');
    for (const request of this.stopRequests.splice(0)) this.cx.push({ type: 'completed', request });
  }
}

/** What is only being made when it is taken down does not come up. */
function cancelChild(sa: IkeSa, { name }: ChildConfig): void {
  const at = sa.wanted.findIndex(({ config }) => config.name === name);
  if (at >= 0) sa.wanted.splice(at, 1);
  sa.wantedAtFirst = sa.wantedAtFirst.filter(({ config }) => config.name !== name);
  if (sa.creating.has(name)) sa.unwanted.add(name);
}

/** Those of an IKE SA that are up and made by that entry of the configuration. */
const childrenOf = (sa: IkeSa, { name }: ChildConfig, takes: (state: ChildSaState) => boolean): ChildSa[] =>
  [...sa.children.values()].filter(({ config, state }) => config.name === name && takes(state));
