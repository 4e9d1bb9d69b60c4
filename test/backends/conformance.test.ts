/** All backends against the conformance suite, and the suite against backends that do not conform. */
import { describe, expect, it } from 'vitest';
import * as L from '../../assembly/layout.ts';
import { BACKENDS } from '../../src/contract.ts';
import type { CryptoBackend, KernelMemory } from '../../src/dataplane/backends/backend.ts';
import { type CheckResult, conform } from '../../src/dataplane/backends/conformance.ts';
import { loadBackend, runConformance } from '../../src/dataplane/backends/index.ts';
import type { KernelExports } from '../../src/dataplane/kernel.ts';

async function failures(results: AsyncIterable<CheckResult>): Promise<string[]> {
  const failed: string[] = [];
  for await (const { name, ok, detail } of results) if (!ok) failed.push(`${name}: ${detail}`);
  return failed;
}

describe('the conformance suite', () => {
  it.each(BACKENDS)(
    'is green for %s',
    async (name) => {
      expect(await failures(runConformance(name))).toEqual([]);
    },
    90_000,
  );

  /** `node`, with something done wrong. */
  const spoiled = (spoil: (backend: CryptoBackend, kernel: KernelMemory) => Partial<CryptoBackend>) =>
    failures(
      conform(
        async (kernel: KernelMemory, exports: KernelExports) => {
          const node = await loadBackend('node', kernel, exports);
          const whole: CryptoBackend = {
            name: 'spoiled',
            supports: (suite) => node.supports(suite) && suite.encr === 20 && suite.keyBits === 128,
            seal: (descriptors, count) => node.seal(descriptors, count),
            open: (descriptors, count) => node.open(descriptors, count),
            forget: (key) => node.forget(key),
            close: () => node.close(),
          };
          return { ...whole, ...spoil(node, kernel) };
        },
        (kernel, exports) => loadBackend('node', kernel, exports),
      ),
    );

  it('finds a backend that leaves a forged packet as it is', async () => {
    const failed = await spoiled((node, { bytes, words }) => ({
      open(descriptors, count) {
        node.open(descriptors, count);
        const at = (descriptors + L.PACKET_STATUS) >>> 2;
        if (words[at] === L.STATUS_BAD_ICV) bytes[words[(descriptors + L.PACKET_PAYLOAD) >>> 2]!] = 1;
      },
    }));
    expect(failed.join()).toMatch(/not zeroed/);
  });

  it('finds a backend that writes behind the ICV', async () => {
    const failed = await spoiled((node, { bytes, words }) => ({
      seal(descriptors, count) {
        node.seal(descriptors, count);
        bytes[words[(descriptors + L.PACKET_ICV) >>> 2]! + 16] = 0;
      },
    }));
    expect(failed.join()).toMatch(/bytes around the packet have changed/);
  });

  it('finds a backend that does not look at SERIAL', async () => {
    const failed = await spoiled((node, { words }) => {
      const always1 = (direction: 'seal' | 'open') => (descriptors: number, count: number) => {
        const serial = (words[(descriptors + L.PACKET_KEY) >>> 2]! + L.KEY_SERIAL) >>> 2;
        const real = words[serial]!;
        words[serial] = 1;
        node[direction](descriptors, count);
        words[serial] = real;
      };
      return { seal: always1('seal'), open: always1('open') };
    });
    expect(failed.join()).toMatch(/tells an SA from the next one/);
  });

  it('finds a backend that throws', async () => {
    const failed = await spoiled(() => ({
      open() {
        throw new Error('out of order');
      },
    }));
    expect(failed.join()).toMatch(/throws out of order/);
  });
});
