/**
 * Certificate revocation lists (RFC 5280 §5), from files only: nothing is ever fetched from an address
 * that a certificate names.
 *
 *   TBSCertList ::= SEQUENCE { version, signature, issuer, thisUpdate, nextUpdate,
 *                              revokedCertificates, [0] crlExtensions }
 */
import { EspalierError } from '../../errors.ts';
import type { Signatures } from '../crypto/provider.ts';
import { equalBytes, toHex } from '../wire/bytes.ts';
import { bitString, type Certificate, parseTime } from './certificate.ts';
import { readAll, readOnly, TAG, type Tlv } from './der.ts';
import { isDn } from './dn.ts';
import { KEY_USAGE, type RawExtension, readExtensions } from './extensions.ts';
import { algorithmOf, verify } from './signature.ts';

export interface Crl {
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly issuer: Uint8Array;
  readonly thisUpdate: number;
  readonly nextUpdate: number | undefined;
  /** Serial numbers, in hexadecimal. */
  readonly revoked: ReadonlySet<string>;
}

const bad = (why: string): EspalierError => new EspalierError('ERR_CRL', `revocation list ${why}`);
const parsed = new WeakMap<Uint8Array, Crl>();

/** @throws EspalierError `ERR_CRL` or `ERR_DER`, also for lists that cover only a part: delta and indirect ones */
export function parseCrl(bytes: Uint8Array): Crl {
  const known = parsed.get(bytes);
  if (known !== undefined) return known;
  const crl = parse(bytes);
  parsed.set(bytes, crl);
  return crl;
}

const isTime = (tlv: Tlv | undefined): tlv is Tlv => tlv?.tag === 0x17 || tlv?.tag === 0x18;

function parse(bytes: Uint8Array): Crl {
  const [tbs, algorithm, signature, ...more] = readAll(readOnly(bytes, TAG.SEQUENCE).value);
  if (tbs === undefined || algorithm === undefined || signature === undefined || more.length > 0) {
    throw bad('is not made of three parts');
  }
  const fields = readAll(readOnly(tbs.bytes, TAG.SEQUENCE).value);
  if (fields[0]?.tag === TAG.INTEGER) fields.shift();
  const [inner, issuer, thisUpdate] = fields.splice(0, 3);
  if (issuer === undefined || !isDn(issuer.bytes) || !isTime(thisUpdate)) throw bad('lacks fields');
  if (!equalBytes(inner!.bytes, algorithm.bytes)) throw bad('names two different signature algorithms');
  const nextUpdate = isTime(fields[0]) ? parseTime(fields.shift()!) : undefined;
  const entries = fields[0]?.tag === TAG.SEQUENCE ? readAll(fields.shift()!.value) : [];
  const extensions = fields[0]?.tag === 0xa0 ? fields.shift()!.value : new Uint8Array();
  if (fields.length > 0) throw bad('has fields behind its end');
  refuseCritical(readExtensions(extensions));
  return {
    tbs: tbs.bytes,
    signatureAlgorithm: algorithm.bytes,
    signature: bitString(signature),
    issuer: issuer.bytes,
    thisUpdate: parseTime(thisUpdate),
    nextUpdate,
    revoked: new Set(entries.map(revokedSerial)),
  };
}

function revokedSerial(entry: Tlv): string {
  const [serial, date, extensions] = readAll(readOnly(entry.bytes, TAG.SEQUENCE).value);
  if (serial?.tag !== TAG.INTEGER || !isTime(date)) throw bad('has a malformed entry');
  refuseCritical(readExtensions(extensions?.bytes ?? new Uint8Array()));
  return toHex(serial.value);
}

/** RFC 5280 §5.2: every extension that limits what a list says is critical. */
function refuseCritical(extensions: readonly RawExtension[]): void {
  const critical = extensions.find((extension) => extension.critical);
  if (critical !== undefined) throw bad(`has the critical extension ${critical.type}: use a full list of its CA`);
}

/** By what revocation is judged. */
interface Grounds {
  readonly crls: readonly Crl[];
  /** Seconds since 1970. */
  readonly now: number;
  readonly signatures: Signatures;
}

/**
 * @param issuer the CA that issued `certificate`, already trusted. Without it, which only a certificate that is trusted
 *   by itself can do, a list is taken at its word: it comes from the same hand as that certificate.
 * @returns why the certificate counts as revoked, in words that end a sentence about it; undefined if it does not.
 *   A list that is out of date refuses: it may hide a revocation.
 */
export function revocationProblem(
  grounds: Grounds,
  certificate: Certificate,
  issuer: Certificate | undefined,
): string | undefined {
  const lists = grounds.crls.filter((crl) => equalBytes(crl.issuer, certificate.issuer));
  if (lists.length === 0) return undefined;
  const problems = lists.map((crl) => listProblem(crl, certificate, issuer, grounds));
  // Of several lists of one CA, one that is good and current is enough, unless any names the certificate.
  return problems.find((problem) => problem === REVOKED) ?? (problems.includes(undefined) ? undefined : problems[0]);
}

/** @returns whether any of the lists names the certificate, however old the list is */
export const isRevoked = (
  crls: readonly Crl[],
  { issuer: name, serial }: Certificate,
  issuer: Certificate | undefined,
  signatures: Signatures,
): boolean =>
  crls.some(
    (crl) =>
      equalBytes(crl.issuer, name) &&
      crl.revoked.has(serial) &&
      (issuer === undefined || signatureProblem(crl, issuer, signatures) === undefined),
  );

const REVOKED = 'was revoked by its issuer';

function listProblem(
  crl: Crl,
  certificate: Certificate,
  issuer: Certificate | undefined,
  { now, signatures }: Grounds,
): string | undefined {
  const forgery = issuer && signatureProblem(crl, issuer, signatures);
  if (forgery !== undefined) return forgery;
  if (crl.revoked.has(certificate.serial)) return REVOKED;
  if (crl.thisUpdate > now) return 'has a revocation list from the future';
  if (crl.nextUpdate !== undefined && crl.nextUpdate < now) {
    return `has a revocation list that expired on ${new Date(crl.nextUpdate * 1000).toISOString()}: get a new one`;
  }
  return undefined;
}

function signatureProblem(crl: Crl, issuer: Certificate, signatures: Signatures): string | undefined {
  const { keyUsage } = issuer.extensions;
  if (keyUsage !== undefined && !keyUsage.has(KEY_USAGE.cRLSign))
    return "has an issuer that must not sign the revocation list it's on";
  const algorithm = algorithmOf(crl.signatureAlgorithm);
  if (algorithm === undefined) return 'has a revocation list signed with an algorithm we do not take';
  if (!verify(signatures, algorithm, issuer.publicKey, crl.tbs, crl.signature))
    return 'has a revocation list with a wrong signature';
  return undefined;
}
