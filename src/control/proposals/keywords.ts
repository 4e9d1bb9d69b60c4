/**
 * Proposals as swanctl writes them: `aes128gcm16-prfsha256-x25519`, `aes256-sha256-modp2048`,
 * `chacha20poly1305-prfsha512-x25519-ke1_mlkem768`, `default`.
 *
 * Words of one type are alternatives, in order of preference; words of different types add up.
 */
import type { Status } from '../../algorithms.ts';
import { EspalierError } from '../../errors.ts';
import type { ProposalConfig } from '../config/model.ts';
import { nearest } from '../config/nearest.ts';
import { ESN, IKE_INTEGRITY, KE, keyExchangeAlgorithm, PRFS } from '../crypto/registry.ts';
import { PROTOCOL, TRANSFORM } from '../wire/iana.ts';
import type { Transform } from '../wire/payloads/sa.ts';
import {
  canonicalKeyword,
  isAead,
  REFUSED,
  type TransformFacts,
  transformFacts,
  transformKeyword,
  vocabulary,
} from './vocabulary.ts';

/** PROTOCOL → as it is said in messages. */
const PROTOCOL_TEXT: Readonly<Record<number, string>> = {
  [PROTOCOL.IKE]: 'an IKE',
  [PROTOCOL.ESP]: 'an ESP',
  [PROTOCOL.AH]: 'an AH',
};

/** Offered for `default`: what RFC 8221 and RFC 8247 recommend, in two proposals as combined modes must be alone. */
const KE_DEFAULT = 'x25519-ecp256-ecp384-ecp521-x448-modp3072-modp4096-modp2048';
const PRF_DEFAULT = 'prfsha256-prfsha384-prfsha512';
const DEFAULTS: Readonly<Record<number, readonly string[]>> = {
  [PROTOCOL.IKE]: [
    `aes128gcm16-aes256gcm16-chacha20poly1305-${PRF_DEFAULT}-${KE_DEFAULT}`,
    `aes128-aes256-sha256-sha384-sha512-${PRF_DEFAULT}-${KE_DEFAULT}`,
  ],
  [PROTOCOL.ESP]: ['aes128gcm16-aes256gcm16-chacha20poly1305', 'aes128-aes256-sha256-sha384-sha512'],
  [PROTOCOL.AH]: ['sha256-sha384-sha512'],
};

/** The order in which a proposal is written. */
const TYPE_ORDER = [TRANSFORM.ENCR, TRANSFORM.INTEG, TRANSFORM.PRF, TRANSFORM.KE] as const;

const DISCOURAGED: readonly Status[] = ['SHOULD-', 'SHOULD NOT', 'MUST NOT'];

const proposalError = (text: string, why: string): EspalierError =>
  new EspalierError('ERR_PROPOSAL', `proposal "${text}": ${why}`);

/**
 * @param protocol PROTOCOL.IKE, ESP or AH
 * @param text one proposal, not `default`
 * @throws EspalierError `ERR_PROPOSAL`, which says what to change
 */
export function parseProposal(protocol: number, text: string): ProposalConfig {
  const transforms: Transform[] = [];
  for (const raw of text.trim().split('-')) {
    const transform = vocabulary(protocol).get(canonicalKeyword(raw));
    if (!transform) throw proposalError(text, unknownWord(protocol, raw.trim().toLowerCase()));
    if (!transforms.includes(transform)) transforms.push(transform);
  }
  const complete =
    protocol === PROTOCOL.IKE ? completeIke(text, transforms) : completeChild(protocol, text, transforms);
  return { text: text.trim(), protocol, transforms: checkAdditional(text, complete) };
}

/**
 * @param texts proposals, `default` among them where the default list shall stand
 * @throws EspalierError `ERR_PROPOSAL`
 */
export const parseProposals = (protocol: number, texts: readonly string[]): ProposalConfig[] =>
  texts
    .flatMap((text) => (text.trim() === 'default' ? DEFAULTS[protocol]! : [text]))
    .map((text) => parseProposal(protocol, text));

/** @returns what `default` stands for */
export const defaultProposals = (protocol: number): ProposalConfig[] => parseProposals(protocol, ['default']);

/** What lists of transforms look like, by PROTOCOL: the same list serves many SAs. */
const formatted = new Map<number, WeakMap<readonly Transform[], string>>();

/** @returns the transforms in keywords: `aes128gcm16-prfsha256-x25519-ke1_mlkem768`; without `noesn`, which goes without saying */
export function formatProposal(protocol: number, transforms: readonly Transform[]): string {
  const known = formatted.get(protocol) ?? new WeakMap<readonly Transform[], string>();
  formatted.set(protocol, known);
  const text = known.get(transforms) ?? inKeywords(protocol, transforms);
  known.set(transforms, text);
  return text;
}

function inKeywords(protocol: number, transforms: readonly Transform[]): string {
  const rank = ({ type }: Transform): number => {
    const index = TYPE_ORDER.indexOf(type as (typeof TYPE_ORDER)[number]);
    return index >= 0 ? index : type === TRANSFORM.ESN ? Number.MAX_SAFE_INTEGER : type;
  };
  const esn = new Set(transforms.filter(({ type }) => type === TRANSFORM.ESN).map(({ id }) => id));
  return [...transforms]
    .filter(({ type, id }) => type !== TRANSFORM.ESN || (id === ESN.YES && esn.size === 1))
    .filter(({ type, id }) => type !== TRANSFORM.INTEG || id !== 0)
    .sort((a, b) => rank(a) - rank(b))
    .map((transform) => transformKeyword(protocol, transform))
    .join('-');
}

/** @returns the algorithms of a proposal that the RFCs advise against */
export const discouraged = ({ protocol, transforms }: ProposalConfig): (TransformFacts & { keyword: string })[] =>
  transforms.flatMap((transform) => {
    const facts = transformFacts(protocol, transform);
    if (facts === undefined || !DISCOURAGED.includes(facts.status)) return [];
    return [{ ...facts, keyword: transformKeyword(protocol, transform) }];
  });

function unknownWord(protocol: number, raw: string): string {
  const keyword = canonicalKeyword(raw);
  if (raw === '')
    return 'has an empty word; write keywords with one "-" between them, e.g. aes128gcm16-prfsha256-x25519';
  if (REFUSED[keyword]) return `"${raw}" is refused: ${REFUSED[keyword]}`;
  if (keyword.startsWith('mlkem')) {
    return `"${raw}" can only be an additional key exchange (RFC 9370); write e.g. x25519-ke1_${keyword}`;
  }
  const elsewhere = [PROTOCOL.IKE, PROTOCOL.ESP, PROTOCOL.AH].find((other) => vocabulary(other).has(keyword));
  if (elsewhere !== undefined) return `"${raw}" has no place in ${PROTOCOL_TEXT[protocol]} proposal; remove it`;
  const close = nearest(keyword, vocabulary(protocol).keys());
  return `"${raw}" is no keyword of ${PROTOCOL_TEXT[protocol]} proposal${close ? `; did you mean "${close}"?` : ''}`;
}

const ofType = (transforms: readonly Transform[], type: number): Transform[] =>
  transforms.filter((transform) => transform.type === type);

/** RFC 7296 §3.3: "AEAD" and "not AEAD" cannot share a proposal, as one needs INTEG and the other forbids it. */
function usesAead(protocol: number, text: string, transforms: readonly Transform[]): boolean {
  const encryption = ofType(transforms, TRANSFORM.ENCR);
  if (encryption.length === 0) {
    throw proposalError(
      text,
      `${PROTOCOL_TEXT[protocol]} proposal needs an encryption algorithm; add e.g. aes128gcm16`,
    );
  }
  const combined = encryption.filter(({ id }) => isAead(id));
  if (combined.length > 0 && combined.length < encryption.length) {
    const [a, b] = [combined[0]!, encryption.find(({ id }) => !isAead(id))!];
    throw proposalError(
      text,
      `mixes the combined mode "${transformKeyword(protocol, a)}" with "${transformKeyword(protocol, b)}"; ` +
        'write two proposals (RFC 7296 §3.3)',
    );
  }
  return combined.length > 0;
}

function completeIke(text: string, given: readonly Transform[]): Transform[] {
  const aead = usesAead(PROTOCOL.IKE, text, given);
  const integrity = ofType(given, TRANSFORM.INTEG);
  let transforms = [...given];
  if (ofType(given, TRANSFORM.PRF).length === 0) transforms.push(...integrity.map(prfFor));
  if (aead) transforms = transforms.filter(({ type }) => type !== TRANSFORM.INTEG);
  else if (integrity.length === 0) throw proposalError(text, 'needs an integrity algorithm; add e.g. sha256');
  if (ofType(transforms, TRANSFORM.PRF).length === 0) {
    throw proposalError(text, 'needs a PRF, which a combined mode does not imply; add e.g. prfsha256');
  }
  if (ofType(transforms, TRANSFORM.KE).length === 0) {
    throw proposalError(text, 'needs a key exchange method; add e.g. x25519');
  }
  return transforms;
}

/** swanctl takes the PRF of the integrity algorithm's hash where none is written. */
function prfFor(integrity: Transform): Transform {
  const { hash } = IKE_INTEGRITY.find(({ id }) => id === integrity.id)!;
  return { type: TRANSFORM.PRF, id: PRFS.find((prf) => prf.hash === hash)!.id };
}

function completeChild(protocol: number, text: string, given: readonly Transform[]): Transform[] {
  const integrity = ofType(given, TRANSFORM.INTEG);
  if (protocol === PROTOCOL.AH) {
    if (integrity.length === 0)
      throw proposalError(text, 'an AH proposal needs an integrity algorithm; add e.g. sha256');
  } else if (usesAead(protocol, text, given)) {
    if (integrity.length > 0) {
      const extra = transformKeyword(protocol, integrity[0]!);
      throw proposalError(text, `a combined mode has integrity of its own; remove "${extra}" (RFC 7296 §3.3)`);
    }
  } else if (integrity.length === 0) {
    throw proposalError(text, 'encryption without integrity is broken by design; add e.g. sha256 (RFC 8221 §4)');
  }
  if (ofType(given, TRANSFORM.ESN).length > 0) return [...given];
  return [...given, { type: TRANSFORM.ESN, id: ESN.YES }, { type: TRANSFORM.ESN, id: ESN.NO }];
}

/** RFC 9370 §2.2.2: additional key exchanges add to a first one, and the same method is not done twice. */
function checkAdditional(text: string, transforms: readonly Transform[]): readonly Transform[] {
  const additional = transforms.filter(({ type }) => type >= TRANSFORM.ADDKE1 && type <= TRANSFORM.ADDKE7);
  if (additional.length > 0 && ofType(transforms, TRANSFORM.KE).length === 0) {
    throw proposalError(text, 'has additional key exchanges but no first one; add e.g. x25519');
  }
  const certain = additional.filter(({ type, id }) => id !== KE.NONE && ofType(additional, type).length === 1);
  const twice = certain.find(({ type, id }) => certain.some((other) => other.id === id && other.type < type));
  if (twice) {
    const keyword = keyExchangeAlgorithm(twice.id)!.keyword;
    throw proposalError(text, `does ${keyword} in two additional key exchanges; keep one (RFC 9370 §2.2.2)`);
  }
  return transforms;
}
