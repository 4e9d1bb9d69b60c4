/**
 * IKE_AUTH (RFC 7296 §1.2, §2.15, §2.21.2; RFC 6023; RFC 8784), by its responder:
 *
 *   HDR, SK {IDi, [CERT+,] [N(INITIAL_CONTACT),] [CERTREQ+,] [IDr,] AUTH, SAi2, TSi, TSr, N(…)+} -->
 *                  <-- HDR, SK {IDr, [CERT+,] AUTH, SAr2, TSi, TSr, N(…)+}
 *                   or HDR, SK {IDr, [CERT+,] AUTH, N(TS_UNACCEPTABLE) | N(NO_PROPOSAL_CHOSEN) | …}
 *                   or HDR, SK {N(AUTHENTICATION_FAILED)}: the SA is gone
 *
 * We say who we are only to a peer that has proved who it is.
 */
import { makeAuth, verifyAuth } from '../../auth/authenticate.ts';
import { certPayloads } from '../../auth/certificates.ts';
import { identityText } from '../../auth/identity.ts';
import { announceChild, installChild } from '../../child/install.ts';
import { deriveChildKeys } from '../../child/keymat.ts';
import { answerChild } from '../../child/negotiation.ts';
import type { IkeKeys } from '../../crypto/keys.ts';
import { NOTIFY, notifyName } from '../../wire/iana.ts';
import { find, findAll, findNotify } from '../../wire/message.ts';
import type { AuthPayload } from '../../wire/payloads/auth.ts';
import type { IdPayload } from '../../wire/payloads/id.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import { notification } from '../../wire/payloads/notify.ts';
import { authContext, identityOf, ownIdentity } from '../authentication.ts';
import { byIdentity } from '../choose.ts';
import { lostByPeer, rivalsOf } from '../contact.ts';
import type { Context } from '../context.ts';
import { Failure } from '../failure.ts';
import { noteWindowSize } from '../features.ts';
import { because, destroy } from '../lifecycle.ts';
import { adoptPpkKeys, namesPpk, withPpk } from '../ppk.ts';
import type { IkeSa } from '../sa.ts';
import { NONE } from '../small-map.ts';
import type { Answer, Received } from '../task.ts';
import { established } from '../upkeep.ts';
import { additionalAddresses, noteAddresses } from './mobike.ts';

const refuse = (reason: string): Failure => new Failure('ERR_AUTHENTICATION', reason, NOTIFY.AUTHENTICATION_FAILED);

export function respondAuth(cx: Context, sa: IkeSa, { message, payloads }: Received): Answer {
  const handshake = sa.handshake!;
  if (handshake.additional.length > 0) throw refuse('the peer left out an additional key exchange it had agreed to');
  handshake.authMessageId = message.header.messageId;
  const idI = find(payloads, 'IDi')!;
  const auth = find(payloads, 'AUTH');
  if (auth === undefined) throw refuse(`"${identityText(idI)}" wants EAP, which is not implemented`);
  try {
    chooseConnection(cx, sa, idI, find(payloads, 'IDr'));
    const mixed = verifyPeer(cx, sa, idI, auth, payloads);
    const answer = prove(cx, sa, payloads, mixed);
    cx.parts.throttle.succeeded(sa.remote.address);
    return establish(cx, sa, payloads, answer);
  } catch (error) {
    if (error instanceof Failure) cx.parts.throttle.failed(sa.remote.address, cx.now);
    throw error;
  }
}

function chooseConnection(cx: Context, sa: IkeSa, idI: IdPayload, idR: IdPayload | undefined): void {
  // The configuration may have been read again since they were found by address.
  const configured = sa.candidates.filter((candidate) => cx.connections.isConfigured(candidate));
  const [first] = byIdentity(configured, idI, idR);
  if (first === undefined) {
    const wanted = idR === undefined ? '' : ` and wants "${identityText(idR)}"`;
    const names = sa.candidates.map(({ name }) => `"${name}"`).join(', ');
    throw refuse(
      `the peer says it is "${identityText(idI)}"${wanted}; none of ${names} accepts that: change remote.id or local.id`,
    );
  }
  sa.connection = first;
  sa.candidates = NONE;
}

/** @returns the keys with the PPK in them, if the peer used it */
function verifyPeer(
  cx: Context,
  sa: IkeSa,
  idI: IdPayload,
  auth: AuthPayload,
  payloads: readonly Payload[],
): IkeKeys | undefined {
  const { connection } = sa;
  const mixed = sa.peer.ppk && namesPpk(connection, payloads) ? withPpk(sa) : undefined;
  if (mixed === undefined && connection.ppkRequired) {
    throw refuse('ppk_required is set, but the peer uses no PPK, or one with another ppk_id');
  }
  // RFC 8784 §3: without its PPK we verify the AUTH that was made without it, if there is one.
  const withoutPpk = findNotify(payloads, NOTIFY.NO_PPK_AUTH);
  const asksPpk = findNotify(payloads, NOTIFY.PPK_IDENTITY) !== undefined;
  if (asksPpk && mixed === undefined && withoutPpk === undefined) {
    throw refuse('the peer insists on a PPK that is not configured here; set ppk_id and ppk');
  }
  const proof = asksPpk && mixed === undefined ? { ...auth, data: withoutPpk!.data } : auth;
  const context = authContext(cx, sa, 'initiator', { idType: idI.idType, data: idI.data }, mixed);
  const verdict = verifyAuth(cx.credentials.of(connection).remote, context, proof, findAll(payloads, 'CERT'));
  if ('refusal' in verdict) throw refuse(verdict.refusal);
  sa.remoteId = identityOf(idI);
  sa.peerPath = verdict.path;
  cx.log('debug', `${sa.remoteId.text} authenticated with ${verdict.how}`, connection.name);
  return mixed;
}

function prove(cx: Context, sa: IkeSa, payloads: readonly Payload[], mixed: IkeKeys | undefined): Payload[] {
  const { connection } = sa;
  const { local } = cx.credentials.of(connection);
  sa.localId = ownIdentity(cx, sa);
  const { idType, data } = sa.localId;
  const answer: Payload[] = [
    { kind: 'IDr', idType, data },
    ...certPayloads(local, connection.sendCert, findAll(payloads, 'CERTREQ')),
    makeAuth(local, authContext(cx, sa, 'responder', sa.localId, mixed)),
  ];
  if (mixed !== undefined) {
    answer.push(notification(NOTIFY.PPK_IDENTITY));
    adoptPpkKeys(sa, mixed);
  }
  return answer;
}

function establish(cx: Context, sa: IkeSa, payloads: readonly Payload[], proof: readonly Payload[]): Answer {
  const { connection } = sa;
  const { nonceI, nonceR } = sa.handshake!;
  const lost = findNotify(payloads, NOTIFY.INITIAL_CONTACT) === undefined ? [] : lostByPeer(cx, sa);
  const rivals = rivalsOf(cx, sa).filter((rival) => !lost.includes(rival));
  if (connection.unique === 'keep' && rivals.length > 0) {
    throw refuse(`"${sa.remoteId!.text}" has an IKE SA already, and unique is "keep"`);
  }
  const answer = [...proof];
  if (connection.mobike && findNotify(payloads, NOTIFY.MOBIKE_SUPPORTED) !== undefined) {
    sa.peer.mobike = true;
    noteAddresses(sa, payloads);
    answer.push(notification(NOTIFY.MOBIKE_SUPPORTED), ...additionalAddresses(cx, sa));
  }
  noteWindowSize(sa, payloads);
  established(cx, sa);
  answer.push(...firstChild(cx, sa, payloads, { nonceI, nonceR }));
  return {
    payloads: answer,
    after: () => {
      forget(cx, lost);
      if (connection.unique === 'replace')
        for (const rival of rivals) cx.operations.deleteIke(rival, 'replaced', 'the peer has a newer IKE SA');
    },
  };
}

function firstChild(
  cx: Context,
  sa: IkeSa,
  payloads: readonly Payload[],
  nonces: { nonceI: Uint8Array; nonceR: Uint8Array },
): readonly Payload[] {
  const { connection } = sa;
  if (find(payloads, 'SA') === undefined) {
    if (connection.childless !== 'never') return [];
    return [notification(NOTIFY.NO_PROPOSAL_CHOSEN)];
  }
  if (connection.childless === 'force') {
    const advice = 'childless is "force": let the peer set it to "prefer" or "force", or take "allow" here';
    cx.log('error', `the child in IKE_AUTH was refused: ${advice}`, connection.name);
    return [notification(NOTIFY.NO_PROPOSAL_CHOSEN)];
  }
  try {
    const negotiated = answerChild(cx, sa, connection.children, payloads, { withoutKe: true });
    const { config, agreement } = negotiated;
    const keys = deriveChildKeys(sa.algorithms!.prf, sa.keys!.d, agreement.suite, nonces);
    announceChild(cx, installChild(cx, sa, { config, agreement, keys, initiator: false, send: true }));
    return negotiated.payloads;
  } catch (failure) {
    if (!(failure instanceof Failure) || failure.notify === undefined) throw failure;
    cx.log('error', `child refused with ${notifyName(failure.notify)}: ${failure.message}`, connection.name);
    return [notification(failure.notify)];
  }
}

/** RFC 7296 §2.4: the peer has lost all state, so there is nobody to send a Delete to. */
function forget(cx: Context, lost: readonly IkeSa[]): void {
  for (const other of lost) destroy(cx, other, 'replaced', because('ERR_INITIAL_CONTACT', 'the peer started afresh'));
}
