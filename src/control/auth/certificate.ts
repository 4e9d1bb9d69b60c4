/**
 * X.509 certificates (RFC 5280 §4), parsed strictly into what path validation needs:
 *
 *   Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }
 *   TBSCertificate ::= SEQUENCE { [0] version, serialNumber, signature, issuer, validity, subject,
 *                                 subjectPublicKeyInfo, [1] issuerUniqueID, [2] subjectUniqueID, [3] extensions }
 */
import crypto, { type KeyObject } from 'node:crypto';
import { EspalierError } from '../../errors.ts';
import { equalBytes, toHex } from '../wire/bytes.ts';
import { readAll, readOnly, readTlv, TAG, type Tlv } from './der.ts';
import { dnText, isDn } from './dn.ts';
import { type Extensions, parseExtensions } from './extensions.ts';
import { fromBytes } from './identity.ts';
import { recall } from './trusted.ts';

export interface Certificate {
  readonly der: Uint8Array;
  /** What the issuer signed. */
  readonly tbs: Uint8Array;
  /** AlgorithmIdentifier. */
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  /** Contents of the INTEGER, hexadecimal. */
  readonly serial: string;
  /** Names as DER. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  /** Seconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly publicKey: KeyObject;
  readonly extensions: Extensions;
  /** For people: the subject, or where that is empty the first alternative name. */
  readonly text: string;
}

const bad = (why: string): EspalierError => new EspalierError('ERR_CERTIFICATE', `certificate ${why}`);

/** One certificate is parsed once, however often the peer or the configuration shows the same bytes object. */
const parsed = new WeakMap<Uint8Array, Certificate>();

/** @throws EspalierError `ERR_CERTIFICATE` or `ERR_DER` */
export function parseCertificate(bytes: Uint8Array): Certificate {
  const known = parsed.get(bytes) ?? recall(bytes);
  if (known !== undefined) return known;
  const certificate = parse(bytes);
  parsed.set(bytes, certificate);
  return certificate;
}

function parse(bytes: Uint8Array): Certificate {
  const [tbs, algorithm, signature] = members(readOnly(bytes, TAG.SEQUENCE), 3, 'is not made of three parts');
  const fields = readAll(expectTag(tbs!, TAG.SEQUENCE).value);
  // RFC 5280 §4.1.2.1: [0] { INTEGER 2 } is version 3, the only one with extensions.
  if (toHex(fields.shift()?.bytes ?? new Uint8Array()) !== 'a003020102') throw bad('is not of version 3');
  const [serial, inner, issuer, validity, subject, spki, ...optional] = fields;
  if (spki === undefined) throw bad('lacks fields');
  if (!equalBytes(inner!.bytes, algorithm!.bytes)) throw bad('names two different signature algorithms');
  if (!isDn(issuer!.bytes) || !isDn(subject!.bytes)) throw bad('has a malformed name');
  const [notBefore, notAfter] = members(validity!, 2, 'has a malformed validity').map(parseTime);
  const extensions = parseExtensions(extensionsField(optional));
  return {
    der: bytes,
    tbs: tbs!.bytes,
    signatureAlgorithm: algorithm!.bytes,
    signature: bitString(signature!),
    serial: toHex(expectTag(serial!, TAG.INTEGER).value),
    issuer: issuer!.bytes,
    subject: subject!.bytes,
    notBefore: notBefore!,
    notAfter: notAfter!,
    spki: spki.bytes,
    publicKey: publicKeyOf(spki.bytes),
    extensions,
    text: textOf(subject!.bytes, extensions),
  };
}

function expectTag(tlv: Tlv, tag: number): Tlv {
  if (tlv.tag !== tag) throw bad(`has tag ${tlv.tag} where ${tag} must stand`);
  return tlv;
}

function members(tlv: Tlv, count: number, why: string): Tlv[] {
  const found = readAll(expectTag(tlv, TAG.SEQUENCE).value);
  if (found.length !== count) throw bad(why);
  return found;
}

/** @returns the octets of a BIT STRING of whole bytes */
export function bitString(tlv: Tlv): Uint8Array {
  expectTag(tlv, TAG.BIT_STRING);
  if (tlv.value[0] !== 0) throw bad('has a bit string of broken bytes');
  return tlv.value.subarray(1);
}

/** [1] and [2] are passed over (RFC 5280 §4.1.2.8); [3] holds the extensions. */
function extensionsField(optional: readonly Tlv[]): Uint8Array {
  let last = 0;
  let extensions: Uint8Array = new Uint8Array();
  for (const { tag, value } of optional) {
    if (![0x81, 0x82, 0xa3].includes(tag) || tag <= last) throw bad('has fields behind its end');
    if (tag === 0xa3) extensions = value;
    last = tag;
  }
  return extensions;
}

/**
 * UTCTime `YYMMDDHHMMSSZ` up to 2049, GeneralizedTime `YYYYMMDDHHMMSSZ` after (RFC 5280 §4.1.2.5).
 * @returns seconds since 1970 @throws EspalierError
 */
export function parseTime({ tag, value }: Tlv): number {
  const text = Buffer.from(value).toString('latin1');
  const utc = tag === 0x17 && /^\d{12}Z$/.test(text);
  if (!utc && !(tag === 0x18 && /^\d{14}Z$/.test(text))) throw bad('has a malformed time');
  const full = utc ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text;
  const iso = full.replace(/^(....)(..)(..)(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z');
  const millis = Date.parse(iso);
  if (Number.isNaN(millis)) throw bad('has a time that no calendar has');
  return millis / 1000;
}

function publicKeyOf(spki: Uint8Array): KeyObject {
  try {
    return crypto.createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new EspalierError('ERR_CERTIFICATE', 'certificate has a public key of a kind we do not know', { cause });
  }
}

function textOf(subject: Uint8Array, { subjectAltNames }: Extensions): string {
  const [name] = subjectAltNames;
  const empty = readTlv(subject).value.length === 0;
  return empty && name?.idType !== undefined
    ? fromBytes({ idType: name.idType, data: name.data }).text
    : dnText(subject);
}
