/**
 * The algorithms of IKE itself: IANA numbers, swanctl keywords, lengths, and what RFC 8247 says of
 * each. A number that is not in these tables is unknown to IKE, whatever the peer sends. The ESP and
 * AH tables are in `../../algorithms.ts`, and what both share (ENCR, INTEG) is read from there.
 */
import { ENCR, encryption, INTEG, integrity, type Status } from '../../algorithms.ts';

/** IANA "Transform Type 2 - Pseudorandom Function Transform IDs". */
export const PRF = { HMAC_SHA2_256: 5, HMAC_SHA2_384: 6, HMAC_SHA2_512: 7 } as const;

/** IANA "Transform Type 4 - Key Exchange Method Transform IDs". */
export const KE = {
  NONE: 0,
  MODP_2048: 14,
  MODP_3072: 15,
  MODP_4096: 16,
  ECP_256: 19,
  ECP_384: 20,
  ECP_521: 21,
  CURVE25519: 31,
  CURVE448: 32,
  ML_KEM_512: 35,
  ML_KEM_768: 36,
  ML_KEM_1024: 37,
} as const;

/** IANA "Transform Type 5 - Sequence Numbers". */
export const ESN = { NO: 0, YES: 1 } as const;

export interface KeyExchangeAlgorithm {
  readonly id: number;
  /** IANA's name. */
  readonly name: string;
  readonly keyword: string;
  readonly family: 'modp' | 'ecp' | 'montgomery' | 'kem';
  /** Bytes of KE data from the initiator and from the responder. */
  readonly lengths: readonly [initiator: number, responder: number];
  readonly status: Status;
}

const ke = (
  id: number,
  name: string,
  keyword: string,
  family: KeyExchangeAlgorithm['family'],
  lengths: readonly [number, number],
  status: Status,
): KeyExchangeAlgorithm => ({ id, name, keyword, family, lengths, status });

/** RFC 8247 §2.4; RFC 8031 for the Montgomery curves; ML-KEM as RFC 9370's additional key exchange. */
export const KEY_EXCHANGES: readonly KeyExchangeAlgorithm[] = [
  ke(KE.CURVE25519, 'Curve25519', 'x25519', 'montgomery', [32, 32], 'SHOULD'),
  ke(KE.ECP_256, '256-bit random ECP group', 'ecp256', 'ecp', [64, 64], 'SHOULD'),
  ke(KE.ECP_384, '384-bit random ECP group', 'ecp384', 'ecp', [96, 96], 'MAY'),
  ke(KE.ECP_521, '521-bit random ECP group', 'ecp521', 'ecp', [132, 132], 'MAY'),
  ke(KE.CURVE448, 'Curve448', 'x448', 'montgomery', [56, 56], 'MAY'),
  ke(KE.MODP_2048, '2048-bit MODP Group', 'modp2048', 'modp', [256, 256], 'MUST'),
  ke(KE.MODP_3072, '3072-bit MODP Group', 'modp3072', 'modp', [384, 384], 'MAY'),
  ke(KE.MODP_4096, '4096-bit MODP Group', 'modp4096', 'modp', [512, 512], 'MAY'),
  ke(KE.ML_KEM_512, 'ml-kem-512', 'mlkem512', 'kem', [800, 768], 'MAY'),
  ke(KE.ML_KEM_768, 'ml-kem-768', 'mlkem768', 'kem', [1184, 1088], 'MAY'),
  ke(KE.ML_KEM_1024, 'ml-kem-1024', 'mlkem1024', 'kem', [1568, 1568], 'MAY'),
];

export interface PrfAlgorithm {
  readonly id: number;
  readonly name: string;
  readonly keyword: string;
  /** Bytes of output and of preferred key (RFC 4868 §2.1.2). */
  readonly length: number;
  /** The hash it is built on; also the name both providers know it by. */
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  readonly status: Status;
}

/** RFC 8247 §2.2. */
export const PRFS: readonly PrfAlgorithm[] = [
  prf(PRF.HMAC_SHA2_256, 'sha256', 32, 'MUST'),
  prf(PRF.HMAC_SHA2_384, 'sha384', 48, 'MAY'),
  prf(PRF.HMAC_SHA2_512, 'sha512', 64, 'SHOULD+'),
];

function prf(id: number, hash: PrfAlgorithm['hash'], length: number, status: Status): PrfAlgorithm {
  return { id, name: `PRF_HMAC_SHA2_${hash.slice(3)}`, keyword: `prf${hash}`, length, hash, status };
}

export interface IkeEncryptionAlgorithm {
  readonly id: number;
  readonly name: string;
  readonly keywords: Readonly<Record<number, string>>;
  readonly keyBits: readonly number[];
  readonly keyLengthAttribute: boolean;
  readonly saltLength: number;
  readonly ivLength: number;
  readonly blockSize: number;
  /** 0 where an integrity algorithm is needed beside it. */
  readonly icvLength: number;
  readonly status: Status;
}

/** RFC 8247 §2.1. In IKE the lengths are those of ESP (RFC 5282, RFC 5930, RFC 7634). */
export const IKE_ENCRYPTION: readonly IkeEncryptionAlgorithm[] = [
  ikeEncryption(ENCR.AES_GCM_16, 'SHOULD'),
  ikeEncryption(ENCR.CHACHA20_POLY1305, 'SHOULD'),
  ikeEncryption(ENCR.AES_CBC, 'MUST'),
  ikeEncryption(ENCR.AES_CTR, 'MAY'),
];

function ikeEncryption(id: number, status: Status): IkeEncryptionAlgorithm {
  return { ...encryption(id)!, status };
}

export interface IkeIntegrityAlgorithm {
  readonly id: number;
  readonly name: string;
  readonly keyword: string;
  readonly keyLength: number;
  readonly icvLength: number;
  readonly hash: PrfAlgorithm['hash'];
  readonly status: Status;
}

/** RFC 8247 §2.3. */
export const IKE_INTEGRITY: readonly IkeIntegrityAlgorithm[] = [
  ikeIntegrity(INTEG.HMAC_SHA2_256_128, 'sha256', 'MUST'),
  ikeIntegrity(INTEG.HMAC_SHA2_384_192, 'sha384', 'MAY'),
  ikeIntegrity(INTEG.HMAC_SHA2_512_256, 'sha512', 'SHOULD'),
];

function ikeIntegrity(id: number, hash: PrfAlgorithm['hash'], status: Status): IkeIntegrityAlgorithm {
  return { ...integrity(id)!, hash, status };
}

const byId = <A extends { readonly id: number }>(table: readonly A[]): ((id: number) => A | undefined) => {
  const map = new Map(table.map((algorithm) => [algorithm.id, algorithm]));
  return (id) => map.get(id);
};

/** Each returns the algorithm with that IANA number, if IKE may use it. */
export const keyExchangeAlgorithm = byId(KEY_EXCHANGES);
export const prfAlgorithm = byId(PRFS);
export const ikeEncryptionAlgorithm = byId(IKE_ENCRYPTION);
export const ikeIntegrityAlgorithm = byId(IKE_INTEGRITY);
