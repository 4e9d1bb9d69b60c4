/**
 * Signatures by @noble/curves: ECDSA on NIST's curves, with the nonce of RFC 6979, and Ed25519 and
 * Ed448 (RFC 8032). There is no RSA among the noble packages: that stays with OpenSSL.
 */
import type { JsonWebKey, KeyObject } from 'node:crypto';
import { ed448 } from '@noble/curves/ed448.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { concat } from '../wire/bytes.ts';
import { nodeSignatures } from './node-signatures.ts';
import type { EcdsaEncoding, SignatureScheme, Signatures } from './provider.ts';
import { wipe } from './secret.ts';

/** By JWK's name (RFC 7518 §6.2.1.1, RFC 8037 §2). */
const NIST_CURVES = { 'P-256': p256, 'P-384': p384, 'P-521': p521 } as const;
const EDWARDS_CURVES = { Ed25519: ed25519, Ed448: ed448 } as const;
const HASHES = { sha256, sha384, sha512 } as const;

/** SEC 1 §2.3.3: a point without compression. */
const UNCOMPRESSED = 4;
/** RFC 8032 as it is written, without the laxities of ZIP 215. */
const STRICT = { zip215: false };

/** The key's curve, and its parts as bytes; undefined for a key that is on none of these curves. */
function onCurve(key: KeyObject) {
  if (key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'rsa-pss') return undefined;
  const jwk = key.export({ format: 'jwk' });
  const nist = NIST_CURVES[jwk.crv as keyof typeof NIST_CURVES];
  if (nist !== undefined) return { ecdsa: nist, jwk };
  const edwards = EDWARDS_CURVES[jwk.crv as keyof typeof EDWARDS_CURVES];
  return edwards === undefined ? undefined : { eddsa: edwards, jwk };
}

const bytes = (part: string | undefined): Uint8Array => Uint8Array.from(Buffer.from(part ?? '', 'base64url'));

/** @returns what `use` makes of the private key, of which no copy stays */
function withSecret(jwk: JsonWebKey, use: (secret: Uint8Array) => Uint8Array): Uint8Array {
  const secret = bytes(jwk.d);
  try {
    return use(secret);
  } finally {
    wipe(secret);
  }
}

/** Any SHA-2 goes with any curve, and `s` may be in either half of the order, as everywhere but in Bitcoin. */
const ecdsaOptions = (encoding: EcdsaEncoding) =>
  ({ prehash: false, lowS: false, format: encoding === 'der' ? 'der' : 'compact' }) as const;

const digestOf = ({ digest }: SignatureScheme, data: Uint8Array): Uint8Array => HASHES[digest!](data);

export const nobleSignatures: Signatures = {
  sign(scheme, key, data, encoding) {
    const own = onCurve(key);
    if (own === undefined) return nodeSignatures.sign(scheme, key, data, encoding);
    return withSecret(own.jwk, (secret) =>
      own.ecdsa !== undefined
        ? own.ecdsa.sign(digestOf(scheme, data), secret, ecdsaOptions(encoding))
        : own.eddsa.sign(data, secret),
    );
  },

  verify(scheme, key, data, signature, encoding) {
    const theirs = onCurve(key);
    if (theirs === undefined) return nodeSignatures.verify(scheme, key, data, signature, encoding);
    const { x, y } = theirs.jwk;
    if (theirs.ecdsa === undefined) return theirs.eddsa.verify(signature, data, bytes(x), STRICT);
    const point = concat(Uint8Array.of(UNCOMPRESSED), bytes(x), bytes(y));
    return theirs.ecdsa.verify(signature, digestOf(scheme, data), point, ecdsaOptions(encoding));
  },
};
