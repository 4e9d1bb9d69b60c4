/** What `auth/` needs to know to make or verify an AUTH payload of this IKE SA. */
import type { AuthContext } from '../auth/authenticate.ts';
import { localSubject } from '../auth/certificates.ts';
import { fromBytes, type IdentityBytes, localIdentity } from '../auth/identity.ts';
import { intAuth } from '../auth/octets.ts';
import type { Identity } from '../config/model.ts';
import type { IkeKeys } from '../crypto/keys.ts';
import type { IdPayload } from '../wire/payloads/id.ts';
import type { Context } from './context.ts';
import type { IkeSa } from './sa.ts';

/** @returns who we say we are in this SA */
export function ownIdentity(cx: Context, sa: IkeSa): Identity {
  const { local } = cx.credentials.of(sa.connection);
  return localIdentity(local, sa.local.address, localSubject(local));
}

/** @returns the identity in an ID payload, with its text */
export const identityOf = ({ idType, data }: IdPayload): Identity => fromBytes({ idType, data });

/**
 * @param side who authenticates
 * @param keys the SA's own, or those with a PPK mixed in
 */
export function authContext(
  cx: Context,
  sa: IkeSa,
  side: 'initiator' | 'responder',
  id: IdentityBytes,
  keys: IkeKeys = sa.keys!,
): AuthContext {
  const handshake = sa.handshake!;
  const isInitiator = side === 'initiator';
  const { intAuthI, intAuthR, authMessageId } = handshake;
  return {
    provider: cx.crypto,
    prf: sa.algorithms!.prf,
    now: Math.floor(cx.environment.wallClock() / 1000),
    ...(sa.peer.hashes !== undefined && { peerHashes: sa.peer.hashes }),
    initMessage: isInitiator ? handshake.initRequest : handshake.initResponse,
    otherNonce: isInitiator ? handshake.nonceR : handshake.nonceI,
    skP: isInitiator ? keys.pi : keys.pr,
    id,
    ...(intAuthI !== undefined && intAuthR !== undefined && { intAuth: intAuth(intAuthI, intAuthR, authMessageId) }),
  };
}
