/**
 * Protection of SK and SKF payloads: AES-GCM (RFC 5282), ChaCha20-Poly1305 (RFC 7634 §3), or AES-CBC
 * and AES-CTR with an HMAC over the whole message, which is checked before anything is decrypted
 * (RFC 7296 §3.14). Keys of one direction of one IKE SA.
 */
import { concat } from '../wire/bytes.ts';
import { integrityError } from '../wire/error.ts';
import type { SkProtection } from '../wire/payloads/sk.ts';
import type { IkeAlgorithms, IkeKeys } from './keys.ts';
import type { Cipher, Integrity, RandomSource } from './provider.ts';
import { equalSecrets, wipe } from './secret.ts';

const NO_AAD = new Uint8Array();

interface DirectionKeys {
  readonly encryption: Uint8Array;
  readonly integrity: Uint8Array;
}

/** What is sent by, and what is received from, the peer. */
export interface IkeProtection {
  readonly outbound: SkProtection;
  readonly inbound: SkProtection;
}

/**
 * Copies the keys it needs: the caller may wipe its own.
 * @param initiator whether we are the initiator of this IKE SA
 */
export function protectIke(
  algorithms: IkeAlgorithms,
  keys: IkeKeys,
  initiator: boolean,
  random: RandomSource,
): IkeProtection {
  const ofInitiator = makeProtection(algorithms, { encryption: keys.ei, integrity: keys.ai }, random);
  const ofResponder = makeProtection(algorithms, { encryption: keys.er, integrity: keys.ar }, random);
  return initiator ? { outbound: ofInitiator, inbound: ofResponder } : { outbound: ofResponder, inbound: ofInitiator };
}

/** @throws Error if the algorithms leave messages without integrity: such an SA must not exist */
export function makeProtection(
  { cipher, integrity }: Omit<IkeAlgorithms, 'prf'>,
  keys: DirectionKeys,
  random: RandomSource,
): SkProtection {
  const encryption = Uint8Array.from(keys.encryption);
  const mac = Uint8Array.from(keys.integrity);
  if (encryption.length !== cipher.keyLength || mac.length !== (integrity?.keyLength ?? 0)) {
    throw new Error('SK keys have not the lengths that the algorithms need');
  }
  const nextIv = ivSource(cipher, random);
  const icvLength = cipher.icvLength || (integrity?.icvLength ?? 0);
  if (icvLength === 0 || (cipher.icvLength > 0 && integrity !== undefined)) {
    throw new Error('IKE needs either an AEAD or a cipher with an integrity algorithm');
  }
  const overhead = cipher.ivLength + icvLength;
  const seal = integrity === undefined ? aeadSeal(cipher, encryption) : macSeal(cipher, encryption, integrity, mac);
  const open = integrity === undefined ? aeadOpen(cipher, encryption) : macOpen(cipher, encryption, integrity, mac);
  return {
    sealedLength: (plaintextLength) => overhead + roundUp(plaintextLength + 1, cipher.blockSize),
    capacity: (sealedLength) => roundDown(sealedLength - overhead, cipher.blockSize) - 1,
    seal(head, plaintext) {
      const padded = pad(plaintext, cipher.blockSize);
      const message = seal(head, nextIv(), padded);
      wipe(padded);
      return message;
    },
    open(message, bodyOffset) {
      if (message.length - bodyOffset < overhead + 1) throw integrityError('SK payload is too short');
      return unpad(open(message, bodyOffset));
    },
    destroy: () => wipe(encryption, mac),
  };
}

const roundUp = (length: number, block: number): number => Math.ceil(length / block) * block;
const roundDown = (length: number, block: number): number => Math.floor(length / block) * block;

/** RFC 5282 §3.1: a counter never repeats under one key. RFC 7296 §3.14: CBC's IV is unpredictable. */
function ivSource(cipher: Cipher, random: RandomSource): () => Uint8Array {
  if (cipher.ivFrom === 'random') return () => random(cipher.ivLength);
  let counter = 0n;
  return () => {
    const iv = new Uint8Array(cipher.ivLength);
    counter += 1n;
    new DataView(iv.buffer).setBigUint64(iv.length - 8, counter);
    return iv;
  };
}

/** RFC 7296 §3.14: padding of our choice (zeros, as little as possible), and its length in the last byte. */
function pad(plaintext: Uint8Array, block: number): Uint8Array {
  const padded = new Uint8Array(roundUp(plaintext.length + 1, block));
  padded.set(plaintext);
  padded[padded.length - 1] = padded.length - plaintext.length - 1;
  return padded;
}

/** Runs only on what has proved authentic, so what it says tells an attacker nothing. */
function unpad(padded: Uint8Array): Uint8Array {
  const length = padded.length - 1 - padded[padded.length - 1]!;
  if (length < 0) throw integrityError('SK payload has more padding than content');
  const plaintext = padded.slice(0, length);
  wipe(padded);
  return plaintext;
}

type Seal = (head: Uint8Array, iv: Uint8Array, padded: Uint8Array) => Uint8Array;
type Open = (message: Uint8Array, bodyOffset: number) => Uint8Array;

/** RFC 5282 §5.1: the associated data is all that stands in front of the IV. */
const aeadSeal =
  (cipher: Cipher, key: Uint8Array): Seal =>
  (head, iv, padded) =>
    concat(head, iv, cipher.seal(key, iv, head, padded));

const aeadOpen =
  (cipher: Cipher, key: Uint8Array): Open =>
  (message, bodyOffset) => {
    const textOffset = bodyOffset + cipher.ivLength;
    const iv = message.subarray(bodyOffset, textOffset);
    const padded = cipher.open(key, iv, message.subarray(0, bodyOffset), message.subarray(textOffset));
    if (padded === undefined) throw integrityError('SK payload is not authentic');
    return padded;
  };

const macSeal =
  (cipher: Cipher, key: Uint8Array, integrity: Integrity, macKey: Uint8Array): Seal =>
  (head, iv, padded) => {
    const covered = concat(head, iv, cipher.seal(key, iv, NO_AAD, padded));
    return concat(covered, integrity.compute(macKey, covered));
  };

const macOpen =
  (cipher: Cipher, key: Uint8Array, integrity: Integrity, macKey: Uint8Array): Open =>
  (message, bodyOffset) => {
    const icvOffset = message.length - integrity.icvLength;
    const textOffset = bodyOffset + cipher.ivLength;
    const expected = integrity.compute(macKey, message.subarray(0, icvOffset));
    if (!equalSecrets(expected, message.subarray(icvOffset))) throw integrityError('SK payload is not authentic');
    const iv = message.subarray(bodyOffset, textOffset);
    const padded = cipher.open(key, iv, NO_AAD, message.subarray(textOffset, icvOffset));
    if (padded === undefined || padded.length === 0) throw integrityError('SK payload is not whole blocks');
    return padded;
  };
