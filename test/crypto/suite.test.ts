/** Every suite of the kernel against node:crypto, in mixed batches. */
import { describe, expect, it } from 'vitest';
import { STATUS_BAD_ICV, STATUS_OK } from '../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths, suiteName } from '../../src/algorithms.ts';
import { BUILDS, Laboratory, type PacketSpec, Random, type SuiteKeys } from './laboratory.ts';
import { type ReferenceSealed, referenceSeal } from './reference.ts';
import { SUITES } from './suites.ts';

/** Payload lengths of ESP, each tried at least once, and some jumbograms around AES's counter segments. */
const LENGTHS = [
  ...Array.from({ length: 1501 }, (_, length) => length),
  ...[4047, 4048, 4063, 4064, 4065, 4080, 4081, 4097, 8159, 8160, 8161, 8176, 9000, 16_000, 20_001],
];
/** For suites whose parts are tried in full elsewhere. */
const FEW_LENGTHS = LENGTHS.filter((length) => length % 23 === 0 || length < 40);
const BATCH = 79;

/** Suites whose parts between them are all there is; other suites only join these parts anew. */
const IN_FULL = [
  'aes128gcm16',
  'aes192gcm16',
  'aes256gcm16',
  'chacha20poly1305',
  'aes256ccm16',
  'aes256gmac',
  'aes256-sha256',
  'aes256ctr-sha256',
  ...['null-sha1', 'null-sha256', 'null-sha384', 'null-sha512', 'aes128gmac'],
];
/** Suites that treat sixteen packets, or 32, of as many blocks in a way of their own, and where that may differ. */
const LANES_ALIKE = ['aes128gcm16', 'aes256gcm16', 'aes256ccm16', 'aes256ctr-sha256', 'aes256gmac'];
const EQUAL_LENGTHS = [0, 1, 15, 16, 17, 64, 100, 239, 240, 241, 255, 256, 257, 576, 1408, 4064, 4065, 4400];
const lengthsFor = (suites: readonly CipherSuite[]) =>
  suites.length === 1 && IN_FULL.includes(suiteName(suites[0]!)) ? LENGTHS : FEW_LENGTHS;

interface TestKey {
  readonly suite: CipherSuite;
  readonly keys: SuiteKeys;
  readonly address: number;
}

interface Case {
  readonly spec: PacketSpec & { iv: Uint8Array };
  readonly sealed: ReferenceSealed;
}

function makeKey(lab: Laboratory, suite: CipherSuite, random: Random): TestKey {
  const lengths = suiteLengths(suite);
  const keys = {
    key: random.bytes(lengths.key),
    salt: random.bytes(lengths.salt),
    integKey: random.bytes(lengths.integKey),
  };
  return { suite, keys, address: lab.key(suite, keys) };
}

/** @param aadLength for combined modes, instead of ESP's */
function makeCase({ suite, keys, address }: TestKey, length: number, random: Random, aadLength?: number): Case {
  const lengths = suiteLengths(suite);
  const esn = random.below(2) === 1;
  const iv = random.bytes(lengths.iv);
  const separate = suite.integ !== INTEG.NONE;
  const spec = {
    key: address,
    iv,
    aad: separate ? Buffer.concat([random.bytes(8), iv]) : random.bytes(aadLength ?? (esn ? 12 : 8)),
    payload: random.bytes(length - (length % (suite.encr === ENCR.AES_CBC ? 16 : 1))),
    shift: random.below(64),
    apart: suite.encr === undefined && random.below(2) === 1,
    ...(esn && { sequenceHigh: random.below(0xffffffff) }),
  };
  return { spec, sealed: referenceSeal(suite, keys, spec) };
}

/** Cases of the suite's lengths, in random order, cut into batches; every batch mixes the keys. */
function* batches(
  lab: Laboratory,
  suites: readonly CipherSuite[],
  random: Random,
  all: readonly number[] = lengthsFor(suites),
): Generator<Case[]> {
  const lengths = [...all];
  for (let i = lengths.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [lengths[i], lengths[j]] = [lengths[j]!, lengths[i]!];
  }
  for (let at = 0; at < lengths.length; at += BATCH) {
    lab.reset();
    const keys = suites.flatMap((suite) => [makeKey(lab, suite, random), makeKey(lab, suite, random)]);
    yield lengths.slice(at, at + BATCH).map((length) => makeCase(keys[random.below(keys.length)]!, length, random));
  }
}

const toOpen = ({ spec, sealed }: Case): PacketSpec => ({ ...spec, payload: sealed.payload, icv: sealed.icv });
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

describe.each(BUILDS)('the cipher suites, %s build', async (build) => {
  const lab = await Laboratory.open(build);

  const sealsBatch = (cases: readonly Case[]) => {
    const packets = lab.packets(cases.map(({ spec }) => spec));
    lab.seal(packets);
    packets.forEach((packet, i) => {
      const { spec, sealed } = cases[i]!;
      const at = `length ${spec.payload.length}, shift ${spec.shift}`;
      expect(packet.status(), at).toBe(STATUS_OK);
      expect(same(packet.payload, sealed.payload), `ciphertext, ${at}`).toBe(true);
      expect(same(packet.icv, sealed.icv), `ICV, ${at}`).toBe(true);
      expect(packet.intact(), `surroundings, ${at}`).toBe(true);
    });
  };
  const seals = (random: Random, suites: readonly CipherSuite[]) => {
    for (const cases of batches(lab, suites, random)) sealsBatch(cases);
  };

  const opensBatch = (cases: readonly Case[]) => {
    const packets = lab.packets(cases.map(toOpen));
    lab.open(packets);
    packets.forEach((packet, i) => {
      const { spec } = cases[i]!;
      const at = `length ${spec.payload.length}, shift ${spec.shift}`;
      expect(packet.status(), at).toBe(STATUS_OK);
      expect(same(packet.payload, spec.payload), `plaintext, ${at}`).toBe(true);
      expect(packet.intact(), `surroundings, ${at}`).toBe(true);
    });
  };
  const opens = (random: Random, suites: readonly CipherSuite[]) => {
    for (const cases of batches(lab, suites, random)) opensBatch(cases);
  };

  /** Flips one bit of payload, AAD, IV or ICV in half of the packets. */
  const refuses = (random: Random, suites: readonly CipherSuite[]) => {
    for (const cases of batches(lab, suites, random, FEW_LENGTHS)) {
      const tampered = cases.map(() => random.below(2) === 1);
      const packets = lab.packets(cases.map((one, i) => (tampered[i] ? tamper(toOpen(one), random) : toOpen(one))));
      lab.open(packets);
      packets.forEach((packet, i) => {
        const { spec } = cases[i]!;
        const at = `length ${spec.payload.length}`;
        expect(packet.status(), at).toBe(tampered[i] ? STATUS_BAD_ICV : STATUS_OK);
        const expected = tampered[i] ? new Uint8Array(spec.payload.length) : spec.payload;
        expect(same(packet.payload, expected), at).toBe(true);
        expect(packet.intact(), at).toBe(true);
      });
    }
  };

  it.each(SUITES.map((suite) => [suiteName(suite), suite] as const))('%s agrees with node:crypto', (_, suite) => {
    seals(new Random(1), [suite]);
    opens(new Random(2), [suite]);
  });

  it.each(SUITES.map((suite) => [suiteName(suite), suite] as const))('%s refuses what was tampered with', (_, suite) =>
    refuses(new Random(3), [suite]),
  );

  it.each(SUITES.map((suite) => [suiteName(suite), suite] as const).filter(([name]) => LANES_ALIKE.includes(name)))(
    '%s agrees with node:crypto when all packets have one length',
    (_, suite) => {
      const random = new Random(7);
      for (const length of EQUAL_LENGTHS) {
        lab.reset();
        const key = makeKey(lab, suite, random);
        // So much of one SA that the kernel keeps what it makes of the KEY.
        sealsBatch(Array.from({ length: 16 }, () => makeCase(key, 700, random)));
        // One, two, and three times sixteen, and a rest.
        for (const count of [20, 39, 48]) {
          const cases = Array.from({ length: count }, (_, i) =>
            makeCase(key, length, random, i % 5 === 4 ? [0, 16, 20, 70][random.below(4)] : undefined),
          );
          sealsBatch(cases);
          opensBatch(cases);
        }
      }
    },
  );

  it('keeps packets of many suites and KEYs apart in one batch', () => {
    seals(new Random(4), SUITES);
    opens(new Random(5), SUITES);
    refuses(new Random(6), SUITES);
  });
});

function tamper(spec: PacketSpec, random: Random): PacketSpec {
  const fields = (['payload', 'aad', 'icv'] as const).filter((field) => spec[field]!.length > 0);
  const field = fields[random.below(fields.length)]!;
  const bytes = Uint8Array.from(spec[field]!);
  bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  return { ...spec, [field]: bytes };
}
