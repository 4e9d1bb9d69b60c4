/** What tests of the kernel's packet paths begin with: a memory with all that belongs in it, and an SA. */
import { CRYPTO_SCRATCH_SIZE } from '../../assembly/layout.ts';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import type { SaParameters } from '../../src/contract.ts';
import type { KernelMemory } from '../../src/dataplane/backends/backend.ts';
import { Heap } from '../../src/dataplane/heap.ts';
import { createMemory, instantiateKernel, type KernelExports } from '../../src/dataplane/kernel.ts';
import { initialiseMemory, type MemoryLimits, type MemoryPlan, planMemory } from '../../src/dataplane/memory.ts';
import { Sad, type SadOptions } from '../../src/dataplane/sad.ts';
import { Spd } from '../../src/dataplane/spd.ts';

/** ESP in UDP over IPv4, tunnel mode; tests say what they want to be different. */
export const SA: SaParameters = {
  direction: 'out',
  protocol: 'esp',
  mode: 'tunnel',
  spi: 0xc0ffee01,
  local: { address: '192.0.2.1', port: 4500 },
  remote: { address: '192.0.2.2', port: 4500 },
  udpEncapsulation: true,
  suite: { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
  keys: { encryption: Uint8Array.from({ length: 20 }, (_, i) => i + 1), integrity: new Uint8Array() },
  esn: true,
  replayWindow: 1024,
  selectors: [],
  name: 'test',
};

/** The same, seen from its other end. */
export const SA_IN: SaParameters = { ...SA, direction: 'in' };

export interface Laid {
  readonly plan: MemoryPlan;
  readonly memory: KernelMemory;
  readonly kernel: KernelExports;
  readonly heap: Heap;
  readonly sad: Sad;
  readonly spd: Spd;
}

/** @param more what the SAD shall have beside its memory */
export function layOut(
  module: WebAssembly.Module,
  limits: Partial<MemoryLimits>,
  more: Pick<SadOptions, 'forget'> = {},
): Laid {
  const plan = planMemory({ workers: 1, securityAssociations: 64, policies: 64, ...limits });
  const memory = createMemory(plan.size);
  initialiseMemory(memory, plan);
  const kernel = instantiateKernel(module, memory);
  const heap = new Heap(memory, plan.heapBase, plan.heapSize);
  kernel.initialiseCrypto(heap.allocate(CRYPTO_SCRATCH_SIZE));
  const sad = new Sad({ memory, kernel, plan, heap, ...more });
  const spd = new Spd({ memory, kernel, plan, heap, saAddress: (sa) => sad.address(sa) });
  return { plan, memory, kernel, heap, sad, spd };
}
