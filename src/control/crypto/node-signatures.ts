/**
 * Signatures by OpenSSL, which is strict where it matters: PKCS#1 v1.5 by encoding the expected block
 * and comparing all of it, ECDSA-Sig-Value only in DER.
 */
import crypto, { type KeyObject } from 'node:crypto';
import { plainBytes } from '../wire/bytes.ts';
import type { EcdsaEncoding, SignatureScheme, Signatures } from './provider.ts';

function options({ padding }: SignatureScheme, key: KeyObject, encoding: EcdsaEncoding): crypto.SignKeyObjectInput {
  if (padding === 'pkcs1') return { key, padding: crypto.constants.RSA_PKCS1_PADDING };
  if (padding === undefined) return { key, dsaEncoding: encoding };
  return { key, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST };
}

export const nodeSignatures: Signatures = {
  sign: (scheme, key, data, encoding) => plainBytes(crypto.sign(scheme.digest, data, options(scheme, key, encoding))),
  verify: (scheme, key, data, signature, encoding) =>
    crypto.verify(scheme.digest, data, options(scheme, key, encoding), signature),
};
