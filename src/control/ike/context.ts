/** What every operation works with: the clock, the randomness, the tables, and the list of effects. */
import type { ChildSa } from '../child/child-sa.ts';
import type { PolicyTable } from '../child/policies.ts';
import type { Config, ConnectionConfig, IkeLimits } from '../config/model.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { HASH } from '../wire/iana.ts';
import { ownAddress } from './choose.ts';
import type { ConnectionManager } from './connections.ts';
import type { Cookies } from './cookie.ts';
import { Credentials } from './credentials.ts';
import type { Effect, Environment, IkeEvent, LogLevel, SaKey } from './effects.ts';
import type { Cause } from './failure.ts';
import type { IkeSa, WantedChild } from './sa.ts';
import type { SaTable } from './table.ts';
import type { Throttle } from './throttle.ts';
import type { TimerOwner, Timers } from './timers.ts';

/** Operations that timers and commands begin; wired by the core, so that `tasks/` need not know each other. */
export interface Operations {
  /** @returns undefined, having logged why, if there is nowhere to send to */
  initiate(connection: ConnectionConfig, wanted: readonly WantedChild[], reauthenticates?: IkeSa): IkeSa | undefined;
  createChild(sa: IkeSa, wanted: WantedChild): void;
  rekeyChild(sa: IkeSa, child: ChildSa): void;
  deleteChild(sa: IkeSa, child: ChildSa, cause: Cause, reason: string): void;
  rekeyIke(sa: IkeSa): void;
  reauthenticate(sa: IkeSa): void;
  deleteIke(sa: IkeSa, cause: Cause, reason: string): void;
  checkLiveness(sa: IkeSa): void;
  updateAddresses(sa: IkeSa, addresses: readonly string[], before: readonly string[] | undefined): void;
}

/** The parts of a context that live as long as the core. */
export interface ContextParts {
  readonly environment: Environment;
  readonly timers: Timers;
  readonly table: SaTable;
  readonly cookies: Cookies;
  readonly throttle: Throttle;
  readonly policies: PolicyTable;
  readonly connections: ConnectionManager;
  readonly operations: Operations;
  readonly exportKeys: boolean;
  /** Messages in RFC notation are only made where somebody reads them. */
  readonly debug: () => boolean;
}

export class Context {
  /** Milliseconds of a clock that nobody sets; given with every step. */
  now = 0;
  config: Config;
  readonly credentials = new Credentials();
  /** This host's addresses, once they have changed. */
  addresses: readonly string[] | undefined;
  readonly parts: ContextParts;
  /** Child SAs by the key of either direction, as long as that direction is installed. */
  readonly children = new Map<SaKey, ChildSa>();
  private effects: Effect[] = [];
  private lastId = 0;
  private statelessSecond = 0;
  private statelessSent = 0;

  constructor(config: Config, parts: (cx: Context) => ContextParts) {
    this.config = config;
    this.parts = parts(this);
  }

  get crypto(): CryptoProvider {
    return this.parts.environment.crypto;
  }

  get environment(): Environment {
    return this.parts.environment;
  }

  get limits(): IkeLimits {
    return this.config.control.limits;
  }

  get timers(): Timers {
    return this.parts.timers;
  }

  get table(): SaTable {
    return this.parts.table;
  }

  get policies(): PolicyTable {
    return this.parts.policies;
  }

  get connections(): ConnectionManager {
    return this.parts.connections;
  }

  get operations(): Operations {
    return this.parts.operations;
  }

  /** @returns a number that nothing else has: of an SA, a policy, a child */
  nextId(): number {
    return ++this.lastId;
  }

  push(effect: Effect): void {
    this.effects.push(effect);
  }

  /** @returns what was pushed since the last call */
  drain(): Effect[] {
    const { effects } = this;
    this.effects = [];
    return effects;
  }

  get debugging(): boolean {
    return this.parts.debug();
  }

  /** `debug` is for short texts; whoever makes long ones asks `debugging` first. */
  log(level: LogLevel, message: string, connection?: string): void {
    if (level === 'debug' && !this.debugging) return;
    this.push(connection === undefined ? { type: 'log', level, message } : { type: 'log', level, message, connection });
  }

  event(event: IkeEvent): void {
    this.push({ type: 'event', event });
  }

  /** Replaces the owner's timer of that purpose. */
  setTimer<Owner extends TimerOwner>(
    owner: Owner,
    purpose: string,
    at: number,
    run: (cx: Context, owner: Owner) => void,
  ): void {
    this.clearTimer(owner, purpose);
    owner.timers.set(purpose, this.timers.setFor(owner, at, run));
  }

  clearTimer(owner: TimerOwner, purpose: string): void {
    this.timers.cancel(owner.timers.get(purpose));
    owner.timers.delete(purpose);
  }

  clearTimers(owner: TimerOwner): void {
    for (const timer of owner.timers.values()) this.timers.cancel(timer);
    owner.timers.clear();
  }

  /** @returns the address that a connection calls from */
  localAddress(connection: ConnectionConfig, remote: string | undefined): string | undefined {
    if (remote === undefined) return undefined;
    return ownAddress(connection, remote) ?? this.environment.sourceAddress(remote);
  }

  /** @returns an integer from 0 to below `bound`, from the injected randomness */
  randomBelow(bound: number): number {
    if (bound <= 1) return 0;
    const bytes = this.crypto.random(6);
    const value = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
    return value % Math.floor(bound);
  }

  /** @returns a non-zero SPI that no IKE SA of ours has */
  newSpi(): bigint {
    for (;;) {
      const bytes = this.crypto.random(8);
      const spi = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
      if (spi !== 0n && this.table.find(spi) === undefined) return spi;
    }
  }

  /** @returns whether another answer without state may go out in this second */
  statelessBudget(perSecond: number): boolean {
    const second = Math.floor(this.now / 1000);
    if (second !== this.statelessSecond) {
      this.statelessSecond = second;
      this.statelessSent = 0;
    }
    return ++this.statelessSent <= perSecond;
  }

  /** @returns SHA-256 of a datagram, by which a repetition is known: a character for each byte, as every SA keeps two */
  digest(data: Uint8Array): string {
    return Buffer.from(this.crypto.hash(HASH.SHA2_256, data)).toString('latin1');
  }
}
