/** AES-CBC (RFC 3602), AES-CTR (RFC 3686) or nothing, and HMAC (RFC 4868, RFC 2404) over the result. */
import * as L from '../../../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../../../algorithms.ts';
import type { KernelMemory } from '../backend.ts';
import { Contexts, createContext, type Direction } from './contexts.ts';
import { type Libcrypto, must, TextParameter } from './libcrypto.ts';

const DIGESTS: Readonly<Record<number, string>> = {
  [INTEG.HMAC_SHA1_96]: 'SHA1',
  [INTEG.HMAC_SHA2_256_128]: 'SHA256',
  [INTEG.HMAC_SHA2_384_192]: 'SHA384',
  [INTEG.HMAC_SHA2_512_256]: 'SHA512',
};

/** The longest digest: room that EVP_MAC_final asks for. */
const MAC_SIZE = 64;

export class EncryptThenMac extends Contexts {
  readonly #name: string | undefined;
  readonly #key: number;
  readonly #mac: number;

  constructor(crypto: Libcrypto, kernel: KernelMemory, suite: CipherSuite, key: number) {
    super(crypto, kernel, suite, key);
    this.#key = kernel.base + key + L.KEY_KEY;
    if (suite.encr === ENCR.AES_CBC) this.#name = `AES-${suite.keyBits}-CBC`;
    if (suite.encr === ENCR.AES_CTR) {
      this.#name = `AES-${suite.keyBits}-CTR`;
      // RFC 3686 §4: nonce, IV, and a block counter that starts at one.
      this.block.bytes[15] = 1;
    }
    const integKey = kernel.base + key + L.KEY_INTEG_KEY;
    this.#mac = createMac(crypto, DIGESTS[suite.integ]!, integKey, suiteLengths(suite).integKey);
  }

  protected create(direction: Direction): number {
    const context = createContext(this.crypto, direction, this.#name!, this.#key);
    this.crypto.EVP_CIPHER_CTX_set_padding(context, 0);
    return context;
  }

  seal(packet: number): number {
    const { crypto, block } = this;
    const payload = this.pointer(packet, L.PACKET_PAYLOAD);
    let done = 1;
    if (this.#name !== undefined) {
      const context = this.sealing;
      this.loadNonce(packet);
      done =
        crypto.EVP_EncryptInit_ex2(context, 0, 0, block.nonce, 0) &
        crypto.EVP_EncryptUpdate(context, payload, block.written, payload, this.word(packet, L.PACKET_LENGTH));
    }
    done &= this.#authenticate(packet);
    this.writeIcv(packet);
    return this.status(done);
  }

  open(packet: number): number {
    const { crypto, block } = this;
    const payload = this.pointer(packet, L.PACKET_PAYLOAD);
    let done = this.#authenticate(packet);
    done &= crypto.CRYPTO_memcmp(block.mac, this.pointer(packet, L.PACKET_ICV), this.icvLength) === 0 ? 1 : 0;
    if (done === 1 && this.#name !== undefined) {
      const context = this.opening;
      this.loadNonce(packet);
      done =
        crypto.EVP_DecryptInit_ex2(context, 0, 0, block.nonce, 0) &
        crypto.EVP_DecryptUpdate(context, payload, block.written, payload, this.word(packet, L.PACKET_LENGTH));
    }
    return this.status(done);
  }

  override free(): void {
    super.free();
    this.crypto.EVP_MAC_CTX_free(this.#mac);
  }

  /** The ICV's hash covers AAD, payload and, with ESN, the high half of the sequence number (RFC 4303 §3.3.2.1). @returns 1 for success */
  #authenticate(packet: number): number {
    const { crypto, block } = this;
    const mac = this.#mac;
    let done =
      crypto.EVP_MAC_init(mac, 0, 0, 0) &
      crypto.EVP_MAC_update(mac, this.pointer(packet, L.PACKET_AAD), this.word(packet, L.PACKET_AAD_LENGTH)) &
      crypto.EVP_MAC_update(mac, this.pointer(packet, L.PACKET_PAYLOAD), this.word(packet, L.PACKET_LENGTH));
    if ((this.word(packet, L.PACKET_FLAGS) & L.PACKET_FLAG_ESN) !== 0) {
      block.setSequenceHigh(this.word(packet, L.PACKET_SEQ_HI));
      done &= crypto.EVP_MAC_update(mac, block.sequenceHigh, 4);
    }
    return done & crypto.EVP_MAC_final(mac, block.mac, block.written, MAC_SIZE);
  }
}

function createMac(crypto: Libcrypto, digest: string, key: number, length: number): number {
  const mac = crypto.EVP_MAC_fetch(0, 'HMAC', null);
  if (mac === 0) must(0, 'EVP_MAC_fetch HMAC');
  const context = crypto.EVP_MAC_CTX_new(mac);
  crypto.EVP_MAC_free(mac);
  try {
    must(crypto.EVP_MAC_init(context, key, length, new TextParameter('digest', digest).address), `HMAC with ${digest}`);
  } catch (error) {
    crypto.EVP_MAC_CTX_free(context);
    throw error;
  }
  return context;
}
