/** Public values that no honest peer sends, signatures that only a lenient verifier takes, and a provider that counts. */
import crypto, { type KeyObject } from 'node:crypto';
import { der, oid, TAG } from '../../src/control/auth/der.ts';
import { createProvider } from '../../src/control/crypto/index.ts';
import { MODP_GROUPS } from '../../src/control/crypto/modp-groups.ts';
import type { CryptoProvider, Signatures } from '../../src/control/crypto/provider.ts';
import { KE, KEY_EXCHANGES, type KeyExchangeAlgorithm } from '../../src/control/crypto/registry.ts';
import { concat } from '../../src/control/wire/bytes.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const big = (value: bigint, length: number): Uint8Array => hex(value.toString(16).padStart(2 * length, '0'));
const little = (value: bigint, length: number): Uint8Array => big(value, length).reverse();
const all = (byte: number, length: number): Uint8Array => new Uint8Array(length).fill(byte);

const P25519 = 2n ** 255n - 19n;
const P448 = 2n ** 448n - 2n ** 224n - 1n;

/** RFC 7748 §6: what makes the shared secret all zero. */
const SMALL_ORDER: Readonly<Record<number, readonly Uint8Array[]>> = {
  [KE.CURVE25519]: [
    ...[0n, 1n, P25519 - 1n, P25519, P25519 + 1n].map((value) => little(value, 32)),
    // Points of order 8.
    hex('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'),
    hex('5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157'),
  ],
  [KE.CURVE448]: [0n, 1n, P448 - 1n, P448, P448 + 1n].map((value) => little(value, 56)),
};

const CURVE_NAMES: Readonly<Record<number, string>> = {
  [KE.ECP_256]: 'prime256v1',
  [KE.ECP_384]: 'secp384r1',
  [KE.ECP_521]: 'secp521r1',
};

/** RFC 5903 §8, RFC 6989 §2.3: a point that is not on the curve, coordinates beyond the field, the point at infinity. */
function offCurve(id: number): Uint8Array[] {
  const ecdh = crypto.createECDH(CURVE_NAMES[id]!);
  const point = Uint8Array.from(ecdh.generateKeys().subarray(1));
  const altered = point.slice();
  altered[altered.length - 1]! ^= 1;
  return [
    altered,
    all(0, point.length),
    all(0xff, point.length),
    concat(point.subarray(0, point.length / 2), all(0, point.length / 2)),
  ];
}

function specialValues({ id, family, lengths: [length] }: KeyExchangeAlgorithm): readonly Uint8Array[] {
  if (family === 'montgomery') return SMALL_ORDER[id]!;
  if (family === 'ecp') return offCurve(id);
  // FIPS 203 §7.2: coefficients that are not below q.
  if (family === 'kem') return [all(0xff, length)];
  const prime = MODP_GROUPS[id]!.prime;
  return [0n, 1n, prime - 1n, prime].map((value) => big(value, length)).concat(all(0xff, length));
}

/** KE data of every method that must not be computed with, each with what is wrong with it. */
export const BAD_PUBLIC_VALUES = KEY_EXCHANGES.flatMap((algorithm) => {
  const { id, keyword, family, lengths } = algorithm;
  const [length] = lengths;
  const wrongLengths = [1, length - 1, length + 1, 2 * length].map((bytes) => all(9, bytes));
  return [...wrongLengths, ...specialValues(algorithm)].map((data, index) => ({ id, keyword, family, data, index }));
});

const SHA256 = '2.16.840.1.101.3.4.2.1';
const SHA1 = '1.3.14.3.2.26';

type Block = (digest: Uint8Array, length: number) => Uint8Array;

const info = (digest: Uint8Array, type: string, ...parameters: Uint8Array[]): Uint8Array =>
  der(TAG.SEQUENCE, der(TAG.SEQUENCE, oid(type), ...parameters), der(TAG.OCTET_STRING, digest));
const right = (digest: Uint8Array): Uint8Array => info(digest, SHA256, der(TAG.NULL));

/** 00 | 01 | ff … | 00 | tail, with as much padding as there is room for, or as is said. */
function block(tail: Uint8Array, length: number, { type = 1, fill = 0xff, padding = length - 3 - tail.length } = {}) {
  const out = new Uint8Array(length);
  out.set(concat(Uint8Array.of(0, type), all(fill, padding), Uint8Array.of(0), tail));
  return out;
}

/** EMSA-PKCS1-v1_5 (RFC 8017 §9.2) as it should be, and as CVEs took it. */
export const PKCS1_BLOCKS: Readonly<Record<string, Block>> = {
  'the one right block': (digest, length) => block(right(digest), length),
  "Bleichenbacher's of 2006: eight bytes of padding, garbage behind the DigestInfo": (digest, length) =>
    block(concat(right(digest), all(7, 100)), length, { padding: 8 }),
  'garbage behind a full padding': (digest, length) => block(concat(right(digest), all(7, 1)), length),
  'garbage in the parameters of the hash': (digest, length) =>
    block(info(digest, SHA256, der(TAG.OCTET_STRING, all(7, 64))), length),
  'a hash without its NULL': (digest, length) => block(info(digest, SHA256), length),
  'the name of another hash': (digest, length) => block(info(digest, SHA1, der(TAG.NULL)), length),
  'a bare digest': (digest, length) => block(digest, length),
  'padding of other bytes': (digest, length) => block(right(digest), length, { fill: 0xfe }),
  'no padding at all': (digest, length) => block(right(digest), length, { padding: 0 }),
  'block type 2': (digest, length) => block(right(digest), length, { type: 2 }),
};

/** @returns the node provider, but for how it signs */
export const signingWith = (sign: (key: KeyObject, data: Uint8Array) => Uint8Array): CryptoProvider => {
  const provider = createProvider('node');
  const signatures: Signatures = { ...provider.signatures, sign: (_scheme, key, data) => sign(key, data) };
  return { ...provider, signatures };
};

/** Raises a block of one's own making to the private exponent: what a lenient verifier would take. */
export const forging = (make: Block): CryptoProvider =>
  signingWith((key, data) => {
    const digest = crypto.createHash('sha256').update(data).digest();
    const length = key.asymmetricKeyDetails!.modulusLength! / 8;
    return Uint8Array.from(
      crypto.privateEncrypt({ key, padding: crypto.constants.RSA_NO_PADDING }, make(digest, length)),
    );
  });

/** @returns the node provider, and how often it decrypted something of IKE's */
export function counting(): { readonly crypto: CryptoProvider; opened: number } {
  const provider = createProvider('node');
  const counter = { crypto: provider, opened: 0 };
  const cipher: CryptoProvider['cipher'] = (id, bits) => {
    const real = provider.cipher(id, bits);
    return (
      real && {
        ...real,
        open(...given) {
          counter.opened++;
          return real.open(...given);
        },
      }
    );
  };
  return Object.assign(counter, { crypto: { ...provider, cipher } });
}
