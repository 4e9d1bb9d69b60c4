/**
 * The SPD entries of the configuration, and the routes that lead packets to them (RFC 4301 §4.4.1), from one reading
 * of it to the next.
 *
 * The SPD is looked up by priority, and in one priority by age, as the configuration has it from above to below. New
 * entries come in the order of look-up, and old ones go the other way round after that. So at any moment the first
 * entry that a packet matches is either the first of the old ones or the first of the new ones: it meets what it met
 * before, or what it will meet, and never what lay behind.
 */
import type { DataPlane, PolicyHandle, RunningDataPlane, SaHandle, TrafficSelector } from '../../contract.ts';
import { prefixesOf } from '../child/routes.ts';
import type { PolicyConfig } from '../config/model.ts';
import { formatRange } from '../wire/address.ts';
import { named } from './manual-sas.ts';
import type { PolicyStatus } from './status.ts';

export type ManualPlane = DataPlane & Partial<Pick<RunningDataPlane, 'addRoute' | 'removeRoute' | 'policyCounters'>>;

/** Whose routes these are, beside those of children. */
const USER = 'manual';

interface InstalledPolicy {
  readonly config: PolicyConfig;
  readonly handle: PolicyHandle;
  sa: SaHandle | undefined;
}

/** New policies and routes are there, and old ones too. */
export interface PolicyChange {
  removeOld(): void;
}

export class ManualPolicies {
  readonly #plane: ManualPlane;
  /** As the configuration has them. */
  #installed: readonly InstalledPolicy[] = [];
  #routes: ReadonlySet<string> = new Set();

  constructor(plane: ManualPlane) {
    this.#plane = plane;
  }

  /**
   * @param saOf finds the SA of a name
   * @throws EspalierError with the entry's name, and then nothing has changed
   */
  install(
    configs: readonly PolicyConfig[],
    installRoutes: boolean,
    saOf: (name: string) => SaHandle | undefined,
  ): PolicyChange {
    const kept = this.#kept(configs);
    const fresh = new Map<PolicyConfig, InstalledPolicy>();
    const routes = installRoutes ? prefixesToRoute(configs) : new Set<string>();
    const added: string[] = [];
    try {
      for (const config of inOrder(configs.filter((each) => !kept.has(each)))) {
        fresh.set(config, this.#install(config, config.sa === undefined ? undefined : saOf(config.sa)));
      }
      for (const prefix of routes) {
        if (this.#routes.has(prefix)) continue;
        this.#plane.addRoute?.(prefix, undefined, USER);
        added.push(prefix);
      }
    } catch (error) {
      for (const prefix of added) this.#plane.removeRoute?.(prefix, USER);
      for (const { handle } of [...fresh.values()].reverse()) this.#plane.removePolicy(handle);
      throw error;
    }
    for (const [config, policy] of kept) {
      const sa = config.sa === undefined ? undefined : saOf(config.sa);
      if (policy.sa === sa) continue;
      this.#plane.setPolicySa(policy.handle, sa);
      policy.sa = sa;
    }
    const stays = new Set(kept.values());
    const gone = this.#installed.filter((each) => !stays.has(each));
    const before = this.#routes;
    this.#installed = configs.map((config) => (kept.get(config) ?? fresh.get(config))!);
    this.#routes = routes;
    return {
      removeOld: () => {
        this.#remove(gone);
        // Routes go last: until then packets end in the device, not in the clear.
        for (const prefix of before) if (!routes.has(prefix)) this.#plane.removeRoute?.(prefix, USER);
      },
    };
  }

  clear(): void {
    this.#remove(this.#installed);
    for (const prefix of this.#routes) this.#plane.removeRoute?.(prefix, USER);
    this.#installed = [];
    this.#routes = new Set();
  }

  handles(): ReadonlySet<PolicyHandle> {
    return new Set(this.#installed.map(({ handle }) => handle));
  }

  status(): PolicyStatus[] {
    return this.#installed.map(({ config, handle }) => ({
      name: config.name,
      direction: config.direction,
      action: config.action,
      selector: selectorText(config.selector),
      ...(this.#plane.policyCounters?.(handle) ?? { packets: 0, bytes: 0 }),
    }));
  }

  /**
   * Finds the entries that can stay. What comes behind a new one in its priority has to come anew too, for there it
   * is age that counts.
   */
  #kept(configs: readonly PolicyConfig[]): Map<PolicyConfig, InstalledPolicy> {
    const places = new Map<string, InstalledPolicy[]>();
    for (const policy of this.#installed.toReversed()) {
      const place = placeOf(policy.config);
      const others = places.get(place);
      if (others === undefined) places.set(place, [policy]);
      else others.push(policy);
    }
    const kept = new Map<PolicyConfig, InstalledPolicy>();
    for (const config of configs) {
      const left = places.get(placeOf(config)) ?? [];
      const text = JSON.stringify(config);
      // What is passed over goes; where nothing is found, nothing is left for those behind.
      let policy = left.pop();
      while (policy !== undefined && JSON.stringify(policy.config) !== text) policy = left.pop();
      if (policy !== undefined) kept.set(config, policy);
    }
    return kept;
  }

  #install(config: PolicyConfig, sa: SaHandle | undefined): InstalledPolicy {
    const { name, direction, action, priority, selector } = config;
    const handle = named(`policies.${name}`, () =>
      this.#plane.installPolicy({ name, direction, action, priority, selector, ...(sa !== undefined && { sa }) }),
    );
    return { config, handle, sa };
  }

  #remove(policies: readonly InstalledPolicy[]): void {
    const order = policies.toSorted((a, b) => b.config.priority - a.config.priority || b.handle - a.handle);
    for (const { handle } of order) this.#plane.removePolicy(handle);
  }
}

/** Entries of one place are looked up by age. */
const placeOf = ({ direction, priority }: PolicyConfig): string => `${direction} ${priority}`;

const inOrder = (configs: readonly PolicyConfig[]): PolicyConfig[] =>
  configs.toSorted((a, b) => a.priority - b.priority);

/** Traffic that a manual SA protects has to come into the device first. */
const prefixesToRoute = (policies: readonly PolicyConfig[]): Set<string> =>
  new Set(
    policies
      .filter(({ action, direction }) => action === 'protect' && direction === 'out')
      .flatMap(({ selector }) => prefixesOf(selector.remote.addresses)),
  );

export function selectorText({ protocol, local, remote }: TrafficSelector): string {
  const side = ({ addresses, ports }: TrafficSelector['local']): string => {
    const range = formatRange(addresses);
    return ports.from === 0 && ports.to === 65_535 ? range : `${range} port ${ports.from}-${ports.to}`;
  };
  return `${side(local)} <> ${side(remote)}${protocol === 0 ? '' : ` protocol ${protocol}`}`;
}
