/**
 * Whether a signature proves an identity: a certificate that may stand for it, trusted by the
 * configuration, and only then the signature over the handshake.
 */
import type { RemoteAuth } from '../config/model.ts';
import type { Signatures } from '../crypto/provider.ts';
import { equalBytes } from '../wire/bytes.ts';
import type { AuthPayload } from '../wire/payloads/auth.ts';
import type { CertPayload } from '../wire/payloads/cert.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { readPeerCertificates } from './certificates.ts';
import { buildPath, ownProblem, type PathResult } from './chain.ts';
import { isRevoked, parseCrl, revocationProblem } from './crl.ts';
import { holdsIdentity, identitiesText, purposeProblem } from './end-entity.ts';
import { type IdentityBytes, identityText } from './identity.ts';
import { verifyOctets } from './public-key.ts';
import { algorithmOf, verify } from './signature.ts';

export interface SignedProof {
  readonly peerId: IdentityBytes;
  readonly auth: AuthPayload;
  readonly certs: readonly CertPayload[];
  readonly octets: Uint8Array;
  /** Seconds since 1970. */
  readonly now: number;
  readonly signatures: Signatures;
}

export type CertificateVerdict =
  | { readonly ok: true; readonly how: string; readonly path: readonly Certificate[] }
  | { readonly refusal: string };

const refuse = (refusal: string): CertificateVerdict => ({ refusal });

/** @returns whether the peer holds the key of a certificate that we trust for `peerId`; never throws */
export function verifyCertificateAuth(remote: RemoteAuth, proof: SignedProof): CertificateVerdict {
  const { peerId, auth, octets, signatures } = proof;
  const text = identityText(peerId);
  const sent = readPeerCertificates(proof.certs);
  if ('problem' in sent) return refuse(`"${text}" sent a broken certificate: ${sent.problem}`);
  const leaf = sent.leaf ?? known(remote, peerId);
  if (leaf === undefined) {
    return refuse(`"${text}" sent no certificate: let it send one (send_cert = always), or set remote.certs`);
  }
  if (!holdsIdentity(leaf, peerId)) {
    return refuse(
      `the peer says it is "${text}", but its certificate is for ${identitiesText(leaf)}: set local.id there`,
    );
  }
  const problem = purposeProblem(leaf);
  if (problem !== undefined) return refuse(`certificate "${leaf.text}" ${problem}`);
  const trusted = trust(remote, leaf, sent.others, proof);
  if ('problem' in trusted) return refuse(trusted.problem);
  const result = verifyOctets(auth, { signatures, publicKey: leaf.publicKey, octets });
  if ('problem' in result) return refuse(`"${text}" ${result.problem}`);
  return { ok: true, how: `${result.name}, certificate "${leaf.text}"`, path: trusted.path };
}

/** A peer that sends no certificate may have one in our configuration. */
const known = ({ certs }: RemoteAuth, peerId: IdentityBytes): Certificate | undefined =>
  certs.map(parseCertificate).find((certificate) => holdsIdentity(certificate, peerId));

function trust(
  remote: RemoteAuth,
  leaf: Certificate,
  others: readonly Certificate[],
  { now, signatures }: SignedProof,
): PathResult {
  const anchors = remote.cacerts.map(parseCertificate);
  const crls = remote.crls.map(parseCrl);
  if (remote.certs.length > 0) {
    if (!remote.certs.some((bytes) => equalBytes(bytes, leaf.der))) {
      return { problem: `certificate "${leaf.text}" is none of remote.certs` };
    }
    const issuer = anchors.find((anchor) => issued(anchor, leaf, signatures));
    const problem = ownProblem(leaf, now) ?? revocationProblem({ crls, now, signatures }, leaf, issuer);
    if (problem !== undefined) return { problem: `certificate "${leaf.text}" ${problem}` };
    return { path: issuer === undefined ? [leaf] : [leaf, issuer] };
  }
  return buildPath(leaf, others, { anchors, crls, now, signatures });
}

/**
 * Whether what the configuration has become takes back the trust in a peer that has proved itself. That a certificate
 * or a list is out of date by now does not: it is looked at when the peer authenticates again.
 * @param path by which the peer was trusted @returns why it is trusted no more
 */
export function withdrawal(
  { certs, cacerts, crls }: RemoteAuth,
  path: readonly Certificate[],
  signatures: Signatures,
): string | undefined {
  const [leaf, anchor] = [path[0]!, path.at(-1)!];
  if (certs.length > 0) {
    if (!certs.some((bytes) => equalBytes(bytes, leaf.der))) return `"${leaf.text}" is none of remote.certs any more`;
  } else if (!cacerts.map(parseCertificate).some((ca) => isSameCa(ca, anchor))) {
    return `"${anchor.text}" is none of remote.cacerts any more`;
  }
  const lists = crls.map(parseCrl);
  const revoked = path.find((certificate, index) => isRevoked(lists, certificate, path[index + 1], signatures));
  return revoked && `certificate "${revoked.text}" was revoked by its issuer`;
}

/** A CA whose certificate was renewed is the same. */
const isSameCa = (a: Certificate, b: Certificate): boolean =>
  equalBytes(a.subject, b.subject) && equalBytes(a.spki, b.spki);

/** Of CAs with the same name, the one whose key it was. */
function issued(anchor: Certificate, { issuer, signatureAlgorithm, tbs, signature }: Certificate, using: Signatures) {
  const algorithm = algorithmOf(signatureAlgorithm);
  if (algorithm === undefined || !equalBytes(anchor.subject, issuer)) return false;
  return verify(using, algorithm, anchor.publicKey, tbs, signature);
}
