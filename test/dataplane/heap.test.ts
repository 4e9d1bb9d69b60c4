import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Heap } from '../../src/dataplane/heap.ts';
import { createMemory } from '../../src/dataplane/kernel.ts';

const BASE = 65_536;
const SIZE = 1 << 20;

describe('the heap', () => {
  it('hands out zeroed lines and wipes what it takes back', () => {
    const memory = createMemory(BASE + SIZE);
    const heap = new Heap(memory, BASE, SIZE);
    const block = heap.allocate(100);
    memory.bytes.fill(0xff, block, block + 128);
    expect(block % 64).toBe(0);
    heap.free(block);
    expect(memory.bytes.subarray(block, block + 128).every((byte) => byte === 0)).toBe(true);
    expect(heap.used).toBe(0);
  });

  it('refuses what it has no room for, and blocks it does not know', () => {
    const heap = new Heap(createMemory(BASE + SIZE), BASE, SIZE);
    expect(() => heap.allocate(SIZE + 1)).toThrow(expect.objectContaining({ code: 'ERR_HEAP_FULL' }));
    const block = heap.allocate(64);
    heap.free(block);
    expect(() => heap.free(block)).toThrow(expect.objectContaining({ code: 'ERR_HEAP' }));
  });

  it('never hands out a byte twice, and has one free block again when all are back', () => {
    const memory = createMemory(BASE + SIZE);
    const step = fc.oneof(fc.record({ allocate: fc.integer({ min: 0, max: 20_000 }) }), fc.record({ free: fc.nat() }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = new Heap(memory, BASE, SIZE);
        const blocks: { at: number; size: number }[] = [];
        const release = (index: number) => {
          const { at, size } = blocks.splice(index, 1)[0]!;
          expect(memory.bytes.subarray(at, at + size).every((byte) => byte === 0xaa)).toBe(true);
          heap.free(at);
        };
        for (const next of steps) {
          if ('free' in next) {
            if (blocks.length > 0) release(next.free % blocks.length);
            continue;
          }
          let at: number;
          try {
            at = heap.allocate(next.allocate);
          } catch {
            continue;
          }
          const size = Math.max(64, Math.ceil(next.allocate / 64) * 64);
          expect(at).toBeGreaterThanOrEqual(BASE);
          expect(at + size).toBeLessThanOrEqual(BASE + SIZE);
          expect(memory.bytes.subarray(at, at + size).every((byte) => byte === 0)).toBe(true);
          memory.bytes.fill(0xaa, at, at + size);
          blocks.push({ at, size });
        }
        while (blocks.length > 0) release(0);
        expect(heap.used).toBe(0);
        const all = heap.allocate(SIZE);
        expect(all).toBe(BASE);
        heap.free(all);
      }),
      { numRuns: 50 },
    );
  });
});
