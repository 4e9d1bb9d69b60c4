/** What an instance of the kernel keeps of the KEYs it works with: right for each, whoever else is in work, and gone on demand. */
import { describe, expect, it } from 'vitest';
import { ARENA_CRYPTO_SIZE } from '../../assembly/layout/arena.ts';
import { CRYPTO_SCRATCH_SIZE, CRYPTO_WORK_SIZE, STATUS_OK } from '../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths, suiteName } from '../../src/algorithms.ts';
import { compileKernel, instantiateKernel } from '../../src/dataplane/kernel.ts';
import { BUILDS, Laboratory, type PacketSpec, Random } from './laboratory.ts';
import { referenceSeal } from './reference.ts';

const SUITES: readonly CipherSuite[] = [
  { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
  { encr: ENCR.NULL_AUTH_AES_GMAC, keyBits: 256, integ: INTEG.NONE },
];
/** Packets of which one batch is enough for tables to be kept, and KEYs of which not all have room. */
const PACKETS = 13;
const LENGTH = 800;
const KEYS = 70;
const IN_A_BATCH = 39;

// Written twice, as layouts import nothing.
it('have as much room in a worker as the kernel takes', () => {
  expect(ARENA_CRYPTO_SIZE).toBe(CRYPTO_SCRATCH_SIZE);
});

describe.each(BUILDS)('tables that are kept, %s build', async (build) => {
  const lab = await Laboratory.open(build);
  const { bytes } = lab.kernel;
  const random = new Random(21);

  const newKey = (suite: CipherSuite) => {
    const { key, salt, integKey } = suiteLengths(suite);
    const keys = { key: random.bytes(key), salt: random.bytes(salt), integKey: random.bytes(integKey) };
    return { suite, keys, address: lab.key(suite, keys) };
  };
  const newSpec = (suite: CipherSuite, key: number): PacketSpec & { iv: Uint8Array } => ({
    key,
    iv: random.bytes(suiteLengths(suite).iv),
    aad: random.bytes(8),
    payload: random.bytes(LENGTH),
  });
  type Key = ReturnType<typeof newKey>;
  /** Seals a batch in which each of these KEYs has as many packets. */
  const sealsOf = (keys: readonly Key[], count: number, by = lab.exports) => {
    const from = keys.flatMap((key) => new Array<Key>(count).fill(key));
    const specs = from.map(({ suite, address }) => newSpec(suite, address));
    const packets = lab.packets(specs);
    by.sealBatch(packets[0]!.descriptor, packets.length);
    packets.forEach((packet, i) => {
      expect(packet.status()).toBe(STATUS_OK);
      const sealed = referenceSeal(from[i]!.suite, from[i]!.keys, specs[i]!);
      expect(Buffer.compare(packet.payload, sealed.payload)).toBe(0);
      expect(Buffer.compare(packet.icv, sealed.icv)).toBe(0);
    });
  };
  const seals = (key: Key, by = lab.exports) => sealsOf([key], PACKETS, by);
  const kept = () => bytes.slice(lab.scratch + CRYPTO_WORK_SIZE, lab.scratch + CRYPTO_SCRATCH_SIZE);
  const bytesKept = () => kept().reduce((sum, byte) => sum + (byte === 0 ? 0 : 1), 0);

  it.each(SUITES.map((suite) => [suiteName(suite), suite] as const))(
    '%s of more SAs than there is room for',
    (_, suite) => {
      lab.reset();
      const keys = Array.from({ length: KEYS }, () => newKey(suite));
      for (let round = 0; round < 2; round++) for (const key of keys) seals(key);
    },
  );

  it.each(SUITES.map((suite) => [suiteName(suite), suite] as const))(
    '%s of more SAs than there is room for, in one batch',
    (_, suite) => {
      lab.reset();
      sealsOf(
        Array.from({ length: IN_A_BATCH }, () => newKey(suite)),
        PACKETS,
      );
    },
  );

  it('are made for lone packets too, once an SA has had enough of them', () => {
    lab.reset();
    lab.exports.forgetKey(0);
    const before = bytesKept();
    const keys = Array.from({ length: 2 }, () => newKey(SUITES[0]!));
    for (let packet = 0; packet < 24; packet++) for (const key of keys) sealsOf([key], 1);
    expect(bytesKept() - before).toBeGreaterThan(16_000);
    sealsOf(keys, 1);
  });

  it('are not made for many SAs that have a packet each', () => {
    lab.reset();
    lab.exports.forgetKey(0);
    const before = bytesKept();
    for (let packet = 0; packet < 400; packet++) sealsOf([newKey(SUITES[0]!)], 1);
    expect(bytesKept() - before).toBeLessThan(200);
  });

  it('are made by each of two workers on one SA for itself', async () => {
    lab.reset();
    const other = instantiateKernel((await compileKernel(build)).module, lab.kernel);
    other.initialiseCrypto(lab.allocate(CRYPTO_SCRATCH_SIZE));
    const key = newKey(SUITES[0]!);
    seals(key);
    seals(key, other);
    // One forgets it; the other goes on.
    lab.exports.forgetKey(key.address);
    seals(key, other);
    seals(key);
  });

  it('go with their KEY, and only those', () => {
    lab.reset();
    lab.exports.forgetKey(0);
    const before = bytesKept();
    const [first, second] = [newKey(SUITES[0]!), newKey(SUITES[0]!)];
    seals(first);
    const one = bytesKept() - before;
    expect(one).toBeGreaterThan(8000);
    seals(second);
    lab.exports.forgetKey(first.address);
    expect(bytesKept() - before).toBeGreaterThan(8000);
    expect(bytesKept() - before).toBeLessThan(one * 1.1);
    seals(second);
    seals(first);
    lab.exports.forgetKey(0);
    expect(bytesKept() - before).toBeLessThan(100);
  });
});
