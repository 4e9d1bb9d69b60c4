/**
 * A public key infrastructure for a laboratory: a CA, certificates under it and its revocation list.
 * For production use a CA that keeps its key somewhere safer than a file.
 */
import crypto from 'node:crypto';
import { EspalierError } from '../../errors.ts';
import { equalBytes } from '../wire/bytes.ts';
import { parseCertificate } from './certificate.ts';
import { type Extension, extension, writeCertificate, writeCrl } from './certificate-writer.ts';
import { isEmptyDn, parseDn } from './dn.ts';
import { KEY_USAGE } from './extensions.ts';

/** Kinds of keys that `espalier pki` makes. */
export const KEY_KINDS = ['rsa2048', 'rsa3072', 'rsa4096', 'ecp256', 'ecp384', 'ecp521', 'ed25519', 'ed448'] as const;
export type KeyKind = (typeof KEY_KINDS)[number];

/** A certificate with its key, both DER; the key is PKCS#8. */
export interface Credentials {
  readonly certificate: Uint8Array;
  readonly privateKey: Uint8Array;
}

export interface CaOptions {
  /** `CN=Laboratory CA, O=Example` */
  readonly subject: string;
  readonly kind?: KeyKind;
  /** Made by `generateKey`; without one, a new key of `kind`. */
  readonly privateKey?: Uint8Array;
  /** Without one, the CA signs itself. */
  readonly issuer?: Credentials;
  readonly days?: number;
  /** CA certificates that may stand below it, besides the end entity's. */
  readonly pathLength?: number;
  /** Name constraints: `example.org`, `email:example.org`, `10.1.0.0/16`, `O=Example`. */
  readonly permitted?: readonly string[];
  readonly excluded?: readonly string[];
  /** Seconds since 1970; the clock's by default. */
  readonly now?: number;
}

export interface CertificateOptions {
  readonly issuer: Credentials;
  readonly subject: string;
  /** `gw.example.org`, `192.0.2.1`, `alice@example.org`: what the peer may call itself. */
  readonly names?: readonly string[];
  readonly kind?: KeyKind;
  readonly privateKey?: Uint8Array;
  readonly days?: number;
  readonly now?: number;
  /** Replaces the extensions of the same type, or adds to them. */
  readonly extensions?: readonly Extension[];
}

export interface CrlOptions {
  readonly issuer: Credentials;
  /** Certificates of that CA, DER. */
  readonly revoked: readonly Uint8Array[];
  readonly days?: number;
  readonly now?: number;
  readonly number?: number;
}

const DAY = 86_400;
const CA_DAYS = 3650;
const CERTIFICATE_DAYS = 1095;
const CRL_DAYS = 30;
/** Clocks that are behind by less than this still find a new certificate valid. */
const BACKDATE = 300;
const IPSEC_IKE = '1.3.6.1.5.5.7.3.17';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

const CURVE_OF: Readonly<Partial<Record<KeyKind, string>>> = { ecp256: 'P-256', ecp384: 'P-384', ecp521: 'P-521' };

/** @returns a new private key, PKCS#8 DER */
export function generateKey(kind: KeyKind): Uint8Array {
  return Uint8Array.from(newKey(kind).export({ format: 'der', type: 'pkcs8' }));
}

function newKey(kind: KeyKind): crypto.KeyObject {
  if (kind === 'ed25519') return crypto.generateKeyPairSync('ed25519').privateKey;
  if (kind === 'ed448') return crypto.generateKeyPairSync('ed448').privateKey;
  const namedCurve = CURVE_OF[kind];
  if (namedCurve !== undefined) return crypto.generateKeyPairSync('ec', { namedCurve }).privateKey;
  return crypto.generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(3)) }).privateKey;
}

const keyOf = (privateKey: Uint8Array): crypto.KeyObject =>
  crypto.createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' });

const clock = (): number => Math.floor(Date.now() / 1000);

/** RFC 5280 §4.1.2.2: positive and unpredictable; 0x40 in front keeps it both positive and minimal. */
const newSerial = (): Uint8Array => Uint8Array.of(0x40, ...crypto.randomBytes(15));

/** @returns a CA: a root, or with `issuer` an intermediate one */
export function createCa(options: CaOptions): Credentials {
  const { issuer, pathLength, permitted = [], excluded = [] } = options;
  const privateKey = options.privateKey ?? generateKey(options.kind ?? 'ecp256');
  const key = keyOf(privateKey);
  const signer = issuer === undefined ? key : keyOf(issuer.privateKey);
  const subject = parseDn(options.subject);
  const constrained = permitted.length + excluded.length > 0;
  const publicKey = crypto.createPublicKey(key);
  const certificate = writeCertificate(
    {
      ...lifetime(options.now ?? clock(), options.days ?? CA_DAYS),
      serial: newSerial(),
      issuer: issuer === undefined ? subject : parseCertificate(issuer.certificate).subject,
      subject,
      publicKey,
      extensions: [
        extension.basicConstraints(true, pathLength),
        extension.keyUsage(KEY_USAGE.keyCertSign, KEY_USAGE.cRLSign),
        extension.subjectKeyIdentifier(publicKey),
        extension.authorityKeyIdentifier(crypto.createPublicKey(signer)),
        ...(constrained ? [extension.nameConstraints(permitted, excluded)] : []),
      ],
    },
    signer,
  );
  return { certificate, privateKey };
}

/** @returns an end entity's certificate for IKE, with its key */
export function createCertificate(options: CertificateOptions): Credentials {
  const { issuer, names = [] } = options;
  const privateKey = options.privateKey ?? generateKey(options.kind ?? 'ecp256');
  const publicKey = crypto.createPublicKey(keyOf(privateKey));
  const signer = keyOf(issuer.privateKey);
  const subject = options.subject === '' ? Uint8Array.of(0x30, 0) : parseDn(options.subject);
  const defaults = [
    extension.basicConstraints(false),
    extension.keyUsage(KEY_USAGE.digitalSignature),
    extension.extendedKeyUsage(IPSEC_IKE, SERVER_AUTH, CLIENT_AUTH),
    extension.subjectKeyIdentifier(publicKey),
    extension.authorityKeyIdentifier(crypto.createPublicKey(signer)),
    // RFC 5280 §4.2.1.6: critical where it is all the name there is.
    ...(names.length === 0 ? [] : [extension.subjectAltName(names, isEmptyDn(subject))]),
  ];
  const own = options.extensions ?? [];
  const kept = defaults.filter(({ type }) => own.every((replacement) => replacement.type !== type));
  const certificate = writeCertificate(
    {
      ...lifetime(options.now ?? clock(), options.days ?? CERTIFICATE_DAYS),
      serial: newSerial(),
      issuer: parseCertificate(issuer.certificate).subject,
      subject,
      publicKey,
      extensions: [...kept, ...own],
    },
    signer,
  );
  return { certificate, privateKey };
}

const lifetime = (now: number, days: number): { notBefore: number; notAfter: number } => ({
  notBefore: now - BACKDATE,
  notAfter: now + days * DAY,
});

/**
 * @returns a revocation list, DER
 * @throws EspalierError `ERR_CERTIFICATE` for a certificate that another CA issued
 */
export function createCrl({ issuer, revoked, days = CRL_DAYS, now = clock(), number = now }: CrlOptions): Uint8Array {
  const ca = parseCertificate(issuer.certificate);
  const signer = keyOf(issuer.privateKey);
  const entries = revoked.map((bytes) => {
    const certificate = parseCertificate(bytes);
    if (!equalBytes(certificate.issuer, ca.subject)) {
      throw new EspalierError('ERR_CERTIFICATE', `certificate "${certificate.text}" was not issued by "${ca.text}"`);
    }
    return { serial: Uint8Array.from(Buffer.from(certificate.serial, 'hex')), date: now };
  });
  return writeCrl(
    {
      issuer: ca.subject,
      thisUpdate: now,
      nextUpdate: now + days * DAY,
      revoked: entries,
      extensions: [extension.authorityKeyIdentifier(crypto.createPublicKey(signer)), extension.crlNumber(number)],
    },
    signer,
  );
}
