/**
 * What the configuration puts into the SAD and the SPD itself (RFC 4301 §4.5.1, manual techniques):
 * SAs with their keys, and policies that no child makes.
 */
import type { PolicyHandle, SaHandle } from '../../contract.ts';
import type { Config } from '../config/model.ts';
import { Keepalives } from './keepalives.ts';
import { type ManualPlane, ManualPolicies, type PolicyChange } from './manual-policies.ts';
import { ManualSas } from './manual-sas.ts';
import type { ManualSaStatus, PolicyStatus } from './status.ts';

type ManualConfig = Pick<Config, 'manual' | 'policies' | 'gateway' | 'control'>;

export class ManualEntries {
  readonly #sas: ManualSas;
  readonly #policies: ManualPolicies;
  readonly #keepalives: Keepalives;

  /** @param timeUp is told of an SA that has reached the end of its time, as the data plane tells of other limits */
  constructor(plane: ManualPlane, timeUp: (handle: SaHandle) => void) {
    this.#sas = new ManualSas(plane, timeUp);
    this.#policies = new ManualPolicies(plane);
    this.#keepalives = new Keepalives(plane);
  }

  /** @throws EspalierError `ERR_KEY_REUSED` for an SA that would begin its sequence numbers again under its old key */
  check({ manual }: Pick<ManualConfig, 'manual'>): void {
    this.#sas.plan(manual);
  }

  /**
   * Makes what is installed what the configuration says, without touching what has not changed. What is new comes
   * before what is old goes, so that a packet meets what it met before or what it will meet.
   * @param meanwhile happens when both are there: what goes here may be somebody else's from now on
   * @throws EspalierError with the entry's name; then all is as it was, but for SAs that had to make room for others
   *   with their SPIs
   */
  apply(config: ManualConfig, meanwhile: () => void = () => {}): void {
    const sas = this.#sas.install(this.#sas.plan(config.manual));
    let policies: PolicyChange;
    try {
      policies = this.#policies.install(config.policies, config.gateway.installRoutes, sas.handleOf);
    } catch (error) {
      sas.undo();
      throw error;
    }
    meanwhile();
    policies.removeOld();
    sas.removeOld();
    this.#keepalives.watch(this.#sas.sendersInUdp(), config.gateway.portNatT, config.control.limits.keepalive * 1000);
  }

  clear(): void {
    this.#keepalives.close();
    this.#policies.clear();
    this.#sas.clear();
  }

  /** A limit of an SA was reached: at the hard one it ends. @returns its name, if it is one of these */
  expire(handle: SaHandle, kind: 'soft' | 'hard'): string | undefined {
    return this.#sas.expire(handle, kind);
  }

  sas(): ManualSaStatus[] {
    return this.#sas.status();
  }

  policyHandles(): ReadonlySet<PolicyHandle> {
    return this.#policies.handles();
  }

  policies(): PolicyStatus[] {
    return this.#policies.status();
  }
}
