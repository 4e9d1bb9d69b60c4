/**
 * SAs whose keys are from the configuration, from one reading of it to the next.
 *
 * What makes an SA is its SPI and its keys: under these, sequence numbers begin at 1 once. To begin again is to send
 * what the peer takes for replays, to take replays of what came before (RFC 4303 §3.3.3, §3.4.3), and with a counter
 * for an IV to risk that one repeats (RFC 4106 §3.1). So an SA goes on as long as its SPI and keys are there, under
 * whatever name; what has ended does not come back; and what cannot change under way is refused. With another SPI it
 * is another SA, which the ICV binds it to, and whose IVs begin elsewhere (IV_MASK of `assembly/layout/records.ts`).
 */
import { createHash } from 'node:crypto';
import { suiteName } from '../../algorithms.ts';
import { monotonic } from '../../clock.ts';
import type { DataPlane, SaHandle } from '../../contract.ts';
import { EspalierError } from '../../errors.ts';
import { sameValue } from '../config/compare.ts';
import type { ManualSaConfig } from '../config/model.ts';
import { dated } from './dated.ts';
import type { UdpSender } from './keepalives.ts';
import type { ManualSaStatus } from './status.ts';

/** What a timer takes. */
const MAX_TIMEOUT = 2 ** 31 - 1;

interface KnownSa {
  readonly identity: string;
  config: ManualSaConfig;
  /** Undefined when it has ended. */
  handle: SaHandle | undefined;
  /** When it was installed. */
  readonly since: number;
  /** It has ended, and had been used. */
  used: boolean;
  timer: NodeJS.Timeout | undefined;
}

/** What is to become of the SAs. */
export interface SaPlan {
  /** What there shall be: an SA that goes on, or undefined for one to install. */
  readonly wanted: ReadonlyMap<ManualSaConfig, KnownSa | undefined>;
  readonly gone: readonly KnownSa[];
}

/** New SAs are there, and old ones too. */
export interface SaChange {
  /** @returns the SA of that name; undefined if it has ended */
  handleOf(name: string): SaHandle | undefined;
  undo(): void;
  removeOld(): void;
}

export class ManualSas {
  readonly #plane: DataPlane;
  readonly #timeUp: (handle: SaHandle) => void;
  /** As the configuration has them, those that have ended too. */
  #known: readonly KnownSa[] = [];
  /** Identities of SAs that were used, and that the configuration has no more. */
  readonly #used = new Set<string>();

  constructor(plane: DataPlane, timeUp: (handle: SaHandle) => void) {
    this.#plane = plane;
    this.#timeUp = timeUp;
  }

  /** @throws EspalierError `ERR_KEY_REUSED` */
  plan(configs: readonly ManualSaConfig[]): SaPlan {
    const left = new Map<string, KnownSa[]>();
    for (const known of this.#known) {
      const same = left.get(known.identity);
      if (same === undefined) left.set(known.identity, [known]);
      else same.push(known);
    }
    const identities = new Map(configs.map((config) => [config, identityOf(config)]));
    const found = new Map<ManualSaConfig, KnownSa>();
    const find = (config: ManualSaConfig, isIt: (known: KnownSa) => boolean) => {
      const same = left.get(identities.get(config)!) ?? [];
      const at = same.findIndex(isIt);
      if (at >= 0) found.set(config, same.splice(at, 1)[0]!);
    };
    for (const config of configs) find(config, (known) => known.config.name === config.name);
    for (const config of configs) if (!found.has(config)) find(config, () => true);
    const wanted = new Map<ManualSaConfig, KnownSa | undefined>();
    const gone = [...left.values()].flat();
    for (const [config, identity] of identities) {
      const known = found.get(config);
      const goesOn = this.#goesOn(known, config, identity);
      wanted.set(config, goesOn ? known : undefined);
      if (known !== undefined && !goesOn) gone.push(known);
    }
    return { wanted, gone };
  }

  /** @returns whether the SA that is there is the one of the configuration; not so if that may take its place */
  #goesOn(known: KnownSa | undefined, config: ManualSaConfig, identity: string): boolean {
    const refuse = (why: string): never => {
      throw new EspalierError(
        'ERR_KEY_REUSED',
        `sas.${config.name}: ${why}, and its sequence numbers would begin again under the same key (RFC 4303 §3.3.3); give it a new SPI and a new key, here and at the peer`,
      );
    };
    if (known === undefined) {
      if (this.#used.has(identity)) refuse('an SA with this SPI and key was in use before');
      return false;
    }
    if (known.handle !== undefined && sameValue(fixed(known.config), fixed(config))) return true;
    if (sameValue(unnamed(known.config), unnamed(config))) return true;
    if (!this.#isUsed(known)) return false;
    if (known.handle === undefined) refuse('it has ended');
    return refuse('of an SA in use only its outer addresses, "encap" and "life_time" can change');
  }

  /**
   * Installs what is new; what is old stays until `removeOld`, but for inbound SAs whose SPI a new one has.
   * @throws EspalierError with the entry's name, and then nothing new is there
   */
  install({ wanted, gone }: SaPlan): SaChange {
    const sas = new Map(wanted);
    const inTheWay = new Map(gone.filter(({ handle }) => handle !== undefined).map((sa) => [slotOf(sa.config), sa]));
    inTheWay.delete(undefined);
    const fresh = [...wanted.keys()].filter((config) => wanted.get(config) === undefined);
    const installed: KnownSa[] = [];
    const removed = new Set<KnownSa>();
    const undo = () => {
      for (const sa of installed) this.#end(sa);
      this.#known = this.#known.filter((sa) => !removed.has(sa));
    };
    const hasRoom = (config: ManualSaConfig) => !inTheWay.has(slotOf(config));
    try {
      // What needs no room comes first: where it fails, nothing has changed.
      for (const config of [...fresh.filter(hasRoom), ...fresh.filter((each) => !hasRoom(each))]) {
        const old = inTheWay.get(slotOf(config));
        if (old !== undefined) {
          this.#forget(old);
          removed.add(old);
        }
        const sa = this.#install(config);
        installed.push(sa);
        sas.set(config, sa);
      }
    } catch (error) {
      undo();
      throw error;
    }
    const handles = new Map([...sas].map(([{ name }, sa]) => [name, sa?.handle]));
    return {
      handleOf: (name) => handles.get(name),
      undo,
      removeOld: () => {
        for (const sa of gone) this.#forget(sa);
        for (const [config, sa] of sas) this.#adopt(sa!, config);
        this.#known = [...sas.values()].map((sa) => sa!);
      },
    };
  }

  clear(): void {
    for (const sa of this.#known) this.#forget(sa);
    this.#known = [];
  }

  /** A limit of an SA was reached: at the hard one it ends. @returns its name, if it is one of these */
  expire(handle: SaHandle, kind: 'soft' | 'hard'): string | undefined {
    const sa = this.#known.find((each) => each.handle === handle);
    if (kind === 'hard' && sa !== undefined) this.#end(sa);
    return sa?.config.name;
  }

  status(): ManualSaStatus[] {
    return this.#known.flatMap(({ config: { name, parameters }, handle }) => {
      if (handle === undefined) return [];
      const counters = this.#plane.counters(handle);
      return {
        name,
        direction: parameters.direction,
        protocol: parameters.protocol,
        mode: parameters.mode,
        algorithm: suiteName(parameters.suite),
        spi: parameters.spi.toString(16).padStart(8, '0'),
        ...(counters && { counters: dated(counters, { now: monotonic(), wallClock: Date.now() }) }),
      };
    });
  }

  /** @returns the SAs that send in UDP */
  sendersInUdp(): UdpSender[] {
    return this.#known.flatMap(({ config: { parameters }, handle }) => {
      const { direction, udpEncapsulation, local, remote } = parameters;
      return handle !== undefined && direction === 'out' && udpEncapsulation ? [{ sa: handle, local, remote }] : [];
    });
  }

  #install(config: ManualSaConfig): KnownSa {
    const { name, parameters } = config;
    const handle = named(`sas.${name}`, () => this.#plane.installSa({ ...parameters, name }));
    const sa: KnownSa = {
      identity: identityOf(config),
      config,
      handle,
      since: monotonic(),
      used: false,
      timer: undefined,
    };
    this.#setTimer(sa);
    return sa;
  }

  /** Takes over what the configuration says of an SA that goes on. */
  #adopt(sa: KnownSa, config: ManualSaConfig): void {
    const before = sa.config;
    sa.config = config;
    if (sa.handle === undefined) return;
    const { local, remote, udpEncapsulation } = config.parameters;
    if (!sameValue(path(before), path(config))) this.#plane.moveSa(sa.handle, local, remote, udpEncapsulation);
    if (before.lifeTime !== config.lifeTime) this.#setTimer(sa);
  }

  #setTimer(sa: KnownSa): void {
    clearTimeout(sa.timer);
    const { lifeTime } = sa.config;
    if (lifeTime > 0) this.#endAfter(sa, sa.since + lifeTime * 1000 - monotonic());
  }

  #endAfter(sa: KnownSa, millis: number): void {
    const step = Math.min(Math.max(millis, 0), MAX_TIMEOUT);
    const next = () => {
      if (millis > step) this.#endAfter(sa, millis - step);
      else if (sa.handle !== undefined) this.#timeUp(sa.handle);
    };
    sa.timer = setTimeout(next, step).unref();
  }

  /** Has it sent or taken a packet? One that has not has no numbers to repeat. */
  #isUsed({ handle, used }: KnownSa): boolean {
    const counters = handle === undefined ? undefined : this.#plane.counters(handle);
    return counters === undefined ? used : counters.sequence + counters.packets > 0;
  }

  #end(sa: KnownSa): void {
    clearTimeout(sa.timer);
    if (sa.handle === undefined) return;
    sa.used = this.#isUsed(sa);
    this.#plane.removeSa(sa.handle);
    sa.handle = undefined;
  }

  /** The configuration has it no more. */
  #forget(sa: KnownSa): void {
    this.#end(sa);
    if (sa.used) this.#used.add(sa.identity);
  }
}

/** No key can be told from it. */
function identityOf({ parameters: { direction, protocol, spi, keys } }: ManualSaConfig): string {
  const hash = createHash('sha256').update(`${direction} ${protocol} ${spi} ${keys.encryption.length} `);
  return hash.update(keys.encryption).update(keys.integrity).digest('base64');
}

/** @returns what two inbound SAs cannot both have; undefined for one that sends */
const slotOf = ({ parameters: { direction, protocol, spi } }: ManualSaConfig): string | undefined =>
  direction === 'in' ? `${protocol} ${spi}` : undefined;

const path = ({ parameters: { local, remote, udpEncapsulation } }: ManualSaConfig) => [local, remote, udpEncapsulation];

/** All that is not in a name. */
const unnamed = ({ parameters, lifeTime }: ManualSaConfig) => [parameters, lifeTime];

/** What an SA keeps for its life. */
function fixed({ parameters }: ManualSaConfig): object {
  const { local: _local, remote: _remote, udpEncapsulation: _udp, ...rest } = parameters;
  return rest;
}

/** @throws what `step` throws, with the entry's name before it */
export function named<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    throw new EspalierError(error.code, `${what}: ${error.message}`, { cause: error });
  }
}
