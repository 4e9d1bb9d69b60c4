/** Counters of dropped packets, summed over the workers, by their names in assembly/drops.ts. */
import * as reasons from '../../assembly/drops.ts';
import { ARENA_DROPS } from '../../assembly/layout/arena.ts';
import type { KernelMemory } from './backends/backend.ts';
import { arenaAddress, type MemoryPlan } from './memory.ts';

const { DROP_REASONS: _, ...named } = reasons;

/** @returns those that are not 0 */
export function readDrops({ words }: KernelMemory, plan: MemoryPlan): Record<string, number> {
  const drops: Record<string, number> = {};
  for (const [name, number] of Object.entries(named)) {
    let sum = 0;
    for (let worker = 0; worker < plan.workers; worker++) {
      const word = (arenaAddress(plan, worker) + ARENA_DROPS + number * 8) >>> 2;
      sum += words[word]! + words[word + 1]! * 2 ** 32;
    }
    if (sum > 0) drops[name] = sum;
  }
  return drops;
}
