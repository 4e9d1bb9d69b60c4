import { describe, expect, it } from 'vitest';
import { InWriteError } from '../../assembly/drops.ts';
import { ARENA_DROPS, FRAME_IOVEC_COUNT, FRAME_PACKETS, FRAME_SIZE, IN_FRAMES } from '../../assembly/layout/arena.ts';
import { Arena } from '../../src/dataplane/arena.ts';
import { Device } from '../../src/dataplane/device.ts';
import { createMemory } from '../../src/dataplane/kernel.ts';
import { arenaAddress, DEFAULT_LIMITS, planMemory } from '../../src/dataplane/memory.ts';

describe('a device that refuses frames', () => {
  it('costs the packets that they were made of', () => {
    const plan = planMemory({ ...DEFAULT_LIMITS, workers: 1 });
    const arena = new Arena(createMemory(plan.size), arenaAddress(plan, 0));
    for (const [index, packets] of [40, 1].entries()) {
      arena.set(IN_FRAMES + index * FRAME_SIZE + FRAME_IOVEC_COUNT, 1);
      arena.set(IN_FRAMES + index * FRAME_SIZE + FRAME_PACKETS, packets);
    }
    new Device(-1, arena, () => {}).write(IN_FRAMES, 2);
    expect(arena.get(ARENA_DROPS + InWriteError * 8)).toBe(41);
  });
});
