import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENCR, INTEG } from '../../../src/algorithms.ts';
import { ikeKeys } from '../../../src/control/crypto/keys.ts';
import { makeProtection, protectIke } from '../../../src/control/crypto/protection.ts';
import { IKE_ENCRYPTION, PRF } from '../../../src/control/crypto/registry.ts';
import { concat } from '../../../src/control/wire/bytes.ts';
import { WireError } from '../../../src/control/wire/error.ts';
import { PROVIDERS, provider, repeated } from './known.ts';

/** Every cipher with every key length; those without a tag beside HMAC-SHA2-256. */
const SUITES = IKE_ENCRYPTION.flatMap(({ id, name, keyBits, icvLength }) =>
  keyBits.map((bits) => ({
    id,
    bits,
    integ: icvLength > 0 ? undefined : INTEG.HMAC_SHA2_256_128,
    name: `${name}-${bits}`,
  })),
);
type Suite = (typeof SUITES)[number];

function protection(name: (typeof PROVIDERS)[number], { id, bits, integ }: Suite, fill = '42') {
  const crypto = provider(name);
  const cipher = crypto.cipher(id, bits)!;
  const integrity = integ === undefined ? undefined : crypto.integrity(integ)!;
  const keys = { encryption: repeated(fill, cipher.keyLength), integrity: repeated('24', integrity?.keyLength ?? 0) };
  return makeProtection(integrity === undefined ? { cipher } : { cipher, integrity }, keys, crypto.random);
}

const head = repeated('c0', 32);

describe.each(PROVIDERS)('SK payloads of the %s provider', (name) => {
  const other = name === 'node' ? 'noble' : 'node';

  it.each(SUITES)('are opened by the other with $name, whatever their length', (suite) => {
    const [ours, theirs] = [protection(name, suite), protection(other, suite)];
    for (const length of [0, 1, 14, 15, 16, 17, 31, 32, 100, 1280, 4000]) {
      const plaintext = Uint8Array.from({ length }, (_, index) => index * 7);
      const message = ours.seal(head, plaintext);
      expect(message).toHaveLength(head.length + ours.sealedLength(length));
      expect(theirs.open(message, head.length)).toEqual(plaintext);
    }
  });

  it.each(SUITES)(
    'with any bit changed, or cut off anywhere, are refused with $name, and nothing is answered',
    (suite) => {
      const keys = protection(name, suite);
      const message = keys.seal(head, repeated('55', 40));
      const refused = (changed: Uint8Array) => {
        try {
          keys.open(changed, head.length);
          return 'opened';
        } catch (error) {
          return error instanceof WireError && error.code === 'ERR_WIRE_INTEGRITY' && error.notify === undefined
            ? 'refused'
            : error;
        }
      };
      for (let bit = 0; bit < message.length * 8; bit += 3) {
        const changed = message.slice();
        changed[bit >> 3]! ^= 1 << (bit & 7);
        expect(refused(changed)).toBe('refused');
      }
      for (let length = head.length; length < message.length; length++) {
        expect(refused(message.slice(0, length))).toBe('refused');
      }
    },
  );

  it.each(SUITES)('hold what `capacity` says with $name, and no byte more', (suite) => {
    const keys = protection(name, suite);
    fc.assert(
      fc.property(fc.integer({ min: 40, max: 2000 }), (size) => {
        const capacity = keys.capacity(size);
        expect(keys.sealedLength(capacity)).toBeLessThanOrEqual(size);
        expect(keys.sealedLength(capacity + 1)).toBeGreaterThan(size);
      }),
      { numRuns: 50 },
    );
  });

  it.each(SUITES)('never use an IV twice with $name', (suite) => {
    const keys = protection(name, suite);
    const ivLength = provider(name).cipher(suite.id, suite.bits)!.ivLength;
    const ivs = Array.from({ length: 200 }, () =>
      Buffer.from(keys.seal(head, head).slice(head.length, head.length + ivLength)).toString('hex'),
    );
    expect(new Set(ivs).size).toBe(200);
  });

  it('are not opened with keys that were wiped', () => {
    const keys = protection(name, SUITES[0]!);
    const message = keys.seal(head, head);
    keys.destroy();
    expect(() => keys.open(message, head.length)).toThrow(WireError);
  });
});

describe('padding', () => {
  // AES-CBC, where a message of our own making can have a right checksum and wrong padding.
  const crypto = provider('node');
  const cipher = crypto.cipher(ENCR.AES_CBC, 128)!;
  const integrity = crypto.integrity(INTEG.HMAC_SHA2_256_128)!;
  const keys = { encryption: repeated('01', 16), integrity: repeated('02', 32) };
  const receiver = makeProtection({ cipher, integrity }, keys, crypto.random);
  const forge = (blocks: Uint8Array, checksum = true): Uint8Array => {
    const iv = repeated('09', 16);
    const covered = concat(head, iv, cipher.seal(keys.encryption, iv, new Uint8Array(), blocks));
    return concat(covered, checksum ? integrity.compute(keys.integrity, covered) : new Uint8Array(16));
  };

  it('may be any bytes, up to 255 of them', () => {
    const blocks = new Uint8Array(256).fill(0xaa);
    blocks[255] = 255;
    expect(receiver.open(forge(blocks), head.length)).toHaveLength(0);
    blocks[255] = 200;
    expect(receiver.open(forge(blocks), head.length)).toEqual(new Uint8Array(55).fill(0xaa));
  });

  it('of more bytes than there are is refused', () => {
    const blocks = new Uint8Array(16);
    blocks[15] = 16;
    expect(() => receiver.open(forge(blocks), head.length)).toThrow(/more padding than content/);
  });

  it('is not looked at before the checksum: both failures are one to the sender', () => {
    const bad = new Uint8Array(16).fill(0xff);
    const good = new Uint8Array(16);
    for (const blocks of [bad, good]) {
      expect(() => receiver.open(forge(blocks, false), head.length)).toThrow('SK payload is not authentic');
    }
  });
});

describe('an IKE SA', () => {
  const crypto = provider('node');
  const prf = crypto.prf(PRF.HMAC_SHA2_256)!;
  const aead = crypto.cipher(ENCR.AES_GCM_16, 128)!;
  const cbc = crypto.cipher(ENCR.AES_CBC, 128)!;
  const integrity = crypto.integrity(INTEG.HMAC_SHA2_256_128)!;
  const inputs = { nonceI: repeated('01', 16), nonceR: repeated('02', 16), spiI: 1n, spiR: 2n };

  it('protects each direction with keys of its own', () => {
    const algorithms = { prf, cipher: aead };
    const keys = ikeKeys(algorithms, repeated('03', 32), inputs);
    const initiator = protectIke(algorithms, keys, true, crypto.random);
    const responder = protectIke(algorithms, keys, false, crypto.random);
    const message = initiator.outbound.seal(head, head);
    expect(responder.inbound.open(message, head.length)).toEqual(head);
    // Its own message, sent back to it, is not authentic.
    expect(() => initiator.inbound.open(message, head.length)).toThrow(WireError);
  });

  it('is never made without integrity, with two kinds of it, or with keys of the wrong length', () => {
    const key16 = repeated('01', 16);
    const none = new Uint8Array();
    const make = (algorithms: object, encryption: Uint8Array, mac: Uint8Array) => () =>
      makeProtection(algorithms as Parameters<typeof makeProtection>[0], { encryption, integrity: mac }, crypto.random);
    expect(make({ cipher: cbc }, key16, none)).toThrow(/integrity/);
    expect(make({ cipher: aead, integrity }, repeated('01', 20), repeated('02', 32))).toThrow(/either/);
    expect(make({ cipher: aead }, key16, none)).toThrow(/lengths/);
    expect(make({ cipher: aead }, none, none)).toThrow(/lengths/);
    expect(make({ cipher: cbc, integrity }, key16, none)).toThrow(/lengths/);
  });
});
