/**
 * What makes a child SA, in whichever exchange: proposals, mode and traffic selectors of both sides
 * (RFC 7296 §1.2, §1.3.1, §2.9). Keys and nonces are the exchange's business.
 *
 *   [N(USE_TRANSPORT_MODE),] SAi2, TSi, TSr -->
 *                                           <-- [N(USE_TRANSPORT_MODE),] SAr2, TSi, TSr
 */
import type { IpsecMode } from '../../contract.ts';
import type { ChildConfig } from '../config/model.ts';
import type { Context } from '../ike/context.ts';
import { Failure } from '../ike/failure.ts';
import type { IkeSa, WantedChild } from '../ike/sa.ts';
import { checkAnswer, keMethod, offer, selectProposal } from '../proposals/select.ts';
import { Writer } from '../wire/bytes.ts';
import { NOTIFY, PROTOCOL } from '../wire/iana.ts';
import { find, findNotify } from '../wire/message.ts';
import type { Payload } from '../wire/payloads/index.ts';
import { notification } from '../wire/payloads/notify.ts';
import type { Proposal, Transform } from '../wire/payloads/sa.ts';
import { formatSelector, type Selector } from '../wire/payloads/ts.ts';
import type { ChildAgreement } from './child-sa.ts';
import { suiteOf } from './keymat.ts';
import { configuredSelectors, contains, hostSelector, isNarrowed, narrow, withoutRedundant } from './narrowing.ts';

/** What we asked for, to check the answer against. */
export interface ChildOffer {
  readonly config: ChildConfig;
  readonly spiIn: number;
  readonly proposals: readonly Proposal[];
  readonly local: readonly Selector[];
  readonly remote: readonly Selector[];
}

/** The packet that triggered a child: its selectors stand first (RFC 7296 §2.9). */
export interface TriggerPacket {
  readonly local: Selector;
  readonly remote: Selector;
}

/** What was agreed, with the transforms it came from. */
export interface Negotiated {
  readonly config: ChildConfig;
  readonly agreement: ChildAgreement;
  readonly transforms: readonly Transform[];
  /** The responder's half of the exchange, without nonce and key exchange. */
  readonly payloads: readonly Payload[];
}

export interface NegotiationOptions {
  /** IKE_AUTH: no key exchange (RFC 7296 §1.2). */
  readonly withoutKe: boolean;
}

const spiBytes = (spi: number): Uint8Array => {
  const out = new Writer(4);
  out.u32(spi);
  return out.bytes;
};

const list = (selectors: readonly Selector[]): string => selectors.map(formatSelector).join(' ') || 'nothing we know';

/** @returns our selectors of both sides, `dynamic` filled in */
export function ownSelectors(sa: Pick<IkeSa, 'local' | 'remote'>, config: ChildConfig) {
  return {
    local: configuredSelectors(config.localTs, sa.local.address),
    remote: configuredSelectors(config.remoteTs, sa.remote.address),
  };
}

/** @returns the packet's address alone, with the protocol and ports that are configured around it: a pair needs one child */
function around(packet: Selector, own: readonly Selector[]): Selector {
  const widest = own.find((selector) => isNarrowed([packet], [selector]));
  return widest === undefined ? packet : { ...widest, addresses: packet.addresses };
}

/** @returns payloads of the request without nonce and key exchange; the SPI is reserved and `spiIn` says which */
export function offerChild(
  cx: Context,
  sa: IkeSa,
  { config, packet, packetOnly }: WantedChild,
  options: NegotiationOptions,
): { readonly offer: ChildOffer; readonly payloads: Payload[] } {
  const spiIn = cx.environment.reserveSpi();
  const proposals = offer(config.proposals, spiBytes(spiIn), options);
  const own = ownSelectors(sa, config);
  const selectors = (packet: Selector | undefined, own: readonly Selector[]): readonly Selector[] => {
    if (packet === undefined) return own;
    return packetOnly ? [around(packet, own)] : [packet, ...own];
  };
  const local = selectors(packet?.local, own.local);
  const remote = selectors(packet?.remote, own.remote);
  const payloads: Payload[] = [
    { kind: 'SA', proposals },
    { kind: 'TSi', selectors: local, unknownTypes: [] },
    { kind: 'TSr', selectors: remote, unknownTypes: [] },
  ];
  if (config.mode === 'transport') payloads.push(notification(NOTIFY.USE_TRANSPORT_MODE));
  return { offer: { config, spiIn, proposals, local, remote }, payloads };
}

/**
 * The answer to our request.
 * @throws Failure if the peer answered with what was not offered
 */
export function acceptChild(
  sa: IkeSa,
  asked: ChildOffer,
  payloads: readonly Payload[],
  options: NegotiationOptions,
): Omit<Negotiated, 'payloads'> {
  const { config } = asked;
  const [saPayload, tsi, tsr] = [find(payloads, 'SA'), find(payloads, 'TSi'), find(payloads, 'TSr')];
  if (saPayload === undefined || tsi === undefined || tsr === undefined) {
    throw new Failure('ERR_INCOMPLETE_ANSWER', `child "${config.name}": the peer's answer has no SA, TSi or TSr`);
  }
  const chosen = checkAnswer(asked.proposals, saPayload.proposals, options);
  if ('refusal' in chosen) throw new Failure('ERR_BAD_PROPOSAL', `child "${config.name}": ${chosen.refusal}`);
  const isTransport = findNotify(payloads, NOTIFY.USE_TRANSPORT_MODE) !== undefined;
  if (config.mode === 'transport' && !isTransport) {
    throw new Failure('ERR_MODE', `child "${config.name}" is for transport mode, the peer insists on tunnel mode`);
  }
  const seen = isTransport && config.mode === 'transport' ? substituteNat(sa, tsi.selectors, tsr.selectors) : undefined;
  const local = seen?.local ?? tsi.selectors;
  const remote = seen?.remote ?? tsr.selectors;
  if (!isNarrowed(local, asked.local) || !isNarrowed(remote, asked.remote)) {
    const got = `${list(local)} === ${list(remote)}`;
    const wanted = `${list(asked.local)} === ${list(asked.remote)}`;
    throw new Failure('ERR_BAD_SELECTORS', `child "${config.name}": the peer chose ${got} out of ${wanted}`);
  }
  const mode = isTransport && config.mode === 'transport' ? 'transport' : 'tunnel';
  const spis = { in: asked.spiIn, out: peerSpi(chosen.proposal) };
  const agreement = agree(chosen.proposal, chosen.transforms, spis, mode, local, remote);
  return { config, agreement, transforms: chosen.transforms };
}

/** @throws Failure unless it is an SPI that may be used (RFC 4303 §2.1: 0 to 255 are reserved) */
function peerSpi({ spi }: Proposal): number {
  const value = spi.length === 4 ? new DataView(spi.buffer, spi.byteOffset, 4).getUint32(0) : 0;
  if (value > 255) return value;
  const words = spi.length === 4 ? `${value}, which is reserved` : `${spi.length} bytes`;
  throw new Failure('ERR_BAD_SPI', `the peer's SPI is ${words}`, NOTIFY.NO_PROPOSAL_CHOSEN);
}

function agree(
  proposal: Proposal,
  transforms: readonly Transform[],
  spis: { readonly in: number; readonly out: number },
  mode: IpsecMode,
  local: readonly Selector[],
  remote: readonly Selector[],
): ChildAgreement {
  const { suite, esn } = suiteOf(transforms);
  return {
    protocol: proposal.protocol === PROTOCOL.AH ? 'ah' : 'esp',
    mode,
    suite,
    esn,
    spiIn: spis.in,
    spiOut: spis.out,
    local: withoutRedundant(local).slice(),
    remote: withoutRedundant(remote).slice(),
    ke: keMethod(transforms),
  };
}

interface Candidate {
  readonly config: ChildConfig;
  readonly mode: IpsecMode;
  readonly local: readonly Selector[];
  readonly remote: readonly Selector[];
  /** Does it take what the peer names first? */
  readonly takesFirst: boolean;
}

/**
 * The responder's choice among `configs`: the first child whose selectors have something in common
 * with the peer's and whose proposals do. One that takes what the peer names first, which may be the packet
 * that it wants to send, comes before all others (RFC 7296 §2.9).
 * @throws Failure with TS_UNACCEPTABLE or NO_PROPOSAL_CHOSEN; nothing is left reserved
 */
export function answerChild(
  cx: Context,
  sa: IkeSa,
  configs: readonly ChildConfig[],
  payloads: readonly Payload[],
  options: NegotiationOptions & { readonly preferKe?: number },
): Negotiated {
  const [saPayload, tsi, tsr] = [find(payloads, 'SA'), find(payloads, 'TSi'), find(payloads, 'TSr')];
  if (saPayload === undefined || tsi === undefined || tsr === undefined) {
    throw new Failure('ERR_INCOMPLETE_REQUEST', 'the request for a child has no SA, TSi or TSr', NOTIFY.INVALID_SYNTAX);
  }
  const wantsTransport = findNotify(payloads, NOTIFY.USE_TRANSPORT_MODE) !== undefined;
  const candidates = configs
    .map((config) => candidate(sa, config, tsi.selectors, tsr.selectors, wantsTransport))
    .filter((found) => found !== undefined)
    .sort((a, b) => Number(b.takesFirst) - Number(a.takesFirst));
  if (candidates.length === 0)
    throw new Failure(
      'ERR_TS_UNACCEPTABLE',
      tsRefusal(sa, configs, tsi.selectors, tsr.selectors),
      NOTIFY.TS_UNACCEPTABLE,
    );
  let refusal = '';
  for (const { config, mode, local, remote } of candidates) {
    const chosen = selectProposal(config.proposals, saPayload.proposals, options);
    if ('refusal' in chosen) {
      refusal ||= `child "${config.name}": ${chosen.refusal}`;
      continue;
    }
    const { transforms } = chosen.proposal;
    // Looked at before anything is reserved.
    const out = peerSpi(chosen.proposal);
    const spis = { in: cx.environment.reserveSpi(), out };
    const agreement = agree(chosen.proposal, transforms, spis, mode, local, remote);
    const answer: Payload[] = [
      { kind: 'SA', proposals: [{ ...chosen.proposal, spi: spiBytes(agreement.spiIn) }] },
      { kind: 'TSi', selectors: agreement.remote, unknownTypes: [] },
      { kind: 'TSr', selectors: agreement.local, unknownTypes: [] },
    ];
    if (mode === 'transport') answer.push(notification(NOTIFY.USE_TRANSPORT_MODE));
    // RFC 7296 §2.9: what another child here would have taken can be asked for again.
    if (candidates.length > 1) answer.push(notification(NOTIFY.ADDITIONAL_TS_POSSIBLE));
    return { config, agreement, transforms, payloads: answer };
  }
  throw new Failure('ERR_NO_PROPOSAL_CHOSEN', refusal, NOTIFY.NO_PROPOSAL_CHOSEN);
}

function candidate(
  sa: IkeSa,
  config: ChildConfig,
  tsi: readonly Selector[],
  tsr: readonly Selector[],
  wantsTransport: boolean,
): Candidate | undefined {
  if (config.mode === 'transport' && !wantsTransport) return undefined;
  const mode = config.mode;
  const seen = mode === 'transport' ? substituteNat(sa, tsr, tsi) : undefined;
  const own = ownSelectors(sa, config);
  const [ours, theirs] = [seen?.local ?? tsr, seen?.remote ?? tsi];
  const [local, remote] = [narrow(ours, own.local), narrow(theirs, own.remote)];
  if (local.length === 0 || remote.length === 0) return undefined;
  const takes = (allowed: readonly Selector[], first: Selector) => allowed.some((outer) => contains(outer, first));
  const takesFirst = takes(own.local, ours[0]!) && takes(own.remote, theirs[0]!);
  return { config, mode, local, remote, takesFirst };
}

/**
 * RFC 7296 §2.23.1: in transport mode behind a NAT, each side sees the other's selectors with the
 * addresses that its packets have here.
 */
function substituteNat(sa: IkeSa, local: readonly Selector[], remote: readonly Selector[]) {
  const replace = (selectors: readonly Selector[], address: string): Selector[] =>
    selectors.map((selector) => ({ ...selector, addresses: hostSelector(address).addresses }));
  return {
    local: sa.natLocal ? replace(local, sa.local.address) : local,
    remote: sa.natRemote ? replace(remote, sa.remote.address) : remote,
  };
}

function tsRefusal(
  sa: IkeSa,
  configs: readonly ChildConfig[],
  tsi: readonly Selector[],
  tsr: readonly Selector[],
): string {
  const offered = `the peer offered ${list(tsi)} on its side and ${list(tsr)} on ours`;
  const allowed = configs.map((config) => {
    const own = ownSelectors(sa, config);
    const mode = config.mode === 'transport' ? ' (transport mode)' : '';
    return `child "${config.name}"${mode} allows ${list(own.remote)} and ${list(own.local)}`;
  });
  const side = configs.some((config) => narrow(tsi, ownSelectors(sa, config).remote).length > 0)
    ? 'local_ts'
    : 'remote_ts';
  const words = allowed.length > 0 ? allowed.join('; ') : 'this connection has no child';
  return `${offered}; ${words}; change ${side} on one of the two sides so that they overlap`;
}
