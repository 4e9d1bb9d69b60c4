/** OpenSSL's AEADs by machine code and without it, and the provider's functions that it calls. */
import { describe, expect, it } from 'vitest';
import * as L from '../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../../src/algorithms.ts';
import { conform } from '../../src/dataplane/backends/conformance.ts';
import { loadBackend } from '../../src/dataplane/backends/index.ts';
import { AeadRunner } from '../../src/dataplane/backends/openssl/aead-runner.ts';
import { AeadRuns } from '../../src/dataplane/backends/openssl/aead-runs.ts';
import { createOpensslBackend } from '../../src/dataplane/backends/openssl/index.ts';
import { loadLibcrypto } from '../../src/dataplane/backends/openssl/libcrypto.ts';
import { providerCipher } from '../../src/dataplane/backends/openssl/provider.ts';
import { Workbench } from '../../src/dataplane/backends/workbench.ts';

const AEADS: readonly CipherSuite[] = [
  { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
  { encr: ENCR.AES_GCM_8, keyBits: 256, integ: INTEG.NONE },
  { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE },
];

const bytes = (length: number, seed: number) => Uint8Array.from({ length }, (_, i) => i * 7 + seed);

function keyOf(bench: Workbench, suite: CipherSuite, seed: number): number {
  const { key, salt } = suiteLengths(suite);
  return bench.key(suite, { key: bytes(key, seed), salt: bytes(salt, seed), integKey: bytes(0, 0) });
}

// Other processors make the calls one by one.
describe.runIf(process.arch === 'x64').each(AEADS)('runs of ENCR $encr, $keyBits bits', (suite) => {
  const bench = new Workbench(1 << 20);
  const [key, otherKey] = [keyOf(bench, suite, 1), keyOf(bench, suite, 2)];
  const runner = new AeadRunner(loadLibcrypto(), bench.kernel, suite, key);
  const other = new AeadRunner(loadLibcrypto(), bench.kernel, suite, otherKey);
  const runs = AeadRuns.create(bench.kernel)!;
  const packets = bench.packets(
    Array.from({ length: 6 }, (_, i) => ({ key, iv: bytes(8, i), aad: bytes(8, i), payload: bytes(64 + i, i) })),
  );
  const at = (index: number) => packets[0]!.descriptor + index * L.PACKET_SIZE;
  const statuses = () => packets.map((packet) => packet.status());

  it('seal their packets, and none in front of them or behind them', () => {
    runs.add(at(1), at(4), runner.sealing);
    runs.add(at(4), at(5), other.sealing);
    expect(statuses()).toEqual(Array(6).fill(L.STATUS_PENDING));
    expect(runs.make()).toBe(true);
    expect(statuses()).toEqual([L.STATUS_PENDING, 0, 0, 0, 0, L.STATUS_PENDING]);
    expect([...packets[5]!.payload]).toEqual([...bytes(69, 5)]);
    expect(packets.every((packet) => packet.intact())).toBe(true);
  });

  it('are forgotten when their calls are made, and before if they are told to', () => {
    const sealed = packets.map(({ payload }) => [...payload]);
    expect(runs.make()).toBe(true);
    runs.add(at(0), at(6), runner.sealing);
    runs.clear();
    expect(runs.make()).toBe(true);
    expect(packets.map(({ payload }) => [...payload])).toEqual(sealed);
  });

  it('tell that not all is authentic, say what is, and go on behind what is not', () => {
    packets[2]!.icv[7]! ^= 1;
    runs.add(at(1), at(4), runner.opening);
    runs.add(at(4), at(5), other.opening);
    expect(runs.make()).toBe(false);
    expect(statuses().slice(1, 5)).toEqual([0, L.STATUS_BAD_ICV, 0, 0]);
    for (const index of [1, 3, 4]) expect([...packets[index]!.payload]).toEqual([...bytes(64 + index, index)]);
    expect(packets.every((packet) => packet.intact())).toBe(true);
    runs.add(at(0), at(1), other.opening);
    expect(runs.make()).toBe(false);
    expect(packets[0]!.status()).toBe(L.STATUS_BAD_ICV);
  });

  it('can have their contexts made again once those were freed', () => {
    runner.free();
    runner.free();
    const again = new AeadRunner(loadLibcrypto(), bench.kernel, suite, key);
    runs.add(at(5), at(6), again.sealing);
    expect(runs.make()).toBe(true);
    runs.add(at(5), at(6), again.opening);
    expect(runs.make()).toBe(true);
    expect([...packets[5]!.payload]).toEqual([...bytes(69, 5)]);
    again.free();
    other.free();
  });
});

describe("a provider's cipher", () => {
  it('is found by any of its names, and else tells what is missing', () => {
    const crypto = loadLibcrypto();
    const { update } = providerCipher(crypto, 'AES-128-GCM');
    expect(update).toBeGreaterThan(0);
    expect(providerCipher(crypto, 'id-aes128-GCM').update).toBe(update);
    expect(() => providerCipher(crypto, 'AES-128-NONE')).toThrow(/AES-128-NONE failed/);
  });
});

describe('the openssl backend', () => {
  it('conforms without machine code', async () => {
    const failed: string[] = [];
    const checks = conform(
      async (kernel) => createOpensslBackend(kernel, { machineCode: false }),
      (kernel, exports) => loadBackend('node', kernel, exports),
    );
    for await (const { name, ok } of checks) if (!ok) failed.push(name);
    expect(failed).toEqual([]);
  }, 90_000);

  it('gives the same with and without, for batches of several SAs, with forged packets among them', () => {
    const bench = new Workbench(4 << 20);
    const backends = [true, false].map((machineCode) => createOpensslBackend(bench.kernel, { machineCode }));
    const keys = AEADS.flatMap((suite) => [keyOf(bench, suite, 1), keyOf(bench, suite, 2)]);
    const lay = () =>
      bench.packets(
        Array.from({ length: 200 }, (_, i) => ({
          // Runs of up to three packets, and more of them than a list takes.
          key: keys[((i * i) >> 2) % keys.length]!,
          iv: bytes(8, i),
          aad: bytes(i % 3 === 0 ? 12 : 8, i),
          payload: bytes((i * 53) % 1500, i),
          shift: i % 5,
        })),
      );
    const seen = backends.map((backend) => {
      const packets = lay();
      backend.seal(packets[0]!.descriptor, packets.length);
      const sealed = packets.map(({ payload, icv }) => Buffer.concat([payload, icv]).toString('hex'));
      for (const index of [3, 31, 32, 77, 199]) packets[index]!.icv[2]! ^= 1;
      backend.open(packets[0]!.descriptor, packets.length);
      const opened = packets.map((packet) => [
        packet.status(),
        packet.intact(),
        Buffer.from(packet.payload).toString('hex'),
      ]);
      backend.close();
      return { sealed, opened };
    });
    expect(seen[0]).toEqual(seen[1]);
    const statuses = seen[0]!.opened.map(([status]) => status);
    expect(statuses.filter((status) => status === L.STATUS_BAD_ICV)).toHaveLength(5);
    expect(statuses[32]).toBe(L.STATUS_BAD_ICV);
    expect(seen[0]!.opened[77]![2]).toMatch(/^(00)+$/);
  });
});
