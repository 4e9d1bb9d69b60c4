/**
 * The SPD's owner (RFC 4301 §4.4.1): writes POLICY records into shared memory and has the kernel put
 * them into the classifier, while workers read it.
 */
import * as R from '../../assembly/layout/records.ts';
import type { Direction, PolicyHandle, PolicyParameters, SaHandle } from '../contract.ts';
import { EspalierError } from '../errors.ts';
import type { KernelMemory } from './backends/backend.ts';
import type { Heap } from './heap.ts';
import type { KernelExports } from './kernel.ts';
import type { MemoryPlan } from './memory.ts';
import { writeSelector } from './selector.ts';

const ACTIONS = {
  protect: R.POLICY_ACTION_PROTECT,
  bypass: R.POLICY_ACTION_BYPASS,
  discard: R.POLICY_ACTION_DISCARD,
} as const;

const LEAST_BUCKETS = 256;
const MAX_PRIORITY = 0xffffffff;

interface Installed {
  readonly address: number;
  readonly parameters: PolicyParameters;
  /** Address of the SA's record, 0 for none. */
  sa: number;
}

export interface SpdOptions {
  readonly memory: KernelMemory;
  /** The engine's own instance of the kernel. */
  readonly kernel: KernelExports;
  readonly plan: MemoryPlan;
  readonly heap: Heap;
  /** @returns the address of an SA's record, undefined if there is no such SA (`Sad.address`) */
  readonly saAddress: (sa: SaHandle) => number | undefined;
}

export class Spd {
  readonly #memory: KernelMemory;
  readonly #signed: Int32Array;
  readonly #longs: BigUint64Array;
  readonly #kernel: KernelExports;
  readonly #plan: MemoryPlan;
  readonly #saAddress: SpdOptions['saAddress'];
  readonly #classifiers: Readonly<Record<Direction, number>>;
  readonly #installed = new Map<PolicyHandle, Installed>();
  /** The policies that point to each SA, by the address of its record. */
  readonly #users = new Map<number, Installed[]>();
  readonly #free: number[] = [];
  #recordsUsed = 0;
  #nextHandle = 1;

  constructor({ memory, kernel, plan, heap, saAddress }: SpdOptions) {
    this.#memory = memory;
    this.#signed = new Int32Array(memory.memory.buffer);
    this.#longs = new BigUint64Array(memory.memory.buffer);
    this.#kernel = kernel;
    this.#plan = plan;
    this.#saAddress = saAddress;
    const buckets = 2 ** Math.ceil(Math.log2(Math.max(LEAST_BUCKETS, plan.policies)));
    const classifier = (pointer: number) => {
      const address = heap.allocate(R.SPD_BUCKETS + buckets * 4);
      memory.words[(address + R.SPD_BUCKET_MASK) >>> 2] = buckets - 1;
      Atomics.store(this.#signed, (R.HEADER_BASE + pointer) >>> 2, address);
      return address;
    };
    this.#classifiers = { out: classifier(R.HEADER_SPD_OUT), in: classifier(R.HEADER_SPD_IN) };
  }

  /** Policies in force, both directions together. */
  get size(): number {
    return this.#installed.size;
  }

  /** @throws EspalierError `ERR_SPD_FULL`, `ERR_POLICY`, `ERR_ADDRESS` */
  install(parameters: PolicyParameters): PolicyHandle {
    const { name, priority, direction, action, selector, sa } = parameters;
    if (!Number.isInteger(priority) || priority < 0 || priority > MAX_PRIORITY) {
      throw new EspalierError('ERR_POLICY', `policy ${name}: priority ${priority} is not a number from 0 to 2^32 - 1`);
    }
    if (sa !== undefined && (direction !== 'out' || action !== 'protect')) {
      throw new EspalierError('ERR_POLICY', `policy ${name}: only an outbound 'protect' policy names an SA`);
    }
    const saAddress = this.#resolve(sa, name);
    const address = this.#takeRecord();
    const { bytes, words } = this.#memory;
    bytes.fill(0, address, address + R.POLICY_SIZE);
    try {
      writeSelector(this.#memory, address + R.POLICY_SELECTOR, selector);
    } catch (error) {
      this.#free.push(address);
      throw error;
    }
    const handle = this.#nextHandle++;
    words[(address + R.POLICY_HANDLE) >>> 2] = handle;
    words[(address + R.POLICY_PRIORITY) >>> 2] = priority;
    words[(address + R.POLICY_ACTION) >>> 2] = ACTIONS[action];
    words[(address + R.POLICY_STATE) >>> 2] = 1;
    const policy: Installed = { address, parameters, sa: 0 };
    this.#pointTo(policy, saAddress);
    this.#kernel.insertPolicy(this.#classifiers[direction], address);
    this.#installed.set(handle, policy);
    return handle;
  }

  /** Points a `protect` policy to another SA, or to none; unknown policies are ignored. */
  setSa(handle: PolicyHandle, sa: SaHandle | undefined): void {
    const policy = this.#installed.get(handle);
    if (policy === undefined) return;
    this.#pointTo(policy, this.#resolve(sa, policy.parameters.name));
  }

  /** Takes every policy off an SA that is about to be removed; they trap from then on. */
  forgetSa(sa: SaHandle): void {
    const address = this.#saAddress(sa);
    if (address === undefined) return;
    for (const policy of [...(this.#users.get(address) ?? [])]) this.#pointTo(policy, 0);
  }

  /** Takes a policy out of force; unknown ones are ignored. */
  remove(handle: PolicyHandle): void {
    const policy = this.#installed.get(handle);
    if (policy === undefined) return;
    this.#installed.delete(handle);
    this.#kernel.removePolicy(this.#classifiers[policy.parameters.direction], policy.address);
    this.#memory.words[(policy.address + R.POLICY_STATE) >>> 2] = 0;
    this.#pointTo(policy, 0);
    this.#free.push(policy.address);
  }

  counters(handle: PolicyHandle): { readonly packets: number; readonly bytes: number } | undefined {
    const policy = this.#installed.get(handle);
    if (policy === undefined) return undefined;
    const long = (field: number) => Number(Atomics.load(this.#longs, (policy.address + field) >>> 3));
    return { packets: long(R.POLICY_PACKETS), bytes: long(R.POLICY_BYTES) };
  }

  /** @returns all policies in force, with what they were installed with */
  *entries(): Generator<readonly [PolicyHandle, PolicyParameters]> {
    for (const [handle, { parameters }] of this.#installed) yield [handle, parameters];
  }

  /** @returns what a policy was installed with */
  parameters(handle: PolicyHandle): PolicyParameters | undefined {
    return this.#installed.get(handle)?.parameters;
  }

  #resolve(sa: SaHandle | undefined, name: string): number {
    if (sa === undefined) return 0;
    const address = this.#saAddress(sa);
    if (address === undefined) throw new EspalierError('ERR_POLICY', `policy ${name}: there is no SA ${sa}`);
    return address;
  }

  #pointTo(policy: Installed, sa: number): void {
    Atomics.store(this.#signed, (policy.address + R.POLICY_SA) >>> 2, sa);
    if (policy.sa === sa) return;
    const before = this.#users.get(policy.sa);
    before?.splice(before.indexOf(policy), 1);
    if (before?.length === 0) this.#users.delete(policy.sa);
    policy.sa = sa;
    if (sa === 0) return;
    const users = this.#users.get(sa);
    if (users === undefined) this.#users.set(sa, [policy]);
    else users.push(policy);
  }

  #takeRecord(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#recordsUsed === this.#plan.policies) {
      throw new EspalierError('ERR_SPD_FULL', `all ${this.#plan.policies} policies are in use: raise limits.policies`);
    }
    return this.#plan.policyBase + this.#recordsUsed++ * R.POLICY_SIZE;
  }
}
