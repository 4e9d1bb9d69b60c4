/** A CA and its certificates for the tests of authentication; keys are made once for each kind. */
import crypto from 'node:crypto';
import type { AuthContext } from '../../../src/control/auth/authenticate.ts';
import { parseIdentity } from '../../../src/control/auth/identity.ts';
import {
  type CertificateOptions,
  type Credentials,
  createCa,
  createCertificate,
  generateKey,
  type KeyKind,
} from '../../../src/control/auth/pki.ts';
import type { LocalAuth, RemoteAuth } from '../../../src/control/config/model.ts';
import { createProvider } from '../../../src/control/crypto/index.ts';
import type { CryptoProvider } from '../../../src/control/crypto/provider.ts';
import { PRF } from '../../../src/control/crypto/registry.ts';
import { CERT_ENCODING } from '../../../src/control/wire/iana.ts';
import type { CertPayload } from '../../../src/control/wire/payloads/cert.ts';

/** When all tests take place: 2026-06-01. */
export const NOW = 1_780_272_000;
export const DAY = 86_400;

export const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'ascii'));

const keys = new Map<KeyKind, Uint8Array>();

/** @returns the same key for the same kind: RSA keys take long to make */
export function keyOfKind(kind: KeyKind): Uint8Array {
  const key = keys.get(kind) ?? generateKey(kind);
  keys.set(kind, key);
  return key;
}

export const root: Credentials = createCa({ subject: 'O=Lab, CN=Root', now: NOW });

export const issue = (options: Partial<CertificateOptions> = {}): Credentials =>
  createCertificate({ issuer: root, subject: 'O=Lab, CN=gw', names: ['gw.example.org'], now: NOW, ...options });

/** @returns what makes contexts with a provider's cryptography */
export const contextOf =
  (provider: CryptoProvider) =>
  (changes: Partial<AuthContext> = {}): AuthContext => ({
    provider,
    prf: provider.prf(PRF.HMAC_SHA2_256)!,
    initMessage: ascii('the initiator said hello'),
    otherNonce: ascii('nonce of the responder'),
    skP: ascii('SK_pi of thirty-two bytes length'),
    id: parseIdentity('gw.example.org'),
    now: NOW,
    peerHashes: [2, 3, 4, 5],
    ...changes,
  });

export const context = contextOf(createProvider('node'));

export const localOf = ({ certificate, privateKey }: Credentials, hashes: readonly number[] = []): LocalAuth => ({
  auth: 'pubkey',
  certs: [certificate],
  privateKey,
  hashes,
});

export const trusting = (changes: Partial<RemoteAuth> = {}): RemoteAuth => ({
  auth: 'pubkey',
  ids: [],
  certs: [],
  cacerts: [root.certificate],
  crls: [],
  ...changes,
});

export const cert = (data: Uint8Array): CertPayload => ({ kind: 'CERT', encoding: CERT_ENCODING.X509_SIGNATURE, data });

export const keyObject = (pkcs8: Uint8Array): crypto.KeyObject =>
  crypto.createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
