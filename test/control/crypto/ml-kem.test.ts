import { shake128 } from '@noble/hashes/sha3.js';
import { describe, expect, it } from 'vitest';
import { KE, KEY_EXCHANGES } from '../../../src/control/crypto/registry.ts';
import { WireError } from '../../../src/control/wire/error.ts';
import { PROVIDERS, provider, text } from './known.ts';

/**
 * One digest over 100 key pairs, encapsulations, decapsulations and implicit rejections, all drawn from one
 * SHAKE-128 stream. That of ML-KEM-768 is the one Go's crypto/mlkem is held to; for the other two, PQClean,
 * kyber-py and CIRCL agree.
 */
const ACCUMULATED = [
  [KE.ML_KEM_512, '86b1b4703b8ffef6f7f3290c6dbce4ad954498a0673ded401a94828e8c519a59'],
  [KE.ML_KEM_768, '1114b1b6699ed191734fa339376afa7e285c9e6acf6ff0177d346696ce564415'],
  [KE.ML_KEM_1024, '800018fec3e2723f73f1d657fe239b4d5d8782efaade297e8cd448e54cc2ac00'],
] as const;
const CASES = 100;

const KEMS = KEY_EXCHANGES.filter(({ family }) => family === 'kem');

describe.each(PROVIDERS)('ML-KEM of the %s provider', (name) => {
  it.each(ACCUMULATED)('%i gives the known answers of FIPS 203', (id, expected) => {
    const stream = shake128.create({});
    const digest = shake128.create({ dkLen: 32 });
    // 64 bytes d | z for a key pair, 32 bytes m for an encapsulation, in that order.
    const method = provider(name, (length) => stream.xof(length)).keyExchange(id)!;
    for (let index = 0; index < CASES; index++) {
      const initiator = method.generate();
      const answer = method.respond(initiator.publicValue);
      expect(initiator.derive(answer.publicValue)).toEqual(answer.secret);
      const rejected = initiator.derive(stream.xof(method.responderLength));
      for (const part of [initiator.publicValue, answer.publicValue, answer.secret, rejected]) digest.update(part);
    }
    expect(text(digest.digest())).toBe(expected);
  });

  it.each(KEMS)(
    'refuses a $keyword encapsulation key whose coefficients are not reduced (FIPS 203 §7.2)',
    ({ id, lengths }) => {
      const method = provider(name).keyExchange(id)!;
      expect(() => method.respond(new Uint8Array(lengths[0]).fill(0xff))).toThrow(WireError);
      const key = method.generate().publicValue.slice();
      // The first coefficient becomes 3329, which is q.
      key[0] = 0x01;
      key[1] = (key[1]! & 0xf0) | 0x0d;
      expect(() => method.respond(key)).toThrow(WireError);
    },
  );

  it.each(KEMS)(
    'answers a changed $keyword ciphertext with another secret, not with an error (FIPS 203 §6.3)',
    ({ id }) => {
      const method = provider(name).keyExchange(id)!;
      const initiator = method.generate();
      const { publicValue, secret } = method.respond(initiator.publicValue);
      publicValue[0]! ^= 1;
      const rejected = initiator.derive(publicValue);
      expect(rejected).toHaveLength(32);
      expect(rejected).not.toEqual(secret);
      expect(initiator.derive(publicValue)).toEqual(rejected);
    },
  );
});
