/**
 * Protection of SK and SKF payloads: AES-GCM (RFC 5282), ChaCha20-Poly1305 (RFC 7634 §3), or AES-CBC
 * and AES-CTR with an HMAC over the whole message, which is checked before anything is decrypted
 * (RFC 7296 §3.14). Keys of one direction of one IKE SA.
 */
import { concat, NO_BYTES, Writer } from '../wire/bytes.ts';
import { integrityError } from '../wire/error.ts';
import type { SkProtection } from '../wire/payloads/sk.ts';
import type { IkeAlgorithms, IkeKeys } from './keys.ts';
import type { Cipher, Integrity, RandomSource } from './provider.ts';
import { equalSecrets, wipe } from './secret.ts';

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
  { encryption, integrity: mac }: DirectionKeys,
  random: RandomSource,
): SkProtection {
  if (encryption.length !== cipher.keyLength || mac.length !== (integrity?.keyLength ?? 0)) {
    throw new Error('SK keys have not the lengths that the algorithms need');
  }
  if (cipher.icvLength > 0 === (integrity !== undefined)) {
    throw new Error('IKE needs either an AEAD or a cipher with an integrity algorithm');
  }
  return integrity === undefined
    ? new AeadProtection(cipher, encryption.slice(), random)
    : new MacProtection(cipher, encryption.slice(), random, integrity, mac.slice());
}

const roundUp = (length: number, block: number): number => Math.ceil(length / block) * block;
const roundDown = (length: number, block: number): number => Math.floor(length / block) * block;

/** A class for each way, and not closures, because there are two of these for every SA. */
abstract class Protection implements SkProtection {
  protected readonly cipher: Cipher;
  protected readonly key: Uint8Array;
  private readonly random: RandomSource;
  private sealed = 0;

  constructor(cipher: Cipher, key: Uint8Array, random: RandomSource) {
    this.cipher = cipher;
    this.key = key;
    this.random = random;
  }

  protected abstract readonly icvLength: number;
  protected abstract close(head: Uint8Array, iv: Uint8Array, padded: Uint8Array): Uint8Array;
  protected abstract disclose(message: Uint8Array, bodyOffset: number): Uint8Array;

  sealedLength(plaintextLength: number): number {
    return this.overhead + roundUp(plaintextLength + 1, this.cipher.blockSize);
  }

  capacity(sealedLength: number): number {
    return roundDown(sealedLength - this.overhead, this.cipher.blockSize) - 1;
  }

  seal(head: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const padded = pad(plaintext, this.cipher.blockSize);
    const message = this.close(head, this.nextIv(), padded);
    wipe(padded);
    return message;
  }

  open(message: Uint8Array, bodyOffset: number): Uint8Array {
    if (message.length - bodyOffset < this.overhead + 1) throw integrityError('SK payload is too short');
    return unpad(this.disclose(message, bodyOffset));
  }

  destroy(): void {
    wipe(this.key);
  }

  private get overhead(): number {
    return this.cipher.ivLength + this.icvLength;
  }

  /** RFC 5282 §3.1: a counter never repeats under one key. RFC 7296 §3.14: CBC's IV is unpredictable. */
  private nextIv(): Uint8Array {
    const { ivFrom, ivLength } = this.cipher;
    if (ivFrom === 'random') return this.random(ivLength);
    const iv = new Writer(ivLength);
    iv.zeros(ivLength - 8);
    iv.u64(BigInt(++this.sealed));
    return iv.bytes;
  }
}

/** RFC 5282 §5.1: the associated data is all that stands in front of the IV. */
class AeadProtection extends Protection {
  protected override get icvLength(): number {
    return this.cipher.icvLength;
  }

  protected override close(head: Uint8Array, iv: Uint8Array, padded: Uint8Array): Uint8Array {
    return concat(head, iv, this.cipher.seal(this.key, iv, head, padded));
  }

  protected override disclose(message: Uint8Array, bodyOffset: number): Uint8Array {
    const textOffset = bodyOffset + this.cipher.ivLength;
    const iv = message.subarray(bodyOffset, textOffset);
    const aad = message.subarray(0, bodyOffset);
    const padded = this.cipher.open(this.key, iv, aad, message.subarray(textOffset));
    if (padded === undefined) throw integrityError('SK payload is not authentic');
    return padded;
  }
}

class MacProtection extends Protection {
  private readonly integrity: Integrity;
  private readonly mac: Uint8Array;

  constructor(cipher: Cipher, key: Uint8Array, random: RandomSource, integrity: Integrity, mac: Uint8Array) {
    super(cipher, key, random);
    this.integrity = integrity;
    this.mac = mac;
  }

  protected override get icvLength(): number {
    return this.integrity.icvLength;
  }

  protected override close(head: Uint8Array, iv: Uint8Array, padded: Uint8Array): Uint8Array {
    const covered = concat(head, iv, this.cipher.seal(this.key, iv, NO_BYTES, padded));
    return concat(covered, this.integrity.compute(this.mac, covered));
  }

  protected override disclose(message: Uint8Array, bodyOffset: number): Uint8Array {
    const icvOffset = message.length - this.icvLength;
    const textOffset = bodyOffset + this.cipher.ivLength;
    const expected = this.integrity.compute(this.mac, message.subarray(0, icvOffset));
    if (!equalSecrets(expected, message.subarray(icvOffset))) throw integrityError('SK payload is not authentic');
    const iv = message.subarray(bodyOffset, textOffset);
    const padded = this.cipher.open(this.key, iv, NO_BYTES, message.subarray(textOffset, icvOffset));
    if (padded === undefined || padded.length === 0) throw integrityError('SK payload is not whole blocks');
    return padded;
  }

  override destroy(): void {
    super.destroy();
    wipe(this.mac);
  }
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
