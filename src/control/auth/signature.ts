/**
 * Signature algorithms by their AlgorithmIdentifier (RFC 5280 §4.1.1.2), which certificates, CRLs and
 * RFC 7427's AUTH share. What is not in this table cannot be verified: no SHA-1, no small RSA keys.
 * The crypto provider signs and verifies; here is decided with which keys.
 */
import type { KeyObject } from 'node:crypto';
import { EspalierError } from '../../errors.ts';
import type { EcdsaEncoding, SignatureScheme, Signatures } from '../crypto/provider.ts';
import { equalBytes } from '../wire/bytes.ts';
import { HASH } from '../wire/iana.ts';
import { der, oid, TAG } from './der.ts';

/** `rsa-pss` is a key bound to PSS (RFC 4055 §1.2). */
export type KeyType = 'rsa' | 'rsa-pss' | 'ec' | 'ed25519' | 'ed448';

export interface SignatureAlgorithm extends SignatureScheme {
  /** For people: `RSASSA-PSS with SHA2_256`. */
  readonly name: string;
  readonly keys: readonly KeyType[];
  /** HASH of RFC 7427; IDENTITY for the Edwards curves (RFC 8420). */
  readonly hash: number;
  /** DER that names it; the first is what we send, the others differ in an absent or NULL parameter. */
  readonly identifiers: readonly Uint8Array[];
}

const NULL = der(TAG.NULL);
const RSA_PSS = oid('1.2.840.113549.1.1.10');
const MGF1 = oid('1.2.840.113549.1.1.8');

/** SHA-2 by size, with the OIDs of the hash and of the signatures over it. */
const SHA2 = [
  {
    bits: 256,
    hash: HASH.SHA2_256,
    oid: '2.16.840.1.101.3.4.2.1',
    rsa: '1.2.840.113549.1.1.11',
    ecdsa: '1.2.840.10045.4.3.2',
  },
  {
    bits: 384,
    hash: HASH.SHA2_384,
    oid: '2.16.840.1.101.3.4.2.2',
    rsa: '1.2.840.113549.1.1.12',
    ecdsa: '1.2.840.10045.4.3.3',
  },
  {
    bits: 512,
    hash: HASH.SHA2_512,
    oid: '2.16.840.1.101.3.4.2.3',
    rsa: '1.2.840.113549.1.1.13',
    ecdsa: '1.2.840.10045.4.3.4',
  },
] as const;

/** Explicit tag number `n` around a value. */
const explicit = (n: number, value: Uint8Array): Uint8Array => der(0xa0 | n, value);

/**
 * RSASSA-PSS-params (RFC 4055 §3.1) as RFC 8247 §3.2.1 wants them: MGF1 over the same hash, a salt as long as the hash.
 */
function pssIdentifier(hashOid: string, bits: number, parameter: Uint8Array): Uint8Array {
  const hash = der(TAG.SEQUENCE, oid(hashOid), parameter);
  const mask = der(TAG.SEQUENCE, MGF1, hash);
  const salt = der(TAG.INTEGER, Uint8Array.of(bits / 8));
  return der(TAG.SEQUENCE, RSA_PSS, der(TAG.SEQUENCE, explicit(0, hash), explicit(1, mask), explicit(2, salt)));
}

const edwards = (key: 'ed25519' | 'ed448', name: string, type: string): SignatureAlgorithm => ({
  name,
  keys: [key],
  hash: HASH.IDENTITY,
  digest: null,
  padding: undefined,
  identifiers: [der(TAG.SEQUENCE, oid(type))],
});

/** In order of preference for a key that could use several. */
export const SIGNATURE_ALGORITHMS: readonly SignatureAlgorithm[] = [
  ...SHA2.map(
    ({ bits, hash, oid: hashOid }): SignatureAlgorithm => ({
      name: `RSASSA-PSS with SHA2_${bits}`,
      keys: ['rsa', 'rsa-pss'],
      hash,
      digest: `sha${bits}`,
      padding: 'pss',
      identifiers: [pssIdentifier(hashOid, bits, NULL), pssIdentifier(hashOid, bits, new Uint8Array())],
    }),
  ),
  ...SHA2.map(
    ({ bits, hash, rsa }): SignatureAlgorithm => ({
      name: `RSASSA-PKCS1-v1_5 with SHA2_${bits}`,
      keys: ['rsa'],
      hash,
      digest: `sha${bits}`,
      padding: 'pkcs1',
      identifiers: [der(TAG.SEQUENCE, oid(rsa), NULL), der(TAG.SEQUENCE, oid(rsa))],
    }),
  ),
  ...SHA2.map(
    ({ bits, hash, ecdsa }): SignatureAlgorithm => ({
      name: `ECDSA with SHA2_${bits}`,
      keys: ['ec'],
      hash,
      digest: `sha${bits}`,
      padding: undefined,
      identifiers: [der(TAG.SEQUENCE, oid(ecdsa))],
    }),
  ),
  edwards('ed25519', 'Ed25519', '1.3.101.112'),
  edwards('ed448', 'Ed448', '1.3.101.113'),
];

/** @returns the algorithm that this AlgorithmIdentifier names, if we take it */
export const algorithmOf = (identifier: Uint8Array): SignatureAlgorithm | undefined =>
  SIGNATURE_ALGORITHMS.find(({ identifiers }) => identifiers.some((known) => equalBytes(known, identifier)));

/** Curves by Node's name. `coordinate` is the bytes of r and of s in a plain signature (RFC 4754). */
export const CURVES = [
  { node: 'prime256v1', name: 'P-256', bits: 256, coordinate: 32 },
  { node: 'secp384r1', name: 'P-384', bits: 384, coordinate: 48 },
  { node: 'secp521r1', name: 'P-521', bits: 512, coordinate: 66 },
] as const;

/** @returns the curve of an EC key, if it is one of NIST's three */
export const curveOf = (key: KeyObject): (typeof CURVES)[number] | undefined =>
  CURVES.find(({ node }) => node === key.asymmetricKeyDetails?.namedCurve);

/** RFC 8247 §3.2.1: below 2048 bits is too weak. Above 8192 a verification costs too much for what it gives. */
const RSA_BITS = { min: 2048, max: 8192 };

/** @returns why the key must not be used, in words that end a sentence about it; undefined for a good one */
export function keyProblem(key: KeyObject): string | undefined {
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss': {
      const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
      if (modulusLength < RSA_BITS.min) return `has an RSA key of ${modulusLength} bits, ${RSA_BITS.min} are needed`;
      if (modulusLength > RSA_BITS.max)
        return `has an RSA key of ${modulusLength} bits, ${RSA_BITS.max} at most are taken`;
      if (publicExponent < 3n || publicExponent >= 2n ** 64n) return 'has an RSA key with an unusual public exponent';
      return undefined;
    }
    case 'ec':
      return curveOf(key) === undefined ? 'has an EC key on a curve other than P-256, P-384 and P-521' : undefined;
    case 'ed25519':
    case 'ed448':
      return undefined;
    default:
      return `has a key of a type that does not sign: ${key.asymmetricKeyType}`;
  }
}

/** @returns for people: `RSA 3072`, `EC P-256`, `ED25519` */
export function keyText(key: KeyObject): string {
  const type = String(key.asymmetricKeyType).toUpperCase();
  const detail = curveOf(key)?.name ?? key.asymmetricKeyDetails?.modulusLength;
  return detail === undefined ? type : `${type} ${detail}`;
}

const fits = (algorithm: SignatureAlgorithm, key: KeyObject): boolean =>
  algorithm.keys.includes(key.asymmetricKeyType as KeyType);

/** @throws EspalierError `ERR_AUTH` if the key does not fit the algorithm, or has restrictions that forbid it */
export function sign(
  signatures: Signatures,
  algorithm: SignatureAlgorithm,
  privateKey: KeyObject,
  data: Uint8Array,
  encoding: EcdsaEncoding = 'der',
): Uint8Array {
  try {
    if (!fits(algorithm, privateKey)) throw new RangeError('it is of another type');
    return signatures.sign(algorithm, privateKey, data, encoding);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'unknown reason';
    throw new EspalierError('ERR_AUTH', `${keyText(privateKey)} cannot sign by ${algorithm.name}: ${why}`, { cause });
  }
}

/** @returns whether the signature is right; false as well for a key that does not fit or must not be used. Never throws. */
export function verify(
  signatures: Signatures,
  algorithm: SignatureAlgorithm,
  publicKey: KeyObject,
  data: Uint8Array,
  signature: Uint8Array,
  encoding: EcdsaEncoding = 'der',
): boolean {
  if (!fits(algorithm, publicKey) || keyProblem(publicKey) !== undefined) return false;
  try {
    return signatures.verify(algorithm, publicKey, data, signature, encoding);
  } catch {
    return false;
  }
}
