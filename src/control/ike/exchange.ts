/**
 * Our side of exchanges: operations wait for the window, their requests are sent and sent again with
 * growing pauses until the response comes (RFC 7296 §2.1, §2.4). The only place that retransmits.
 */
import type { Endpoint } from '../../contract.ts';
import { EspalierError } from '../../errors.ts';
import { EXCHANGE, exchangeName } from '../wire/iana.ts';
import { buildMessage } from '../wire/message.ts';
import type { Payload } from '../wire/payloads/index.ts';
import type { Context } from './context.ts';
import type { Outstanding } from './exchange-window.ts';
import { Failure } from './failure.ts';
import { windowSize } from './features.ts';
import { type SealedMessage, sealAll } from './fragment.ts';
import { destroy } from './lifecycle.ts';
import { checkPayloads, inOrder } from './rules.ts';
import type { IkeSa } from './sa.ts';
import { isUsable } from './states.ts';
import type { Received, Task } from './task.ts';
import { traceMessage } from './trace.ts';

/** Queues an operation and begins it if it may. */
export function enqueue(cx: Context, sa: IkeSa, task: Task): void {
  sa.queue.push(task);
  pump(cx, sa);
}

/** Begins what waits, as far as the window lets it. */
export function pump(cx: Context, sa: IkeSa): void {
  for (;;) {
    const at = sa.queue.findIndex((task) => !isHeld(sa, task));
    if (at < 0 || !mayBegin(sa, sa.queue[at]!)) return;
    const [task] = sa.queue.splice(at, 1);
    begin(cx, sa, task!);
  }
}

/**
 * While the peer is half through a rekeying of the IKE SA (RFC 9370 §2.2.4), what concerns a child waits for
 * the new one: what of it is half done here when the old one goes would be lost (RFC 7296 §2.25.2).
 */
const isHeld = (sa: IkeSa, task: Task): boolean =>
  task.subject !== undefined && [...sa.followups.values()].some(({ rekeysIke }) => rekeysIke);

function mayBegin(sa: IkeSa, task: Task): boolean {
  if (sa.state === 'DESTROYING' || !sa.window.open) return false;
  const running = [...sa.window.outstanding.values()].map((record) => record.task);
  if (task.exclusive) return running.length === 0;
  return !running.some(({ exclusive, subject }) => exclusive || (subject !== undefined && subject === task.subject));
}

function begin(cx: Context, sa: IkeSa, task: Task): void {
  let payloads: readonly Payload[] | undefined;
  try {
    payloads = task.build(cx, sa);
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    task.abandon?.(cx, sa, error.message);
    destroy(cx, sa, 'failed', error);
    return;
  }
  if (payloads === undefined) return;
  const sealed = seal(cx, sa, task.exchange, sa.window.next, false, payloads);
  const record = sa.window.send(task.exchange, task, sealed.datagrams);
  task.sent?.(sa, sealed, record.messageId);
  sendRecord(cx, sa, record);
}

function sendRecord(cx: Context, sa: IkeSa, record: Outstanding): void {
  send(cx, sa, record.datagrams, pathOf(sa, record.tries));
  const { retransmitTimeout, retransmitBase } = cx.limits;
  const pause = retransmitTimeout * retransmitBase ** record.tries * 1000;
  record.timer = cx.timers.set(cx.now + pause, () => onSilence(cx, sa, record));
}

function onSilence(cx: Context, sa: IkeSa, record: Outstanding): void {
  if (sa.window.outstanding.get(record.messageId) !== record) return;
  if (record.tries >= cx.limits.retransmitTries) {
    const { address, port } = sa.remote;
    const what = `${address}:${port} did not answer ${exchangeName(record.exchange)} after ${record.tries + 1} tries`;
    const failure = new Failure('ERR_NO_ANSWER', `${what}; check the address, and that UDP 500 and 4500 get through`);
    destroy(cx, sa, 'dead', failure);
    return;
  }
  record.tries++;
  cx.log('debug', `${record.task.name}: no answer, trying again (${record.tries})`, sa.connection.name);
  sendRecord(cx, sa, record);
}

/** Sends what is outstanding once more, at once: to a new address (RFC 4555 §3.5), or where an answer is urgent. */
export function resend(cx: Context, sa: IkeSa): void {
  for (const record of sa.window.outstanding.values()) send(cx, sa, record.datagrams);
}

/** Every second try, once it looks bad, goes to one of the peer's other addresses (RFC 4555 §3.10). */
function pathOf({ remote, originator, peer, peerAddresses }: IkeSa, tries: number): Endpoint {
  if (!originator || !peer.mobike || tries < 2 || tries % 2 !== 0) return remote;
  const family = remote.address.includes(':');
  const others = peerAddresses.filter((address) => address !== remote.address && address.includes(':') === family);
  const address = others[(tries / 2 - 1) % others.length];
  return address === undefined ? remote : { ...remote, address };
}

/** Sends datagrams on the SA's present path, or to another address of the peer's. */
export function send(cx: Context, sa: IkeSa, datagrams: readonly Uint8Array[], remote: Endpoint = sa.remote): void {
  sa.lastSent = cx.now;
  for (const data of datagrams) {
    cx.push({ type: 'send', datagram: { local: sa.local, remote, data } });
  }
}

/** Puts payloads in order, protects them, cuts them into fragments where the peer takes those, and logs them. */
export function seal(
  cx: Context,
  sa: IkeSa,
  exchange: number,
  messageId: number,
  response: boolean,
  unordered: readonly Payload[],
): SealedMessage {
  const announced = isUsable(sa.state) ? windowSize(sa) : [];
  const payloads = inOrder(exchange, response, [...unordered, ...announced]);
  const header = { spiI: sa.spiI, spiR: sa.spiR, exchange, fromInitiator: sa.initiator, response, messageId };
  if (exchange === EXCHANGE.IKE_SA_INIT) {
    trace(cx, sa, 'sent', { exchange, response, messageId, payloads, encrypted: false });
    return { datagrams: [buildMessage(header, payloads)], plaintext: new Uint8Array(), firstPayload: 0 };
  }
  const cuts = sa.peer.fragmentation && sa.connection.fragmentation !== 'accept';
  const limit = cuts ? cx.limits.fragmentSize : undefined;
  const ipv6 = sa.remote.address.includes(':');
  const sealed = sealAll(header, payloads, sa.protection!.outbound, limit, ipv6);
  const fragments = sealed.datagrams.length;
  trace(cx, sa, 'sent', { exchange, response, messageId, payloads, encrypted: true, fragments });
  return sealed;
}

type TracedMessage = Parameters<typeof traceMessage>[0];

/** Logs a message in RFC notation. */
export function trace(cx: Context, sa: IkeSa, verb: 'sent' | 'received', message: TracedMessage): void {
  if (cx.debugging) cx.log('debug', `${verb} ${traceMessage(message)}`, sa.connection.name);
}

/** The response to a request of ours, authentic unless it is IKE_SA_INIT. */
export function onResponse(cx: Context, sa: IkeSa, record: Outstanding, response: Received): void {
  const { task } = record;
  checkPayloads(record.exchange, true, response.payloads);
  sa.window.take(record.messageId);
  cx.timers.cancel(record.timer);
  try {
    const progress = task.process(cx, sa, response);
    if (progress === 'again' && sa.state !== 'DESTROYING') begin(cx, sa, task);
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    task.abandon?.(cx, sa, error.message);
    // RFC 7296 §2.21.3: a response that makes no sense means that the two do not have the same state.
    destroy(cx, sa, 'failed', error);
  }
  pump(cx, sa);
}
