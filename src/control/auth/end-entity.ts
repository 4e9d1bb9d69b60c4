/** Whether a certificate may stand for an IKE peer: its identity (RFC 4945 §3.1) and its purposes (§5.1.3). */
import { equalBytes } from '../wire/bytes.ts';
import { ID_TYPE } from '../wire/iana.ts';
import type { Certificate } from './certificate.ts';
import { matchDn } from './dn.ts';
import { KEY_USAGE } from './extensions.ts';
import { fromBytes, type IdentityBytes, identityText, isWellFormed, matchIdentity } from './identity.ts';

/**
 * Purposes that go with IKE. The standard ones are rare in the field, so those for TLS are taken as
 * well, as other IKE implementations do; what is only for signing code or time stamps is not.
 */
const PURPOSES: ReadonlySet<string> = new Set([
  '2.5.29.37.0', // anyExtendedKeyUsage
  '1.3.6.1.5.5.7.3.17', // id-kp-ipsecIKE
  '1.3.6.1.5.5.8.2.2', // iKEIntermediate
  '1.3.6.1.5.5.7.3.5', // ipsecEndSystem
  '1.3.6.1.5.5.7.3.6', // ipsecTunnel
  '1.3.6.1.5.5.7.3.7', // ipsecUser
  '1.3.6.1.5.5.7.3.1', // serverAuth
  '1.3.6.1.5.5.7.3.2', // clientAuth
]);

/** @returns why the certificate must not authenticate IKE, in words that end a sentence about it */
export function purposeProblem({ extensions }: Certificate): string | undefined {
  const { keyUsage, extendedKeyUsage } = extensions;
  if (keyUsage !== undefined && !keyUsage.has(KEY_USAGE.digitalSignature) && !keyUsage.has(KEY_USAGE.nonRepudiation)) {
    return 'must not sign (keyUsage has neither digitalSignature nor nonRepudiation)';
  }
  if (extendedKeyUsage !== undefined && !extendedKeyUsage.some((purpose) => PURPOSES.has(purpose))) {
    return 'is not for IKE (extendedKeyUsage)';
  }
  return undefined;
}

/** @returns whether the certificate is that identity's: in subjectAltName, as its subject, or as its key identifier */
export function holdsIdentity({ subject, extensions }: Certificate, id: IdentityBytes): boolean {
  const { subjectAltNames, subjectKeyId } = extensions;
  if (id.idType === ID_TYPE.ID_DER_ASN1_DN && matchDn(subject, id.data, false)) return true;
  if (id.idType === ID_TYPE.ID_KEY_ID) return subjectKeyId !== undefined && equalBytes(subjectKeyId, id.data);
  return subjectAltNames.some(({ idType, data }) => {
    // A name with a "*" is for TLS servers and not well-formed here: it names no IKE peer.
    if (idType === undefined || !isWellFormed({ idType, data })) return false;
    if (idType === ID_TYPE.ID_DER_ASN1_DN) return id.idType === idType && matchDn(data, id.data, false);
    return matchIdentity({ idType, data }, id);
  });
}

/** @returns the identities that a certificate holds, for messages */
export function identitiesText({ subject, extensions }: Certificate): string {
  const names = extensions.subjectAltNames.flatMap(({ idType, data }) =>
    idType === undefined ? [] : [identityText({ idType, data })],
  );
  return [fromBytes({ idType: ID_TYPE.ID_DER_ASN1_DN, data: subject }).text, ...names]
    .map((name) => `"${name}"`)
    .join(', ');
}
