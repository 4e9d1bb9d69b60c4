/**
 * AUTH by signature: Digital Signature (RFC 7427) with RSA, ECDSA and, in RFC 8420's way, Ed25519 and
 * Ed448; and for peers without it ECDSA by curve (RFC 4754) and RSA Digital Signature, with SHA-2 only.
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | ASN.1 Length  | AlgorithmIdentifier ASN.1 object              |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                         Signature Value                       ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import crypto, { type KeyObject } from 'node:crypto';
import { EspalierError } from '../../errors.ts';
import type { LocalAuth } from '../config/model.ts';
import type { EcdsaEncoding, Signatures } from '../crypto/provider.ts';
import { concat, toHex } from '../wire/bytes.ts';
import { AUTH_METHOD, authMethodName, hashName } from '../wire/iana.ts';
import type { AuthPayload } from '../wire/payloads/auth.ts';
import { parseCertificate } from './certificate.ts';
import { oid, readTlv } from './der.ts';
import { SIGNATURE_HASHES } from './hashes.ts';
import {
  algorithmOf,
  type CURVES,
  curveOf,
  keyProblem,
  keyText,
  SIGNATURE_ALGORITHMS,
  type SignatureAlgorithm,
  sign,
  verify,
} from './signature.ts';

/** The methods with a fixed curve and hash, and r | s as the signature (RFC 4754 §4). */
const ECDSA_METHODS: Readonly<Record<number, (typeof CURVES)[number]['name']>> = {
  [AUTH_METHOD.ECDSA_SHA256_P256]: 'P-256',
  [AUTH_METHOD.ECDSA_SHA384_P384]: 'P-384',
  [AUTH_METHOD.ECDSA_SHA512_P521]: 'P-521',
};

/** AUTH methods that are verified here. */
export const SIGNATURE_METHODS: readonly number[] = [
  AUTH_METHOD.DIGITAL_SIGNATURE,
  AUTH_METHOD.RSA_DIGITAL_SIGNATURE,
  ...Object.keys(ECDSA_METHODS).map(Number),
];

const cannot = (why: string): EspalierError => new EspalierError('ERR_AUTH', why);
const keys = new WeakMap<Uint8Array, KeyObject>();

/** @throws EspalierError `ERR_AUTH` for a key that is missing, unreadable or too weak */
export function localKey({ privateKey }: LocalAuth): KeyObject {
  if (privateKey === undefined)
    throw cannot('local.auth is pubkey, but there is no private key: set local.private_key');
  const key = keys.get(privateKey) ?? readKey(privateKey);
  keys.set(privateKey, key);
  return key;
}

function readKey(privateKey: Uint8Array): KeyObject {
  let key: KeyObject;
  try {
    key = crypto.createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' });
  } catch {
    throw cannot('the private key is not an unencrypted PKCS#8 key: convert it with "openssl pkcs8 -topk8 -nocrypt"');
  }
  const problem = keyProblem(key);
  if (problem !== undefined) throw cannot(`the private key ${problem}`);
  return key;
}

/**
 * @param certificate DER @param privateKey PKCS#8, DER
 * @throws EspalierError `ERR_AUTH`, `ERR_CERTIFICATE` or `ERR_DER` if either is unreadable or too weak
 */
export function isKeyOf(certificate: Uint8Array, privateKey: Uint8Array): boolean {
  const publicKey = crypto.createPublicKey(readKey(privateKey));
  return publicKey.equals(parseCertificate(certificate).publicKey);
}

/**
 * @param peerHashes of the peer's SIGNATURE_HASH_ALGORITHMS; undefined if it sent none, so knows no RFC 7427
 * @throws EspalierError `ERR_AUTH` if the key can make no signature that the peer verifies
 */
export function signOctets(
  local: LocalAuth,
  octets: Uint8Array,
  signatures: Signatures,
  peerHashes: readonly number[] | undefined,
): AuthPayload {
  const key = localKey(local);
  if (peerHashes === undefined) return signOldStyle(signatures, key, octets);
  const wanted = local.hashes.length === 0 ? SIGNATURE_HASHES : local.hashes;
  const hashes = wanted.filter((hash) => peerHashes.includes(hash));
  const algorithm = chooseAlgorithm(key, hashes);
  if (algorithm === undefined) {
    const list = (numbers: readonly number[]): string => numbers.map(hashName).join(', ') || 'none';
    throw cannot(
      `no signature hash in common for ${keyText(key)}: the peer takes ${list(peerHashes)}, we ${list(wanted)}`,
    );
  }
  const [identifier] = algorithm.identifiers;
  const data = concat(Uint8Array.of(identifier!.length), identifier!, sign(signatures, algorithm, key, octets));
  return { kind: 'AUTH', method: AUTH_METHOD.DIGITAL_SIGNATURE, data };
}

/** PSS before PKCS#1 v1.5; with a curve, the hash of its size; else in the order of `hashes`. */
function chooseAlgorithm(key: KeyObject, hashes: readonly number[]): SignatureAlgorithm | undefined {
  const bound = key.asymmetricKeyDetails?.hashAlgorithm;
  const bits = curveOf(key)?.bits;
  const rank = ({ padding, digest, hash }: SignatureAlgorithm): number =>
    (padding === 'pkcs1' ? 100 : 0) + (digest === `sha${bits}` ? 0 : 10) + hashes.indexOf(hash);
  return SIGNATURE_ALGORITHMS.filter(
    (algorithm) =>
      algorithm.keys.some((type) => type === key.asymmetricKeyType) &&
      hashes.includes(algorithm.hash) &&
      (bound === undefined || bound === algorithm.digest),
  ).sort((a, b) => rank(a) - rank(b))[0];
}

function signOldStyle(signatures: Signatures, key: KeyObject, octets: Uint8Array): AuthPayload {
  if (key.asymmetricKeyType === 'rsa') {
    const data = sign(signatures, rsaPkcs1()[0]!, key, octets);
    return { kind: 'AUTH', method: AUTH_METHOD.RSA_DIGITAL_SIGNATURE, data };
  }
  const curve = curveOf(key);
  const method = Object.entries(ECDSA_METHODS).find(([, name]) => name === curve?.name)?.[0];
  if (method === undefined) {
    throw cannot(`the peer knows no RFC 7427 signatures, which ${keyText(key)} needs: use an ECDSA or RSA key`);
  }
  return { kind: 'AUTH', method: Number(method), data: sign(signatures, ecdsaOf(curve!), key, octets, 'ieee-p1363') };
}

const rsaPkcs1 = (): SignatureAlgorithm[] => SIGNATURE_ALGORITHMS.filter(({ padding }) => padding === 'pkcs1');

const ecdsaOf = ({ bits }: { readonly bits: number }): SignatureAlgorithm =>
  SIGNATURE_ALGORITHMS.find(({ keys: types, digest }) => types.includes('ec') && digest === `sha${bits}`)!;

/** The name of what verified, or why it did not, in words that end a sentence about the peer. */
export type SignatureResult = { readonly name: string } | { readonly problem: string };

/** What is said to be signed, and by whom. */
interface Claim {
  readonly signatures: Signatures;
  /** Of a certificate that is trusted already. */
  readonly publicKey: KeyObject;
  readonly octets: Uint8Array;
}

export function verifyOctets({ method, data }: AuthPayload, claim: Claim): SignatureResult {
  if (method === AUTH_METHOD.DIGITAL_SIGNATURE) return verifyDigitalSignature(data, claim);
  if (method === AUTH_METHOD.RSA_DIGITAL_SIGNATURE) {
    const algorithm = rsaPkcs1().find((candidate) => holds(claim, candidate, data));
    return algorithm ?? { problem: 'made a wrong RSA Digital Signature, or one with SHA-1' };
  }
  return verifyEcdsa(method, data, claim);
}

const holds = (
  { signatures, publicKey, octets }: Claim,
  algorithm: SignatureAlgorithm,
  signature: Uint8Array,
  encoding?: EcdsaEncoding,
): boolean => verify(signatures, algorithm, publicKey, octets, signature, encoding);

function verifyEcdsa(method: number, data: Uint8Array, claim: Claim): SignatureResult {
  const { publicKey } = claim;
  const curve = curveOf(publicKey);
  if (curve === undefined || curve.name !== ECDSA_METHODS[method]) {
    return { problem: `signs with ${authMethodName(method)}, for which its ${keyText(publicKey)} is the wrong key` };
  }
  const algorithm = ecdsaOf(curve);
  if (data.length === 2 * curve.coordinate && holds(claim, algorithm, data, 'ieee-p1363')) return algorithm;
  return { problem: `made a wrong ${authMethodName(method)} signature` };
}

function verifyDigitalSignature(data: Uint8Array, claim: Claim): SignatureResult {
  const { publicKey } = claim;
  const length = data[0] ?? 0;
  const identifier = data.subarray(1, 1 + length);
  const algorithm = algorithmOf(identifier);
  if (algorithm === undefined)
    return { problem: `signs with ${weakName(identifier)}, which we do not take: choose SHA-2` };
  if (!algorithm.keys.some((type) => type === publicKey.asymmetricKeyType)) {
    return { problem: `signs with ${algorithm.name}, for which its ${keyText(publicKey)} is the wrong key` };
  }
  if (holds(claim, algorithm, data.subarray(1 + length))) return algorithm;
  return { problem: `made a wrong signature (${algorithm.name})` };
}

/** Algorithms that a peer may try and that must not be used (RFC 8247 §3.2), for the message only. */
const WEAK: readonly (readonly [name: string, type: string])[] = [
  ['MD5 and RSA', '1.2.840.113549.1.1.4'],
  ['SHA-1 and RSA', '1.2.840.113549.1.1.5'],
  [
    'RSASSA-PSS with other parameters than SHA-2, MGF1 of the same hash and a salt of its length',
    '1.2.840.113549.1.1.10',
  ],
  ['SHA-1 and DSA', '1.2.840.10040.4.3'],
  ['SHA-1 and ECDSA', '1.2.840.10045.4.1'],
];

function weakName(identifier: Uint8Array): string {
  const hex = toHex(identifier.subarray(0, 64));
  try {
    const type = toHex(readTlv(readTlv(identifier).value).bytes);
    return WEAK.find(([, known]) => toHex(oid(known)) === type)?.[0] ?? `an unknown algorithm (${hex})`;
  } catch {
    return `a malformed algorithm identifier (${hex})`;
  }
}
