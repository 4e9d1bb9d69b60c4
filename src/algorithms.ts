/**
 * The algorithms of ESP and AH as both planes know them: IANA "IKEv2 Parameters" numbers, swanctl
 * proposal keywords, lengths, and the status RFC 8221 and its updates give them.
 *
 * Control plane: proposals and key lengths. Data plane: packet geometry and the kernel's dispatch.
 */

/** RFC 8221 §5: what an implementation shall do with the algorithm. */
export type Status = 'MUST' | 'SHOULD+' | 'SHOULD' | 'MAY' | 'SHOULD-' | 'SHOULD NOT' | 'MUST NOT';

/** IANA "Transform Type 1 - Encryption Algorithm Transform IDs". */
export const ENCR = {
  NULL: 11,
  AES_CBC: 12,
  AES_CTR: 13,
  AES_CCM_8: 14,
  AES_CCM_12: 15,
  AES_CCM_16: 16,
  AES_GCM_8: 18,
  AES_GCM_12: 19,
  AES_GCM_16: 20,
  NULL_AUTH_AES_GMAC: 21,
  CHACHA20_POLY1305: 28,
} as const;

/** IANA "Transform Type 3 - Integrity Algorithm Transform IDs". */
export const INTEG = {
  NONE: 0,
  HMAC_SHA1_96: 2,
  AES_128_GMAC: 9,
  AES_192_GMAC: 10,
  AES_256_GMAC: 11,
  HMAC_SHA2_256_128: 12,
  HMAC_SHA2_384_192: 13,
  HMAC_SHA2_512_256: 14,
} as const;

export interface EncryptionAlgorithm {
  readonly id: number;
  /** IANA's name. */
  readonly name: string;
  /** swanctl keyword by key length in bits: `aes128gcm16`, … */
  readonly keywords: Readonly<Record<number, string>>;
  /** Permitted key lengths in bits, without salt; empty key for NULL. */
  readonly keyBits: readonly number[];
  /** Does the proposal carry a Key Length attribute (RFC 7296 §3.3.5)? */
  readonly keyLengthAttribute: boolean;
  /** Bytes of salt that follow the key in KEYMAT (RFC 4106 §8.1). */
  readonly saltLength: number;
  /** Bytes of explicit IV in each packet. */
  readonly ivLength: number;
  /** Plaintext must be a multiple of this many bytes; ESP aligns to 4 at least. */
  readonly blockSize: number;
  /** Bytes of ICV of a combined mode; 0 where a separate integrity algorithm is needed. */
  readonly icvLength: number;
  readonly status: Status;
}

export interface IntegrityAlgorithm {
  readonly id: number;
  readonly name: string;
  readonly keyword: string;
  /** Bytes of key, without salt. */
  readonly keyLength: number;
  readonly saltLength: number;
  /** Bytes of explicit IV in front of the ICV (GMAC in AH, RFC 4543 §4). */
  readonly ivLength: number;
  readonly icvLength: number;
  readonly status: Status;
}

const aes = (word: string, suffix: string) => ({
  128: `${word}128${suffix}`,
  192: `${word}192${suffix}`,
  256: `${word}256${suffix}`,
});

function encr(
  id: number,
  name: string,
  keywords: Readonly<Record<number, string>>,
  [saltLength, ivLength, blockSize, icvLength]: readonly [number, number, number, number],
  status: Status,
): EncryptionAlgorithm {
  const keyBits = Object.keys(keywords).map(Number);
  return {
    id,
    name,
    keywords,
    keyBits,
    keyLengthAttribute: id !== ENCR.NULL && id !== ENCR.CHACHA20_POLY1305,
    saltLength,
    ivLength,
    blockSize,
    icvLength,
    status,
  };
}

/** Every ESP encryption algorithm, RFC 8221 §5 and RFC 7634. */
export const ENCRYPTION: readonly EncryptionAlgorithm[] = [
  encr(ENCR.AES_GCM_16, 'ENCR_AES_GCM_16', aes('aes', 'gcm16'), [4, 8, 1, 16], 'MUST'),
  encr(ENCR.AES_GCM_12, 'ENCR_AES_GCM_12', aes('aes', 'gcm12'), [4, 8, 1, 12], 'SHOULD NOT'),
  encr(ENCR.AES_GCM_8, 'ENCR_AES_GCM_8', aes('aes', 'gcm8'), [4, 8, 1, 8], 'SHOULD NOT'),
  encr(ENCR.CHACHA20_POLY1305, 'ENCR_CHACHA20_POLY1305', { 256: 'chacha20poly1305' }, [4, 8, 1, 16], 'SHOULD'),
  encr(ENCR.AES_CCM_16, 'ENCR_AES_CCM_16', aes('aes', 'ccm16'), [3, 8, 1, 16], 'SHOULD NOT'),
  encr(ENCR.AES_CCM_12, 'ENCR_AES_CCM_12', aes('aes', 'ccm12'), [3, 8, 1, 12], 'SHOULD NOT'),
  encr(ENCR.AES_CCM_8, 'ENCR_AES_CCM_8', aes('aes', 'ccm8'), [3, 8, 1, 8], 'SHOULD'),
  encr(ENCR.AES_CBC, 'ENCR_AES_CBC', aes('aes', ''), [0, 16, 16, 0], 'MUST'),
  encr(ENCR.AES_CTR, 'ENCR_AES_CTR', aes('aes', 'ctr'), [4, 8, 1, 0], 'MAY'),
  encr(ENCR.NULL_AUTH_AES_GMAC, 'ENCR_NULL_AUTH_AES_GMAC', aes('aes', 'gmac'), [4, 8, 1, 16], 'MAY'),
  encr(ENCR.NULL, 'ENCR_NULL', { 0: 'null' }, [0, 0, 1, 0], 'MUST'),
];

/** Every integrity algorithm of ESP and AH, RFC 8221 §6 and §7, RFC 4543. */
export const INTEGRITY: readonly IntegrityAlgorithm[] = [
  integ(INTEG.HMAC_SHA2_256_128, 'AUTH_HMAC_SHA2_256_128', 'sha256', [32, 0, 0, 16], 'MUST'),
  integ(INTEG.HMAC_SHA2_384_192, 'AUTH_HMAC_SHA2_384_192', 'sha384', [48, 0, 0, 24], 'MAY'),
  integ(INTEG.HMAC_SHA2_512_256, 'AUTH_HMAC_SHA2_512_256', 'sha512', [64, 0, 0, 32], 'SHOULD'),
  integ(INTEG.HMAC_SHA1_96, 'AUTH_HMAC_SHA1_96', 'sha1', [20, 0, 0, 12], 'SHOULD NOT'),
  integ(INTEG.AES_128_GMAC, 'AUTH_AES_128_GMAC', 'aes128gmac', [16, 4, 8, 16], 'MAY'),
  integ(INTEG.AES_192_GMAC, 'AUTH_AES_192_GMAC', 'aes192gmac', [24, 4, 8, 16], 'MAY'),
  integ(INTEG.AES_256_GMAC, 'AUTH_AES_256_GMAC', 'aes256gmac', [32, 4, 8, 16], 'MAY'),
];

function integ(
  id: number,
  name: string,
  keyword: string,
  [keyLength, saltLength, ivLength, icvLength]: readonly [number, number, number, number],
  status: Status,
): IntegrityAlgorithm {
  return { id, name, keyword, keyLength, saltLength, ivLength, icvLength, status };
}

/** What protects the packets of one SA. AH has no `encr`. */
export interface CipherSuite {
  /** IANA ENCR number; absent for AH. */
  readonly encr?: number;
  /** Key length in bits, without salt; 0 for NULL and AH. */
  readonly keyBits: number;
  /** IANA INTEG number; `INTEG.NONE` for combined modes. */
  readonly integ: number;
}

const encryptionById = new Map(ENCRYPTION.map((algorithm) => [algorithm.id, algorithm]));
const integrityById = new Map(INTEGRITY.map((algorithm) => [algorithm.id, algorithm]));

/** @returns the algorithm with that IANA number, if we know it */
export const encryption = (id: number): EncryptionAlgorithm | undefined => encryptionById.get(id);
/** @returns the algorithm with that IANA number, if we know it */
export const integrity = (id: number): IntegrityAlgorithm | undefined => integrityById.get(id);

/** @returns swanctl's keyword for the suite: `aes128gcm16`, `aes256-sha256`, `null-sha256`, `sha256` (AH) */
export function suiteName(suite: CipherSuite): string {
  const words: string[] = [];
  if (suite.encr !== undefined) words.push(encryption(suite.encr)?.keywords[suite.keyBits] ?? `encr${suite.encr}`);
  if (suite.integ !== INTEG.NONE) words.push(integrity(suite.integ)?.keyword ?? `integ${suite.integ}`);
  return words.join('-');
}

/** Bytes of a suite's key material and packet overhead. */
export interface SuiteLengths {
  readonly key: number;
  readonly salt: number;
  readonly integKey: number;
  readonly iv: number;
  readonly icv: number;
  /** Alignment of plaintext in bytes, at least 4 in ESP (RFC 4303 §2.4). */
  readonly block: number;
}

/** @returns the lengths, in bytes, of everything the suite needs */
export function suiteLengths(suite: CipherSuite): SuiteLengths {
  const e = suite.encr === undefined ? undefined : encryption(suite.encr);
  const i = integrity(suite.integ);
  return {
    key: suite.keyBits / 8,
    salt: (e?.saltLength ?? 0) + (i?.saltLength ?? 0),
    integKey: i?.keyLength ?? 0,
    iv: (e?.ivLength ?? 0) + (i?.ivLength ?? 0),
    icv: e?.icvLength || (i?.icvLength ?? 0),
    block: Math.max(4, e?.blockSize ?? 1),
  };
}
