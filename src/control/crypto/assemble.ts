/** Builds a provider out of a library's primitives; geometry and numbers come from the registry alone. */
import { ENCR } from '../../algorithms.ts';
import { concat } from '../wire/bytes.ts';
import { HASH } from '../wire/iana.ts';
import type {
  Cipher,
  CryptoProvider,
  HashId,
  Integrity,
  KeyExchange,
  Prf,
  RandomSource,
  Signatures,
} from './provider.ts';
import {
  IKE_ENCRYPTION,
  IKE_INTEGRITY,
  type IkeEncryptionAlgorithm,
  type IkeIntegrityAlgorithm,
  PRFS,
  type PrfAlgorithm,
} from './registry.ts';
import { wipe } from './secret.ts';

export type HashName = 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** A library's cipher. `iv` is the full nonce, CBC's IV or CTR's first counter block. */
export interface CipherPrimitive {
  seal(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  open(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined;
}

/** What a library has to offer; `ciphers` by IANA number. */
export interface Primitives {
  readonly name: CryptoProvider['name'];
  readonly random: RandomSource;
  readonly keyExchanges: readonly KeyExchange[];
  readonly ciphers: Readonly<Record<number, CipherPrimitive>>;
  readonly signatures: Signatures;
  hash(name: HashName, parts: readonly Uint8Array[]): Uint8Array;
  hmac(name: HashName, key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array;
}

const HASH_NAMES: Readonly<Record<HashId, HashName>> = {
  [HASH.SHA1]: 'sha1',
  [HASH.SHA2_256]: 'sha256',
  [HASH.SHA2_384]: 'sha384',
  [HASH.SHA2_512]: 'sha512',
};

/** RFC 3686 §4: the block counter starts at 1 behind nonce and IV. */
const FIRST_COUNTER = Uint8Array.of(0, 0, 0, 1);
const NO_SALT = new Uint8Array();

/** @returns the provider; its lookups know exactly the registry's numbers */
export function makeProvider(primitives: Primitives): CryptoProvider {
  const { name, random } = primitives;
  const keyExchanges = new Map(primitives.keyExchanges.map((method) => [method.id, method]));
  const prfs = new Map(PRFS.map((algorithm) => [algorithm.id, makePrf(primitives, algorithm)]));
  const integrities = new Map(IKE_INTEGRITY.map((algorithm) => [algorithm.id, makeIntegrity(primitives, algorithm)]));
  const ciphers = new Map(
    IKE_ENCRYPTION.flatMap((algorithm) =>
      algorithm.keyBits.map((bits) => [`${algorithm.id}/${bits}`, makeCipher(primitives, algorithm, bits)] as const),
    ),
  );
  return {
    name,
    keyExchange: (id) => keyExchanges.get(id),
    prf: (id) => prfs.get(id),
    integrity: (id) => integrities.get(id),
    cipher: (id, keyBits) => ciphers.get(`${id}/${keyBits}`),
    signatures: primitives.signatures,
    hash: (id, ...parts) => primitives.hash(HASH_NAMES[id], parts),
    random,
  };
}

function makePrf(primitives: Primitives, { id, length, hash }: PrfAlgorithm): Prf {
  return { id, length, compute: (key, ...parts) => primitives.hmac(hash, key, parts) };
}

function makeIntegrity(primitives: Primitives, algorithm: IkeIntegrityAlgorithm): Integrity {
  const { id, keyLength, icvLength, hash } = algorithm;
  return {
    id,
    keyLength,
    icvLength,
    compute: (key, ...parts) => primitives.hmac(hash, key, parts).slice(0, icvLength),
  };
}

function makeCipher(primitives: Primitives, algorithm: IkeEncryptionAlgorithm, bits: number): Cipher {
  const { id, saltLength, ivLength, blockSize, icvLength } = algorithm;
  const primitive = primitives.ciphers[id]!;
  const cipherKeyLength = bits / 8;
  const suffix = id === ENCR.AES_CTR ? FIRST_COUNTER : NO_SALT;
  const run = <T>(key: Uint8Array, iv: Uint8Array, use: (cipherKey: Uint8Array, nonce: Uint8Array) => T): T => {
    // RFC 5282 §4, RFC 5930 §2: SK_e is the key with the salt behind it.
    const salt = key.slice(cipherKeyLength);
    const nonce = concat(salt, iv, suffix);
    const cipherKey = key.slice(0, cipherKeyLength);
    const result = use(cipherKey, nonce);
    wipe(cipherKey, salt, nonce);
    return result;
  };
  return {
    id,
    keyLength: cipherKeyLength + saltLength,
    saltLength,
    ivLength,
    blockSize,
    icvLength,
    ivFrom: saltLength > 0 ? 'counter' : 'random',
    seal: (key, iv, aad, plaintext) => run(key, iv, (k, nonce) => primitive.seal(k, nonce, aad, plaintext)),
    open(key, iv, aad, sealed) {
      if (sealed.length < icvLength || (sealed.length - icvLength) % blockSize !== 0) return undefined;
      return run(key, iv, (k, nonce) => primitive.open(k, nonce, aad, sealed));
    },
  };
}
