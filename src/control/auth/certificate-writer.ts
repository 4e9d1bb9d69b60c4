/** Writes certificates and revocation lists as DER (RFC 5280 §4.1, §5.1), signed; the reader is `certificate.ts`. */
import crypto, { type KeyObject } from 'node:crypto';
import { nodeSignatures } from '../crypto/node-signatures.ts';
import { addressBytes } from '../wire/address.ts';
import { concat } from '../wire/bytes.ts';
import { ID_TYPE } from '../wire/iana.ts';
import { der, oid, TAG } from './der.ts';
import { EXTENSION, NAME_FORM } from './extensions.ts';
import { type IdentityBytes, parseIdentity } from './identity.ts';
import { curveOf, SIGNATURE_ALGORITHMS, type SignatureAlgorithm, sign } from './signature.ts';

/** One extension, its value as DER. */
export interface Extension {
  readonly type: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

export interface CertificateFields {
  /** Contents of the INTEGER: big-endian, positive. */
  readonly serial: Uint8Array;
  /** Names, DER. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  /** Seconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Extension[];
}

export interface CrlFields {
  readonly issuer: Uint8Array;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly revoked: readonly { readonly serial: Uint8Array; readonly date: number }[];
  readonly extensions: readonly Extension[];
}

/** How a key signs certificates: PKCS#1 v1.5 with RSA, which everything reads; the curve's own hash with ECDSA. */
export function signerOf(key: KeyObject): SignatureAlgorithm {
  const bits = curveOf(key)?.bits ?? 256;
  return SIGNATURE_ALGORITHMS.find(
    ({ keys, padding, digest }) =>
      keys.some((type) => type === key.asymmetricKeyType) &&
      (key.asymmetricKeyType === 'rsa-pss' || padding !== 'pss') &&
      (digest === null || digest === `sha${bits}`),
  )!;
}

/** @returns SEQUENCE { tbs, signatureAlgorithm, signatureValue } around what `tbs` gives for the AlgorithmIdentifier */
function signed(
  key: KeyObject,
  algorithm: SignatureAlgorithm,
  tbs: (identifier: Uint8Array) => Uint8Array,
): Uint8Array {
  const [identifier] = algorithm.identifiers;
  const body = tbs(identifier!);
  return der(TAG.SEQUENCE, body, identifier!, bitString(sign(nodeSignatures, algorithm, key, body)));
}

const bitString = (bytes: Uint8Array): Uint8Array => der(TAG.BIT_STRING, Uint8Array.of(0), bytes);
const explicit = (n: number, value: Uint8Array): Uint8Array => der(0xa0 | n, value);

/** @returns the certificate's DER */
export function writeCertificate(
  fields: CertificateFields,
  signingKey: KeyObject,
  algorithm: SignatureAlgorithm = signerOf(signingKey),
): Uint8Array {
  return signed(signingKey, algorithm, (identifier) =>
    der(
      TAG.SEQUENCE,
      explicit(0, der(TAG.INTEGER, Uint8Array.of(2))),
      der(TAG.INTEGER, fields.serial),
      identifier,
      fields.issuer,
      der(TAG.SEQUENCE, time(fields.notBefore), time(fields.notAfter)),
      fields.subject,
      spkiOf(fields.publicKey),
      explicit(3, extensionList(fields.extensions)),
    ),
  );
}

/** @returns the list's DER */
export function writeCrl(fields: CrlFields, signingKey: KeyObject): Uint8Array {
  const entries = fields.revoked.map(({ serial, date }) => der(TAG.SEQUENCE, der(TAG.INTEGER, serial), time(date)));
  return signed(signingKey, signerOf(signingKey), (identifier) =>
    der(
      TAG.SEQUENCE,
      der(TAG.INTEGER, Uint8Array.of(1)),
      identifier,
      fields.issuer,
      time(fields.thisUpdate),
      time(fields.nextUpdate),
      // RFC 5280 §5.1.2.6: an empty list is left out.
      entries.length === 0 ? new Uint8Array() : der(TAG.SEQUENCE, ...entries),
      explicit(0, extensionList(fields.extensions)),
    ),
  );
}

function extensionList(extensions: readonly Extension[]): Uint8Array {
  const items = extensions.map(({ type, critical, value }) =>
    der(
      TAG.SEQUENCE,
      oid(type),
      critical ? der(TAG.BOOLEAN, Uint8Array.of(0xff)) : new Uint8Array(),
      der(TAG.OCTET_STRING, value),
    ),
  );
  return der(TAG.SEQUENCE, ...items);
}

/** UTCTime up to 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5). */
function time(seconds: number): Uint8Array {
  const text = `${new Date(seconds * 1000).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  const utc = Number(text.slice(0, 4)) < 2050;
  return der(utc ? 0x17 : 0x18, Buffer.from(utc ? text.slice(2) : text, 'latin1'));
}

/** @returns SubjectPublicKeyInfo, DER */
export const spkiOf = (publicKey: KeyObject): Uint8Array =>
  Uint8Array.from(publicKey.export({ format: 'der', type: 'spki' }));

/** @returns RFC 5280 §4.2.1.2's key identifier; SHA-1 only names the key */
export const keyIdentifier = (publicKey: KeyObject): Uint8Array =>
  Uint8Array.from(crypto.createHash('sha1').update(spkiOf(publicKey)).digest());

/** @returns INTEGER: big-endian, with a zero in front where the first bit would make it negative */
function unsigned(value: number): Uint8Array {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return der(TAG.INTEGER, bytes[0]! > 0x7f ? Uint8Array.of(0, ...bytes) : bytes);
}

/** The extensions a laboratory needs, by name. */
export const extension = {
  /** @param pathLength 0 to 127 */
  basicConstraints: (ca: boolean, pathLength?: number): Extension => ({
    type: EXTENSION.basicConstraints,
    critical: true,
    value: der(
      TAG.SEQUENCE,
      ca ? der(TAG.BOOLEAN, Uint8Array.of(0xff)) : new Uint8Array(),
      pathLength === undefined ? new Uint8Array() : unsigned(pathLength),
    ),
  }),

  /** @param positions KEY_USAGE values below 8 */
  keyUsage(...positions: readonly number[]): Extension {
    const octet = positions.reduce((sum, position) => sum | (0x80 >> position), 0);
    const unused = 7 - Math.max(...positions);
    return { type: EXTENSION.keyUsage, critical: true, value: der(TAG.BIT_STRING, Uint8Array.of(unused, octet)) };
  },

  /** @param purposes dotted */
  extendedKeyUsage: (...purposes: readonly string[]): Extension => ({
    type: EXTENSION.extKeyUsage,
    critical: false,
    value: der(TAG.SEQUENCE, ...purposes.map(oid)),
  }),

  subjectKeyIdentifier: (publicKey: KeyObject): Extension => ({
    type: EXTENSION.subjectKeyIdentifier,
    critical: false,
    value: der(TAG.OCTET_STRING, keyIdentifier(publicKey)),
  }),

  authorityKeyIdentifier: (publicKey: KeyObject): Extension => ({
    type: '2.5.29.35',
    critical: false,
    value: der(TAG.SEQUENCE, der(0x80, keyIdentifier(publicKey))),
  }),

  /** @param names identities as in the configuration: `gw.example.org`, `192.0.2.1`, `alice@example.org` */
  subjectAltName: (names: readonly string[], critical = false): Extension => ({
    type: EXTENSION.subjectAltName,
    critical,
    value: der(TAG.SEQUENCE, ...names.map((name) => generalName(parseIdentity(name)))),
  }),

  /** @param permitted, excluded `example.org`, `email:example.org`, `10.1.0.0/16`, `O=Example` */
  nameConstraints: (permitted: readonly string[], excluded: readonly string[] = []): Extension => ({
    type: EXTENSION.nameConstraints,
    critical: true,
    value: der(TAG.SEQUENCE, ...subtrees(0xa0, permitted), ...subtrees(0xa1, excluded)),
  }),

  crlNumber: (value: number): Extension => ({ type: '2.5.29.20', critical: false, value: unsigned(value) }),
} as const;

const FORMS: Readonly<Record<number, number>> = {
  [ID_TYPE.ID_IPV4_ADDR]: NAME_FORM.IP,
  [ID_TYPE.ID_IPV6_ADDR]: NAME_FORM.IP,
  [ID_TYPE.ID_FQDN]: NAME_FORM.DNS,
  [ID_TYPE.ID_RFC822_ADDR]: NAME_FORM.EMAIL,
  [ID_TYPE.ID_DER_ASN1_DN]: NAME_FORM.DIRECTORY,
};

function generalName({ idType, data }: IdentityBytes): Uint8Array {
  const form = FORMS[idType];
  if (form === undefined) throw new RangeError('a key identifier is no alternative name');
  return der((form === NAME_FORM.DIRECTORY ? 0xa0 : 0x80) | form, data);
}

const subtrees = (tag: number, bases: readonly string[]): Uint8Array[] =>
  bases.length === 0 ? [] : [der(tag, ...bases.map((base) => der(TAG.SEQUENCE, subtreeBase(base))))];

function subtreeBase(base: string): Uint8Array {
  const network = /^([0-9a-fA-F.:]+)\/(\d+)$/.exec(base);
  if (network !== null) {
    const address = addressBytes(network[1]!);
    return der(0x80 | NAME_FORM.IP, concat(address, mask(Number(network[2]), address.length)));
  }
  if (base.startsWith('email:')) return der(0x80 | NAME_FORM.EMAIL, Buffer.from(base.slice(6), 'latin1'));
  return generalName(parseIdentity(base));
}

const mask = (bits: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, at) => (0xff00 >> Math.max(0, Math.min(8, bits - at * 8))) & 0xff);
