/** Signatures: what one provider makes the other takes, and neither takes anything else. */
import crypto, { type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { EcdsaEncoding, SignatureScheme } from '../../../src/control/crypto/provider.ts';
import { concat } from '../../../src/control/wire/bytes.ts';
import { keyObject, keyOfKind } from '../auth/laboratory.ts';
import { hex, PROVIDERS, provider, text } from './known.ts';

const scheme = (digest: SignatureScheme['digest'], padding?: 'pkcs1' | 'pss'): SignatureScheme => ({ digest, padding });
const MESSAGE = Uint8Array.from(Buffer.from('sample'));
const OTHER = Uint8Array.from(Buffer.from('simple'));

const CASES = [
  ...(['ecp256', 'ecp384', 'ecp521'] as const).flatMap((kind) =>
    (['sha256', 'sha384', 'sha512'] as const).flatMap((digest) =>
      (['der', 'ieee-p1363'] as const).map((encoding) => ({ kind, ...scheme(digest), encoding })),
    ),
  ),
  ...(['ed25519', 'ed448'] as const).map((kind) => ({ kind, ...scheme(null), encoding: 'der' as const })),
  ...(['pkcs1', 'pss'] as const).map((padding) => ({
    kind: 'rsa2048' as const,
    ...scheme('sha256', padding),
    encoding: 'der' as const,
  })),
];

describe.each(PROVIDERS)('what the %s provider signs', (signer) => {
  it.each(CASES)('by $kind with $digest in $encoding, both verify, and nothing else', ({ kind, encoding, ...how }) => {
    const privateKey = keyObject(keyOfKind(kind));
    const publicKey = crypto.createPublicKey(privateKey);
    const signature = provider(signer).signatures.sign(how, privateKey, MESSAGE, encoding);
    for (const verifier of PROVIDERS) {
      const holds = (data: Uint8Array, made: Uint8Array) =>
        provider(verifier).signatures.verify(how, publicKey, data, made, encoding);
      expect(holds(MESSAGE, signature)).toBe(true);
      expect(holds(OTHER, signature)).toBe(false);
      const altered = signature.slice();
      altered[altered.length - 1]! ^= 1;
      expect(holds(MESSAGE, altered)).toBe(false);
    }
  });
});

/** RFC 6979 appendix A.2.5: ECDSA on P-256 with SHA-256 of "sample". Its s is in the upper half of the order. */
const KNOWN = {
  d: 'c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721',
  x: '60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6',
  y: '7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299',
  r: 'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716',
  s: 'f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8',
};
const ORDER = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551';
const P256 = scheme('sha256');

function known(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  const url = (part: string): string => Buffer.from(part, 'hex').toString('base64url');
  const key = { kty: 'EC', crv: 'P-256', x: url(KNOWN.x), y: url(KNOWN.y), d: url(KNOWN.d) };
  const privateKey = crypto.createPrivateKey({ key, format: 'jwk' });
  return { privateKey, publicKey: crypto.createPublicKey(privateKey) };
}

it('the noble provider signs with the nonce of RFC 6979', () => {
  const signature = provider('noble').signatures.sign(P256, known().privateKey, MESSAGE, 'ieee-p1363');
  expect(text(signature)).toBe(KNOWN.r + KNOWN.s);
});

describe.each(PROVIDERS)('the %s provider verifies', (name) => {
  const { publicKey } = known();
  const holds = (signature: Uint8Array, encoding: EcdsaEncoding): boolean => {
    try {
      return provider(name).signatures.verify(P256, publicKey, MESSAGE, signature, encoding);
    } catch {
      return false;
    }
  };
  const integer = (value: string): string => `02${(value.length / 2).toString(16).padStart(2, '0')}${value}`;
  const sequence = (...parts: string[]): string => {
    const all = parts.join('');
    return `30${(all.length / 2).toString(16).padStart(2, '0')}${all}`;
  };
  const [r, s] = [`00${KNOWN.r}`, `00${KNOWN.s}`];

  it('the signature of RFC 6979, in either encoding', () => {
    expect(holds(hex(KNOWN.r + KNOWN.s), 'ieee-p1363')).toBe(true);
    expect(holds(hex(sequence(integer(r), integer(s))), 'der')).toBe(true);
  });

  it.each([
    ['r of 0', sequence(integer('00'), integer(s))],
    ['s of 0', sequence(integer(r), integer('00'))],
    ['r that is the order', sequence(integer(`00${ORDER}`), integer(s))],
    ['both of 0', sequence(integer('00'), integer('00'))],
    ['a negative r', sequence(integer(KNOWN.r), integer(s))],
    ['one more zero in front of s', sequence(integer(r), integer(`00${s}`))],
    ['a third integer', sequence(integer(r), integer(s), integer('01'))],
    ['a byte behind its end', `${sequence(integer(r), integer(s))}00`],
    ['the length in two bytes', sequence(integer(r), integer(s)).replace(/^30/, '3081')],
    ['nothing', ''],
  ])('no DER with %s', (_name, signature) => {
    expect(holds(hex(signature), 'der')).toBe(false);
  });

  it.each([
    ['r of 0', '00'.repeat(32) + KNOWN.s],
    ['s of the order', KNOWN.r + ORDER],
    ['a byte too many', `${KNOWN.r + KNOWN.s}00`],
    ['a byte too few', (KNOWN.r + KNOWN.s).slice(2)],
  ])('no r | s with %s', (_name, signature) => {
    expect(holds(hex(signature), 'ieee-p1363')).toBe(false);
  });

  it('no Ed25519 signature whose S is not reduced (RFC 8032 §5.1.7)', () => {
    const privateKey = keyObject(keyOfKind('ed25519'));
    const theirs = crypto.createPublicKey(privateKey);
    const { signatures } = provider(name);
    const signature = signatures.sign(scheme(null), privateKey, MESSAGE, 'der');
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const little = (bytes: Uint8Array) => BigInt(`0x${text(bytes.slice().reverse())}`);
    const raised = little(signature.subarray(32)) + order;
    const forged = concat(signature.subarray(0, 32), hex(raised.toString(16).padStart(64, '0')).reverse());
    expect(signatures.verify(scheme(null), theirs, MESSAGE, signature, 'der')).toBe(true);
    expect(signatures.verify(scheme(null), theirs, MESSAGE, forged, 'der')).toBe(false);
  });
});
