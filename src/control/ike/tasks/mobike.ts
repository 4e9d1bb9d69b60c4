/**
 * MOBIKE (RFC 4555): the initiator of the IKE SA moves it, with its children, to other addresses. Either side tells
 * when it has others than before; the responder does so from where it is now, and the initiator moves the SA there.
 *
 *   HDR, SK {N(UPDATE_SA_ADDRESSES), N(NAT_DETECTION_*)+} -->
 *                        <-- HDR, SK {N(NAT_DETECTION_*)+}
 *   return routability, from the side that was told:
 *                        <-- HDR, SK {N(COOKIE2)}
 *   HDR, SK {N(COOKIE2)} -->
 *   other addresses than before, from either side:
 *   HDR, SK {N(ADDITIONAL_IP*_ADDRESS)+ | N(NO_ADDITIONAL_ADDRESSES)} -->
 *                        <-- HDR, SK {}
 */
import type { Endpoint } from '../../../contract.ts';
import { isEncapsulated } from '../../child/keymat.ts';
import { addressBytes, addressText } from '../../wire/address.ts';
import { equalBytes, toHex } from '../../wire/bytes.ts';
import { EXCHANGE, NOTIFY } from '../../wire/iana.ts';
import { findAll, findNotify } from '../../wire/message.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import { type NotifyPayload, notification } from '../../wire/payloads/notify.ts';
import type { Context } from '../context.ts';
import { enqueue, resend } from '../exchange.ts';
import { because, destroy } from '../lifecycle.ts';
import { findNat, natDetection } from '../nat.ts';
import { errorNotify } from '../rules.ts';
import type { IkeSa } from '../sa.ts';
import { isUsable } from '../states.ts';
import type { Answer, Progress, Received, Task } from '../task.ts';
import { pathChanged } from '../upkeep.ts';

/** So many addresses of a peer's are remembered. */
const MAX_ADDRESSES = 16;
const COOKIE2_LENGTH = 16;

/** @param present this host's addresses, as far as they are known: what is configured may have come or gone */
const others = (cx: Context, { local }: IkeSa, present: readonly string[] | undefined): readonly string[] =>
  cx.config.gateway.listen
    .filter((address) => address !== local.address && (present === undefined || present.includes(address)))
    .slice(0, MAX_ADDRESSES);

/** @returns our other configured addresses, for the peer to fall back on (RFC 4555 §3.4) */
export function additionalAddresses(cx: Context, sa: IkeSa): NotifyPayload[] {
  return others(cx, sa, cx.addresses).map((address) => {
    const bytes = addressBytes(address);
    return notification(bytes.length === 4 ? NOTIFY.ADDITIONAL_IP4_ADDRESS : NOTIFY.ADDITIONAL_IP6_ADDRESS, bytes);
  });
}

const LISTS: readonly number[] = [NOTIFY.ADDITIONAL_IP4_ADDRESS, NOTIFY.ADDITIONAL_IP6_ADDRESS];

/** Remembers the peer's other addresses, as far as they make sense. */
export function noteAddresses(sa: IkeSa, payloads: readonly Payload[]): void {
  sa.peerAddresses = findAll(payloads, 'N')
    .filter(({ notify, data }) => LISTS.includes(notify) && (data.length === 4 || data.length === 16))
    .slice(0, MAX_ADDRESSES)
    .map(({ data }) => addressText(data));
}

/** Moves the SA and everything installed under it; counters and keys stay. */
export function movePath(cx: Context, sa: IkeSa, local: Endpoint, remote: Endpoint): void {
  sa.local = local;
  sa.remote = remote;
  moveChildren(cx, sa);
  pathChanged(cx, sa);
}

function moveChildren(cx: Context, { children, local, remote }: IkeSa): void {
  for (const child of children.values()) {
    // RFC 4555 §3.5: where a NAT has appeared, or gone, encapsulation begins, or ends.
    const udpEncapsulation = isEncapsulated(child);
    for (const key of [child.keyIn, child.keyOut]) cx.push({ type: 'move-sa', key, local, remote, udpEncapsulation });
  }
}

/** Tells the peer that we send from another address (RFC 4555 §3.5). */
export class UpdateAddresses implements Task {
  readonly name = 'address update';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly exclusive = true;
  private path: { readonly local: Endpoint; readonly remote: Endpoint } | undefined;

  build(cx: Context, sa: IkeSa): Payload[] | undefined {
    if (!isUsable(sa.state)) return undefined;
    this.path = { local: sa.local, remote: sa.remote };
    return [
      notification(NOTIFY.UPDATE_SA_ADDRESSES),
      ...natDetection(cx.crypto, sa, sa.local, sa.remote, sa.connection.encap),
    ];
  }

  process(cx: Context, sa: IkeSa, { payloads }: Received): Progress {
    const error = errorNotify(payloads);
    if (error !== undefined) {
      const why = because('ERR_MOBIKE', 'the peer does not accept our new address');
      destroy(cx, sa, 'dead', why);
      return 'done';
    }
    // Moved again meanwhile: the answer speaks of a path that is no more.
    const { local, remote } = this.path!;
    if (local.address !== sa.local.address || remote.address !== sa.remote.address) return 'again';
    const nat = findNat(cx.crypto, sa, payloads, sa.local, sa.remote);
    if (nat.supported) {
      sa.natLocal = nat.local || sa.connection.encap;
      sa.natRemote = nat.remote;
    }
    sa.natMapping = seenMapping(payloads);
    movePath(cx, sa, sa.local, sa.remote);
    cx.log('info', `IKE SA ${sa.id} moved to ${sa.local.address} === ${sa.remote.address}`, sa.connection.name);
    return 'done';
  }
}

/** Tells the peer which other addresses we have by now; the one in use is in the message's own header (RFC 4555 §3.6). */
export class TellAddresses implements Task {
  readonly name = 'list of addresses';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly exclusive = false;

  build(cx: Context, sa: IkeSa): Payload[] | undefined {
    if (!isUsable(sa.state)) return undefined;
    const list = additionalAddresses(cx, sa);
    return list.length > 0 ? list : [notification(NOTIFY.NO_ADDITIONAL_ADDRESSES)];
  }

  process(): Progress {
    return 'done';
  }
}

/** Makes sure that the peer is where it says, before it can have us flood somebody else (RFC 4555 §3.7). */
class ReturnRoutability implements Task {
  readonly name = 'return routability check';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly exclusive = false;
  private cookie = new Uint8Array();

  build(cx: Context, sa: IkeSa): Payload[] | undefined {
    if (!isUsable(sa.state)) return undefined;
    this.cookie = Uint8Array.from(cx.crypto.random(COOKIE2_LENGTH));
    return [notification(NOTIFY.COOKIE2, this.cookie)];
  }

  process(cx: Context, sa: IkeSa, { payloads }: Received): Progress {
    const cookie = findNotify(payloads, NOTIFY.COOKIE2);
    if (cookie !== undefined && equalBytes(cookie.data, this.cookie)) return 'done';
    destroy(cx, sa, 'failed', because('ERR_MOBIKE', 'the peer failed the return routability check'));
    return 'done';
  }
}

/**
 * This host's addresses changed: an SA whose own is gone goes on from another one, and the peer hears which there are.
 * @param before what they were, if that is known
 */
export function updateAddresses(
  cx: Context,
  sa: IkeSa,
  addresses: readonly string[],
  before: readonly string[] | undefined,
): void {
  if (!sa.peer.mobike) return;
  if (addresses.includes(sa.local.address)) {
    if (others(cx, sa, addresses).join() !== others(cx, sa, before).join()) enqueue(cx, sa, new TellAddresses());
    return;
  }
  const address = anotherAddress(cx, sa, addresses);
  if (address === undefined) return;
  sa.local = { ...sa.local, address };
  // RFC 4555 §3.5: what is under way goes out again, from the new address, before anything else.
  resend(cx, sa);
  // Of an SA that is on its way out nothing becomes of it, unless a rekeying still under way makes it an heir.
  if (sa.originator) enqueue(cx, sa, new UpdateAddresses());
  // The responder's children send from where it is: the initiator need not move the SA, if it never heard of another place.
  else moveChildren(cx, sa);
  if (!sa.originator || cx.config.gateway.listen.length > 0) enqueue(cx, sa, new TellAddresses());
}

/** @returns an address that we listen at, and that the peer is reached from */
function anotherAddress(cx: Context, { remote }: IkeSa, addresses: readonly string[]): string | undefined {
  const { listen } = cx.config.gateway;
  const usable = addresses.filter((each) => listen.length === 0 || listen.includes(each));
  const nearest = cx.environment.sourceAddress(remote.address);
  const isIpv6 = remote.address.includes(':');
  return usable.find((each) => each === nearest) ?? usable.find((each) => each.includes(':') === isIpv6);
}

/** A rekeying came first: what the peer has not heard of our addresses it is told over the new SA. */
export function inheritUpdate(cx: Context, old: IkeSa, next: IkeSa): void {
  const tasks = [...old.queue, ...[...old.window.outstanding.values()].map(({ task }) => task)];
  for (const Kind of [UpdateAddresses, TellAddresses])
    if (tasks.some((task) => task instanceof Kind)) enqueue(cx, next, new Kind());
}

/**
 * The responder has told its addresses, from one that we did not know it by, and the one that we use is not among them:
 * it is gone, and the SA goes where the responder is now (RFC 4555 §3.6). Children follow when it answers from there.
 */
function leaveGoneAddress(cx: Context, sa: IkeSa): void {
  const { remote } = sa.arrivedAt;
  if (!sa.originator || remote.address === sa.remote.address || sa.peerAddresses.includes(sa.remote.address)) return;
  sa.remote = remote;
  resend(cx, sa);
  enqueue(cx, sa, new UpdateAddresses());
}

/**
 * The answer to something that was sent to another address of the peer's, as nothing came back from
 * the usual one (RFC 4555 §3.10): that is where the SA goes.
 */
export function followAnswer(cx: Context, sa: IkeSa): void {
  const { address } = sa.arrivedAt.remote;
  if (!sa.originator || !sa.peer.mobike || address === sa.remote.address || !sa.peerAddresses.includes(address)) return;
  sa.peerAddresses = [...sa.peerAddresses.filter((other) => other !== address), sa.remote.address];
  sa.remote = { ...sa.remote, address };
  enqueue(cx, sa, new UpdateAddresses());
}

/** @returns the answer to a request of MOBIKE's; undefined if it was none */
export function respondMobike(cx: Context, sa: IkeSa, { message, payloads }: Received): Answer | undefined {
  if (!sa.peer.mobike) return undefined;
  const cookie = findNotify(payloads, NOTIFY.COOKIE2);
  const echo = cookie === undefined ? [] : [notification(NOTIFY.COOKIE2, cookie.data)];
  if (findNotify(payloads, NOTIFY.UPDATE_SA_ADDRESSES) !== undefined)
    return respondUpdate(cx, sa, { message, payloads }, echo);
  const lists = [...LISTS, NOTIFY.NO_ADDITIONAL_ADDRESSES];
  if (findAll(payloads, 'N').some(({ notify }) => lists.includes(notify))) {
    noteAddresses(sa, payloads);
    return { payloads: echo, after: () => leaveGoneAddress(cx, sa) };
  }
  return echo.length > 0 ? { payloads: echo } : respondNatProbe(cx, sa, payloads);
}

function respondUpdate(cx: Context, sa: IkeSa, { payloads }: Received, echo: readonly Payload[]): Answer {
  // RFC 4555 §3.1: only the original initiator decides.
  if (sa.originator) return { payloads: [notification(NOTIFY.UNACCEPTABLE_ADDRESSES)] };
  const { local, remote } = sa.arrivedAt;
  const nat = findNat(cx.crypto, sa, payloads, local, remote);
  if (nat.supported) {
    sa.natLocal = nat.local || sa.connection.encap;
    sa.natRemote = nat.remote;
  }
  movePath(cx, sa, local, remote);
  cx.log('info', `IKE SA ${sa.id}: the peer moved to ${remote.address}`, sa.connection.name);
  return {
    payloads: [...natDetection(cx.crypto, sa, local, remote, sa.connection.encap), ...echo],
    after: () => enqueue(cx, sa, new ReturnRoutability()),
  };
}

/** @returns what a liveness check of ours asks with, where a NAT may have changed our mapping (RFC 4555 §3.8) */
export function natProbe(cx: Context, sa: IkeSa): NotifyPayload[] {
  if (!sa.originator || !sa.peer.mobike || !sa.natLocal) return [];
  return natDetection(cx.crypto, sa, sa.local, sa.remote, sa.connection.encap);
}

/** @returns where the peer sees us: a hash, which says no more than whether that is where it was */
function seenMapping(payloads: readonly Payload[]): string | undefined {
  const seen = findNotify(payloads, NOTIFY.NAT_DETECTION_DESTINATION_IP);
  return seen && toHex(seen.data);
}

/** The answer to `natProbe`: another address than last time, or the first one heard of, and the peer has to be told. */
export function noteNatProbe(cx: Context, sa: IkeSa, payloads: readonly Payload[]): void {
  const mapping = seenMapping(payloads);
  if (mapping === undefined || mapping === sa.natMapping || !sa.originator || !sa.peer.mobike) return;
  sa.natMapping = mapping;
  enqueue(cx, sa, new UpdateAddresses());
}

/** A peer behind a NAT asks what its address looks like from here (RFC 4555 §3.8). */
function respondNatProbe(cx: Context, sa: IkeSa, payloads: readonly Payload[]): Answer | undefined {
  if (findNotify(payloads, NOTIFY.NAT_DETECTION_SOURCE_IP) === undefined) return undefined;
  const { local, remote } = sa.arrivedAt;
  return { payloads: natDetection(cx.crypto, sa, local, remote, sa.connection.encap) };
}
