/**
 * What is to be up, and what is done when it is not: start_action, close_action, dpd_action, traps,
 * retries, and the users who wait for an answer.
 */
import { EspalierError } from '../../errors.ts';
import { type ChildSa, isCurrent, standsFor } from '../child/child-sa.ts';
import { takesPacket } from '../child/narrowing.ts';
import { ownSelectors } from '../child/negotiation.ts';
import type { ChildConfig, ClosingAction, ConnectionConfig } from '../config/model.ts';
import { isSiteToSite, peerAddress } from './choose.ts';
import type { Context } from './context.ts';
import type { Cause } from './failure.ts';
import { arrived, awaitedOf, fail, type Intent, mayAskBeside, newIntent, settle } from './intent.ts';
import { because, destroy } from './lifecycle.ts';
import { handOver } from './reauthentication.ts';
import { type IkeSa, newest, type WantedChild } from './sa.ts';
import { isUsable } from './states.ts';
import { hold, trap, trapWhereNow } from './traps.ts';

/** A connection that is to stay up is tried again after so long, doubling up to the longest. */
const FIRST_RETRY = 2_000;
const LONGEST_RETRY = 120_000;
const REAUTH_RETRY = 60_000;

export class ConnectionManager {
  private readonly cx: Context;
  private readonly intents = new Map<string, Intent>();
  /** Left the configuration: what their SAs still do on their way out changes nothing any more. */
  private readonly forgotten = new WeakSet<ConnectionConfig>();
  private stopping = false;

  constructor(cx: Context) {
    this.cx = cx;
  }

  /** Acts on the `start_action` of every child. */
  start(connections: readonly ConnectionConfig[]): void {
    for (const connection of connections) {
      for (const child of connection.children) {
        hold(this.cx, connection, child);
        if (child.startAction.includes('trap')) trap(this.cx, connection, child);
      }
      const started = connection.children.filter(({ startAction }) => startAction.includes('start'));
      if (started.length === 0) continue;
      for (const { name } of started) this.intent(connection).keep.add(name);
      this.want(connection, started);
    }
  }

  /** Nothing is begun any more. */
  stop(): void {
    this.stopping = true;
    for (const intent of this.intents.values()) {
      this.cx.timers.cancel(intent.retry);
      fail(this.cx, intent, undefined, 'ERR_STOPPED', 'the gateway stops');
    }
  }

  /** What could not be begun for want of an address, or was begun from one that is gone, is begun now. */
  addressesChanged(addresses: readonly string[]): void {
    for (const connection of this.cx.config.connections) {
      for (const child of connection.children) trapWhereNow(this.cx, connection, child);
      for (const sa of this.cx.table.ofConnection(connection.name)) {
        if (!sa.initiator || sa.state !== 'CONNECTING' || addresses.includes(sa.local.address)) continue;
        destroy(this.cx, sa, 'moved', because('ERR_MOVED', `this host has no longer the address ${sa.local.address}`));
      }
      if (this.intents.get(connection.name)?.retry !== undefined) this.retrySoon(connection);
    }
  }

  /** Forgets a connection that left the configuration. */
  forget(connection: ConnectionConfig): void {
    const intent = this.intents.get(connection.name);
    this.cx.timers.cancel(intent?.retry);
    fail(this.cx, intent, undefined, 'ERR_RELOAD', 'the connection was changed or removed');
    this.intents.delete(connection.name);
    this.forgotten.add(connection);
    for (const child of connection.children) {
      this.cx.policies.untrap(connection, child);
      this.cx.policies.unblock(connection, child);
      this.cx.policies.unhold(connection, child);
    }
  }

  /** Is it still as the configuration has it? */
  isConfigured(connection: ConnectionConfig): boolean {
    return !this.forgotten.has(connection);
  }

  /** A user wants that up. @throws EspalierError if there is nothing to do it with */
  command(request: number, connection: ConnectionConfig, children: readonly ChildConfig[]): void {
    if (peerAddress(connection) === undefined) {
      const hint = 'give remote_addrs a plain address';
      throw new EspalierError('ERR_NO_ADDRESS', `connection "${connection.name}" has no address to call: ${hint}`);
    }
    const missing = children.filter((child) => this.installed(connection, child) === undefined);
    const isUp = this.usable(connection) !== undefined;
    if (missing.length === 0 && isUp) {
      this.cx.push({ type: 'completed', request });
      return;
    }
    const intent = this.intent(connection);
    intent.tries = 0;
    for (const child of missing) hold(this.cx, connection, child);
    intent.waiting.push({ request, children: new Set(missing.map(({ name }) => name)) });
    this.want(connection, missing);
  }

  /** A user wants that down, and to stay so. */
  release(connection: ConnectionConfig, children: readonly ChildConfig[]): void {
    const intent = this.intent(connection);
    for (const child of children) {
      intent.keep.delete(child.name);
      intent.released.add(child.name);
      fail(this.cx, intent, child.name, 'ERR_CANCELLED', `child "${child.name}" was taken down meanwhile`);
      this.cx.policies.unblock(connection, child);
      this.cx.policies.unhold(connection, child);
      intent.held.delete(child.name);
      if (!child.startAction.includes('trap')) this.cx.policies.untrap(connection, child);
    }
    if (intent.keep.size === 0) this.cx.timers.cancel(intent.retry);
  }

  /**
   * A packet met a trap. Where the peer has narrowed what is up (RFC 7296 §2.9), it may be for more than that: then
   * another child is asked for, which stands beside.
   */
  acquire(connection: ConnectionConfig, child: ChildConfig, packet: WantedChild['packet']): void {
    const fitting = this.fitting(this.usable(connection), child, packet);
    if (this.installed(connection, child, fitting) !== undefined) return;
    const isBeside = this.installed(connection, child) !== undefined;
    const what = `${child.name} ${packet?.remote.addresses.from}`;
    if (!isBeside || mayAskBeside(this.cx, this.intent(connection), what)) this.want(connection, [child], packet);
  }

  /** Brings up what is not there yet, over the connection's IKE SA or a new one. */
  private want(connection: ConnectionConfig, children: readonly ChildConfig[], packet?: WantedChild['packet']): void {
    if (this.stopping) return;
    // What was taken down while it was being made, and is wanted again, just goes on.
    for (const sa of this.cx.table.ofConnection(connection.name))
      for (const { name } of children) sa.unwanted.delete(name);
    const usable = this.usable(connection);
    const wanted = children
      .map((config) => ({ config, packet: this.fitting(usable, config, packet) }))
      .filter((each) => this.installed(connection, each.config, each.packet) === undefined)
      .filter(({ config }) => !this.isPending(connection, config));
    if (usable !== undefined) {
      for (const child of wanted) {
        this.cx.operations.createChild(usable, child);
      }
      return;
    }
    const starting = this.cx.table
      .ofConnection(connection.name)
      .find((sa) => sa.initiator && sa.state === 'CONNECTING' && sa.deletion === undefined);
    if (starting !== undefined) starting.wanted.push(...wanted);
    else this.initiate(connection, wanted);
  }

  private initiate(connection: ConnectionConfig, wanted: readonly WantedChild[]): void {
    // Where something else is to be tried again, that stays so: it joins what is begun now.
    if (this.cx.operations.initiate(connection, wanted) !== undefined) return;
    const intent = this.intent(connection);
    fail(this.cx, intent, undefined, 'ERR_NO_ADDRESS', 'there is no address to call, or none to call from');
    if (intent.keep.size > 0) this.retryLater(connection);
  }

  /** A packet that the child's selectors do not take was meant for another one. */
  private fitting(sa: IkeSa | undefined, config: ChildConfig, packet: WantedChild['packet']): WantedChild['packet'] {
    if (packet === undefined || sa === undefined) return packet;
    return takesPacket(ownSelectors(sa, config), packet) ? packet : undefined;
  }

  /** @returns the IKE SA of a connection that can make children */
  usable(connection: ConnectionConfig): IkeSa | undefined {
    return this.cx.table.ofConnection(connection.name).findLast((sa) => isUsable(sa.state));
  }

  /** @returns a child that is up, and takes the packet, if it is for one */
  private installed(
    connection: ConnectionConfig,
    child: ChildConfig,
    packet?: WantedChild['packet'],
  ): ChildSa | undefined {
    return this.cx.table
      .ofConnection(connection.name)
      .filter(({ state }) => state !== 'DELETING' && state !== 'DESTROYING')
      .flatMap((sa) => [...sa.children.values()])
      .filter((candidate) => candidate.config.name === child.name && isCurrent(candidate))
      .find(({ agreement }) => packet === undefined || takesPacket(agreement, packet));
  }

  private isPending(connection: ConnectionConfig, child: ChildConfig): boolean {
    return this.cx.table
      .ofConnection(connection.name)
      .some(
        ({ state, deletion, wanted, creating }) =>
          state !== 'DELETING' &&
          state !== 'DESTROYING' &&
          deletion === undefined &&
          (wanted.some(({ config }) => config.name === child.name) || creating.has(child.name)),
      );
  }

  ikeUp(sa: IkeSa): void {
    if (!this.isConfigured(sa.connection)) return;
    const intent = this.intent(sa.connection);
    intent.tries = 0;
    if (sa.initiator) {
      for (const wanted of sa.wanted.splice(0)) {
        this.cx.operations.createChild(sa, wanted);
      }
    }
    settle(this.cx, intent);
    this.finishReauthentication(sa);
  }

  /** It took over from one that may have been on its way out, and whose children did not count as up then. */
  ikeRekeyed(sa: IkeSa): void {
    const intent = this.intents.get(sa.connection.name);
    if (intent === undefined || !this.isConfigured(sa.connection)) return;
    for (const child of sa.children.values()) if (isCurrent(child)) arrived(intent, child.config.name);
    settle(this.cx, intent);
  }

  ikeDown(sa: IkeSa, wasEstablished: boolean, cause: Cause, why: EspalierError): void {
    const intent = this.intents.get(sa.connection.name);
    if (intent === undefined || this.stopping || !this.isConfigured(sa.connection)) return;
    if (wasEstablished || !sa.initiator || cause === 'command' || cause === 'reload') {
      this.noteOrphans(sa.connection, intent, why);
      return;
    }
    const old = sa.reauthenticates && newest(sa.reauthenticates);
    if (old !== undefined && isUsable(old.state)) {
      // The SA that was to be replaced lives on, and is given another chance later.
      this.cx.setTimer(old, 'reauth', this.cx.now + REAUTH_RETRY, () => this.cx.operations.reauthenticate(newest(old)));
    }
    if (this.usable(sa.connection) !== undefined) {
      // There is one all the same: that, or one that the peer has made meanwhile.
      this.want(sa.connection, awaitedChildren(sa.connection, intent));
      settle(this.cx, intent);
      return;
    }
    const { keyingtries } = sa.connection;
    if (cause !== 'moved') intent.tries++;
    // What was only to be replaced, and is lost meanwhile, is a matter of dpd_action: unless somebody waits for it.
    const isWanted = old === undefined || (cause === 'moved' && intent.keep.size + intent.waiting.length > 0);
    const mayTry = cause === 'dead' && (keyingtries === 0 || intent.tries < keyingtries);
    const again = isWanted && (cause === 'moved' || mayTry);
    // Whoever waits is answered now, not after all the tries there may be: `keyingtries` says how long it is tried.
    if (cause !== 'moved')
      fail(this.cx, intent, undefined, why.code, again ? `${why.message}; it is tried again meanwhile` : why.message);
    if (again) {
      // What was asked for while it was tried is wanted, too, be it again after it was taken down.
      const asked = awaitedChildren(sa.connection, intent).map((config) => ({ config, packet: undefined }));
      const all = [...asked, ...sa.wanted, ...sa.wantedAtFirst];
      this.initiate(sa.connection, [...new Map(all.map((each) => [each.config.name, each])).values()]);
      return;
    }
    if (intent.keep.size > 0) this.retryLater(sa.connection);
  }

  /** Children that were being made over an IKE SA that is gone: whoever waits is told, what is kept is tried again. */
  private noteOrphans(connection: ConnectionConfig, intent: Intent, why: EspalierError): void {
    for (const child of awaitedChildren(connection, intent)) {
      if (this.installed(connection, child) || this.isPending(connection, child)) continue;
      fail(this.cx, intent, child.name, why.code, why.message);
      if (intent.keep.has(child.name) && intent.retry === undefined) this.retryLater(connection);
    }
  }

  childUp(sa: IkeSa, child: ChildSa): void {
    if (!this.isConfigured(sa.connection)) return;
    const { config } = child;
    const intent = this.intent(sa.connection);
    intent.released.delete(config.name);
    const others = [...sa.children.values()].filter((other) => other !== child);
    const isMore = !others.some((other) => other.replacedBy === child || standsFor(other, child));
    if (isMore) intent.beside.clear();
    hold(this.cx, sa.connection, config);
    this.cx.policies.unblock(sa.connection, config);
    if (intent.held.delete(config.name)) this.cx.policies.untrap(sa.connection, config);
    arrived(intent, config.name);
    settle(this.cx, intent);
    this.finishReauthentication(sa);
  }

  /** Nothing came of what was under way: a child that is to be up is asked for again. */
  missed(connection: ConnectionConfig, child: string): void {
    const intent = this.intents.get(connection.name);
    if (intent === undefined || !this.isConfigured(connection) || !awaitedOf(intent).has(child)) return;
    this.want(
      connection,
      connection.children.filter(({ name }) => name === child),
    );
  }

  childFailed(sa: IkeSa, child: string, why: EspalierError): void {
    if (!this.isConfigured(sa.connection)) return;
    const intent = this.intent(sa.connection);
    fail(this.cx, intent, child, why.code, why.message);
    if (intent.keep.has(child)) this.retryLater(sa.connection);
    this.finishReauthentication(sa);
  }

  /** The new SA has all it was made for: the old one goes, without anybody missing a child. */
  private finishReauthentication(sa: IkeSa): void {
    const old = sa.reauthenticates && newest(sa.reauthenticates);
    if (old === undefined || sa.wanted.length + sa.creating.size > 0) return;
    sa.reauthenticates = undefined;
    handOver(this.cx, old, sa, 'it was reauthenticated');
  }

  /**
   * A child is about to go that nothing replaces: close_action or dpd_action say what follows, unless the user
   * took it down, however it went then. What is to come back is trapped before its policies go, so that no packet
   * leaves in the clear; what was lost, and not closed by the peer, and has no trap is blocked until it is up again,
   * or the user takes it down.
   */
  childLeaving(sa: IkeSa, child: ChildSa, cause: Cause): void {
    if (this.stopping || cause === 'command' || cause === 'reload' || cause === 'stop') return;
    if (!this.isConfigured(sa.connection)) return;
    const { config } = child;
    const action: ClosingAction = cause === 'dead' ? config.dpdAction : config.closeAction;
    const intent = this.intent(sa.connection);
    if (intent.released.has(config.name)) return;
    if (action === 'start' || action === 'restart') intent.keep.add(config.name);
    const isKept = intent.keep.has(config.name);
    if (isKept && action !== 'trap' && !this.cx.policies.isTrapped(sa.connection, config)) intent.held.add(config.name);
    if (isKept || action === 'trap') trap(this.cx, sa.connection, config);
    if (isKept) this.retrySoon(sa.connection);
    const isLost = cause !== 'peer' && !this.isSupplanted(sa.connection, child);
    // A block stands for what the peer had narrowed it to: that would keep packets from a trap, which is for all.
    const isTrapped = this.cx.policies.isTrapped(sa.connection, config);
    if (!isLost || isTrapped || !isSiteToSite(sa.connection, config)) return;
    this.cx.policies.block(sa.connection, child);
    const hint = `what it protected is dropped until it is up again, or "espalier down ${config.name}"`;
    this.cx.log('warn', `child "${config.name}" is lost: ${hint}`, sa.connection.name);
  }

  /** Is there another child that protects the same, over whichever IKE SA? */
  private isSupplanted(connection: ConnectionConfig, child: ChildSa): boolean {
    return this.cx.table
      .ofConnection(connection.name)
      .some((sa) => isUsable(sa.state) && [...sa.children.values()].some((other) => standsFor(other, child)));
  }

  /** Reconnects as soon as the present step is over: the SA may take more children down with it. */
  private retrySoon(connection: ConnectionConfig): void {
    const intent = this.intent(connection);
    this.cx.timers.cancel(intent.retry);
    intent.retry = this.cx.timers.set(this.cx.now, () => this.bringUpKept(connection));
  }

  private retryLater(connection: ConnectionConfig): void {
    const intent = this.intent(connection);
    const pause = Math.min(FIRST_RETRY * 2 ** Math.min(intent.tries, 16), LONGEST_RETRY);
    this.cx.timers.cancel(intent.retry);
    intent.retry = this.cx.timers.set(this.cx.now + pause, () => this.bringUpKept(connection));
  }

  /** @param before as it was when that was decided: the configuration may have been read again meanwhile */
  private bringUpKept(before: ConnectionConfig): void {
    const intent = this.intent(before);
    intent.retry = undefined;
    const connection = this.cx.config.connections.find(({ name }) => name === before.name);
    if (connection === undefined || peerAddress(connection) === undefined) return;
    const missing = connection.children.filter(
      (child) => intent.keep.has(child.name) && this.installed(connection, child) === undefined,
    );
    if (missing.length === 0) return;
    this.want(connection, missing);
    // What is being made already may come to nothing, so it is looked after once more.
    if (intent.retry === undefined && !this.stopping) this.retryLater(connection);
  }

  private intent(connection: ConnectionConfig): Intent {
    const known = this.intents.get(connection.name);
    if (known !== undefined) return known;
    const fresh = newIntent();
    this.intents.set(connection.name, fresh);
    return fresh;
  }
}

/** @returns children of the connection that are to be up, or that somebody waits for */
function awaitedChildren({ children }: ConnectionConfig, intent: Intent): ChildConfig[] {
  const awaited = awaitedOf(intent);
  return children.filter(({ name }) => awaited.has(name));
}
