/**
 * The way of a datagram: header, IKE SA by SPI, window, SK, rules, operation.
 *
 *   datagram ─► header ─► SA ─┬─ request ──► repeated? ─► open ─► responder ─► answer
 *                             └─ response ─► outstanding? ─► open ─► task
 *
 * Nothing here that is not authentic changes an established SA.
 */

import type { Endpoint, IkeDatagram } from '../../contract.ts';
import { EspalierError } from '../../errors.ts';
import { WireError } from '../wire/error.ts';
import { type ParsedHeader, readHeader, spiText } from '../wire/header.ts';
import { EXCHANGE, exchangeName, NOTIFY } from '../wire/iana.ts';
import { buildMessage, type ParsedMessage, parseMessage, parseOpened } from '../wire/message.ts';
import { notification } from '../wire/payloads/notify.ts';
import type { Context } from './context.ts';
import { onResponse, pump, seal, trace } from './exchange.ts';
import type { Outstanding } from './exchange-window.ts';
import { Failure } from './failure.ts';
import { noteWindowSize } from './features.ts';
import { Reassembly } from './fragment.ts';
import { destroy } from './lifecycle.ts';
import { checkPayloads } from './rules.ts';
import type { IkeSa } from './sa.ts';
import { isUsable, takesRequest } from './states.ts';
import { inheritIfUsed } from './succession.ts';
import type { Answer, Received, Responder } from './task.ts';
import { respondCreateChildSa } from './tasks/create-child-sa.ts';
import { deletesIke } from './tasks/delete.ts';
import { respondFollowup } from './tasks/followup-ke.ts';
import { respondAuth } from './tasks/ike-auth-respond.ts';
import { respondInit } from './tasks/ike-init-respond.ts';
import { respondIntermediate } from './tasks/ike-intermediate.ts';
import { respondInformational } from './tasks/informational.ts';
import { followAnswer, movePath } from './tasks/mobike.ts';

const RESPONDERS: Readonly<Record<number, Responder>> = {
  [EXCHANGE.IKE_INTERMEDIATE]: respondIntermediate,
  [EXCHANGE.IKE_AUTH]: respondAuth,
  [EXCHANGE.CREATE_CHILD_SA]: respondCreateChildSa,
  [EXCHANGE.IKE_FOLLOWUP_KE]: respondFollowup,
  [EXCHANGE.INFORMATIONAL]: respondInformational,
};

/** Answers to messages that belong to no SA are limited to so many a second: they prove nothing and cost little to ask for. */
const STATELESS_PER_SECOND = 20;
const REQUEST_PREFIX = 'request';
const RESPONSE_PREFIX = 'response';
/** Half-received messages of one SA. */
const MAX_REASSEMBLIES = 4;

/** Refuses silently: what is malformed and not authentic gets no answer and leaves no trace but a line at `debug`. */
function drop(cx: Context, datagram: IkeDatagram, reason: string): void {
  if (cx.debugging) cx.log('debug', `dropped ${datagram.data.length} bytes from ${datagram.remote.address}: ${reason}`);
}

export function receive(cx: Context, datagram: IkeDatagram): void {
  let message: ParsedMessage;
  try {
    message = parseMessage(datagram.data);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    drop(cx, datagram, error.message);
    if (error.notify !== undefined) answerUnreadable(cx, datagram, error);
    return;
  }
  if (message.header.exchange === EXCHANGE.IKE_SA_INIT) receiveInit(cx, datagram, message);
  else receiveProtected(cx, datagram, message);
}

/** RFC 7296 §2.5 and §2.21.1: a higher version and an unknown critical payload outside of SK are answered. */
function answerUnreadable(cx: Context, datagram: IkeDatagram, error: WireError): void {
  const header = readHeader(datagram.data);
  const answered =
    error.code === 'ERR_WIRE_VERSION' ||
    (error.code === 'ERR_WIRE_CRITICAL' && header.exchange === EXCHANGE.IKE_SA_INIT);
  if (!answered || header.response || header.spiI === 0n) return;
  answerStateless(cx, datagram, header, error.notify!, error.data);
}

/** An unprotected answer to a request that we have no SA for; the SPIs are the request's. */
function answerStateless(
  cx: Context,
  { local, remote }: IkeDatagram,
  header: ParsedHeader,
  notify: number,
  data?: Uint8Array,
): void {
  if (!cx.statelessBudget(STATELESS_PER_SECOND)) return;
  const answer = {
    spiI: header.spiI,
    spiR: header.spiR,
    exchange: header.exchange,
    fromInitiator: !header.fromInitiator,
    response: true,
    messageId: header.messageId,
  };
  cx.push({ type: 'send', datagram: { local, remote, data: buildMessage(answer, [notification(notify, data)]) } });
}

function receiveInit(cx: Context, datagram: IkeDatagram, message: ParsedMessage): void {
  const { header } = message;
  if (header.messageId !== 0 || header.fromInitiator === header.response) {
    drop(cx, datagram, 'IKE_SA_INIT with wrong flags or message ID');
  } else if (header.response) {
    receiveInitResponse(cx, datagram, message);
  } else if (header.spiR !== 0n) {
    drop(cx, datagram, 'IKE_SA_INIT request with an SPI of the responder');
  } else {
    receiveInitRequest(cx, datagram, message);
  }
}

function receiveInitRequest(cx: Context, datagram: IkeDatagram, message: ParsedMessage): void {
  const digest = cx.digest(datagram.data);
  const known = cx.table.findInit(digest);
  if (known !== undefined) {
    const answer = known.window.repeat(0, digest);
    if (answer !== undefined) sendTo(cx, datagram, answer);
    return;
  }
  try {
    respondInit(cx, datagram, message, digest);
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    drop(cx, datagram, error.message);
  }
}

function receiveInitResponse(cx: Context, datagram: IkeDatagram, message: ParsedMessage): void {
  const sa = cx.table.find(message.header.spiI);
  const record = sa?.window.outstanding.get(0);
  if (sa === undefined || !sa.initiator || record?.exchange !== EXCHANGE.IKE_SA_INIT) {
    drop(cx, datagram, 'it answers no IKE_SA_INIT of ours');
    return;
  }
  trace(cx, sa, 'received', { ...message.header, payloads: message.payloads, encrypted: false });
  try {
    checkPayloads(EXCHANGE.IKE_SA_INIT, true, message.payloads);
  } catch (error) {
    // RFC 7296 §2.4: whatever is wrong with an answer that proves nothing, a better one may follow.
    if (!(error instanceof WireError)) throw error;
    drop(cx, datagram, error.message);
    return;
  }
  const response = { message, payloads: message.payloads };
  if (record.task.heeds?.(cx, sa, response) !== false) onResponse(cx, sa, record, response);
}

function receiveProtected(cx: Context, datagram: IkeDatagram, message: ParsedMessage): void {
  const { header } = message;
  const sa = cx.table.find(header.fromInitiator ? header.spiR : header.spiI);
  const isOurs = sa !== undefined && sa.initiator !== header.fromInitiator;
  if (!isOurs || sa.spiI !== header.spiI || sa.spiR !== header.spiR) {
    unknownSpi(cx, datagram, message, isOurs ? sa : undefined);
    return;
  }
  if (message.encrypted === undefined) {
    unprotected(cx, datagram, sa, message);
    return;
  }
  if (header.response) receiveResponse(cx, datagram, sa, message);
  else receiveRequest(cx, datagram, sa, message);
}

/** RFC 7296 §2.21.4: the sender may have an SA that we lost. */
function unknownSpi(cx: Context, datagram: IkeDatagram, { header }: ParsedMessage, _sa: IkeSa | undefined): void {
  drop(cx, datagram, `no IKE SA has the SPIs ${spiText(header.spiI)} and ${spiText(header.spiR)}`);
  if (!header.response) answerStateless(cx, datagram, header, NOTIFY.INVALID_IKE_SPI);
}

/** An error without protection is a hint at most: it makes us ask the peer itself (RFC 7296 §2.4). */
function unprotected(cx: Context, datagram: IkeDatagram, sa: IkeSa, message: ParsedMessage): void {
  drop(cx, datagram, `${exchangeName(message.header.exchange)} without protection`);
  const invalidSpi = message.payloads.some(
    (payload) => payload.kind === 'N' && payload.notify === NOTIFY.INVALID_IKE_SPI,
  );
  const isIdle = sa.window.outstanding.size === 0 && cx.now - sa.lastReceived > 1000;
  if (invalidSpi && isUsable(sa.state) && isIdle) cx.operations.checkLiveness(sa);
}

function receiveRequest(cx: Context, datagram: IkeDatagram, sa: IkeSa, message: ParsedMessage): void {
  const { messageId, exchange } = message.header;
  const kind = sa.window.classify(messageId);
  if (kind === 'answered') {
    const answer = sa.window.repeat(messageId, cx.digest(datagram.data));
    if (answer !== undefined) sendTo(cx, datagram, answer);
    return;
  }
  if (kind === 'stale' || !takesRequest(sa.state, exchange)) {
    drop(cx, datagram, `${exchangeName(exchange)} request ${messageId} has no place in state ${sa.state}`);
    return;
  }
  const authentic = authenticate(cx, datagram, sa, message, REQUEST_PREFIX);
  if (authentic === undefined) return;
  sa.lastReceived = cx.now;
  noteArrival(sa, datagram);
  followNat(cx, datagram, sa);
  answerRequest(cx, sa, authentic);
}

function answerRequest(cx: Context, sa: IkeSa, { first, parse }: Authentic): void {
  const { exchange, messageId } = first.header;
  let answer: Answer;
  try {
    const received = parse();
    trace(cx, sa, 'received', { exchange, response: false, messageId, payloads: received.payloads, encrypted: true });
    checkPayloads(exchange, false, received.payloads);
    if (isUsable(sa.state)) noteWindowSize(sa, received.payloads);
    if (!deletesIke(received.payloads)) inheritIfUsed(cx, sa);
    answer = RESPONDERS[exchange]!(cx, sa, received);
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    if (error instanceof WireError && error.notify === undefined) {
      cx.log('debug', `dropped a request: ${error.message}`, sa.connection.name);
      return;
    }
    answer = refusal(cx, sa, error);
  }
  const digest = cx.digest(first.data);
  const sealed = seal(cx, sa, exchange, messageId, true, answer.payloads);
  answer.sent?.(sealed);
  sa.window.answered(messageId, digest, sealed.datagrams);
  const { arrivedAt } = sa;
  for (const data of sealed.datagrams) cx.push({ type: 'send', datagram: { ...arrivedAt, data } });
  sa.lastSent = cx.now;
  answer.after?.();
  pump(cx, sa);
}

/**
 * RFC 7296 §2.21: what an authentic request was refused with. In the handshake any error is fatal,
 * later only one that says that the two sides no longer understand each other.
 */
function refusal(cx: Context, sa: IkeSa, error: EspalierError): Answer {
  const known = error instanceof Failure || error instanceof WireError ? error : undefined;
  const inHandshake = sa.state === 'CONNECTING';
  const notify = known?.notify ?? (inHandshake ? NOTIFY.AUTHENTICATION_FAILED : NOTIFY.TEMPORARY_FAILURE);
  const isFatal = inHandshake || notify === NOTIFY.INVALID_SYNTAX;
  if (!isFatal) cx.log('warn', `refused the peer's request: ${error.message}`, sa.connection.name);
  return {
    payloads: [notification(notify, known?.data)],
    ...(isFatal && { after: () => destroy(cx, sa, 'failed', error) }),
  };
}

function receiveResponse(cx: Context, datagram: IkeDatagram, sa: IkeSa, message: ParsedMessage): void {
  const { messageId, exchange } = message.header;
  const record: Outstanding | undefined = sa.window.outstanding.get(messageId);
  if (record === undefined || record.exchange !== exchange) {
    drop(cx, datagram, `${exchangeName(exchange)} response ${messageId} answers nothing`);
    return;
  }
  const authentic = authenticate(cx, datagram, sa, message, RESPONSE_PREFIX);
  if (authentic === undefined) return;
  sa.lastReceived = cx.now;
  noteArrival(sa, datagram);
  followNat(cx, datagram, sa);
  followAnswer(cx, sa);
  try {
    const received = authentic.parse();
    trace(cx, sa, 'received', { exchange, response: true, messageId, payloads: received.payloads, encrypted: true });
    if (isUsable(sa.state)) noteWindowSize(sa, received.payloads);
    onResponse(cx, sa, record, received);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    destroy(cx, sa, 'failed', error);
  }
}

/** A message that came whole and unaltered from the peer. */
interface Authentic {
  /** The message, or its first fragment: repetitions are known by it. */
  readonly first: ParsedMessage;
  /** @throws WireError for content that is malformed, which then is the peer's own doing */
  parse(): Received;
}

/** @returns undefined if the message is not authentic, or a fragment is still missing */
function authenticate(
  cx: Context,
  datagram: IkeDatagram,
  sa: IkeSa,
  message: ParsedMessage,
  prefix: string,
): Authentic | undefined {
  const inbound = sa.protection?.inbound;
  const encrypted = message.encrypted!;
  if (inbound === undefined) return undefined;
  try {
    if (encrypted.kind === 'SK') {
      return authentic(message, encrypted.firstPayload, inbound.open(message.data, encrypted.bodyOffset));
    }
    const name = `${prefix} ${message.header.messageId}`;
    const whole = reassembly(sa, name).add(message, inbound);
    if (whole === undefined) return undefined;
    sa.reassemblies.delete(name);
    return authentic(whole.first, whole.firstPayload, whole.plaintext);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    drop(cx, datagram, error.message);
    return undefined;
  }
}

function authentic(first: ParsedMessage, firstPayload: number, plaintext: Uint8Array): Authentic {
  return {
    first,
    parse() {
      const opened = parseOpened(firstPayload, plaintext);
      return { message: first, opened, payloads: opened.payloads };
    },
  };
}

function reassembly(sa: IkeSa, name: string): Reassembly {
  const known = sa.reassemblies.get(name);
  if (known !== undefined) return known;
  // The window bounds the IDs; what is older than that will not be completed.
  if (sa.reassemblies.size >= MAX_REASSEMBLIES) sa.reassemblies.delete(sa.reassemblies.keys().next().value!);
  const fresh = new Reassembly();
  sa.reassemblies.set(name, fresh);
  return fresh;
}

/** Keeps where it came from and to, in the SA's own words if that is where we are used to. */
function noteArrival(sa: IkeSa, { local, remote }: IkeDatagram): void {
  const isUsual = isSame(local, sa.local) && isSame(remote, sa.remote);
  sa.arrivedAt = isUsual ? { local: sa.local, remote: sa.remote } : { local, remote };
}

const isSame = (a: Endpoint, b: Endpoint): boolean => a.address === b.address && a.port === b.port;

/**
 * RFC 7296 §2.23: a peer behind a NAT is where its last authentic message came from. With MOBIKE the
 * peer says so itself (RFC 4555 §3.8), except before the SA is established.
 */
function followNat(cx: Context, { local, remote }: IkeDatagram, sa: IkeSa): void {
  if (isSame(local, sa.local) && isSame(remote, sa.remote)) return;
  const inHandshake = sa.state === 'CONNECTING' && !sa.initiator;
  const follows = inHandshake || (sa.followsPeer && !sa.peer.mobike);
  if (!follows) return;
  movePath(cx, sa, local, remote);
}

/** Answers a repeated request to where it came from now. */
function sendTo(cx: Context, { local, remote }: IkeDatagram, datagrams: readonly Uint8Array[]): void {
  for (const data of datagrams) cx.push({ type: 'send', datagram: { local, remote, data } });
}
