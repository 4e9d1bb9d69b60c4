/**
 * The words proposals are written in, made from the algorithm tables: swanctl's keyword, the transforms
 * it stands for (RFC 7296 §3.3.2), and which of IKE, ESP and AH may use it.
 */
import { ENCR, ENCRYPTION, encryption, INTEG, INTEGRITY, integrity, type Status } from '../../algorithms.ts';
import {
  ESN,
  IKE_ENCRYPTION,
  IKE_INTEGRITY,
  KE,
  KEY_EXCHANGES,
  keyExchangeAlgorithm,
  PRFS,
  prfAlgorithm,
} from '../crypto/registry.ts';
import { PROTOCOL, TRANSFORM } from '../wire/iana.ts';
import type { Transform } from '../wire/payloads/sa.ts';

/** RFC 9370 §2.2.1: up to seven additional key exchanges, ADDKE1 to ADDKE7. */
export const ADDITIONAL_KEY_EXCHANGES = 7;

/** Other spellings that swanctl takes. */
const ALIASES: Readonly<Record<string, string>> = {
  aes: 'aes128',
  curve25519: 'x25519',
  curve448: 'x448',
  none: 'modpnone',
  prfsha2_256: 'prfsha256',
  prfsha2_384: 'prfsha384',
  prfsha2_512: 'prfsha512',
  sha: 'sha1',
  sha2_256: 'sha256',
  sha2_384: 'sha384',
  sha2_512: 'sha512',
  ...Object.fromEntries(
    ['128', '192', '256'].flatMap((key) =>
      ['gcm', 'ccm'].flatMap((mode) => [
        [`aes${key}${mode}`, `aes${key}${mode}16`],
        [`aes${key}${mode}64`, `aes${key}${mode}8`],
        [`aes${key}${mode}96`, `aes${key}${mode}12`],
        [`aes${key}${mode}128`, `aes${key}${mode}16`],
      ]),
    ),
  ),
};

/** swanctl keywords that Espalier refuses, with what the RFCs say of them. */
export const REFUSED: Readonly<Record<string, string>> = {
  des: 'DES is MUST NOT (RFC 8221 §5, RFC 8247 §2.1)',
  '3des': '3DES is SHOULD NOT for ESP and MAY for IKE; its 64-bit block is exhausted in minutes (Sweet32)',
  blowfish128: 'Blowfish is MUST NOT (RFC 8221 §5)',
  md5: 'HMAC-MD5 is MUST NOT (RFC 8221 §6, RFC 8247 §2.3)',
  prfmd5: 'PRF_HMAC_MD5 is MUST NOT (RFC 8247 §2.2)',
  prfsha1: 'PRF_HMAC_SHA1 is MUST- (RFC 8247 §2.2), on its way out',
  aesxcbc: 'AES-XCBC is for devices without SHA-2 (RFC 8247 §2.3)',
  aescmac: 'AES-CMAC is not implemented',
  modp768: '768-bit MODP is MUST NOT (RFC 8247 §2.4)',
  modp1024: '1024-bit MODP is SHOULD NOT (RFC 8247 §2.4)',
  modp1536: '1536-bit MODP is SHOULD NOT (RFC 8247 §2.4)',
  modp1024s160: 'group 22 is MUST NOT (RFC 8247 §2.4)',
  modp2048s224: 'group 23 is SHOULD NOT (RFC 8247 §2.4)',
  modp2048s256: 'group 24 is SHOULD NOT (RFC 8247 §2.4)',
};

const KE_NONE: Readonly<Transform> = { type: TRANSFORM.KE, id: KE.NONE };
const word = (keyword: string, type: number, id: number, keyBits?: number): [string, Transform] => [
  keyword,
  { type, id, ...(keyBits !== undefined && { keyBits }) },
];

type EncryptionRow = Pick<(typeof ENCRYPTION)[number], 'id' | 'keywords' | 'keyLengthAttribute'>;

const encryptionWords = (rows: readonly EncryptionRow[]): [string, Transform][] =>
  rows.flatMap((row) =>
    Object.entries(row.keywords).map(([bits, keyword]) =>
      word(keyword, TRANSFORM.ENCR, row.id, row.keyLengthAttribute ? Number(bits) : undefined),
    ),
  );

const isGmac = (id: number): boolean => id >= INTEG.AES_128_GMAC && id <= INTEG.AES_256_GMAC;

/** In an ESP proposal `aes128gmac` is the combined mode without encryption, in AH the integrity algorithm. */
const integrityWords = (rows: readonly { readonly id: number; readonly keyword: string }[]): [string, Transform][] =>
  rows.map((row) => word(row.keyword, TRANSFORM.INTEG, row.id));

const keWords: [string, Transform][] = KEY_EXCHANGES.map((row) => word(row.keyword, TRANSFORM.KE, row.id));
/** ML-KEM's public values outgrow an unfragmented IKE_SA_INIT: it is an additional exchange (RFC 9370). */
const firstKeWords = keWords.filter(([, { id }]) => keyExchangeAlgorithm(id)!.family !== 'kem');
const additionalKeWords: [string, Transform][] = Array.from({ length: ADDITIONAL_KEY_EXCHANGES }, (_, index) =>
  [...keWords, ['none', KE_NONE] as const].map(([keyword, { id }]): [string, Transform] =>
    word(`ke${index + 1}_${keyword}`, TRANSFORM.ADDKE1 + index, id),
  ),
).flat();
const esnWords = [word('esn', TRANSFORM.ESN, ESN.YES), word('noesn', TRANSFORM.ESN, ESN.NO)];
const childKeWords = [...firstKeWords, word('modpnone', TRANSFORM.KE, KE.NONE), ...additionalKeWords];

/** keyword → transform, by PROTOCOL. */
const VOCABULARY: ReadonlyMap<number, ReadonlyMap<string, Transform>> = new Map([
  [
    PROTOCOL.IKE,
    new Map([
      ...encryptionWords(IKE_ENCRYPTION),
      ...integrityWords(IKE_INTEGRITY),
      ...PRFS.map((row) => word(row.keyword, TRANSFORM.PRF, row.id)),
      ...firstKeWords,
      ...additionalKeWords,
    ]),
  ],
  [
    PROTOCOL.ESP,
    new Map([
      ...encryptionWords(ENCRYPTION),
      ...integrityWords(INTEGRITY.filter(({ id }) => !isGmac(id))),
      ...childKeWords,
      ...esnWords,
    ]),
  ],
  [PROTOCOL.AH, new Map([...integrityWords(INTEGRITY), ...childKeWords, ...esnWords])],
]);

/** @returns the words that may stand in a proposal of that PROTOCOL */
export const vocabulary = (protocol: number): ReadonlyMap<string, Transform> => VOCABULARY.get(protocol)!;

/** @returns swanctl's own spelling of a keyword */
export const canonicalKeyword = (text: string): string => {
  const [, prefix = '', rest = ''] = /^(ke[1-7]_)?(.*)$/.exec(text.trim().toLowerCase())!;
  return prefix + (prefix && rest === 'none' ? rest : (ALIASES[rest] ?? rest));
};

const sameTransform = (a: Transform, b: Transform): boolean =>
  a.type === b.type && a.id === b.id && a.keyBits === b.keyBits;

/** @returns the keyword of a transform, or e.g. `ENCR(3)` for one without */
export function transformKeyword(protocol: number, transform: Transform): string {
  for (const [keyword, candidate] of vocabulary(protocol) ?? []) {
    if (sameTransform(candidate, transform)) return keyword;
  }
  const type = Object.entries(TRANSFORM).find(([, value]) => value === transform.type)?.[0] ?? `T${transform.type}`;
  return `${type}(${transform.id}${transform.keyBits === undefined ? '' : `/${transform.keyBits}`})`;
}

/** @returns whether an ENCR number stands for a combined mode, which needs no integrity algorithm */
export const isAead = (id: number): boolean => (encryption(id)?.icvLength ?? 0) > 0;

/** What the standards say of a transform. */
export interface TransformFacts {
  /** IANA's name. */
  readonly name: string;
  readonly status: Status;
  /** The document the status is from. */
  readonly source: string;
}

/** @returns IANA's name and the RFC status of a transform in that PROTOCOL */
export function transformFacts(protocol: number, { type, id }: Transform): TransformFacts | undefined {
  const ike = protocol === PROTOCOL.IKE;
  switch (type) {
    case TRANSFORM.ENCR: {
      const row = (ike ? IKE_ENCRYPTION : ENCRYPTION).find((each) => each.id === id);
      const own = id === ENCR.CHACHA20_POLY1305 ? 'RFC 7634' : id === ENCR.NULL_AUTH_AES_GMAC ? 'RFC 4543' : undefined;
      return row && { ...row, source: own ?? (ike ? 'RFC 8247 §2.1' : 'RFC 8221 §5') };
    }
    case TRANSFORM.PRF: {
      const row = prfAlgorithm(id);
      return row && { ...row, source: 'RFC 8247 §2.2' };
    }
    case TRANSFORM.INTEG: {
      const row = ike ? IKE_INTEGRITY.find((each) => each.id === id) : integrity(id);
      return row && { ...row, source: ike ? 'RFC 8247 §2.3' : isGmac(id) ? 'RFC 4543' : 'RFC 8221 §6' };
    }
    case TRANSFORM.ESN:
      return id === ESN.YES
        ? { name: 'Extended Sequence Numbers', status: 'SHOULD', source: 'RFC 4303 §2.2.1' }
        : { name: 'No Extended Sequence Numbers', status: 'MUST', source: 'RFC 4303 §2.2' };
    default: {
      if (id === KE.NONE) return { name: 'NONE', status: 'MAY', source: 'RFC 7296 §1.3.1' };
      const row = keyExchangeAlgorithm(id);
      return row && { ...row, source: row.family === 'kem' ? 'RFC 9370' : 'RFC 8247 §2.4' };
    }
  }
}
