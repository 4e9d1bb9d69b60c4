/**
 * CERT and CERTREQ payloads (RFC 7296 §3.6, §3.7): which certificates to send and to ask for. Only
 * certificates by value are sent and taken; whatever names a URL is left alone.
 */
import type { ConnectionConfig, LocalAuth, RemoteAuth } from '../config/model.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { concat, equalBytes } from '../wire/bytes.ts';
import { CERT_ENCODING, HASH } from '../wire/iana.ts';
import type { CertPayload } from '../wire/payloads/cert.ts';
import type { CertreqPayload } from '../wire/payloads/certreq.ts';
import { type Certificate, parseCertificate } from './certificate.ts';

/** More no honest peer sends: a path has eight certificates at most. */
const MAX_CERTIFICATES = 16;

/**
 * @param requests CERTREQ payloads of the peer
 * @returns CERT payloads, the end entity's first; a root that the peer must have anyway is left out
 */
export function certPayloads(
  local: LocalAuth,
  sendCert: ConnectionConfig['sendCert'],
  requests: readonly CertreqPayload[],
): CertPayload[] {
  const asked = requests.some(({ encoding }) => encoding === CERT_ENCODING.X509_SIGNATURE);
  if (local.auth !== 'pubkey' || sendCert === 'never' || (sendCert === 'ifasked' && !asked)) return [];
  return local.certs
    .filter((bytes, index) => index === 0 || !isSelfIssued(parseCertificate(bytes)))
    .map((data) => ({ kind: 'CERT', encoding: CERT_ENCODING.X509_SIGNATURE, data }));
}

const isSelfIssued = ({ subject, issuer }: Certificate): boolean => equalBytes(subject, issuer);

/** @returns the CERTREQ payload that names our trust anchors by the SHA-1 of their keys; none where nothing is to be asked */
export function certRequest(remote: RemoteAuth, provider: CryptoProvider): CertreqPayload | undefined {
  if ((remote.auth !== 'pubkey' && remote.auth !== 'any') || remote.cacerts.length === 0) return undefined;
  const hashes = remote.cacerts.map((bytes) => provider.hash(HASH.SHA1, parseCertificate(bytes).spki));
  return { kind: 'CERTREQ', encoding: CERT_ENCODING.X509_SIGNATURE, authority: concat(...hashes) };
}

/** @returns the subject of the local end-entity certificate, DER; see `localIdentity` */
export function localSubject({ certs }: LocalAuth): Uint8Array | undefined {
  const [leaf] = certs;
  return leaf === undefined ? undefined : parseCertificate(leaf).subject;
}

/** What a peer sent: its own certificate first (RFC 7296 §3.6), then any that may help to find a path. */
export interface PeerCertificates {
  /** Undefined if it sent none. */
  readonly leaf: Certificate | undefined;
  readonly others: readonly Certificate[];
}

/** @returns the peer's certificates, or why its own is unreadable; unreadable helpers are passed over */
export function readPeerCertificates(
  payloads: readonly CertPayload[],
): PeerCertificates | { readonly problem: string } {
  const [first, ...rest] = payloads
    .filter(({ encoding }) => encoding === CERT_ENCODING.X509_SIGNATURE)
    .slice(0, MAX_CERTIFICATES);
  if (first === undefined) return { leaf: undefined, others: [] };
  const leaf = tryParse(first.data);
  if (typeof leaf === 'string') return { problem: leaf };
  const others = rest.map(({ data }) => tryParse(data)).filter((parsed) => typeof parsed !== 'string');
  return { leaf, others };
}

function tryParse(data: Uint8Array): Certificate | string {
  try {
    return parseCertificate(data);
  } catch (error) {
    return error instanceof Error ? error.message : 'certificate is unreadable';
  }
}
