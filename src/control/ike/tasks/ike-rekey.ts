/**
 * CREATE_CHILD_SA for the rekeying of the IKE SA (RFC 7296 §1.3.2, §2.18); the SA payload carries the
 * new IKE SPIs, and the children go over to the new SA:
 *
 *   HDR, SK {SA, Ni, KEi} -->
 *             <-- HDR, SK {SA, Nr, KEr}
 *              or HDR, SK {N(TEMPORARY_FAILURE) | N(INVALID_KE_PAYLOAD) | …}
 *   HDR, SK {D(IKE)} -->                     the old SA, by whoever made the new one
 *             <-- HDR, SK {}
 *
 * If both begin at once, the new SA with the lowest of the four nonces is deleted by its initiator,
 * the old one by the other (§2.8.2).
 */
import { type IkeKeys, ikeKeys, rekeySkeyseed } from '../../crypto/keys.ts';
import { wipe } from '../../crypto/secret.ts';
import { additionalMethods, checkAnswer, keMethod, offer, selectProposal } from '../../proposals/select.ts';
import { Writer } from '../../wire/bytes.ts';
import { EXCHANGE, NOTIFY } from '../../wire/iana.ts';
import { find } from '../../wire/message.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import type { Proposal, Transform } from '../../wire/payloads/sa.ts';
import { mayCall } from '../choose.ts';
import type { Context } from '../context.ts';
import { enqueue } from '../exchange.ts';
import { Failure, peerFailure } from '../failure.ts';
import { algorithmsOf, NONCE_LENGTH, useKeys } from '../keying.ts';
import { pauseOfIke } from '../patience.ts';
import { errorNotify } from '../rules.ts';
import { IkeSa } from '../sa.ts';
import { becomeSuccessor, discardSuccessor, giveUp, inherit } from '../succession.ts';
import type { Answer, Progress, Received, Task } from '../task.ts';
import { lowerNonce, respondKe } from './child-exchange.ts';
import { DeleteIke } from './delete.ts';
import { expectFollowup } from './followup-ke.ts';
import { InitiatorKeys } from './initiator-keys.ts';

/** The peer does not want to: it is asked again later, as long as the SA lives and none takes over. */
const REFUSED_PAUSE = 60_000;

const spiBytes = (spi: bigint): Uint8Array => {
  const out = new Writer(8);
  out.u64(spi);
  return out.bytes;
};

/** @throws Failure unless the proposal carries an IKE SPI */
function spiOf({ spi }: Proposal, notify?: number): bigint {
  const value = spi.length === 8 ? new DataView(spi.buffer, spi.byteOffset, 8).getBigUint64(0) : 0n;
  if (value === 0n) throw new Failure('ERR_BAD_SPI', "the peer's new IKE SPI is missing or 0", notify);
  return value;
}

interface Secrets {
  readonly secret: Uint8Array;
  readonly additional: readonly Uint8Array[];
  readonly nonceI: Uint8Array;
  readonly nonceR: Uint8Array;
}

/** Gives the new SA its keys, from the old SA's SK_d with the old SA's PRF (RFC 7296 §2.18). */
function keySuccessor(cx: Context, old: IkeSa, next: IkeSa, transforms: readonly Transform[], inputs: Secrets): void {
  const { secret, additional, nonceI, nonceR } = inputs;
  const seed = rekeySkeyseed(old.algorithms!.prf, old.keys!.d, secret, nonceI, nonceR, additional);
  next.transforms = transforms;
  next.algorithms = algorithmsOf(cx.crypto, transforms);
  const keys: IkeKeys = ikeKeys(next.algorithms, seed, { nonceI, nonceR, spiI: next.spiI, spiR: next.spiR });
  wipe(seed);
  next.lowestNonce = lowerNonce(nonceI, nonceR);
  useKeys(cx, next, keys);
}

export class IkeRekey implements Task {
  readonly name = 'rekeying of the IKE SA';
  exchange: number = EXCHANGE.CREATE_CHILD_SA;
  readonly exclusive = true;
  private readonly keys = new InitiatorKeys();
  private method = 0;
  private offered: readonly Proposal[] = [];
  private nonceI: Uint8Array = new Uint8Array();
  private nonceR: Uint8Array = new Uint8Array();
  private spiI = 0n;
  private spiR = 0n;
  private transforms: readonly Transform[] = [];

  build(cx: Context, sa: IkeSa): Payload[] | undefined {
    if (this.exchange === EXCHANGE.IKE_FOLLOWUP_KE) return this.keys.followup(cx);
    if ((sa.state !== 'ESTABLISHED' && sa.state !== 'REKEYING') || sa.replacedBy !== undefined) return undefined;
    sa.state = 'REKEYING';
    this.spiI ||= cx.newSpi();
    this.offered = offer(sa.connection.proposals, spiBytes(this.spiI));
    this.method ||= keMethod(sa.transforms) || keMethod(this.offered[0]!.transforms);
    this.nonceI = Uint8Array.from(cx.crypto.random(NONCE_LENGTH));
    return [
      { kind: 'SA', proposals: this.offered },
      { kind: 'NONCE', data: this.nonceI },
      ...this.keys.start(cx, this.method),
    ];
  }

  process(cx: Context, sa: IkeSa, { payloads }: Received): Progress {
    const error = errorNotify(payloads);
    try {
      if (error?.notify === NOTIFY.INVALID_KE_PAYLOAD && this.exchange === EXCHANGE.CREATE_CHILD_SA) {
        this.method = this.keys.otherMethod(error, this.offered);
        return 'again';
      }
      if (error !== undefined) throw peerFailure(error, 'compare "proposals" on both sides');
      this.accept(payloads);
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      this.refused(cx, sa, failure, error?.notify === NOTIFY.TEMPORARY_FAILURE);
      return 'done';
    }
    if (this.keys.hasMore) {
      this.exchange = EXCHANGE.IKE_FOLLOWUP_KE;
      return 'again';
    }
    this.finish(cx, sa);
    return 'done';
  }

  abandon(_cx: Context, sa: IkeSa): void {
    this.keys.destroy();
    if (sa.state === 'REKEYING') sa.state = 'ESTABLISHED';
  }

  private accept(payloads: readonly Payload[]): void {
    if (this.exchange === EXCHANGE.IKE_FOLLOWUP_KE) {
      this.keys.acceptFollowup(payloads);
      return;
    }
    const chosen = checkAnswer(this.offered, find(payloads, 'SA')!.proposals);
    if ('refusal' in chosen) throw new Failure('ERR_BAD_PROPOSAL', chosen.refusal);
    this.spiR = spiOf(chosen.proposal);
    this.transforms = chosen.transforms;
    this.nonceR = find(payloads, 'NONCE')!.data;
    this.keys.accept(payloads, keMethod(chosen.transforms));
    this.keys.plan(additionalMethods(chosen.transforms), payloads);
  }

  private finish(cx: Context, sa: IkeSa): void {
    const next = new IkeSa(
      cx.nextId(),
      true,
      { spiI: this.spiI, spiR: this.spiR },
      sa.connection,
      sa,
      cx.limits.windowSize,
    );
    const { secret, additional } = this.keys;
    const { nonceI, nonceR } = this;
    keySuccessor(cx, sa, next, this.transforms, { secret: secret!, additional, nonceI, nonceR });
    this.keys.destroy();
    becomeSuccessor(cx, sa, next);
    // Its deletion was asked for meanwhile: then that is what happens to the new one, unless all that
    // was wrong with the old one was its age.
    const doom = sa.deletion?.cause === 'expired' ? undefined : sa.deletion;
    const rival = sa.rivalSuccessor ?? sa.replacedBy;
    const isLower = rival !== undefined && Buffer.compare(next.lowestNonce, rival.lowestNonce) < 0;
    if (rival !== undefined && rival.state !== 'DESTROYING' && (isLower || rival === sa.replacedBy)) {
      // Ours has the lowest nonce: the peer's stays, and the peer deletes the old SA.
      if (rival !== sa.replacedBy) inherit(cx, sa, rival);
      next.replacedBy = rival;
      next.state = 'DELETING';
      enqueue(cx, next, new DeleteIke('replaced', 'the peer rekeyed at the same time'));
      if (doom !== undefined) cx.operations.deleteIke(rival, doom.cause, doom.reason);
      return;
    }
    inherit(cx, sa, next);
    if (rival !== undefined) giveUp(cx, rival);
    sa.state = 'DELETING';
    enqueue(cx, sa, new DeleteIke('replaced', 'it was rekeyed'));
    if (doom !== undefined) cx.operations.deleteIke(next, doom.cause, doom.reason);
  }

  /** @param isBusy the peer wants to be asked again, soon */
  private refused(cx: Context, sa: IkeSa, { message }: Failure, isBusy: boolean): void {
    this.keys.destroy();
    if (sa.state === 'REKEYING') sa.state = 'ESTABLISHED';
    if (sa.replacedBy !== undefined) return;
    const rival = sa.rivalSuccessor;
    if (rival !== undefined && rival.state !== 'DESTROYING') {
      // The peer refused ours, but made one itself: that one it is.
      inherit(cx, sa, rival);
      return;
    }
    const pause = isBusy ? pauseOfIke(cx, sa) : REFUSED_PAUSE;
    cx.setTimer(sa, 'rekey', cx.now + pause, () => cx.operations.rekeyIke(sa));
    const instead = !isBusy && mayCall(sa);
    const when = instead ? 'a new IKE SA takes over' : `trying again in ${Math.round(pause / 1000)} s`;
    cx.log(isBusy ? 'debug' : 'error', `${this.name} failed, ${when}: ${message}`, sa.connection.name);
    // Its lifetime would end before the peer thinks better of it.
    if (instead) cx.operations.reauthenticate(sa);
  }
}

/** The peer rekeys the IKE SA; it is then the initiator of the new one. */
export function respondIkeRekey(cx: Context, sa: IkeSa, { payloads }: Received): Answer {
  const ke = find(payloads, 'KE');
  const theirs = find(payloads, 'SA')!.proposals;
  const chosen = selectProposal(sa.connection.proposals, theirs, ke && { preferKe: ke.method });
  if ('refusal' in chosen) throw new Failure('ERR_NO_PROPOSAL_CHOSEN', chosen.refusal, NOTIFY.NO_PROPOSAL_CHOSEN);
  const { proposal } = chosen;
  const spis = { spiI: spiOf(proposal, NOTIFY.INVALID_SYNTAX), spiR: cx.newSpi() };
  const nonceI = find(payloads, 'NONCE')!.data;
  const nonceR = cx.crypto.random(NONCE_LENGTH);
  const answer: Payload[] = [
    { kind: 'SA', proposals: [{ ...proposal, spi: spiBytes(spis.spiR) }] },
    { kind: 'NONCE', data: nonceR },
  ];
  const secret = respondKe(cx, ke, keMethod(proposal.transforms), answer);
  if (secret === undefined)
    throw new Failure('ERR_NO_KE', 'the rekeying of an IKE SA needs a key exchange', NOTIFY.NO_PROPOSAL_CHOSEN);
  const next = new IkeSa(cx.nextId(), false, spis, sa.connection, sa, cx.limits.windowSize);
  const succeed = (additional: readonly Uint8Array[]): (() => void) => {
    if (sa.replacedBy !== undefined) {
      // Ours was done first, while the peer was busy with additional key exchanges, and the old SA is
      // being deleted: the peer, which has answered ours, goes on with that one (RFC 7296 §2.25.2).
      wipe(secret);
      throw new Failure('ERR_REKEYED', 'the IKE SA has been rekeyed already', NOTIFY.TEMPORARY_FAILURE);
    }
    if (sa.state === 'DELETING' && sa.deletion?.cause !== 'expired') {
      // It is wanted no more, and so is no heir of it.
      wipe(secret);
      throw new Failure('ERR_DELETED', 'the IKE SA is being deleted', NOTIFY.TEMPORARY_FAILURE);
    }
    keySuccessor(cx, sa, next, proposal.transforms, { secret, additional, nonceI, nonceR });
    wipe(secret);
    becomeSuccessor(cx, sa, next);
    return () => takeOver(cx, sa, next);
  };
  const methods = additionalMethods(proposal.transforms);
  if (methods.length === 0) return { payloads: answer, after: succeed([]) };
  const abandon = (): void => wipe(secret);
  const link = expectFollowup(cx, sa, { methods, secrets: [], rekeysIke: true, finish: succeed, abandon });
  return { payloads: [...answer, link] };
}

/** The answer is on its way. With a rekeying of ours under way, who inherits is not known yet. */
function takeOver(cx: Context, sa: IkeSa, next: IkeSa): void {
  if (sa.state === 'DESTROYING') {
    discardSuccessor(cx, next);
    return;
  }
  if (sa.state === 'REKEYING') {
    sa.rivalSuccessor = next;
    return;
  }
  inherit(cx, sa, next);
}
