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
import { buildPath, ownProblem } from './chain.ts';
import { parseCrl, revocationProblem } from './crl.ts';
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

export type CertificateVerdict = { readonly ok: true; readonly how: string } | { readonly refusal: string };

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
  const distrust = trustProblem(remote, leaf, sent.others, proof);
  if (distrust !== undefined) return refuse(distrust);
  const result = verifyOctets(auth, { signatures, publicKey: leaf.publicKey, octets });
  if ('problem' in result) return refuse(`"${text}" ${result.problem}`);
  return { ok: true, how: `${result.name}, certificate "${leaf.text}"` };
}

/** A peer that sends no certificate may have one in our configuration. */
const known = ({ certs }: RemoteAuth, peerId: IdentityBytes): Certificate | undefined =>
  certs.map(parseCertificate).find((certificate) => holdsIdentity(certificate, peerId));

function trustProblem(
  remote: RemoteAuth,
  leaf: Certificate,
  others: readonly Certificate[],
  { now, signatures }: SignedProof,
): string | undefined {
  const anchors = remote.cacerts.map(parseCertificate);
  const crls = remote.crls.map(parseCrl);
  if (remote.certs.length > 0) {
    if (!remote.certs.some((bytes) => equalBytes(bytes, leaf.der))) {
      return `certificate "${leaf.text}" is none of remote.certs`;
    }
    const issuer = anchors.find((anchor) => issued(anchor, leaf, signatures));
    const problem = ownProblem(leaf, now) ?? revocationProblem({ crls, now, signatures }, leaf, issuer);
    return problem === undefined ? undefined : `certificate "${leaf.text}" ${problem}`;
  }
  const result = buildPath(leaf, others, { anchors, crls, now, signatures });
  return 'problem' in result ? result.problem : undefined;
}

/** Of CAs with the same name, the one whose key it was. */
function issued(anchor: Certificate, { issuer, signatureAlgorithm, tbs, signature }: Certificate, using: Signatures) {
  const algorithm = algorithmOf(signatureAlgorithm);
  if (algorithm === undefined || !equalBytes(anchor.subject, issuer)) return false;
  return verify(using, algorithm, anchor.publicKey, tbs, signature);
}
