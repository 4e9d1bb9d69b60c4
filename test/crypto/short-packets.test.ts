/** Short packets of one SA, whose AADs begin alike: what they have in common is hashed once. */
import { describe, expect, it } from 'vitest';
import { STATUS_BAD_ICV, STATUS_OK } from '../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../../src/algorithms.ts';
import { BUILDS, Laboratory, Random } from './laboratory.ts';
import { referenceSeal } from './reference.ts';

const SUITE: CipherSuite = { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE };
/** One SET of sixteen packets, four more side by side, and two alone. */
const PACKETS = 22;
const LONGEST = 130;
const SPI = 0xc0ffee01;

/** SPI and sequence number; with ESN all 64 bits of it (RFC 4106 §5). */
function aadOf(sequence: number, high?: number, spi = SPI): Uint8Array {
  const words = high === undefined ? [spi, sequence] : [spi, high, sequence];
  const aad = Buffer.alloc(words.length * 4);
  words.forEach((word, i) => {
    aad.writeUInt32BE(word, i * 4);
  });
  return aad;
}

describe.each(BUILDS)('short packets of one SA, %s build', async (build) => {
  const lab = await Laboratory.open(build);
  const random = new Random(31);

  const newKey = () => {
    const lengths = suiteLengths(SUITE);
    const keys = {
      key: random.bytes(lengths.key),
      salt: random.bytes(lengths.salt),
      integKey: random.bytes(lengths.integKey),
    };
    return { keys, address: lab.key(SUITE, keys) };
  };

  /** Seals one packet for each AAD, then opens them, one of them forged. */
  const agrees = ({ keys, address }: ReturnType<typeof newKey>, aads: readonly Uint8Array[], length: number) => {
    const specs = aads.map((aad) => ({ key: address, iv: random.bytes(8), aad, payload: random.bytes(length) }));
    const packets = lab.packets(specs);
    lab.seal(packets);
    packets.forEach((packet, i) => {
      const sealed = referenceSeal(SUITE, keys, specs[i]!);
      expect(Buffer.compare(packet.payload, sealed.payload)).toBe(0);
      expect(Buffer.compare(packet.icv, sealed.icv)).toBe(0);
    });
    const forged = length % aads.length;
    packets[forged]!.icv[5]! ^= 4;
    lab.open(packets);
    packets.forEach((packet, i) => {
      expect(packet.status()).toBe(i === forged ? STATUS_BAD_ICV : STATUS_OK);
      if (i !== forged) expect(Buffer.compare(packet.payload, specs[i]!.payload)).toBe(0);
    });
  };

  const sequence = (i: number) => 0xfffffff0 + (i & 15);
  const numbered = (of: (i: number) => Uint8Array) => Array.from({ length: PACKETS }, (_, i) => of(i));

  it.each([
    ['without ESN', (i: number) => aadOf(sequence(i))],
    ['with ESN', (i: number) => aadOf(sequence(i), 7)],
    ['whose sequence numbers pass 2^32', (i: number) => aadOf(sequence(i), 7 + Number(i > 9))],
    ['of two SPIs', (i: number) => aadOf(sequence(i), undefined, SPI + Number(i === 6))],
    ['of other AADs', (i: number) => random.bytes([0, 4, 16, 20][i & 3]!)],
  ])('%s', (_, aad) => {
    lab.reset();
    const [first, second] = [newKey(), newKey()];
    // Long enough for both to have tables.
    for (const key of [first, second]) agrees(key, numbered(aad), 600);
    for (let length = 0; length < LONGEST; length++) {
      agrees(first, numbered(aad), length);
      if (length % 16 === 0) agrees(second, numbered(aad), length);
    }
  });
});
