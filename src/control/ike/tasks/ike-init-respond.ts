/**
 * IKE_SA_INIT (RFC 7296 §1.2, §2.6, §2.7, §2.23), by its responder:
 *
 *   HDR(A,0), [N(COOKIE),] SAi1, KEi, Ni, N(NAT_DETECTION_*)+ -->
 *                  <-- HDR(A,B), SAr1, KEr, Nr, N(NAT_DETECTION_*)+, [CERTREQ+]
 *                   or HDR(A,0), N(COOKIE) | N(INVALID_KE_PAYLOAD) | N(NO_PROPOSAL_CHOSEN)
 *
 * No state is kept for a request that was not taken.
 */
import type { IkeDatagram } from '../../../contract.ts';
import { certRequest } from '../../auth/certificates.ts';
import type { ConnectionConfig } from '../../config/model.ts';
import { additionalMethods, keMethod, type Selection, selectProposal } from '../../proposals/select.ts';
import { toHex } from '../../wire/bytes.ts';
import { EXCHANGE, NOTIFY, notifyName } from '../../wire/iana.ts';
import { buildMessage, find, findNotify, type ParsedMessage } from '../../wire/message.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import { notification } from '../../wire/payloads/notify.ts';
import { byAddress } from '../choose.ts';
import type { Context } from '../context.ts';
import { seal, send, trace } from '../exchange.ts';
import { featureNotifies, noteFeatures } from '../features.ts';
import { keyInitial, NONCE_LENGTH } from '../keying.ts';
import { because, destroy } from '../lifecycle.ts';
import { findNat, natDetection } from '../nat.ts';
import { checkPayloads } from '../rules.ts';
import { IkeSa } from '../sa.ts';

/** A half-open SA is dropped after so long without IKE_AUTH. */
const HALF_OPEN_LIFETIME = 30_000;

/** @param digest of the datagram, by which its repetition is known */
export function respondInit(cx: Context, datagram: IkeDatagram, message: ParsedMessage, digest: string): void {
  const { local, remote } = datagram;
  const { payloads } = message;
  checkPayloads(EXCHANGE.IKE_SA_INIT, false, payloads);
  if (cx.parts.throttle.isHeld(remote.address, cx.now)) {
    cx.log('debug', `${remote.address} failed to authenticate too often; its IKE_SA_INIT is dropped for now`);
    return;
  }
  if (!passesCookie(cx, datagram, message)) return;
  const full = cx.table.refusal(cx.limits, remote.address);
  if (full !== undefined) {
    cx.log('debug', `IKE_SA_INIT of ${remote.address} is dropped: there are ${full}`);
    return;
  }
  const candidates = byAddress(cx.config.connections, local.address, remote.address);
  const ke = find(payloads, 'KE')!;
  const chosen = choose(cx, datagram, message, candidates, ke.method);
  if (chosen === undefined) return;
  const { selection, connections } = chosen;
  const method = keMethod(selection.proposal.transforms);
  if (method !== ke.method) {
    cx.log('debug', `${remote.address} guessed key exchange method ${ke.method}, we want ${method}`);
    refuse(cx, datagram, message, notification(NOTIFY.INVALID_KE_PAYLOAD, Uint8Array.of(method >> 8, method & 0xff)));
    return;
  }
  accept(cx, datagram, message, digest, selection, connections);
}

/** @returns one CERTREQ for each set of trust anchors that the peer may have to satisfy */
function certRequests(cx: Context, connections: readonly ConnectionConfig[]): Payload[] {
  const requests = connections
    .filter(({ sendCertreq }) => sendCertreq)
    .map((connection) => certRequest(cx.credentials.of(connection).remote, cx.crypto))
    .filter((request) => request !== undefined);
  const distinct = new Map(requests.map((request) => [toHex(request.authority), request]));
  return [...distinct.values()];
}

/** Answers without state, and to exactly where the request came from. */
function refuse(cx: Context, { local, remote }: IkeDatagram, { header }: ParsedMessage, ...payloads: Payload[]): void {
  const answer = {
    spiI: header.spiI,
    spiR: 0n,
    exchange: EXCHANGE.IKE_SA_INIT,
    fromInitiator: false,
    response: true,
    messageId: header.messageId,
  };
  cx.push({ type: 'send', datagram: { local, remote, data: buildMessage(answer, payloads) } });
}

function passesCookie(cx: Context, datagram: IkeDatagram, message: ParsedMessage): boolean {
  if (!cx.table.asksCookie(cx.limits, datagram.remote.address)) return true;
  const nonce = find(message.payloads, 'NONCE')!.data;
  const { spiI } = message.header;
  const sent = findNotify(message.payloads, NOTIFY.COOKIE);
  if (sent !== undefined && cx.parts.cookies.check(cx.now, sent.data, nonce, datagram.remote, spiI)) return true;
  const cookie = cx.parts.cookies.make(cx.now, nonce, datagram.remote, spiI);
  refuse(cx, datagram, message, notification(NOTIFY.COOKIE, cookie));
  return false;
}

interface Chosen {
  readonly selection: Selection;
  /** Those whose proposals allow the choice; the first is the closest by address. */
  readonly connections: readonly ConnectionConfig[];
}

function choose(
  cx: Context,
  datagram: IkeDatagram,
  message: ParsedMessage,
  candidates: readonly ConnectionConfig[],
  preferKe: number,
): Chosen | undefined {
  const { local, remote } = datagram;
  const theirs = find(message.payloads, 'SA')!.proposals;
  const results = candidates.map((connection) => selectProposal(connection.proposals, theirs, { preferKe }));
  const at = results.findIndex((result) => 'proposal' in result);
  const selection = results[at];
  if (selection === undefined || !('proposal' in selection)) {
    const first = results[0];
    const why =
      first === undefined || !('refusal' in first)
        ? `no connection is for ${remote.address} at our ${local.address}; change remote_addrs or local_addrs`
        : `connection "${candidates[0]!.name}": ${first.refusal}`;
    cx.log('warn', `IKE_SA_INIT of ${remote.address} refused with ${notifyName(NOTIFY.NO_PROPOSAL_CHOSEN)}: ${why}`);
    refuse(cx, datagram, message, notification(NOTIFY.NO_PROPOSAL_CHOSEN));
    return undefined;
  }
  // The others stay in the race only if they allow the same choice: nobody gets weaker keys than configured.
  const connections = candidates.filter((connection, index) => {
    if (index <= at) return index === at;
    const answered = [{ ...selection.proposal }];
    return 'proposal' in selectProposal(connection.proposals, answered, { preferKe });
  });
  return { selection, connections };
}

function accept(
  cx: Context,
  { local, remote }: IkeDatagram,
  message: ParsedMessage,
  digest: string,
  selection: Selection,
  connections: readonly ConnectionConfig[],
): void {
  const { payloads, header } = message;
  const ke = find(payloads, 'KE')!;
  const { transforms } = selection.proposal;
  const answered = cx.crypto.keyExchange(ke.method)!.respond(ke.data);
  const spis = { spiI: header.spiI, spiR: cx.newSpi() };
  const sa = new IkeSa(cx.nextId(), false, spis, connections[0]!, { local, remote }, cx.limits.windowSize);
  sa.candidates = connections;
  sa.initDigest = digest;
  sa.lastReceived = cx.now;
  sa.state = 'CONNECTING';
  sa.handshake = {
    begunAt: cx.now,
    nonceI: find(payloads, 'NONCE')!.data,
    nonceR: cx.crypto.random(NONCE_LENGTH),
    initRequest: message.data.slice(),
    initResponse: new Uint8Array(),
    offered: [],
    ke: undefined,
    additional: additionalMethods(transforms),
    intAuthI: undefined,
    intAuthR: undefined,
    authMessageId: 1,
    certRequests: [],
  };
  noteFeatures(sa, payloads);
  keyInitial(cx, sa, transforms, answered.secret);
  const forced = connections.some(({ encap }) => encap);
  const nat = findNat(cx.crypto, { ...spis, spiR: 0n }, payloads, local, remote);
  sa.natLocal = nat.supported && (nat.local || forced);
  sa.natRemote = nat.remote;
  trace(cx, sa, 'received', { ...header, payloads, encrypted: false });

  const answer: Payload[] = [
    { kind: 'SA', proposals: [selection.proposal] },
    { kind: 'KE', method: ke.method, data: answered.publicValue },
    { kind: 'NONCE', data: sa.handshake.nonceR },
    ...(nat.supported ? natDetection(cx.crypto, sa, local, remote, forced) : []),
    ...featureNotifies(sa),
    ...certRequests(cx, connections),
  ];
  if (connections.some(({ childless }) => childless !== 'never')) {
    answer.push(notification(NOTIFY.CHILDLESS_IKEV2_SUPPORTED));
  }
  if (sa.peer.intermediate) answer.push(notification(NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED));
  if (sa.peer.ppk && connections.some(({ ppk }) => ppk !== undefined)) answer.push(notification(NOTIFY.USE_PPK));
  const sealed = seal(cx, sa, EXCHANGE.IKE_SA_INIT, 0, true, answer);
  sa.handshake.initResponse = sealed.datagrams[0]!;
  sa.window.answered(0, digest, sealed.datagrams);
  cx.table.add(sa);
  cx.table.addHalfOpen(sa);
  cx.setTimer(sa, 'half-open', cx.now + HALF_OPEN_LIFETIME, () =>
    destroy(cx, sa, 'failed', because('ERR_HALF_OPEN', `${remote.address} did not go on with IKE_AUTH`)),
  );
  send(cx, sa, sealed.datagrams);
}
