/**
 * What the configuration puts into the SAD and the SPD itself (RFC 4301 §4.5.1, manual techniques):
 * SAs with their keys, and policies that no child makes.
 */
import { suiteName } from '../../algorithms.ts';
import type { DataPlane, PolicyHandle, RunningDataPlane, SaHandle, TrafficSelector } from '../../contract.ts';
import { EspalierError } from '../../errors.ts';
import { sameValue } from '../config/compare.ts';
import type { Config, ManualSaConfig, PolicyConfig } from '../config/model.ts';
import { formatRange } from '../wire/address.ts';
import type { ManualSaStatus, PolicyStatus } from './status.ts';

type Plane = DataPlane & Partial<Pick<RunningDataPlane, 'addRoute' | 'removeRoute' | 'policyCounters'>>;
/** What a timer takes. */
const MAX_TIMEOUT = 2 ** 31 - 1;

interface InstalledSa {
  readonly config: ManualSaConfig;
  readonly handle: SaHandle;
  timer: NodeJS.Timeout | undefined;
}

type ManualConfig = Pick<Config, 'manual' | 'policies' | 'gateway'>;

export class ManualEntries {
  readonly #plane: Plane;
  readonly #timeUp: (handle: SaHandle) => void;
  #entries: ManualConfig | undefined;
  readonly #sas = new Map<string, InstalledSa>();
  readonly #policies: { readonly config: PolicyConfig; readonly handle: PolicyHandle }[] = [];
  readonly #routes = new Set<string>();

  /** @param timeUp is told of an SA that has reached the end of its time, as the data plane tells of other limits */
  constructor(plane: Plane, timeUp: (handle: SaHandle) => void) {
    this.#plane = plane;
    this.#timeUp = timeUp;
  }

  /**
   * Installs what the configuration says. Where nothing changed since the last time, nothing is touched:
   * an SA that is installed anew starts its sequence numbers at 1, and must not do so with old keys.
   * @throws EspalierError with the entry's name
   */
  apply(config: ManualConfig): void {
    if (this.#entries && sameEntries(this.#entries, config)) return;
    this.clear();
    try {
      for (const sa of config.manual) this.#installSa(sa);
      for (const policy of config.policies) this.#installPolicy(policy);
      if (config.gateway.installRoutes) this.#addRoutes(config.policies);
      this.#entries = config;
    } catch (error) {
      this.clear();
      throw error;
    }
  }

  clear(): void {
    for (const prefix of this.#routes) this.#plane.removeRoute?.(prefix);
    for (const { handle } of this.#policies) this.#plane.removePolicy(handle);
    for (const { handle, timer } of this.#sas.values()) {
      clearTimeout(timer);
      this.#plane.removeSa(handle);
    }
    this.#routes.clear();
    this.#policies.length = 0;
    this.#sas.clear();
    this.#entries = undefined;
  }

  /** A limit of an SA was reached: at the hard one it ends. @returns its name, if it is one of these */
  expire(handle: SaHandle, kind: 'soft' | 'hard'): string | undefined {
    for (const [name, sa] of this.#sas) {
      if (sa.handle !== handle) continue;
      if (kind === 'hard') {
        clearTimeout(sa.timer);
        this.#plane.removeSa(handle);
        this.#sas.delete(name);
      }
      return name;
    }
    return undefined;
  }

  sas(): ManualSaStatus[] {
    return [...this.#sas.values()].map(({ config: { name, parameters }, handle }) => {
      const counters = this.#plane.counters(handle);
      return {
        name,
        direction: parameters.direction,
        protocol: parameters.protocol,
        mode: parameters.mode,
        algorithm: suiteName(parameters.suite),
        spi: parameters.spi.toString(16).padStart(8, '0'),
        ...(counters && { counters }),
      };
    });
  }

  policies(): PolicyStatus[] {
    return this.#policies.map(({ config, handle }) => ({
      name: config.name,
      direction: config.direction,
      action: config.action,
      selector: selectorText(config.selector),
      ...(this.#plane.policyCounters?.(handle) ?? { packets: 0, bytes: 0 }),
    }));
  }

  #installSa(config: ManualSaConfig): void {
    const { name, parameters, lifeTime } = config;
    const handle = named(`sas.${name}`, () => this.#plane.installSa({ ...parameters, name }));
    const sa: InstalledSa = { config, handle, timer: undefined };
    this.#sas.set(name, sa);
    if (lifeTime > 0) this.#endAfter(sa, lifeTime * 1000);
  }

  #endAfter(sa: InstalledSa, millis: number): void {
    const step = Math.min(millis, MAX_TIMEOUT);
    const next = () => (millis > step ? this.#endAfter(sa, millis - step) : this.#timeUp(sa.handle));
    sa.timer = setTimeout(next, step).unref();
  }

  #installPolicy(config: PolicyConfig): void {
    const { name, direction, action, priority, selector } = config;
    const sa = config.sa === undefined ? undefined : this.#sas.get(config.sa);
    const handle = named(`policies.${name}`, () =>
      this.#plane.installPolicy({ name, direction, action, priority, selector, ...(sa && { sa: sa.handle }) }),
    );
    this.#policies.push({ config, handle });
  }

  /** Traffic that a manual SA protects has to come into the device first. */
  #addRoutes(policies: readonly PolicyConfig[]): void {
    for (const { action, direction, selector } of policies) {
      if (action !== 'protect' || direction !== 'out') continue;
      const prefix = formatRange(selector.remote.addresses);
      if (prefix.includes('..') || this.#routes.has(prefix)) continue;
      this.#plane.addRoute?.(prefix.includes('/') ? prefix : `${prefix}/${prefix.includes(':') ? 128 : 32}`);
      this.#routes.add(prefix);
    }
  }
}

function named<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    throw new EspalierError(error.code, `${what}: ${error.message}`, { cause: error });
  }
}

/** Keys are compared too: an SA with a new key is a new SA. */
const sameEntries = (a: ManualConfig, b: ManualConfig): boolean =>
  sameValue([a.manual, a.policies, a.gateway.installRoutes], [b.manual, b.policies, b.gateway.installRoutes]);

function selectorText({ protocol, local, remote }: TrafficSelector): string {
  const side = ({ addresses, ports }: TrafficSelector['local']): string => {
    const range = formatRange(addresses);
    return ports.from === 0 && ports.to === 65_535 ? range : `${range} port ${ports.from}-${ports.to}`;
  };
  return `${side(local)} <> ${side(remote)}${protocol === 0 ? '' : ` protocol ${protocol}`}`;
}
