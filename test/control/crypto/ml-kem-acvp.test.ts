import crypto, { type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ml_kem512, ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js';
import { describe, expect, it } from 'vitest';
import { KE } from '../../../src/control/crypto/registry.ts';
import { provider } from './known.ts';

type ParameterSet = 'ML-KEM-512' | 'ML-KEM-768' | 'ML-KEM-1024';

interface Group<Case extends readonly string[]> {
  readonly parameterSet: ParameterSet;
  readonly tests: readonly Case[];
}

interface Vectors {
  readonly keyGen: readonly Group<[d: string, z: string, ekDigest: string, dkDigest: string]>[];
  readonly encapsulation: readonly Group<[ek: string, m: string, cDigest: string, k: string]>[];
  readonly decapsulation: readonly (Group<[c: string, k: string]> & { readonly dk: string })[];
}

const vectors = JSON.parse(readFileSync(new URL('../../vectors/ml-kem.json', import.meta.url), 'utf8')) as Vectors;

const bytes = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'));
const base64 = (data: Uint8Array): string => Buffer.from(data).toString('base64');
const digest = (data: Uint8Array): string => crypto.createHash('sha256').update(data).digest('base64');

/** What each parameter set is called: to IKE, to noble, to DER (the last arc of its OID). */
const SETS = {
  'ML-KEM-512': { id: KE.ML_KEM_512, noble: ml_kem512, arc: 1 },
  'ML-KEM-768': { id: KE.ML_KEM_768, noble: ml_kem768, arc: 2 },
  'ML-KEM-1024': { id: KE.ML_KEM_1024, noble: ml_kem1024, arc: 3 },
} as const;

describe("NIST's ACVP cases of ML-KEM (FIPS 203), by @noble/post-quantum", () => {
  it.each(vectors.keyGen)('make the key pairs of $parameterSet', ({ parameterSet, tests }) => {
    for (const [d, z, ek, dk] of tests) {
      const seed = Buffer.concat([bytes(d), bytes(z)]);
      const { publicKey, secretKey } = SETS[parameterSet].noble.keygen(seed);
      expect([digest(publicKey), digest(secretKey)]).toEqual([ek, dk]);
      const method = provider('noble', () => Uint8Array.from(seed)).keyExchange(SETS[parameterSet].id)!;
      expect(digest(method.generate().publicValue)).toBe(ek);
    }
  });

  it.each(vectors.encapsulation)('encapsulate with $parameterSet', ({ parameterSet, tests }) => {
    for (const [ek, m, c, k] of tests) {
      const method = provider('noble', () => bytes(m)).keyExchange(SETS[parameterSet].id)!;
      const { publicValue, secret } = method.respond(bytes(ek));
      expect([digest(publicValue), base64(secret)]).toEqual([c, k]);
    }
  });

  it.each(vectors.decapsulation)(
    'decapsulate with $parameterSet, spoilt ciphertexts too',
    ({ parameterSet, dk, tests }) => {
      for (const [c, k] of tests) expect(base64(SETS[parameterSet].noble.decapsulate(bytes(c), bytes(dk)))).toBe(k);
    },
  );
});

interface KemFunctions {
  encapsulate(key: KeyObject): { readonly sharedKey: Buffer; readonly ciphertext: Buffer };
  decapsulate(key: KeyObject, ciphertext: Uint8Array): Buffer;
}

const kem = crypto as unknown as KemFunctions;

/** DER with a length of two bytes where one is not enough. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts);
  const length = value.length < 128 ? [value.length] : [0x82, value.length >> 8, value.length & 255];
  return Buffer.concat([Uint8Array.of(tag, ...length), value]);
}

/** @param key RFC 9935 §6: [0] with the seed, or an OCTET STRING with the expanded key @returns the private key */
function privateKey(parameterSet: ParameterSet, key: Uint8Array): KeyObject {
  const oid = Buffer.from([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, SETS[parameterSet].arc]);
  const info = der(0x30, Uint8Array.of(2, 1, 0), der(0x30, der(0x06, oid)), der(0x04, key));
  return crypto.createPrivateKey({ key: info, format: 'der', type: 'pkcs8' });
}

const rawPublicKey = (key: KeyObject): Uint8Array =>
  crypto.createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(22);

// Node has it from 24.7 on; before, both providers take noble's.
if ('encapsulate' in crypto) {
  describe("NIST's ACVP cases of ML-KEM (FIPS 203), by Node's OpenSSL", () => {
    it.each(vectors.keyGen)('make the key pairs of $parameterSet', ({ parameterSet, tests }) => {
      for (const [d, z, ek] of tests) {
        const key = privateKey(parameterSet, der(0x80, bytes(d), bytes(z)));
        expect(digest(rawPublicKey(key))).toBe(ek);
      }
    });

    it.each(vectors.encapsulation)(
      'encapsulate to noble, and noble to them, with $parameterSet',
      ({ parameterSet }) => {
        const { noble, id } = SETS[parameterSet];
        const { publicKey, secretKey } = noble.keygen();
        const native = provider('node').keyExchange(id)!;
        const answer = native.respond(publicKey);
        expect(noble.decapsulate(answer.publicValue, secretKey)).toEqual(answer.secret);
        const own = native.generate();
        const { cipherText, sharedSecret } = noble.encapsulate(own.publicValue);
        expect(own.derive(cipherText)).toEqual(sharedSecret);
      },
    );

    it.each(vectors.decapsulation)(
      'decapsulate with $parameterSet, spoilt ciphertexts too',
      ({ parameterSet, dk, tests }) => {
        const key = privateKey(parameterSet, der(0x04, bytes(dk)));
        for (const [c, k] of tests) expect(base64(kem.decapsulate(key, bytes(c)))).toBe(k);
      },
    );
  });
}
