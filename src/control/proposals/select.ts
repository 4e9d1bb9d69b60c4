/**
 * Choosing a proposal (RFC 7296 §2.7, §3.3), and the words for a refusal: what the peer offered, what
 * we allow, the one thing to change.
 *
 * One rule for every transform type, RFC 9370's additional key exchanges included: a type that a
 * proposal does not name is the same as one with NONE (number 0) alone.
 */
import type { ProposalConfig } from '../config/model.ts';
import { PROTOCOL, protocolName, TRANSFORM } from '../wire/iana.ts';
import type { Proposal, Transform } from '../wire/payloads/sa.ts';
import { formatProposal } from './keywords.ts';
import { transformKeyword } from './vocabulary.ts';

/** Config keys that hold the proposals of a protocol, for messages. */
const CONFIG_KEY: Readonly<Record<number, string>> = {
  [PROTOCOL.IKE]: 'proposals',
  [PROTOCOL.ESP]: 'esp_proposals',
  [PROTOCOL.AH]: 'ah_proposals',
};

const NONE = 0;
const MANDATORY: readonly number[] = [TRANSFORM.ENCR, TRANSFORM.PRF];
const ADDITIONAL: readonly number[] = [
  TRANSFORM.ADDKE1,
  TRANSFORM.ADDKE2,
  TRANSFORM.ADDKE3,
  TRANSFORM.ADDKE4,
  TRANSFORM.ADDKE5,
  TRANSFORM.ADDKE6,
  TRANSFORM.ADDKE7,
];

export interface SelectOptions {
  /** Method of the KE payload that came along: taken where allowed, to save a round trip. */
  readonly preferKe?: number;
  /** IKE_AUTH: no key exchange is done, whatever is offered (RFC 7296 §1.2). */
  readonly withoutKe?: boolean;
}

export interface Selection {
  /** The answer, with the peer's number and SPI field. */
  readonly proposal: Proposal;
  readonly ours: ProposalConfig;
}

export interface Refused {
  /** Words for the log. */
  readonly refusal: string;
}

const ofType = (transforms: readonly Transform[], type: number): readonly Transform[] =>
  transforms.filter((transform) => transform.type === type);

const orNone = (transforms: readonly Transform[], type: number): readonly Transform[] => {
  const named = ofType(transforms, type);
  return named.length > 0 ? named : [{ type, id: NONE }];
};

const isKe = (type: number): boolean => type === TRANSFORM.KE || ADDITIONAL.includes(type);

const same = (a: Transform, b: Transform): boolean =>
  a.type === b.type && a.id === b.id && a.keyBits === b.keyBits && !a.unknownAttribute && !b.unknownAttribute;

const sameList = (a: readonly Transform[], b: readonly Transform[]): boolean =>
  a.length === b.length && a.every((transform, index) => transform === b[index]);

/** @returns every transform type that one of them names, in the order of their numbers */
function typesOf(...lists: readonly (readonly Transform[])[]): number[] {
  const types: number[] = [];
  for (const list of lists) for (const { type } of list) if (!types.includes(type)) types.push(type);
  return types.sort((a, b) => a - b);
}

/** @returns one transform for each type, or the types that have nothing in common */
function match(
  ours: readonly Transform[],
  theirs: readonly Transform[],
  options: SelectOptions,
): { chosen: readonly Transform[] } | { missing: number[] } {
  const chosen: Transform[] = [];
  const missing: number[] = [];
  const used = new Set<number>();
  for (const type of typesOf(ours, theirs)) {
    if (options.withoutKe && isKe(type)) continue;
    const offered = orNone(theirs, type);
    // RFC 9370 §2.2.1: no method twice, except NONE.
    const usable = orNone(ours, type).filter(
      (mine) =>
        offered.some((their) => same(mine, their)) &&
        !(mine.id === NONE && MANDATORY.includes(type)) &&
        !(isKe(type) && mine.id !== NONE && used.has(mine.id)),
    );
    const pick = (type === TRANSFORM.KE ? usable.find(({ id }) => id === options.preferKe) : undefined) ?? usable[0];
    if (pick === undefined) {
      missing.push(type);
      continue;
    }
    if (isKe(type)) used.add(pick.id);
    // A type that the peer did not name is not in the answer either.
    if (pick.id !== NONE || ofType(theirs, type).length > 0) chosen.push(pick);
  }
  if (missing.length > 0) return { missing };
  // A proposal without alternatives is its own answer, and one list serves all SAs.
  return { chosen: sameList(chosen, ours) ? ours : [...chosen] };
}

/**
 * Goes by our order of preference, inside each type too.
 * @param theirs as they came, in the peer's order
 */
export function selectProposal(
  ours: readonly ProposalConfig[],
  theirs: readonly Proposal[],
  options: SelectOptions = {},
): Selection | Refused {
  for (const mine of ours) {
    for (const their of theirs) {
      if (their.protocol !== mine.protocol) continue;
      const result = match(mine.transforms, their.transforms, options);
      if ('chosen' in result) return { proposal: { ...their, transforms: result.chosen }, ours: mine };
    }
  }
  return { refusal: explain(ours, theirs, options) };
}

/**
 * Checks an answer against what was offered (RFC 7296 §2.7): one of our proposals, by its number, with
 * exactly one of its transforms of each type.
 */
export function checkAnswer(
  offered: readonly Proposal[],
  answer: readonly Proposal[],
  options: SelectOptions = {},
): { readonly transforms: readonly Transform[]; readonly proposal: Proposal } | Refused {
  const [chosen, ...more] = answer;
  if (chosen === undefined || more.length > 0) return { refusal: `the peer answered with ${answer.length} proposals` };
  const mine = offered.find(({ number }) => number === chosen.number);
  if (mine === undefined || mine.protocol !== chosen.protocol) {
    return {
      refusal: `the peer chose proposal ${chosen.number} for ${protocolName(chosen.protocol)}, which was not offered`,
    };
  }
  for (const type of typesOf(mine.transforms, chosen.transforms)) {
    if (options.withoutKe && isKe(type)) continue;
    const [picked, ...others] = orNone(chosen.transforms, type);
    if (others.length > 0 || !orNone(mine.transforms, type).some((ours) => same(ours, picked!))) {
      const words = formatProposal(chosen.protocol, chosen.transforms);
      return { refusal: `the peer chose "${words}" out of "${formatProposal(mine.protocol, mine.transforms)}"` };
    }
  }
  const transforms = chosen.transforms.filter(({ id, type }) => id !== NONE || type === TRANSFORM.ESN);
  return { transforms, proposal: chosen };
}

/** @returns our configured proposals as they go on the wire, numbered from 1 */
export function offer(
  ours: readonly ProposalConfig[],
  spi: Uint8Array | ((protocol: number) => Uint8Array),
  options: SelectOptions = {},
): Proposal[] {
  return ours.map(({ protocol, transforms }, index) => ({
    number: index + 1,
    protocol,
    spi: typeof spi === 'function' ? spi(protocol) : spi,
    transforms: options.withoutKe ? transforms.filter(({ type }) => !isKe(type)) : transforms,
  }));
}

/** @returns the KE method of a chosen proposal; 0 for none */
export const keMethod = (transforms: readonly Transform[]): number =>
  transforms.find(({ type }) => type === TRANSFORM.KE)?.id ?? NONE;

/** @returns the additional key exchange methods of a chosen proposal, in order (RFC 9370 §2.2.1) */
export const additionalMethods = (transforms: readonly Transform[]): number[] =>
  transforms
    .filter(({ type, id }) => ADDITIONAL.includes(type) && id !== NONE)
    .sort((a, b) => a.type - b.type)
    .map(({ id }) => id);

/** The words of a refusal: both sides' proposals, and the one thing that would make the closest pair agree. */
function explain(ours: readonly ProposalConfig[], theirs: readonly Proposal[], options: SelectOptions): string {
  const protocol = ours[0]?.protocol ?? PROTOCOL.IKE;
  const key = CONFIG_KEY[protocol] ?? 'proposals';
  const offered = theirs.map((their) => formatProposal(their.protocol, their.transforms)).join(', ') || 'nothing';
  const allowed = ours.map(({ transforms, protocol: p }) => formatProposal(p, transforms)).join(', ') || 'nothing';
  const facts = `the peer offered ${offered}; ${key} allows ${allowed}`;
  let closest: { mine: ProposalConfig; their: Proposal; missing: number[] } | undefined;
  for (const mine of ours) {
    for (const their of theirs) {
      if (mine.protocol !== their.protocol) continue;
      const result = match(mine.transforms, their.transforms, options);
      if ('missing' in result && (closest === undefined || result.missing.length < closest.missing.length)) {
        closest = { mine, their, missing: result.missing };
      }
    }
  }
  if (closest === undefined) return `${facts}; the two have no protocol in common`;
  return `${facts}; ${advice(key, closest)}`;
}

function advice(
  key: string,
  { mine, their, missing }: { mine: ProposalConfig; their: Proposal; missing: number[] },
): string {
  const words = missing.flatMap((type) =>
    ofType(their.transforms, type)
      .filter(({ id }) => id !== NONE)
      .slice(0, 1)
      .map((transform) => transformKeyword(mine.protocol, transform)),
  );
  if (words.length === missing.length) return `add "${words.join('-')}" to ${key}`;
  const extra = missing.flatMap((type) =>
    ofType(mine.transforms, type)
      .slice(0, 1)
      .map((transform) => transformKeyword(mine.protocol, transform)),
  );
  return `remove "${extra.join('-')}" from ${key}, or have the peer offer it`;
}
