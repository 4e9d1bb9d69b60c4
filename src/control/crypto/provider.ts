/**
 * The seam behind which IKE's cryptography can be swapped (`control.crypto: noble | node`): every
 * algorithm by its IANA number, randomness injected. Nothing here knows of messages or state.
 */
import type { KeyObject } from 'node:crypto';

/** One side's half-done key exchange, as its initiator holds it. */
export interface KeyExchangeInitiator {
  /** KE payload data for the peer: a public value, or ML-KEM's encapsulation key. */
  readonly publicValue: Uint8Array;
  /**
   * @param peer the responder's KE data: its public value, or ML-KEM's ciphertext
   * @returns the shared secret; the caller wipes it
   * @throws WireError `ERR_WIRE_KEY_EXCHANGE` if `peer` is not a value an honest peer can send
   */
  derive(peer: Uint8Array): Uint8Array;
  /** Overwrites the private value where the runtime lets it be reached. */
  destroy(): void;
}

/** One key exchange method (Transform Type 4). Roles differ with ML-KEM, so they are two calls. */
export interface KeyExchange {
  readonly id: number;
  /** Bytes of KE data that the initiator sends. */
  readonly initiatorLength: number;
  /** Bytes of KE data that the responder sends. */
  readonly responderLength: number;
  generate(): KeyExchangeInitiator;
  /**
   * @param peer the initiator's KE data
   * @returns KE data for the answer, and the shared secret, which the caller wipes
   * @throws WireError `ERR_WIRE_KEY_EXCHANGE` as in `KeyExchangeInitiator.derive`
   */
  respond(peer: Uint8Array): { readonly publicValue: Uint8Array; readonly secret: Uint8Array };
}

/** Pseudorandom function (Transform Type 2): an HMAC, so a key may have any length. */
export interface Prf {
  readonly id: number;
  /** Bytes of output, and preferred bytes of key (RFC 7296 §2.13). */
  readonly length: number;
  /** @returns prf(key, parts[0] | parts[1] | …) */
  compute(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
}

/** Integrity algorithm of SK payloads (Transform Type 3). */
export interface Integrity {
  readonly id: number;
  readonly keyLength: number;
  readonly icvLength: number;
  /** @returns the truncated checksum over all parts */
  compute(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
}

/** Encryption algorithm of SK payloads (Transform Type 1) with one key length. */
export interface Cipher {
  readonly id: number;
  /** Bytes of key in SK_e, salt included. */
  readonly keyLength: number;
  /** Bytes at the end of the key that are the salt of nonces. */
  readonly saltLength: number;
  readonly ivLength: number;
  /** Plaintext with padding is a multiple of this. */
  readonly blockSize: number;
  /** Bytes of tag of an AEAD; 0 for a cipher that needs a separate integrity algorithm. */
  readonly icvLength: number;
  /** IV from a counter (nonce ciphers) or at random (CBC). */
  readonly ivFrom: 'counter' | 'random';
  /** @returns ciphertext, with the tag behind it if it is an AEAD */
  seal(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** @returns the plaintext; undefined if the tag of an AEAD is wrong, or the length not a multiple of the block */
  open(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined;
}

/** What an AlgorithmIdentifier says of a signature; which curve it is on, the key says. */
export interface SignatureScheme {
  /** Null where the algorithm hashes by itself. */
  readonly digest: 'sha256' | 'sha384' | 'sha512' | null;
  /** Of RSA. */
  readonly padding: 'pkcs1' | 'pss' | undefined;
}

/** How an ECDSA signature is written: DER in certificates and RFC 7427, r | s in the older AUTH methods. */
export type EcdsaEncoding = 'der' | 'ieee-p1363';

/** Signatures with keys that fit their scheme; `auth/signature.ts` sees to that. */
export interface Signatures {
  /** @throws Error if the key has restrictions that forbid it */
  sign(scheme: SignatureScheme, privateKey: KeyObject, data: Uint8Array, encoding: EcdsaEncoding): Uint8Array;
  /** @throws Error for a key or a signature that is malformed */
  verify(
    scheme: SignatureScheme,
    publicKey: KeyObject,
    data: Uint8Array,
    signature: Uint8Array,
    encoding: EcdsaEncoding,
  ): boolean;
}

/** IANA "IKEv2 Hash Algorithms" that are computed: SHA2_256, SHA2_384, SHA2_512; SHA1 only names keys. */
export type HashId = 1 | 2 | 3 | 4;

export type CryptoProviderName = 'noble' | 'node';

/** All of it. Each lookup returns undefined for a number that is not implemented. */
export interface CryptoProvider {
  readonly name: CryptoProviderName;
  keyExchange(id: number): KeyExchange | undefined;
  prf(id: number): Prf | undefined;
  integrity(id: number): Integrity | undefined;
  cipher(id: number, keyBits: number): Cipher | undefined;
  hash(id: HashId, ...parts: readonly Uint8Array[]): Uint8Array;
  readonly signatures: Signatures;
  /** @returns so many unpredictable bytes: SPIs, nonces, IVs, private values */
  random(length: number): Uint8Array;
}

/** Where a provider's randomness comes from; a simulation hands in a seeded source. */
export type RandomSource = (length: number) => Uint8Array;
