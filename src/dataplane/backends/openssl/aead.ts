/** Combined modes, and AES-GMAC, which is GCM without a payload. */
import * as L from '../../../../assembly/layout.ts';
import { type CipherSuite, ENCR, suiteLengths } from '../../../algorithms.ts';
import type { KernelMemory } from '../backend.ts';
import { Contexts, createContext, type Direction } from './contexts.ts';
import { EVP_CTRL_AEAD_GET_TAG, type Libcrypto } from './libcrypto.ts';

/** What OpenSSL calls AES-GCM or ChaCha20-Poly1305. */
export const aeadName = ({ encr, keyBits }: CipherSuite): string =>
  encr === ENCR.CHACHA20_POLY1305 ? 'ChaCha20-Poly1305' : `AES-${keyBits}-GCM`;

/** AES-GCM (RFC 4106) and ChaCha20-Poly1305 (RFC 7634), where there is no `AeadRunner`. */
export class Aead extends Contexts {
  readonly #name: string;
  readonly #key: number;

  constructor(crypto: Libcrypto, kernel: KernelMemory, suite: CipherSuite, key: number) {
    super(crypto, kernel, suite, key);
    this.#name = aeadName(suite);
    this.#key = kernel.base + key + L.KEY_KEY;
  }

  protected create(direction: Direction): number {
    return createContext(this.crypto, direction, this.#name, this.#key);
  }

  seal(packet: number): number {
    const { crypto, block } = this;
    const context = this.sealing;
    const payload = this.pointer(packet, L.PACKET_PAYLOAD);
    const aad = this.pointer(packet, L.PACKET_AAD);
    this.loadNonce(packet);
    block.setTag(this.pointer(packet, L.PACKET_ICV));
    const done =
      crypto.EVP_EncryptInit_ex2(context, 0, 0, block.nonce, 0) &
      crypto.EVP_EncryptUpdate(context, 0, block.written, aad, this.word(packet, L.PACKET_AAD_LENGTH)) &
      crypto.EVP_EncryptUpdate(context, payload, block.written, payload, this.word(packet, L.PACKET_LENGTH)) &
      crypto.EVP_EncryptFinal_ex(context, payload, block.written) &
      crypto.EVP_CIPHER_CTX_get_params(context, block.tagParameter);
    return this.status(done);
  }

  open(packet: number): number {
    const { crypto, block } = this;
    const context = this.opening;
    const payload = this.pointer(packet, L.PACKET_PAYLOAD);
    const aad = this.pointer(packet, L.PACKET_AAD);
    this.loadNonce(packet);
    block.setTag(this.pointer(packet, L.PACKET_ICV));
    const done =
      crypto.EVP_DecryptInit_ex2(context, 0, 0, block.nonce, block.tagParameter) &
      crypto.EVP_DecryptUpdate(context, 0, block.written, aad, this.word(packet, L.PACKET_AAD_LENGTH)) &
      crypto.EVP_DecryptUpdate(context, payload, block.written, payload, this.word(packet, L.PACKET_LENGTH)) &
      crypto.EVP_DecryptFinal_ex(context, payload, block.written);
    return this.status(done);
  }
}

/** AES-CCM (RFC 4309): the length comes before everything else, and Update of the payload verifies. */
export class Ccm extends Contexts {
  readonly #name: string;
  readonly #key: number;

  constructor(crypto: Libcrypto, kernel: KernelMemory, suite: CipherSuite, key: number) {
    super(crypto, kernel, suite, key);
    this.#name = `AES-${suite.keyBits}-CCM`;
    this.#key = kernel.base + key + L.KEY_KEY;
  }

  protected create(direction: Direction): number {
    const lengths = { ivLength: 11, tagLength: this.icvLength };
    return createContext(this.crypto, direction, this.#name, this.#key, lengths);
  }

  seal(packet: number): number {
    const { crypto, block } = this;
    const context = this.sealing;
    const payload = this.pointer(packet, L.PACKET_PAYLOAD);
    const length = this.word(packet, L.PACKET_LENGTH);
    const aad = this.pointer(packet, L.PACKET_AAD);
    const icv = this.pointer(packet, L.PACKET_ICV);
    this.loadNonce(packet);
    const done =
      crypto.EVP_EncryptInit_ex2(context, 0, 0, block.nonce, 0) &
      crypto.EVP_EncryptUpdate(context, 0, block.written, 0, length) &
      crypto.EVP_EncryptUpdate(context, 0, block.written, aad, this.word(packet, L.PACKET_AAD_LENGTH)) &
      crypto.EVP_EncryptUpdate(context, payload, block.written, payload, length) &
      crypto.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, this.icvLength, icv);
    return this.status(done);
  }

  open(packet: number): number {
    const { crypto, block } = this;
    const context = this.opening;
    const payload = this.pointer(packet, L.PACKET_PAYLOAD);
    const length = this.word(packet, L.PACKET_LENGTH);
    const aad = this.pointer(packet, L.PACKET_AAD);
    this.loadNonce(packet);
    block.setTag(this.pointer(packet, L.PACKET_ICV));
    const done =
      crypto.EVP_DecryptInit_ex2(context, 0, 0, block.nonce, block.tagParameter) &
      crypto.EVP_DecryptUpdate(context, 0, block.written, 0, length) &
      crypto.EVP_DecryptUpdate(context, 0, block.written, aad, this.word(packet, L.PACKET_AAD_LENGTH)) &
      crypto.EVP_DecryptUpdate(context, payload, block.written, payload, length);
    return this.status(done);
  }
}

/** AES-GMAC (RFC 4543), in ESP and in AH: GCM with nothing but associated data. */
export class Gmac extends Contexts {
  readonly #name: string;
  readonly #key: number;
  readonly #esp: boolean;

  constructor(crypto: Libcrypto, kernel: KernelMemory, suite: CipherSuite, key: number) {
    super(crypto, kernel, suite, key);
    this.#esp = suite.encr === ENCR.NULL_AUTH_AES_GMAC;
    this.#name = `AES-${this.#esp ? suite.keyBits : suiteLengths(suite).integKey * 8}-GCM`;
    this.#key = kernel.base + key + (this.#esp ? L.KEY_KEY : L.KEY_INTEG_KEY);
  }

  protected create(direction: Direction): number {
    return createContext(this.crypto, direction, this.#name, this.#key);
  }

  seal(packet: number): number {
    return this.status(this.#tag(packet, this.pointer(packet, L.PACKET_ICV)));
  }

  open(packet: number): number {
    const { crypto, block, icvLength } = this;
    const icv = this.pointer(packet, L.PACKET_ICV);
    const done = this.#tag(packet, block.mac);
    return this.status(done & (crypto.CRYPTO_memcmp(block.mac, icv, icvLength) === 0 ? 1 : 0));
  }

  /** @returns 1 for success */
  #tag(packet: number, out: number): number {
    const { crypto, block } = this;
    const context = this.sealing;
    this.loadNonce(packet);
    let done = crypto.EVP_EncryptInit_ex2(context, 0, 0, block.nonce, 0);
    const cover = (address: number, length: number) => {
      if (length > 0) done &= crypto.EVP_EncryptUpdate(context, 0, block.written, address, length);
    };
    cover(this.pointer(packet, L.PACKET_AAD), this.word(packet, L.PACKET_AAD_LENGTH));
    // RFC 4543 §3.3: in ESP the explicit IV is covered too; in AH (§4.3) it is part of the header.
    if (this.#esp) cover(this.pointer(packet, L.PACKET_IV), 8);
    cover(this.pointer(packet, L.PACKET_PAYLOAD), this.word(packet, L.PACKET_LENGTH));
    if (!this.#esp && (this.word(packet, L.PACKET_FLAGS) & L.PACKET_FLAG_ESN) !== 0) {
      block.setSequenceHigh(this.word(packet, L.PACKET_SEQ_HI));
      cover(block.sequenceHigh, 4);
    }
    block.setTag(out);
    done &= crypto.EVP_EncryptFinal_ex(context, block.mac, block.written);
    return done & crypto.EVP_CIPHER_CTX_get_params(context, block.tagParameter);
  }
}
