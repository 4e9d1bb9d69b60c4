/**
 * The driver of the protocol core, and the only part of IKE with side effects: it turns what the
 * data plane and the user say into inputs, and effects into calls of the data plane.
 *
 *   DataPlane ─ike · acquire · expire · mapping─► IkeCore ─effects─► DataPlane
 */
import { EventEmitter } from 'node:events';
import { monotonic } from '../clock.ts';
import type { DataPlane, PolicyHandle, RunningDataPlane, SaHandle } from '../contract.ts';
import { EspalierError } from '../errors.ts';
import type { Config } from './config/model.ts';
import { createProvider } from './crypto/index.ts';
import type { CryptoProvider } from './crypto/provider.ts';
import { wipe } from './crypto/secret.ts';
import { IkeCore } from './ike/core.ts';
import type { Effect, IkeEvent, Input, KeyExport, PolicyKey, SaKey } from './ike/effects.ts';
import type { IkeSaStatus, TrappedChildStatus } from './manage/status.ts';

/** The part of pino's logger that is used. */
export interface Logger {
  trace(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** Spares the work of messages that nobody reads. */
  isLevelEnabled?(level: string): boolean;
}

/** A data plane that may know routing. */
export type RoutingDataPlane = DataPlane &
  Partial<Pick<RunningDataPlane, 'addRoute' | 'removeRoute' | 'guard' | 'unguard' | 'sourceAddress'>>;

export interface ControlPlaneOptions {
  readonly dataPlane: RoutingDataPlane;
  readonly config: Config;
  readonly logger: Logger;
  /** By default the one `config.control.crypto` names. */
  readonly crypto?: CryptoProvider;
  /** Milliseconds of a clock that nobody sets, the data plane's; `monotonic` by default. */
  readonly now?: () => number;
  /** Milliseconds since the epoch; `Date.now` by default. */
  readonly wallClock?: () => number;
  /** Where key tables for Wireshark go; without it no keys are exported. */
  readonly onKeys?: (keys: KeyExport) => void;
}

export interface ControlPlaneEvents {
  event: [event: IkeEvent];
}

/** Longest wait for the peer's answer to our Deletes at a shutdown, in milliseconds. */
const STOP_WAIT = 2_000;
/** The core is woken so many milliseconds after a bug, as its timer may not have been set. */
const AFTER_BUG = 1_000;
/** setTimeout's own limit is 2^31 − 1. */
const MAX_TIMEOUT = 2 ** 31 - 1;

interface Waiter {
  resolve(): void;
  reject(error: EspalierError): void;
}

export class ControlPlane extends EventEmitter<ControlPlaneEvents> {
  private readonly dataPlane: RoutingDataPlane;
  private readonly logger: Logger;
  private readonly now: () => number;
  private readonly onKeys: ((keys: KeyExport) => void) | undefined;
  private readonly core: IkeCore;
  private readonly saHandles = new Map<SaKey, SaHandle>();
  private readonly saKeys = new Map<SaHandle, SaKey>();
  private readonly policyHandles = new Map<PolicyKey, PolicyHandle>();
  private readonly policyKeys = new Map<PolicyHandle, PolicyKey>();
  private readonly waiters = new Map<number, Waiter>();
  private readonly pending: Input[] = [];
  private running = false;
  private lastRequest = 0;
  private timeout: NodeJS.Timeout | undefined;

  constructor(options: ControlPlaneOptions) {
    super();
    this.dataPlane = options.dataPlane;
    this.logger = options.logger;
    this.now = options.now ?? monotonic;
    this.onKeys = options.onKeys;
    this.core = new IkeCore({
      config: options.config,
      exportKeys: options.onKeys !== undefined,
      debug: () => options.logger.isLevelEnabled?.('debug') ?? true,
      environment: {
        crypto: options.crypto ?? createProvider(options.config.control.crypto),
        reserveSpi: () => this.dataPlane.reserveSpi(),
        releaseSpi: (spi) => this.dataPlane.releaseSpi(spi),
        wallClock: options.wallClock ?? Date.now,
        counters: (sa) => this.countersOf(sa),
        sourceAddress: (remote) => this.dataPlane.sourceAddress?.(remote),
      },
    });
  }

  /** Listens to the data plane and acts on every child's `start_action`. */
  start(): void {
    this.dataPlane.on('ike', this.onIke);
    this.dataPlane.on('acquire', this.onAcquire);
    this.dataPlane.on('expire', this.onExpire);
    this.dataPlane.on('mapping', this.onMapping);
    this.feed({ type: 'start' });
  }

  /** Replaces the connections that changed; the others keep their SAs. */
  reload(config: Config): void {
    this.feed({ type: 'reload', config });
  }

  /**
   * Brings up a connection with its children, or one child.
   * @throws EspalierError with the peer's or our own reason; rejects, never throws
   */
  initiate(name: string): Promise<void> {
    return this.request((request) => ({ type: 'initiate', request, name }));
  }

  /** Deletes the IKE SAs of a connection, or the child SAs of a child. */
  terminate(name: string): Promise<void> {
    return this.request((request) => ({ type: 'terminate', request, name }));
  }

  /** Rekeys the IKE SAs of a connection, or the child SAs of a child, now. */
  rekey(name: string): Promise<void> {
    return this.request((request) => ({ type: 'rekey', request, name }));
  }

  /** Tells that this host's addresses changed (MOBIKE). */
  addressesChanged(addresses: readonly string[]): void {
    this.feed({ type: 'addresses', addresses });
  }

  status(): IkeSaStatus[] {
    return this.core.status(this.now());
  }

  /** Children that wait for a packet to bring them up. */
  trapped(): TrappedChildStatus[] {
    return this.core.trapped();
  }

  /** Deletes all SAs, waits for the peers' answers, though not long, and forgets everything. */
  async stop(): Promise<void> {
    const deleted = this.request((request) => ({ type: 'stop', request }));
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      deleted.catch(() => undefined),
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, STOP_WAIT);
      }),
    ]);
    clearTimeout(timer);
    clearTimeout(this.timeout);
    this.dataPlane.off('ike', this.onIke);
    this.dataPlane.off('acquire', this.onAcquire);
    this.dataPlane.off('expire', this.onExpire);
    this.dataPlane.off('mapping', this.onMapping);
    for (const policy of this.policyHandles.values()) this.dataPlane.removePolicy(policy);
    for (const sa of this.saHandles.values()) this.dataPlane.removeSa(sa);
    this.policyHandles.clear();
    this.policyKeys.clear();
    this.saHandles.clear();
    this.saKeys.clear();
  }

  private readonly onIke = (datagram: Parameters<DataPlane['sendIke']>[0]): void => {
    this.feed({ type: 'datagram', datagram });
  };

  private readonly onAcquire = (handle: PolicyHandle, packet: Extract<Input, { type: 'acquire' }>['packet']): void => {
    const policy = this.policyKeys.get(handle);
    if (policy !== undefined) this.feed({ type: 'acquire', policy, packet });
  };

  private readonly onExpire = (
    handle: SaHandle,
    kind: 'soft' | 'hard',
    reason: 'bytes' | 'packets' | 'sequence',
  ): void => {
    const sa = this.saKeys.get(handle);
    if (sa !== undefined) this.feed({ type: 'expire', sa, kind, reason });
  };

  private readonly onMapping = (handle: SaHandle, remote: Extract<Input, { type: 'mapping' }>['remote']): void => {
    const sa = this.saKeys.get(handle);
    if (sa !== undefined) this.feed({ type: 'mapping', sa, remote });
  };

  private countersOf(sa: SaKey) {
    const handle = this.saHandles.get(sa);
    return handle === undefined ? undefined : this.dataPlane.counters(handle);
  }

  private request(input: (request: number) => Input): Promise<void> {
    const request = ++this.lastRequest;
    return new Promise((resolve, reject) => {
      this.waiters.set(request, { resolve, reject });
      this.feed(input(request));
    });
  }

  /** One input at a time: an effect may make the data plane raise an event before it returns. */
  private feed(input: Input): void {
    this.pending.push(input);
    if (this.running) return;
    this.running = true;
    try {
      for (let next = this.pending.shift(); next !== undefined; next = this.pending.shift()) {
        this.step(next);
      }
    } finally {
      this.running = false;
    }
  }

  /** A bug of ours that one message meets must not take the other tunnels down with it. */
  private step(input: Input): void {
    try {
      for (const effect of this.core.handle(input, this.now())) this.attempt(effect);
    } catch (error) {
      const message = this.reportBug(error, input.type);
      if ('request' in input) this.complete(input.request, { code: 'ERR_INTERNAL', message });
      this.setTimer(this.now() + AFTER_BUG);
    }
  }

  private attempt(effect: Effect): void {
    try {
      this.perform(effect);
    } catch (error) {
      this.reportBug(error, effect.type);
    }
  }

  private reportBug(error: unknown, where: string): string {
    const { stack, message } = error instanceof Error ? error : new Error(String(error));
    this.logger.error({ where, stack }, `this is a bug, please report it: ${message}`);
    return message;
  }

  private perform<T extends Effect['type']>(effect: Extract<Effect, { type: T }>): void {
    this.performers[effect.type as T](effect);
  }

  private readonly performers: { readonly [T in Effect['type']]: (effect: Extract<Effect, { type: T }>) => void } = {
    send: ({ datagram }) => this.dataPlane.sendIke(datagram),
    timer: ({ at }) => this.setTimer(at),
    'install-sa': (effect) => this.installSa(effect),
    'move-sa': ({ key, local, remote, udpEncapsulation }) =>
      this.withSa(key, (sa) => this.dataPlane.moveSa(sa, local, remote, udpEncapsulation)),
    'remove-sa': ({ key }) =>
      this.withSa(key, (sa) => {
        this.dataPlane.removeSa(sa);
        this.saHandles.delete(key);
        this.saKeys.delete(sa);
      }),
    'install-policy': (effect) => this.installPolicy(effect),
    'set-policy-sa': ({ key, sa }) =>
      this.withPolicy(key, (policy) => this.dataPlane.setPolicySa(policy, this.handleOf(sa))),
    'remove-policy': ({ key }) =>
      this.withPolicy(key, (policy) => {
        this.dataPlane.removePolicy(policy);
        this.policyHandles.delete(key);
        this.policyKeys.delete(policy);
      }),
    'add-route': ({ prefix }) => this.dataPlane.addRoute?.(prefix),
    'remove-route': ({ prefix }) => this.dataPlane.removeRoute?.(prefix),
    guard: ({ key, priority, selector }) => this.dataPlane.guard?.(key, priority, selector),
    unguard: ({ key }) => this.dataPlane.unguard?.(key),
    log: ({ level, message, connection }) =>
      this.logger[level](connection === undefined ? {} : { connection }, message),
    event: ({ event }) => this.emit('event', event),
    keys: ({ keys }) => this.onKeys?.(keys),
    completed: ({ request, error }) => this.complete(request, error),
  };

  private installSa({ key, parameters }: Extract<Effect, { type: 'install-sa' }>): void {
    try {
      const handle = this.dataPlane.installSa(parameters);
      this.saHandles.set(key, handle);
      this.saKeys.set(handle, key);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.logger.error({ child: parameters.name }, `cannot install the SA: ${reason}`);
      this.pending.push({ type: 'install-failed', sa: key, reason });
    } finally {
      wipe(parameters.keys.encryption, parameters.keys.integrity);
    }
  }

  private installPolicy({ key, parameters, sa }: Extract<Effect, { type: 'install-policy' }>): void {
    const saHandle = this.handleOf(sa);
    try {
      const handle = this.dataPlane.installPolicy(
        saHandle === undefined ? parameters : { ...parameters, sa: saHandle },
      );
      this.policyHandles.set(key, handle);
      this.policyKeys.set(handle, key);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.logger.error({ child: parameters.name }, `cannot install the policy: ${reason}`);
    }
  }

  private handleOf(sa: SaKey | undefined): SaHandle | undefined {
    return sa === undefined ? undefined : this.saHandles.get(sa);
  }

  private withSa(key: SaKey, use: (sa: SaHandle) => void): void {
    const handle = this.saHandles.get(key);
    if (handle !== undefined) use(handle);
  }

  private withPolicy(key: PolicyKey, use: (policy: PolicyHandle) => void): void {
    const handle = this.policyHandles.get(key);
    if (handle !== undefined) use(handle);
  }

  private setTimer(at: number | undefined): void {
    clearTimeout(this.timeout);
    this.timeout = undefined;
    if (at === undefined) return;
    const delay = Math.min(Math.max(at - this.now(), 0), MAX_TIMEOUT);
    this.timeout = setTimeout(() => this.feed({ type: 'timer' }), delay);
  }

  private complete(request: number, error: Extract<Effect, { type: 'completed' }>['error']): void {
    const waiter = this.waiters.get(request);
    this.waiters.delete(request);
    if (error === undefined) waiter?.resolve();
    else waiter?.reject(new EspalierError(error.code, error.message));
  }
}
