/** Backends by name, by module, completed by `wasm`, and watched by a shadow. */
import { describe, expect, it } from 'vitest';
import * as L from '../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../../src/algorithms.ts';
import { BACKENDS } from '../../src/contract.ts';
import type { CryptoBackend } from '../../src/dataplane/backends/backend.ts';
import { withFallback } from '../../src/dataplane/backends/fallback.ts';
import { Hybrid } from '../../src/dataplane/backends/hybrid.ts';
import { createBackend, describeBackends, runConformance } from '../../src/dataplane/backends/index.ts';
import { type PacketSpec, Workbench } from '../../src/dataplane/backends/workbench.ts';
import { packagePath } from '../../src/package-root.ts';

const GCM: CipherSuite = { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE };
const CHACHA: CipherSuite = { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE };
const CCM: CipherSuite = { encr: ENCR.AES_CCM_16, keyBits: 128, integ: INTEG.NONE };

const zeros = (length: number) => new Uint8Array(length);

function keyOf(bench: Workbench, suite: CipherSuite): number {
  const { key, salt, integKey } = suiteLengths(suite);
  return bench.key(suite, { key: zeros(key).fill(7), salt: zeros(salt), integKey: zeros(integKey) });
}

const packet = (key: number, length = 64): PacketSpec => ({
  key,
  iv: zeros(8),
  aad: zeros(8),
  payload: zeros(length),
});

async function workbench() {
  const bench = new Workbench(1 << 20);
  return { bench, exports: await bench.instantiate() };
}

/** A backend that only notes what it is asked to do. */
function recorder(name: string, supported: readonly CipherSuite[], calls: string[]): CryptoBackend {
  return {
    name,
    supports: ({ encr }) => supported.some((suite) => suite.encr === encr),
    seal: (descriptors, count) => calls.push(`${name} seal ${descriptors} ${count}`),
    open: (descriptors, count) => calls.push(`${name} open ${descriptors} ${count}`),
    forget: (key) => calls.push(`${name} forget ${key}`),
    close: () => calls.push(`${name} close`),
  };
}

describe('the registry', () => {
  it('has five backends, each with a line about it', () => {
    expect([...BACKENDS].sort()).toEqual(['hybrid', 'noble', 'node', 'openssl', 'wasm']);
    for (const line of Object.values(describeBackends())) expect(line).not.toBe('');
  });

  it('names the choices when it does not know a name', async () => {
    const { bench, exports } = await workbench();
    const failure = createBackend('wams', bench.kernel, exports);
    await expect(failure).rejects.toMatchObject({ code: 'ERR_BACKEND', message: expect.stringContaining('wasm') });
  });

  it('says which module it could not load', async () => {
    const { bench, exports } = await workbench();
    const failure = createBackend('./no/such.js', bench.kernel, exports);
    await expect(failure).rejects.toMatchObject({ code: 'ERR_BACKEND', message: expect.stringContaining('such.js') });
  });

  it("loads a user's module, which passes the conformance suite", async () => {
    const failed: string[] = [];
    for await (const { name, ok } of runConformance(packagePath('examples', 'backend-aes-gcm.js'))) {
      if (!ok) failed.push(name);
    }
    expect(failed).toEqual([]);
  });

  it('completes a module with wasm and says so once', async () => {
    const { bench, exports } = await workbench();
    const lines: string[] = [];
    const path = packagePath('examples', 'backend-aes-gcm.js');
    const backend = await createBackend(path, bench.kernel, exports, { log: (line) => lines.push(line) });
    const packets = bench.packets([
      packet(keyOf(bench, CHACHA)),
      packet(keyOf(bench, GCM)),
      packet(keyOf(bench, CHACHA)),
    ]);
    backend.seal(packets[0]!.descriptor, 3);
    expect(packets.map(({ status }) => status())).toEqual([L.STATUS_OK, L.STATUS_OK, L.STATUS_OK]);
    expect(lines).toEqual([expect.stringMatching(/example-aes-gcm.*chacha20poly1305.*wasm/)]);
  });

  it('falls back to wasm where a backend has not what it needs', async () => {
    const { bench, exports } = await workbench();
    const lines: string[] = [];
    const path = packagePath('test', 'backends', 'unavailable.ts');
    const backend = await createBackend(path, bench.kernel, exports, { log: (line) => lines.push(line) });
    expect(backend.name).toBe('wasm');
    expect(lines).toEqual([expect.stringMatching(/cannot be used.*not on this system/)]);
  });
});

describe('a completed backend', () => {
  it('cuts a batch into runs and keeps its order', async () => {
    const { bench } = await workbench();
    const calls: string[] = [];
    const own = recorder('own', [GCM], calls);
    const backend = withFallback(own, recorder('other', [GCM, CHACHA], calls), bench.kernel, () => {});
    const [a, b] = [keyOf(bench, GCM), keyOf(bench, CHACHA)];
    const batch = bench.packets([a, a, b, b, b, a].map((key) => packet(key)));
    const at = (index: number) => batch[index]!.descriptor;
    backend.open(at(0), 6);
    expect(calls).toEqual([`own open ${at(0)} 2`, `other open ${at(2)} 3`, `own open ${at(5)} 1`]);
  });
});

describe('the hybrid backend', () => {
  /** Takes as long as it is told for each packet. */
  const costing = (
    name: string,
    calls: string[],
    bench: Workbench,
    cost: (length: number) => number,
  ): CryptoBackend => {
    const work = (descriptors: number, count: number) => {
      let milliseconds = 0;
      for (let i = 0; i < count; i++) {
        milliseconds += cost(bench.kernel.words[(descriptors + i * L.PACKET_SIZE + L.PACKET_LENGTH) >>> 2]!);
      }
      const end = performance.now() + milliseconds;
      while (performance.now() < end);
      calls.push(name);
    };
    return { name, supports: () => true, seal: work, open: work, forget() {}, close() {} };
  };

  /** What the openssl backend does: it asks when the lease has ended. */
  const together = (bench: Workbench, wasm: CryptoBackend, openssl: CryptoBackend) => {
    const hybrid = new Hybrid(bench.kernel, wasm);
    const leases = { seal: hybrid.lease(GCM, 'seal'), open: hybrid.lease(GCM, 'open') };
    const run = (direction: 'seal' | 'open', descriptors: number, count: number) => {
      const lease = leases[direction];
      if (lease.away > 0) {
        lease.away -= count;
        wasm[direction](descriptors, count);
        return;
      }
      lease.left -= count;
      if (lease.left < 0 && hybrid[direction](descriptors, count, lease, host)) return;
      openssl[direction](descriptors, count);
    };
    const host: CryptoBackend = {
      ...openssl,
      seal: (descriptors, count) => run('seal', descriptors, count),
      open: (descriptors, count) => run('open', descriptors, count),
    };
    return host;
  };

  /** @returns who took the last 64 of 100 batches of such packets */
  const takers = async (direction: 'seal' | 'open', lengths: readonly number[]) => {
    const { bench } = await workbench();
    const calls: string[] = [];
    const wasm = costing('wasm', calls, bench, (length) => length / 5e4);
    const backend = together(
      bench,
      wasm,
      costing('openssl', calls, bench, () => 0.012),
    );
    const key = keyOf(bench, GCM);
    const [first] = bench.packets(lengths.map((length) => packet(key, length)));
    for (let i = 0; i < 100; i++) backend[direction](first!.descriptor, lengths.length);
    return new Set(calls.slice(-64));
  };

  it('takes whichever is faster for the lengths of the batch', async () => {
    expect(await takers('seal', [64])).toEqual(new Set(['wasm']));
    expect(await takers('open', [1400])).toEqual(new Set(['openssl']));
    expect(await takers('open', [64, 64, 64, 64, 64, 1400])).toEqual(new Set(['wasm']));
    expect(await takers('seal', [64, 1400, 1400])).toEqual(new Set(['openssl']));
  });

  it('notices when the other one has become faster', async () => {
    const { bench } = await workbench();
    const calls: string[] = [];
    let cost = 0.02;
    const wasm = costing('wasm', calls, bench, () => cost);
    const backend = together(
      bench,
      wasm,
      costing('openssl', calls, bench, () => 0.004),
    );
    const [first] = bench.packets([packet(keyOf(bench, GCM))]);
    const run = (batches: number) => {
      for (let i = 0; i < batches; i++) backend.seal(first!.descriptor, 1);
      return calls[calls.length - 1];
    };
    expect(run(100)).toBe('openssl');
    cost = 0;
    // The slower one is asked again when that is a 250th of the time spent.
    run(128 * 129);
    calls.length = 0;
    expect(run(100)).toBe('wasm');
  });

  it('looks at batches of other lengths again after a lease', async () => {
    const { bench } = await workbench();
    const calls: string[] = [];
    const wasm = costing('wasm', calls, bench, (length) => length / 5e5);
    const openssl = costing('openssl', calls, bench, () => 0.0004);
    const backend = together(bench, wasm, openssl);
    const key = keyOf(bench, GCM);
    const [long, short] = bench.packets([packet(key, 1400), packet(key, 64)]);
    const run = (descriptor: number, batches: number) => {
      for (let i = 0; i < batches; i++) backend.seal(descriptor, 1);
      return calls[calls.length - 1];
    };
    run(short!.descriptor, 100);
    expect(run(long!.descriptor, 5000)).toBe('openssl');
    expect(run(short!.descriptor, 100)).toBe('wasm');
    expect(run(long!.descriptor, 100)).toBe('openssl');
  });
});

describe('what a backend keeps of a KEY', () => {
  it.each(['wasm', 'hybrid'])('is gone when %s is told to forget it', async (name) => {
    const { bench, exports } = await workbench();
    const backend = await createBackend(name, bench.kernel, exports);
    const key = keyOf(bench, GCM);
    const batch = bench.packets(Array.from({ length: 16 }, () => packet(key, 1000)));
    const kept = bench.kernel.bytes.subarray(L.STATIC_END + L.CRYPTO_WORK_SIZE, L.STATIC_END + L.CRYPTO_SCRATCH_SIZE);
    const bytesKept = () => kept.reduce((sum, byte) => sum + Math.sign(byte), 0);
    for (let i = 0; i < 20; i++) backend.seal(batch[0]!.descriptor, batch.length);
    expect(bytesKept()).toBeGreaterThan(8000);
    backend.forget(key);
    expect(bytesKept()).toBeLessThan(10);
    for (let i = 0; i < 20; i++) backend.seal(batch[0]!.descriptor, batch.length);
    backend.close();
    expect(bytesKept()).toBeLessThan(10);
  });
});

describe('a shadow', () => {
  it('agrees with a sound backend on every suite it samples', async () => {
    const { bench, exports } = await workbench();
    const backend = await createBackend('wasm', bench.kernel, exports, { shadow: 'noble' });
    const keys = [keyOf(bench, GCM), keyOf(bench, CHACHA)];
    for (let i = 0; i < 40; i++) {
      const batch = bench.packets(Array.from({ length: 10 }, (_, n) => packet(keys[n % 2]!, 100 + n)));
      backend.seal(batch[0]!.descriptor, 10);
      if (i % 3 === 0) batch[4]!.icv[0]! ^= 1;
      backend.open(batch[0]!.descriptor, 10);
    }
    expect(backend.counters?.()).toEqual({ shadow_packets: 13, shadow_disagreements: 0 });
    expect(backend.name).toBe('wasm');
    backend.close();
  });

  it('counts and reports a disagreement, and lets the first result stand', async () => {
    const { bench, exports } = await workbench();
    const lines: string[] = [];
    const shadow = packagePath('test', 'backends', 'wrong.js');
    const log = (line: string) => lines.push(line);
    const backend = await createBackend('node', bench.kernel, exports, { shadow, log });
    const [sealed] = bench.packets([packet(keyOf(bench, GCM))]);
    backend.seal(sealed!.descriptor, 1);
    expect(backend.counters?.()).toEqual({ shadow_packets: 1, shadow_disagreements: 1 });
    expect(lines).toEqual([expect.stringMatching(/'node' and 'wrong' disagree: seal of 64 bytes with aes128gcm16/)]);
    expect(sealed!.status()).toBe(L.STATUS_OK);
  });

  it('says so when the shadow itself cannot be used', async () => {
    const { bench, exports } = await workbench();
    await expect(createBackend('wasm', bench.kernel, exports, { shadow: './nothing.js' })).rejects.toMatchObject({
      code: 'ERR_BACKEND',
    });
  });
});

describe('CCM', () => {
  it('is left by noble to wasm, if the kernel has it', async () => {
    const { bench, exports } = await workbench();
    const backend = await createBackend('noble', bench.kernel, exports, { log: () => {} });
    const [first] = bench.packets([packet(keyOf(bench, CCM))]);
    backend.seal(first!.descriptor, 1);
    const known = exports.keyStateLength(ENCR.AES_CCM_16, 16, INTEG.NONE) >>> 0 !== 0xffffffff;
    expect(first!.status() === L.STATUS_OK).toBe(known);
  });
});
