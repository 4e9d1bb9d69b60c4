/** Native calls by list, and OpenSSL's AEADs with and without it. */
import { describe, expect, it } from 'vitest';
import * as L from '../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../../src/algorithms.ts';
import { conform } from '../../src/dataplane/backends/conformance.ts';
import { loadBackend } from '../../src/dataplane/backends/index.ts';
import { Aead } from '../../src/dataplane/backends/openssl/aead.ts';
import { AeadBatch } from '../../src/dataplane/backends/openssl/aead-batch.ts';
import { CallList } from '../../src/dataplane/backends/openssl/call-list.ts';
import { createOpensslBackend } from '../../src/dataplane/backends/openssl/index.ts';
import { loadLibcrypto, NativeBlock } from '../../src/dataplane/backends/openssl/libcrypto.ts';
import { Workbench } from '../../src/dataplane/backends/workbench.ts';
import { functionAddress } from '../../src/dataplane/io/machine-code.ts';

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
describe.runIf(process.arch === 'x64')('a call list', () => {
  it('makes its calls in their order, with six arguments, and keeps what they return', () => {
    const list = CallList.create(4, 0)!;
    const block = new NativeBlock(16);
    // memset(mac, 9, 4) · memcpy(mac + 4, mac, 4) · CRYPTO_memcmp: equal, then not.
    const calls: readonly (readonly [name: string, ...values: number[]])[] = [
      ['memset', block.mac, 9, 4],
      ['memcpy', block.mac + 4, block.mac, 4],
      ['CRYPTO_memcmp', block.mac, block.mac + 4, 4],
      ['CRYPTO_memcmp', block.mac, block.mac + 8, 4],
    ];
    for (const [record, [name, ...values]] of calls.entries()) {
      list.setFunction(record, functionAddress(name));
      for (const [argument, value] of values.entries()) list.setArgument(record, argument, value);
    }
    list.run(3);
    expect(list.result(2)).toBe(0);
    expect(list.result(3)).toBe(0);
    list.run(4);
    expect(list.result(3)).not.toBe(0);
    expect([...block.bytes.subarray(32, 44)]).toEqual([9, 9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0]);
    expect(list.run(0)).toBe(true);
  });

  it('tells whether every call has returned 1, and nothing else', () => {
    const list = CallList.create(3, 0)!;
    for (const record of [0, 1, 2]) list.setFunction(record, functionAddress('abs'));
    const run = (...values: readonly number[]) => {
      for (const [record, value] of values.entries()) list.setArgument(record, 0, value);
      return list.run(values.length);
    };
    expect(run(1, 1, 1)).toBe(true);
    for (const wrong of [0, 2, 3, 0x7fffffff]) {
      for (const at of [0, 1, 2]) expect(run(...[1, 1, 1].with(at, wrong))).toBe(false);
    }
    expect(run(1, 1)).toBe(true);
  });

  it('settles a packet before the contexts that it needs are freed', () => {
    const bench = new Workbench(1 << 20);
    const suite = AEADS[0]!;
    const aead = new Aead(loadLibcrypto(), bench.kernel, suite, keyOf(bench, suite, 1));
    const [packet] = bench.packets([{ key: 64, iv: bytes(8, 1), aad: bytes(8, 2), payload: bytes(64, 3) }]);
    const failed: number[] = [];
    const batch = AeadBatch.create(bench.kernel, 'Encrypt', (at) => failed.push(at))!;
    batch.add(packet!.descriptor, aead);
    expect(packet!.status()).toBe(L.STATUS_PENDING);
    batch.forget(aead);
    aead.free();
    expect(packet!.status()).toBe(L.STATUS_OK);
    const icv = [...packet!.icv];
    batch.run();
    expect([...packet!.icv]).toEqual(icv);
    expect(failed).toEqual([]);
  });
});

describe('the openssl backend', () => {
  it('conforms without call lists', async () => {
    const failed: string[] = [];
    const checks = conform(
      async (kernel) => createOpensslBackend(kernel, { callLists: false }),
      (kernel, exports) => loadBackend('node', kernel, exports),
    );
    for await (const { name, ok } of checks) if (!ok) failed.push(name);
    expect(failed).toEqual([]);
  }, 90_000);

  it('gives the same for batches longer than a list, of several SAs, with forged packets among them', () => {
    const bench = new Workbench(4 << 20);
    const backends = [true, false].map((callLists) => createOpensslBackend(bench.kernel, { callLists }));
    const keys = AEADS.flatMap((suite) => [keyOf(bench, suite, 1), keyOf(bench, suite, 2)]);
    const lay = () =>
      bench.packets(
        Array.from({ length: 100 }, (_, i) => ({
          key: keys[(i * i) % keys.length]!,
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
      for (const index of [3, 31, 32, 77, 99]) packets[index]!.icv[2]! ^= 1;
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
