/** The test that the wide build has to pass at start. */
import { describe, expect, it } from 'vitest';
import { chooseBuild, compileKernel, createMemory, instantiateKernel } from '../../src/dataplane/kernel.ts';
import { answersRightly, KERNEL_TEST_SIZE } from '../../src/dataplane/kernel-test.ts';
import { BUILDS } from '../crypto/laboratory.ts';

// Has relaxed SIMD switched on where Node.js hides it.
chooseBuild();

describe("the kernel's test at start", () => {
  it.each(BUILDS)('is passed by the %s build', async (build) => {
    const { module } = await compileKernel(build);
    const memory = createMemory(KERNEL_TEST_SIZE);
    expect(answersRightly(instantiateKernel(module, memory), memory)).toBe(true);
  });

  it.each(['sealBatch', 'openBatch'] as const)('is failed if %s gets a bit wrong', async (name) => {
    const { module } = await compileKernel('relaxed');
    const memory = createMemory(KERNEL_TEST_SIZE);
    const kernel = instantiateKernel(module, memory);
    const run = kernel[name];
    const wrong = (descriptors: number, count: number) => {
      run(descriptors, count);
      // In the last packet, the one of two segments.
      memory.bytes[KERNEL_TEST_SIZE - 4096]! ^= 1;
    };
    expect(answersRightly({ ...kernel, [name]: wrong }, memory)).toBe(false);
  });
});
