/** Batches of SAs that have different backends. */
import { describe, expect, it } from 'vitest';
import { GATHER_MAX } from '../../assembly/layout/arena.ts';
import * as L from '../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../../src/algorithms.ts';
import type { CryptoBackend } from '../../src/dataplane/backends/backend.ts';
import { loadBackend } from '../../src/dataplane/backends/index.ts';
import { SplitBackend } from '../../src/dataplane/backends/split.ts';
import { type PacketView, Workbench } from '../../src/dataplane/backends/workbench.ts';

const GCM: CipherSuite = { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE };
const NAMES = ['wasm', 'node', 'noble'];

const fill = (length: number, value: number) => new Uint8Array(length).fill(value);

async function setUp() {
  const bench = new Workbench(4 << 20);
  const exports = await bench.instantiate();
  const { kernel } = bench;
  const calls: string[] = [];
  const backends = await Promise.all(
    NAMES.map(async (name): Promise<CryptoBackend> => {
      const backend = await loadBackend(name, kernel, exports);
      const noted = (direction: 'seal' | 'open') => (descriptors: number, count: number) => {
        calls.push(`${name} ${direction} ${count}`);
        backend[direction](descriptors, count);
      };
      return {
        name,
        supports: (suite) => backend.supports(suite),
        seal: noted('seal'),
        open: noted('open'),
        forget: (key) => backend.forget(key),
        close: () => backend.close(),
      };
    }),
  );
  const split = new SplitBackend(kernel, backends, bench.allocate(GATHER_MAX * L.PACKET_SIZE));
  const lengths = suiteLengths(GCM);
  /** One KEY a backend, and one more whose number no backend has. */
  const keys = [0, 1, 2, 77].map((index) => {
    const key = bench.key(GCM, { key: fill(lengths.key, 1), salt: fill(lengths.salt, 2), integKey: fill(0, 0) });
    kernel.words[(key + L.KEY_BACKEND) >>> 2] = index;
    return key;
  });
  const packets = (owners: readonly number[]): PacketView[] =>
    bench.packets(
      owners.map((owner, i) => ({ key: keys[owner]!, iv: fill(8, i), aad: fill(8, i), payload: fill(60 + i, i) })),
    );
  return { kernel, keys, calls, backends, split, packets };
}

describe('a batch of SAs that have different backends', () => {
  it('goes to each of them in one call, and comes out as from one backend', async () => {
    const { calls, backends, split, packets } = await setUp();
    const owners = [1, 0, 1, 2, 0, 1, 3];
    const [batch, same] = [packets(owners), packets(owners)];
    split.seal(batch[0]!.descriptor, owners.length);
    expect(calls).toEqual(['wasm seal 3', 'node seal 3', 'noble seal 1']);
    backends[0]!.seal(same[0]!.descriptor, owners.length);
    for (const [i, sealed] of batch.entries()) {
      expect([...sealed.payload, ...sealed.icv]).toEqual([...same[i]!.payload, ...same[i]!.icv]);
      expect(sealed.status()).toBe(L.STATUS_OK);
      expect(sealed.intact()).toBe(true);
    }
  });

  it('gives each packet its own verdict', async () => {
    const { split, packets } = await setUp();
    const owners = [0, 1, 2, 0, 1, 2];
    const batch = packets(owners);
    split.seal(batch[0]!.descriptor, owners.length);
    for (const forged of [1, 2, 3]) batch[forged]!.icv[0]! ^= 1;
    split.open(batch[0]!.descriptor, owners.length);
    const [good, bad] = [L.STATUS_OK, L.STATUS_BAD_ICV];
    expect(batch.map(({ status }) => status())).toEqual([good, bad, bad, bad, good, good]);
    expect(batch.map(({ payload }) => payload[0])).toEqual([0, 0, 0, 0, 4, 5]);
  });

  it('stays whole where it is all of one backend', async () => {
    const { calls, split, packets } = await setUp();
    split.seal(packets([1, 1, 1])[0]!.descriptor, 3);
    split.seal(packets([3, 0, 0])[0]!.descriptor, 3);
    expect(calls).toEqual(['node seal 3', 'wasm seal 3']);
  });

  it('may be larger than what is gathered at a time', async () => {
    const { calls, split, packets } = await setUp();
    const owners = Array.from({ length: GATHER_MAX + 10 }, (_, i) => i % 2);
    const batch = packets(owners);
    split.seal(batch[0]!.descriptor, owners.length);
    expect(calls).toEqual(['wasm seal 256', 'node seal 256', 'wasm seal 5', 'node seal 5']);
    split.open(batch[0]!.descriptor, owners.length);
    expect(batch.every(({ status, payload }, i) => status() === L.STATUS_OK && payload[0] === (i & 255))).toBe(true);
  });

  it('is sealed once, though an SA is given another backend meanwhile', async () => {
    const { kernel, keys, calls, backends, split, packets } = await setUp();
    const { seal } = backends[0]!;
    backends[0]!.seal = (descriptors, count) => {
      seal(descriptors, count);
      kernel.words[(keys[0]! + L.KEY_BACKEND) >>> 2] = 1;
    };
    const batch = packets([0, 1, 0]);
    split.seal(batch[0]!.descriptor, 3);
    expect(calls).toEqual(['wasm seal 2', 'node seal 1']);
    split.open(batch[0]!.descriptor, 3);
    expect(batch.map(({ status, payload }) => [status(), payload[0]])).toEqual([0, 1, 2].map((i) => [L.STATUS_OK, i]));
  });
});
