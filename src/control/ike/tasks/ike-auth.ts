/**
 * IKE_AUTH (RFC 7296 §1.2, §2.15, §2.21.2; RFC 6023 without a child; RFC 8784 with a PPK), by its initiator:
 *
 *   HDR, SK {IDi, [CERT+,] [N(INITIAL_CONTACT),] [CERTREQ,] [IDr,] AUTH, SAi2, TSi, TSr, N(…)+} -->
 *                  <-- HDR, SK {IDr, [CERT+,] AUTH, SAr2, TSi, TSr, N(…)+}
 *                   or HDR, SK {IDr, [CERT+,] AUTH, N(error of the child)}
 *                   or HDR, SK {N(AUTHENTICATION_FAILED)}
 */
import { makeAuth, verifyAuth } from '../../auth/authenticate.ts';
import { certPayloads, certRequest } from '../../auth/certificates.ts';
import { namedIdentities } from '../../auth/identity.ts';
import { announceChild, installChild } from '../../child/install.ts';
import { deriveChildKeys } from '../../child/keymat.ts';
import { acceptChild, type ChildOffer, offerChild } from '../../child/negotiation.ts';
import type { IkeKeys } from '../../crypto/keys.ts';
import { EXCHANGE, NOTIFY } from '../../wire/iana.ts';
import { find, findAll, findNotify } from '../../wire/message.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import { notification } from '../../wire/payloads/notify.ts';
import { authContext, identityOf, ownIdentity } from '../authentication.ts';
import { isFirstContact } from '../contact.ts';
import type { Context } from '../context.ts';
import { enqueue, seal, send } from '../exchange.ts';
import { Failure, peerFailure } from '../failure.ts';
import { noteWindowSize, windowSize } from '../features.ts';
import { adoptPpkKeys, ppkIdentity, withPpk } from '../ppk.ts';
import { errorNotify } from '../rules.ts';
import type { IkeSa, WantedChild } from '../sa.ts';
import type { Progress, Received, Task } from '../task.ts';
import { established } from '../upkeep.ts';
import { childAdvice, reportChildFailure } from './child-advice.ts';
import { protocolOf } from './child-exchange.ts';
import { DeleteUnwanted } from './delete.ts';
import { additionalAddresses, noteAddresses } from './mobike.ts';

const FROM_IKE_AUTH = { withoutKe: true };

export class IkeAuth implements Task {
  readonly name = 'IKE_AUTH';
  readonly exchange = EXCHANGE.IKE_AUTH;
  readonly exclusive = true;
  private asked: ChildOffer | undefined;
  private mixed: IkeKeys | undefined;

  build(cx: Context, sa: IkeSa): Payload[] {
    const { connection } = sa;
    const { local, remote } = cx.credentials.of(connection);
    const handshake = sa.handshake!;
    handshake.authMessageId = sa.window.next;
    sa.localId = ownIdentity(cx, sa);
    cx.table.fileEnds(sa);
    this.preparePpk(sa);
    const context = (keys?: IkeKeys) => authContext(cx, sa, 'initiator', sa.localId!, keys);
    const payloads: Payload[] = [
      { kind: 'IDi', idType: sa.localId.idType, data: sa.localId.data },
      ...certPayloads(local, connection.sendCert, handshake.certRequests),
      makeAuth(local, context(this.mixed)),
    ];
    const request = connection.sendCertreq ? certRequest(remote, cx.crypto) : undefined;
    if (request !== undefined) payloads.push(request);
    // Only an identity that names one peer tells the responder which of its own is meant.
    const [peerId, ...others] = namedIdentities(remote) ?? [];
    if (peerId !== undefined && others.length === 0) {
      payloads.push({ kind: 'IDr', idType: peerId.idType, data: peerId.data });
    }
    if (isFirstContact(cx, sa)) payloads.push(notification(NOTIFY.INITIAL_CONTACT));
    if (connection.mobike) payloads.push(notification(NOTIFY.MOBIKE_SUPPORTED), ...additionalAddresses(cx, sa));
    if (this.mixed !== undefined) {
      payloads.push(ppkIdentity(connection));
      if (!connection.ppkRequired) payloads.push(notification(NOTIFY.NO_PPK_AUTH, makeAuth(local, context()).data));
    }
    payloads.push(...windowSize(sa), ...this.offerFirstChild(cx, sa));
    return payloads;
  }

  process(cx: Context, sa: IkeSa, { payloads }: Received): Progress {
    const error = errorNotify(payloads);
    const auth = find(payloads, 'AUTH');
    if (auth === undefined && error !== undefined) {
      throw peerFailure(error, ADVICE[error.notify] ?? 'see the log of the peer for its reason');
    }
    this.verify(cx, sa, payloads);
    if (sa.connection.mobike && findNotify(payloads, NOTIFY.MOBIKE_SUPPORTED) !== undefined) {
      sa.peer.mobike = true;
      noteAddresses(sa, payloads);
    }
    noteWindowSize(sa, payloads);
    const { nonceI, nonceR } = sa.handshake!;
    const { asked } = this;
    established(cx, sa);
    if (sa.deletion !== undefined) cx.operations.deleteIke(sa, sa.deletion.cause, sa.deletion.reason);
    if (asked === undefined) return 'done';
    this.asked = undefined;
    sa.creating.delete(asked.config.name);
    if (error !== undefined) {
      cx.environment.releaseSpi(asked.spiIn);
      reportChildFailure(cx, sa, asked.config, peerFailure(error, childAdvice(asked, error.notify)));
      return 'done';
    }
    this.installFirstChild(cx, sa, asked, payloads, { nonceI, nonceR });
    return 'done';
  }

  abandon(cx: Context): void {
    if (this.asked !== undefined) cx.environment.releaseSpi(this.asked.spiIn);
    this.asked = undefined;
  }

  private preparePpk(sa: IkeSa): void {
    const { connection } = sa;
    if (connection.ppk !== undefined && sa.peer.ppk) {
      this.mixed = withPpk(sa);
    } else if (connection.ppkRequired) {
      throw new Failure('ERR_PPK', 'ppk_required is set, but the peer has no post-quantum preshared keys');
    }
  }

  private offerFirstChild(cx: Context, sa: IkeSa): Payload[] {
    const { childless } = sa.connection;
    const wantsNone = childless === 'force' || (childless === 'prefer' && sa.peer.childless) || sa.wanted.length === 0;
    if (wantsNone && sa.peer.childless) return [];
    if (childless === 'force')
      throw new Failure('ERR_CHILDLESS', 'childless is "force", but the peer insists on a child SA');
    const first = sa.wanted[0] ?? fallbackChild(sa);
    const { offer, payloads } = offerChild(cx, sa, first, FROM_IKE_AUTH);
    sa.wanted.shift();
    sa.creating.add(first.config.name);
    this.asked = offer;
    return payloads;
  }

  private verify(cx: Context, sa: IkeSa, payloads: readonly Payload[]): void {
    const [idR, auth] = [find(payloads, 'IDr'), find(payloads, 'AUTH')];
    if (idR === undefined || auth === undefined)
      throw new Failure('ERR_INCOMPLETE_ANSWER', 'IKE_AUTH was answered without IDr or AUTH');
    const mixed = findNotify(payloads, NOTIFY.PPK_IDENTITY) !== undefined ? this.mixed : undefined;
    if (mixed === undefined && sa.connection.ppkRequired) {
      throw this.refuse(cx, sa, 'ppk_required is set, but the peer did not use the PPK');
    }
    const verdict = verifyAuth(
      cx.credentials.of(sa.connection).remote,
      authContext(cx, sa, 'responder', { idType: idR.idType, data: idR.data }, mixed),
      auth,
      findAll(payloads, 'CERT'),
    );
    if ('refusal' in verdict) throw this.refuse(cx, sa, verdict.refusal);
    sa.remoteId = identityOf(idR);
    sa.peerPath = verdict.path;
    if (mixed !== undefined) adoptPpkKeys(sa, mixed);
    cx.log('debug', `${sa.remoteId.text} authenticated with ${verdict.how}`, sa.connection.name);
  }

  /** RFC 7296 §2.21.2: the responder believes that the SA is established, so it is told. */
  private refuse(cx: Context, sa: IkeSa, reason: string): Failure {
    const farewell = seal(cx, sa, EXCHANGE.INFORMATIONAL, sa.window.next, false, [
      notification(NOTIFY.AUTHENTICATION_FAILED),
    ]);
    send(cx, sa, farewell.datagrams);
    return new Failure('ERR_AUTHENTICATION', reason);
  }

  private installFirstChild(
    cx: Context,
    sa: IkeSa,
    asked: ChildOffer,
    payloads: readonly Payload[],
    nonces: { nonceI: Uint8Array; nonceR: Uint8Array },
  ): void {
    try {
      const isGoing = sa.deletion !== undefined || sa.unwanted.delete(asked.config.name);
      if (isGoing) throw new Failure('ERR_CANCELLED', 'it was taken down before it was up');
      const { config, agreement } = acceptChild(sa, asked, payloads, FROM_IKE_AUTH);
      const keys = deriveChildKeys(sa.algorithms!.prf, sa.keys!.d, agreement.suite, nonces);
      announceChild(cx, installChild(cx, sa, { config, agreement, keys, initiator: true, send: true }));
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      // The peer has installed it, so it must hear that we have not (RFC 7296 §1.4.1).
      enqueue(cx, sa, new DeleteUnwanted(asked.config.name, protocolOf(payloads), asked.spiIn));
      reportChildFailure(cx, sa, asked.config, failure);
    }
  }
}

/** A responder without RFC 6023 needs a child in IKE_AUTH, so it gets the first one. */
function fallbackChild(sa: IkeSa): WantedChild {
  const [config] = sa.connection.children;
  if (config === undefined)
    throw new Failure('ERR_CHILDLESS', 'the connection has no child, and the peer insists on one');
  return { config, packet: undefined };
}

const ADVICE: Readonly<Record<number, string>> = {
  [NOTIFY.AUTHENTICATION_FAILED]:
    'it does not accept our identity or our proof; compare local.id here with remote.id there, and the secrets or certificates',
  [NOTIFY.INVALID_SYNTAX]: 'it could not read our message',
};
