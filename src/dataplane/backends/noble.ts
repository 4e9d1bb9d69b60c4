/** @noble/ciphers and @noble/hashes: the reference to read, and a second opinion for `shadow`. */
import { cbc, ctr, gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { concatBytes, equalBytes } from '@noble/ciphers/utils.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../../algorithms.ts';
import type { Packet, PacketCipher, PacketCiphers } from './packet-backend.ts';
import { isGmac, isKnownSuite, type RawKeys } from './suites.ts';

const HASHES = {
  [INTEG.HMAC_SHA1_96]: sha1,
  [INTEG.HMAC_SHA2_256_128]: sha256,
  [INTEG.HMAC_SHA2_384_192]: sha384,
  [INTEG.HMAC_SHA2_512_256]: sha512,
} as const;

const CCM: readonly (number | undefined)[] = [ENCR.AES_CCM_8, ENCR.AES_CCM_12, ENCR.AES_CCM_16];

export const nobleCiphers: PacketCiphers = {
  name: 'noble',
  // There is no CCM in @noble/ciphers.
  supports: (suite) => isKnownSuite(suite) && !CCM.includes(suite.encr),
  create(suite, keys) {
    if (isGmac(suite.integ)) return new Gmac(keys.integKey, keys.salt, authenticatedByAh);
    if (suite.encr === ENCR.NULL_AUTH_AES_GMAC) return new Gmac(keys.key, keys.salt, authenticatedByEsp);
    if (suite.integ === INTEG.NONE) return new Aead(suite, keys);
    return new EncryptThenMac(suite, keys);
  },
};

/** AES-GCM (RFC 4106) with an ICV of any length, ChaCha20-Poly1305 (RFC 7634). */
class Aead implements PacketCipher {
  readonly #cipher: typeof gcm | typeof chacha20poly1305;
  readonly #key: Uint8Array;
  readonly #salt: Uint8Array;
  readonly #icvLength: number;

  constructor(suite: CipherSuite, { key, salt }: RawKeys) {
    this.#cipher = suite.encr === ENCR.CHACHA20_POLY1305 ? chacha20poly1305 : gcm;
    this.#key = key.slice();
    this.#salt = salt.slice();
    this.#icvLength = suiteLengths(suite).icv;
  }

  seal(packet: Packet): void {
    const sealed = this.#encrypt(packet, packet.payload);
    packet.payload.set(sealed.subarray(0, packet.payload.length));
    packet.icv.set(this.#icv(sealed));
  }

  open(packet: Packet): boolean {
    const plain = this.#icvLength === 16 ? this.#decrypt(packet) : this.#decryptShortIcv(packet);
    if (plain === undefined) return false;
    packet.payload.set(plain);
    return true;
  }

  wipe(): void {
    this.#key.fill(0);
  }

  #with({ iv, aad }: Packet) {
    return this.#cipher(this.#key, concatBytes(this.#salt, iv), aad);
  }

  #encrypt(packet: Packet, data: Uint8Array): Uint8Array {
    return this.#with(packet).encrypt(data);
  }

  #decrypt(packet: Packet): Uint8Array | undefined {
    try {
      return this.#with(packet).decrypt(concatBytes(packet.payload, packet.icv));
    } catch {
      return undefined;
    }
  }

  /**
   * The library verifies whole tags only. Counter mode is its own inverse, so the plaintext comes
   * from encrypting the ciphertext, and the tag to compare with from encrypting that.
   */
  #decryptShortIcv(packet: Packet): Uint8Array | undefined {
    const plain = this.#encrypt(packet, packet.payload).subarray(0, packet.payload.length);
    return equalBytes(this.#icv(this.#encrypt(packet, plain)), packet.icv) ? plain : undefined;
  }

  /** The tag behind the ciphertext, cut to the ICV's length. */
  #icv(sealed: Uint8Array): Uint8Array {
    const tag = sealed.length - 16;
    return sealed.subarray(tag, tag + this.#icvLength);
  }
}

type Authenticated = (packet: Packet) => Uint8Array;

/** RFC 4543 §3.3: SPI ‖ sequence number ‖ IV ‖ payload. */
const authenticatedByEsp: Authenticated = ({ aad, iv, payload }) => concatBytes(aad, iv, payload);
/** RFC 4543 §4.3: the packet, and the high half of an extended sequence number. */
const authenticatedByAh: Authenticated = ({ aad, payload, sequenceHigh }) => concatBytes(aad, payload, sequenceHigh);

/** AES-GMAC (RFC 4543): GCM that has nothing to encrypt. */
class Gmac implements PacketCipher {
  readonly #key: Uint8Array;
  readonly #salt: Uint8Array;
  readonly #authenticated: Authenticated;

  constructor(key: Uint8Array, salt: Uint8Array, authenticated: Authenticated) {
    this.#key = key.slice();
    this.#salt = salt.slice();
    this.#authenticated = authenticated;
  }

  seal(packet: Packet): void {
    packet.icv.set(this.#tag(packet));
  }

  open(packet: Packet): boolean {
    return equalBytes(this.#tag(packet), packet.icv);
  }

  wipe(): void {
    this.#key.fill(0);
  }

  #tag(packet: Packet): Uint8Array {
    return gcm(this.#key, concatBytes(this.#salt, packet.iv), this.#authenticated(packet)).encrypt(new Uint8Array());
  }
}

/** AES-CBC (RFC 3602), AES-CTR (RFC 3686) or nothing, and HMAC (RFC 4868, RFC 2404) over the result. */
class EncryptThenMac implements PacketCipher {
  readonly #encr: number | undefined;
  readonly #key: Uint8Array;
  readonly #salt: Uint8Array;
  readonly #integKey: Uint8Array;
  readonly #hash: (typeof HASHES)[keyof typeof HASHES];
  readonly #icvLength: number;

  constructor(suite: CipherSuite, { key, salt, integKey }: RawKeys) {
    this.#encr = suite.encr;
    this.#key = key.slice();
    this.#salt = salt.slice();
    this.#integKey = integKey.slice();
    this.#hash = HASHES[suite.integ as keyof typeof HASHES];
    this.#icvLength = suiteLengths(suite).icv;
  }

  seal(packet: Packet): void {
    const cipher = this.#cipher(packet.iv);
    if (cipher !== undefined) packet.payload.set(cipher.encrypt(packet.payload));
    packet.icv.set(this.#mac(packet));
  }

  open(packet: Packet): boolean {
    if (!equalBytes(this.#mac(packet), packet.icv)) return false;
    const cipher = this.#cipher(packet.iv);
    if (cipher !== undefined) packet.payload.set(cipher.decrypt(packet.payload));
    return true;
  }

  wipe(): void {
    this.#key.fill(0);
    this.#integKey.fill(0);
  }

  #cipher(iv: Uint8Array) {
    if (this.#encr === ENCR.AES_CBC) return cbc(this.#key, iv.slice(), { disablePadding: true });
    // RFC 3686 §4: nonce, IV, and a block counter that starts at one.
    if (this.#encr === ENCR.AES_CTR) return ctr(this.#key, concatBytes(this.#salt, iv, Uint8Array.of(0, 0, 0, 1)));
    return undefined;
  }

  #mac({ aad, payload, sequenceHigh }: Packet): Uint8Array {
    const mac = hmac.create(this.#hash, this.#integKey).update(aad).update(payload).update(sequenceHigh);
    return mac.digest().subarray(0, this.#icvLength);
  }
}
