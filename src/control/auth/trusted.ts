/**
 * Certificates that once led to a trust anchor, and the signatures between them that were right: a peer
 * that comes back, if only to authenticate anew, need not be read and checked from the start. Nothing
 * is kept here that time, a CRL or the configuration could make untrue.
 */
import crypto from 'node:crypto';
import type { Signatures } from '../crypto/provider.ts';
import type { Certificate } from './certificate.ts';

/** The least recently seen goes first. */
const MAX_CERTIFICATES = 512;
/** Bytes of a certificate that is kept. */
const MAX_LENGTH = 8192;

const certificates = new Map<string, Certificate>();
/** What verified each link, from a certificate to its issuer. */
const links = new WeakMap<Certificate, WeakMap<Certificate, Signatures>>();

const fingerprint = (der: Uint8Array): string => crypto.hash('sha256', der, 'hex');

/** @returns the certificate of exactly these bytes, if it is kept */
export function recall(der: Uint8Array): Certificate | undefined {
  if (certificates.size === 0 || der.length > MAX_LENGTH) return undefined;
  const key = fingerprint(der);
  const certificate = certificates.get(key);
  if (certificate === undefined) return undefined;
  certificates.delete(key);
  certificates.set(key, certificate);
  return certificate;
}

/** @param path of certificates that was found valid: only those are worth memory, which nobody else can use up */
export function remember(path: readonly Certificate[]): void {
  for (const certificate of path) {
    if (certificate.der.length > MAX_LENGTH) continue;
    certificates.set(fingerprint(certificate.der), certificate);
    if (certificates.size > MAX_CERTIFICATES) certificates.delete(certificates.keys().next().value!);
  }
}

/** @returns whether `isSigned`, or an earlier call of it with the same provider, says that `issuer` signed `subject` */
export function signedBy(
  subject: Certificate,
  issuer: Certificate,
  signatures: Signatures,
  isSigned: () => boolean,
): boolean {
  const issuers = links.get(subject) ?? new WeakMap<Certificate, Signatures>();
  if (issuers.get(issuer) === signatures) return true;
  if (!isSigned()) return false;
  links.set(subject, issuers.set(issuer, signatures));
  return true;
}
