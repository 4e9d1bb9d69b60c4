/** Divides the shared memory into its regions (assembly/layout.ts) and writes the HEADER that names them. */
import { randomFillSync } from 'node:crypto';
import { ARENA_SEED, ARENA_SIZE, ARENA_WORKER } from '../../assembly/layout/arena.ts';
import {
  HEADER_ABSOLUTE,
  HEADER_ARENA_BASE,
  HEADER_ARENA_COUNT,
  HEADER_BASE,
  HEADER_HEAP_BASE,
  HEADER_HEAP_SIZE,
  HEADER_POLICY_BASE,
  HEADER_POLICY_CAPACITY,
  HEADER_SA_BASE,
  HEADER_SA_CAPACITY,
  HEADER_SIZE,
  HEADER_SPI_MASK,
  HEADER_SPI_TABLE,
  POLICY_SIZE,
  SA_SIZE,
} from '../../assembly/layout/records.ts';
import type { KernelMemory } from './backends/backend.ts';

export interface MemoryLimits {
  readonly workers: number;
  /** SAs in both directions together. */
  readonly securityAssociations: number;
  readonly policies: number;
}

export interface MemoryPlan extends MemoryLimits {
  readonly spiTable: number;
  readonly spiBuckets: number;
  readonly saBase: number;
  readonly policyBase: number;
  readonly heapBase: number;
  readonly heapSize: number;
  readonly arenaBase: number;
  /** Bytes to reserve in all; pages that nobody touches cost nothing. */
  readonly size: number;
}

export const DEFAULT_LIMITS: MemoryLimits = { workers: 1, securityAssociations: 32_768, policies: 32_768 };

const PAGE = 65_536;
/** Keys, selectors and replay window of an average SA, generously: the region is only reserved. */
const HEAP_PER_SA = 20_480;
const HEAP_PER_POLICY = 256;
const HEAP_LEAST = 4_194_304;

const up = (bytes: number, unit: number) => Math.ceil(bytes / unit) * unit;

/** @returns where everything goes; addresses are offsets in linear memory */
export function planMemory(limits: MemoryLimits): MemoryPlan {
  const spiBuckets = 2 ** Math.ceil(Math.log2(Math.max(256, limits.securityAssociations)));
  const spiTable = HEADER_BASE + HEADER_SIZE;
  const saBase = spiTable + spiBuckets * 4;
  const policyBase = saBase + limits.securityAssociations * SA_SIZE;
  const heapBase = up(policyBase + limits.policies * POLICY_SIZE, PAGE);
  const heapSize = up(HEAP_LEAST + limits.securityAssociations * HEAP_PER_SA + limits.policies * HEAP_PER_POLICY, PAGE);
  const arenaBase = heapBase + heapSize;
  const size = arenaBase + limits.workers * ARENA_SIZE;
  return { ...limits, spiTable, spiBuckets, saBase, policyBase, heapBase, heapSize, arenaBase, size };
}

/** Writes the HEADER of a fresh memory, numbers the arenas and gives each the seed of its IVs. */
export function initialiseMemory({ words, base }: KernelMemory, plan: MemoryPlan): void {
  const set = (offset: number, value: number) => {
    words[(HEADER_BASE + offset) >>> 2] = value;
  };
  set(HEADER_ABSOLUTE, base % 2 ** 32);
  set(HEADER_ABSOLUTE + 4, Math.floor(base / 2 ** 32));
  set(HEADER_SA_BASE, plan.saBase);
  set(HEADER_SA_CAPACITY, plan.securityAssociations);
  set(HEADER_SPI_TABLE, plan.spiTable);
  set(HEADER_SPI_MASK, plan.spiBuckets - 1);
  set(HEADER_POLICY_BASE, plan.policyBase);
  set(HEADER_POLICY_CAPACITY, plan.policies);
  set(HEADER_HEAP_BASE, plan.heapBase);
  set(HEADER_HEAP_SIZE, plan.heapSize);
  set(HEADER_ARENA_BASE, plan.arenaBase);
  set(HEADER_ARENA_COUNT, plan.workers);
  for (let worker = 0; worker < plan.workers; worker++) {
    const arena = arenaAddress(plan, worker);
    words[(arena + ARENA_WORKER) >>> 2] = worker;
    words.set(randomFillSync(new Uint32Array(8)), (arena + ARENA_SEED) >>> 2);
  }
}

/** @returns the address of a worker's arena */
export const arenaAddress = (plan: MemoryPlan, worker: number): number => plan.arenaBase + worker * ARENA_SIZE;
