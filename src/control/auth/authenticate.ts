/**
 * Making and verifying AUTH payloads, whatever the method:
 *
 *   HDR, SK {IDi, [CERT+,] [CERTREQ+,] [IDr,] AUTH, …} -->
 *                                  <-- HDR, SK {IDr, [CERT+,] AUTH, …}
 *
 * A refusal is a value with a reason for our own log; the peer is told AUTHENTICATION_FAILED and no more.
 */
import { EspalierError } from '../../errors.ts';
import type { LocalAuth, RemoteAuth } from '../config/model.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { AUTH_METHOD, authMethodName } from '../wire/iana.ts';
import type { AuthPayload } from '../wire/payloads/auth.ts';
import type { CertPayload } from '../wire/payloads/cert.ts';
import type { Certificate } from './certificate.ts';
import { verifyCertificateAuth } from './certificate-auth.ts';
import { acceptsIdentity, type IdentityBytes, identityText, isWellFormed } from './identity.ts';
import { type SignedInputs, signedOctets } from './octets.ts';
import { SIGNATURE_METHODS, signOctets } from './public-key.ts';
import { sharedKeyMic, verifySharedKeyMic } from './shared-key.ts';

/** What both directions need beside the configuration; `id` and the rest are those of the side that authenticates. */
export interface AuthContext extends SignedInputs {
  readonly provider: CryptoProvider;
  /** Seconds since 1970, for certificates' validity. */
  readonly now: number;
  /** Hashes the peer announced in SIGNATURE_HASH_ALGORITHMS; undefined if it sent none (RFC 7427 §4). */
  readonly peerHashes?: readonly number[];
}

/** Why a peer is not who it says, in words for the log. */
export interface Refusal {
  readonly refusal: string;
}

export interface Verified {
  readonly ok: true;
  /** How it proved its identity, for logs: `pre-shared key`, `ECDSA P-256 with SHA2_256, certificate "CN=gw"`. */
  readonly how: string;
  /** Certificates by which it was trusted, the peer's own first. */
  readonly path?: readonly Certificate[];
}

export type Verdict = Verified | Refusal;

/** What makes and verifies AUTH of one `auth` setting. */
interface Scheme {
  /** For people. */
  readonly name: string;
  /** AUTH_METHODs it takes from a peer. */
  readonly methods: readonly number[];
  make(local: LocalAuth, context: AuthContext, octets: Uint8Array): AuthPayload;
  verify(remote: RemoteAuth, context: AuthContext, octets: Uint8Array, proof: Proof): Verdict;
}

/** What the peer sent to prove its identity. */
interface Proof {
  readonly peerId: IdentityBytes;
  readonly auth: AuthPayload;
  readonly certs: readonly CertPayload[];
}

const SCHEMES: Readonly<Record<LocalAuth['auth'], Scheme>> = {
  psk: {
    name: 'a pre-shared key',
    methods: [AUTH_METHOD.SHARED_KEY_MIC],
    make: ({ psk }, { prf }, octets) => mic(AUTH_METHOD.SHARED_KEY_MIC, sharedKeyMic(prf, ownSecret(psk), octets)),
    verify({ psk }, { prf }, octets, { auth, peerId }) {
      const text = identityText(peerId);
      if (psk === undefined || psk.length === 0)
        return { refusal: `there is no secret for "${text}": set remote.secret` };
      if (verifySharedKeyMic(prf, psk, octets, auth.data)) return { ok: true, how: 'pre-shared key' };
      return { refusal: `"${text}" has not our secret: make the secret the same on both sides` };
    },
  },
  pubkey: {
    name: 'a certificate',
    methods: SIGNATURE_METHODS,
    make: (local, { provider, peerHashes }, octets) => signOctets(local, octets, provider.signatures, peerHashes),
    verify(remote, { now, provider: { signatures } }, octets, proof) {
      return verifyCertificateAuth(remote, { ...proof, octets, now, signatures });
    },
  },
  null: {
    name: 'NULL',
    methods: [AUTH_METHOD.NULL],
    make: (_local, { prf, skP }, octets) => mic(AUTH_METHOD.NULL, sharedKeyMic(prf, skP, octets)),
    verify(_remote, { prf, skP }, octets, { auth }) {
      if (verifySharedKeyMic(prf, skP, octets, auth.data)) return { ok: true, how: 'NULL authentication' };
      return { refusal: 'the AUTH data of NULL authentication is wrong: the handshake was altered on its way' };
    },
  },
};

const mic = (method: number, data: Uint8Array): AuthPayload => ({ kind: 'AUTH', method, data });

function ownSecret(psk: Uint8Array | undefined): Uint8Array {
  if (psk !== undefined && psk.length > 0) return psk;
  throw new EspalierError('ERR_AUTH', 'local.auth is psk, but there is no secret: set local.secret');
}

/** `any` takes whatever proves something; NULL proves nothing and must be asked for by name. */
const schemesOf = ({ auth }: RemoteAuth): Scheme[] =>
  auth === 'any' ? [SCHEMES.psk, SCHEMES.pubkey] : [SCHEMES[auth]];

/**
 * @returns our AUTH payload
 * @throws EspalierError `ERR_AUTH` if the configuration cannot make one, and says what to change
 */
export function makeAuth(local: LocalAuth, context: AuthContext): AuthPayload {
  return SCHEMES[local.auth].make(local, context, signedOctets(context));
}

/**
 * Believes nothing before it is proved: the identity must be one the configuration accepts, the method
 * one it asks for, and the AUTH data must verify over that identity.
 * @param context of the peer: its IKE_SA_INIT message, our nonce, its SK_p, and as `id` its IDi or IDr
 * @param certs CERT payloads of the same message, in order
 */
export function verifyAuth(
  remote: RemoteAuth,
  context: AuthContext,
  auth: AuthPayload,
  certs: readonly CertPayload[] = [],
): Verdict {
  const peerId = context.id;
  const text = identityText(peerId);
  if (!isWellFormed(peerId)) return { refusal: `the peer's identity "${text}" is malformed` };
  if (!acceptsIdentity(remote, peerId)) {
    return { refusal: `the peer says it is "${text}", but remote.id accepts ${remote.ids.map(quoted).join(', ')}` };
  }
  const schemes = schemesOf(remote);
  const scheme = schemes.find(({ methods }) => methods.includes(auth.method));
  if (scheme === undefined) {
    const wanted = schemes.map(({ name }) => name).join(' or ');
    return {
      refusal: `"${text}" authenticates with ${authMethodName(auth.method)}, but remote.auth asks for ${wanted}`,
    };
  }
  return scheme.verify(remote, context, signedOctets(context), { peerId, auth, certs });
}

const quoted = ({ text }: { readonly text: string }): string => `"${text}"`;
