/** node:crypto, a cipher object per packet: the yardstick. */
import {
  type CipherCCMTypes,
  type CipherGCM,
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type DecipherGCM,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../../algorithms.ts';
import type { Packet, PacketCipher, PacketCiphers } from './packet-backend.ts';
import { isGmac, isKnownSuite, type RawKeys } from './suites.ts';

const HASHES: Readonly<Record<number, string>> = {
  [INTEG.HMAC_SHA1_96]: 'sha1',
  [INTEG.HMAC_SHA2_256_128]: 'sha256',
  [INTEG.HMAC_SHA2_384_192]: 'sha384',
  [INTEG.HMAC_SHA2_512_256]: 'sha512',
};

export const nodeCiphers: PacketCiphers = {
  name: 'node',
  supports: isKnownSuite,
  create(suite, keys) {
    if (isGmac(suite.integ)) return new Gmac(keys.integKey, keys.salt, authenticatedByAh);
    if (suite.encr === ENCR.NULL_AUTH_AES_GMAC) return new Gmac(keys.key, keys.salt, authenticatedByEsp);
    if (suite.integ === INTEG.NONE) return new Aead(suite, keys);
    return new EncryptThenMac(suite, keys);
  },
};

/** An implicit part that stays and an explicit part from the packet. */
class Nonce {
  readonly bytes: Uint8Array;
  readonly #salt: number;

  /** @param initial its last bytes, which stay too */
  constructor(salt: Uint8Array, length: number, initial: readonly number[] = []) {
    this.bytes = new Uint8Array(length);
    this.bytes.set(salt);
    this.bytes.set(initial, length - initial.length);
    this.#salt = salt.length;
  }

  with(iv: Uint8Array): Uint8Array {
    this.bytes.set(iv, this.#salt);
    return this.bytes;
  }
}

/** AES-GCM (RFC 4106), AES-CCM (RFC 4309), ChaCha20-Poly1305 (RFC 7634). */
class Aead implements PacketCipher {
  readonly #name: CipherGCMTypes;
  readonly #key: KeyObject;
  readonly #nonce: Nonce;
  readonly #options: { readonly authTagLength: number };
  /** CCM encodes the length in its first block, so it must be known before (RFC 3610 §2.2). */
  readonly #aadOptions = { plaintextLength: 0 };

  constructor(suite: CipherSuite, { key, salt }: RawKeys) {
    const { iv, icv } = suiteLengths(suite);
    // The three kinds share one interface, but not one type.
    this.#name = aeadName(suite) as CipherGCMTypes;
    this.#key = createSecretKey(key);
    this.#nonce = new Nonce(salt, salt.length + iv);
    this.#options = { authTagLength: icv };
  }

  seal({ payload, iv, aad, icv }: Packet): void {
    const cipher = createCipheriv(this.#name, this.#key, this.#nonce.with(iv), this.#options);
    this.#associate(cipher, aad, payload.length);
    payload.set(cipher.update(payload));
    cipher.final();
    icv.set(cipher.getAuthTag());
  }

  open({ payload, iv, aad, icv }: Packet): boolean {
    const decipher = createDecipheriv(this.#name, this.#key, this.#nonce.with(iv), this.#options);
    decipher.setAuthTag(icv);
    this.#associate(decipher, aad, payload.length);
    try {
      const plain = decipher.update(payload);
      decipher.final();
      payload.set(plain);
      return true;
    } catch {
      return false;
    }
  }

  wipe(): void {}

  #associate(cipher: CipherGCM | DecipherGCM, aad: Uint8Array, length: number): void {
    this.#aadOptions.plaintextLength = length;
    cipher.setAAD(aad, this.#aadOptions);
  }
}

function aeadName({ encr, keyBits }: CipherSuite): CipherGCMTypes | CipherCCMTypes | 'chacha20-poly1305' {
  if (encr === ENCR.CHACHA20_POLY1305) return 'chacha20-poly1305';
  const ccm = encr === ENCR.AES_CCM_8 || encr === ENCR.AES_CCM_12 || encr === ENCR.AES_CCM_16;
  return `aes-${keyBits}-${ccm ? 'ccm' : 'gcm'}` as CipherGCMTypes | CipherCCMTypes;
}

type Authenticated = (packet: Packet) => readonly Uint8Array[];

/** RFC 4543 §3.3: SPI ‖ sequence number ‖ IV ‖ payload. */
const authenticatedByEsp: Authenticated = ({ aad, iv, payload }) => [aad, iv, payload];
/** RFC 4543 §4.3: the packet, and the high half of an extended sequence number. */
const authenticatedByAh: Authenticated = ({ aad, payload, sequenceHigh }) => [aad, payload, sequenceHigh];

/** AES-GMAC (RFC 4543): GCM that has nothing to encrypt. */
class Gmac implements PacketCipher {
  readonly #name: CipherGCMTypes;
  readonly #key: KeyObject;
  readonly #nonce: Nonce;
  readonly #authenticated: Authenticated;

  constructor(key: Uint8Array, salt: Uint8Array, authenticated: Authenticated) {
    this.#name = `aes-${key.length * 8}-gcm` as CipherGCMTypes;
    this.#key = createSecretKey(key);
    this.#nonce = new Nonce(salt, 12);
    this.#authenticated = authenticated;
  }

  seal(packet: Packet): void {
    packet.icv.set(this.#tag(packet));
  }

  open(packet: Packet): boolean {
    return timingSafeEqual(this.#tag(packet), packet.icv);
  }

  wipe(): void {}

  #tag(packet: Packet): Uint8Array {
    const cipher = createCipheriv(this.#name, this.#key, this.#nonce.with(packet.iv));
    for (const part of this.#authenticated(packet)) cipher.setAAD(part);
    cipher.final();
    return cipher.getAuthTag();
  }
}

/** AES-CBC (RFC 3602), AES-CTR (RFC 3686) or nothing, and HMAC (RFC 4868, RFC 2404) over the result. */
class EncryptThenMac implements PacketCipher {
  readonly #cipher: string | undefined;
  readonly #key: KeyObject | undefined;
  readonly #nonce: Nonce;
  readonly #hash: string;
  readonly #integKey: KeyObject;
  readonly #icvLength: number;

  constructor(suite: CipherSuite, { key, salt, integKey }: RawKeys) {
    const ctr = suite.encr === ENCR.AES_CTR;
    if (ctr || suite.encr === ENCR.AES_CBC) {
      this.#cipher = `aes-${suite.keyBits}-${ctr ? 'ctr' : 'cbc'}`;
      this.#key = createSecretKey(key);
    }
    // RFC 3686 §4: nonce, IV, and a block counter that starts at one.
    this.#nonce = new Nonce(salt, 16, ctr ? [0, 0, 0, 1] : []);
    this.#hash = HASHES[suite.integ]!;
    this.#integKey = createSecretKey(integKey);
    this.#icvLength = suiteLengths(suite).icv;
  }

  seal(packet: Packet): void {
    if (this.#cipher !== undefined && this.#key !== undefined) {
      const cipher = createCipheriv(this.#cipher, this.#key, this.#nonce.with(packet.iv));
      cipher.setAutoPadding(false);
      packet.payload.set(cipher.update(packet.payload));
      cipher.final();
    }
    packet.icv.set(this.#mac(packet));
  }

  open(packet: Packet): boolean {
    if (!timingSafeEqual(this.#mac(packet), packet.icv)) return false;
    if (this.#cipher !== undefined && this.#key !== undefined) {
      const decipher = createDecipheriv(this.#cipher, this.#key, this.#nonce.with(packet.iv));
      decipher.setAutoPadding(false);
      packet.payload.set(decipher.update(packet.payload));
      decipher.final();
    }
    return true;
  }

  wipe(): void {}

  #mac({ aad, payload, sequenceHigh }: Packet): Uint8Array {
    const hmac = createHmac(this.#hash, this.#integKey).update(aad).update(payload).update(sequenceHigh);
    return hmac.digest().subarray(0, this.#icvLength);
  }
}
