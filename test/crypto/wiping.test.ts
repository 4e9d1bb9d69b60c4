/** What must be gone: key material in scratch after every call, and everything of a KEY once it is removed. */
import { describe, expect, it } from 'vitest';
import {
  CRYPTO_SCRATCH_SIZE,
  CRYPTO_WORK_SIZE,
  KEY_STATE,
  KEY_STATE_LENGTH,
  STATUS_BAD_ICV,
  STATUS_OK,
} from '../../assembly/layout.ts';
import { type CipherSuite, suiteLengths, suiteName } from '../../src/algorithms.ts';
import { BUILDS, Laboratory, type PacketSpec, Random } from './laboratory.ts';
import { SUITES } from './suites.ts';

/** The kernel's lists of packets come first: addresses, nothing secret. */
const LISTS = 16_384;
const WINDOW = 8;

const NAMED = SUITES.map((suite) => [suiteName(suite), suite] as const);

describe.each(BUILDS)('secrets in memory, %s build', async (build) => {
  const lab = await Laboratory.open(build);
  const { bytes, words } = lab.kernel;

  const expectCleanScratch = (when: string) => {
    const used = bytes.subarray(lab.scratch + LISTS, lab.scratch + CRYPTO_WORK_SIZE);
    expect(
      used.findIndex((byte) => byte !== 0),
      `scratch after ${when}`,
    ).toBe(-1);
  };

  const newKey = (suite: CipherSuite, random: Random) => {
    const lengths = suiteLengths(suite);
    const secrets = [lengths.key, lengths.salt, lengths.integKey].map((length) => random.bytes(length));
    const [key, salt, integKey] = secrets;
    return { address: lab.key(suite, { key, salt, integKey }), secrets };
  };

  const newSpecs = (suite: CipherSuite, key: number, random: Random): PacketSpec[] => {
    const lengths = suiteLengths(suite);
    return [0, 16, 48, 64, 256, 1408, 4096, 6000 - (6000 % 16)].map((length) => {
      const iv = random.bytes(lengths.iv);
      const aad = suite.integ === 0 ? random.bytes(8) : Buffer.concat([random.bytes(8), iv]);
      return { key, iv, aad, payload: random.bytes(length) };
    });
  };

  it.each(NAMED)('%s leaves nothing in scratch', (_, suite) => {
    lab.reset();
    const random = new Random(7);
    const key = newKey(suite, random).address;
    expectCleanScratch('key set-up');
    const specs = newSpecs(suite, key, random);
    for (const count of [1, 3, specs.length]) {
      const packets = lab.packets(specs.slice(0, count));
      lab.seal(packets);
      expectCleanScratch(`sealing ${count}`);
      lab.open(packets);
      expect(packets.every((packet) => packet.status() === STATUS_OK)).toBe(true);
      expectCleanScratch(`opening ${count}`);
    }
  });

  it.each(NAMED)('%s zeroes a payload that does not authenticate', (_, suite) => {
    lab.reset();
    const random = new Random(8);
    const packets = lab.packets(newSpecs(suite, newKey(suite, random).address, random));
    lab.seal(packets);
    for (const packet of packets) packet.icv[packet.icv.length - 1]! ^= 1;
    lab.open(packets);
    for (const packet of packets) {
      expect(packet.status()).toBe(STATUS_BAD_ICV);
      expect(packet.payload.every((byte) => byte === 0)).toBe(true);
    }
    expectCleanScratch('refusing');
  });

  it.each(NAMED)(
    '%s leaves no byte of a KEY behind once its block is wiped and the kernel has forgotten it',
    (_, suite) => {
      lab.reset();
      lab.exports.forgetKey(0);
      const random = new Random(9);
      const { address, secrets } = newKey(suite, random);
      const state = address + KEY_STATE;
      const end = state + words[(address + KEY_STATE_LENGTH) >> 2]!;
      const derived = [...windows(bytes.slice(state, end))];
      const packets = lab.packets(newSpecs(suite, address, random));
      lab.seal(packets);
      lab.open(packets);
      derived.push(...windows(bytes.slice(lab.scratch + CRYPTO_WORK_SIZE, lab.scratch + CRYPTO_SCRATCH_SIZE)));
      bytes.fill(0, address, end);
      lab.exports.forgetKey(address);
      const memory = Buffer.from(bytes.buffer, 0, lab.allocate(0));
      for (const window of [...secrets.flatMap((secret) => [...windows(secret)]), ...derived]) {
        expect(memory.indexOf(window), Buffer.from(window).toString('hex')).toBe(-1);
      }
    },
  );
});

/** Pieces that would give a secret away, without those that any memory has (zeros, repeated bytes). */
function* windows(secret: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at + WINDOW <= secret.length; at += Math.max(WINDOW, secret.length >> 6)) {
    const window = secret.subarray(at, at + WINDOW);
    if (new Set(window).size > 3) yield window;
  }
}
