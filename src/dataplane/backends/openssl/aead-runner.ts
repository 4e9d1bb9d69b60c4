/**
 * What machine code (`aead-runs.ts`) has to know of a KEY for AES-GCM (RFC 4106) or ChaCha20-Poly1305 (RFC 7634), one
 * RUNNER for each direction:
 *
 *      0         8         16        24        32        40        48        56
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *   0 | CONTEXT | BASE    | NONCE: salt, IV   | WRITTEN | INIT    | UPDATE  | FINAL   |   u64 each
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *  64 | GET_    | INIT_   | TAG: OSSL_PARAM { name, data_type, data, data_size,         |
 *     | PARAMS  | PARAMS  |                                           return_size }     |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 * 128 | OSSL_PARAM_END (40), which is nothing but zeros | "tag"   |
 *     +---------+---------+---------+---------+---------+---------+
 */
import koffi from 'koffi';
import * as L from '../../../../assembly/layout.ts';
import { type CipherSuite, suiteLengths } from '../../../algorithms.ts';
import type { KernelMemory } from '../backend.ts';
import { aeadName } from './aead.ts';
import type { Direction } from './contexts.ts';
import { type Address, type Libcrypto, OSSL_PARAM_OCTET_STRING, writeParameter } from './libcrypto.ts';
import { type ProviderCipher, providerCipher } from './provider.ts';

// Offsets that are u64s, and those of bytes.
const CONTEXT = 0;
const BASE = 1;
const INIT = 5;
const UPDATE = 6;
const FINAL = 7;
/** 0 where no tag is asked for afterwards. */
const GET_PARAMS = 8;
/** 0 where no tag is given at first. */
const INIT_PARAMS = 9;
const NONCE = 16;
const TAG = 80;
const TAG_NAME = 176;
const RUNNER_SIZE = 192;

/** One direction's RUNNER; its bytes do not move, and live as long as this object. */
interface Side {
  readonly address: Address;
  readonly bytes: Uint8Array;
  readonly context: Address;
}

export class AeadRunner {
  readonly #cipher: ProviderCipher;
  readonly #base: Address;
  readonly #suite: CipherSuite;
  readonly #key: Address;
  readonly #salt: Uint8Array;
  #sealing: Side | undefined;
  #opening: Side | undefined;

  constructor(crypto: Libcrypto, { base, bytes }: KernelMemory, suite: CipherSuite, key: number) {
    this.#cipher = providerCipher(crypto, aeadName(suite));
    this.#base = base;
    this.#suite = suite;
    this.#key = base + key + L.KEY_KEY;
    this.#salt = bytes.slice(key + L.KEY_SALT, key + L.KEY_SALT + suiteLengths(suite).salt);
  }

  /** Address of the RUNNER that seals. */
  get sealing(): Address {
    if (this.#sealing === undefined) this.#sealing = this.#create('Encrypt');
    return this.#sealing.address;
  }

  /** Address of the RUNNER that opens. */
  get opening(): Address {
    if (this.#opening === undefined) this.#opening = this.#create('Decrypt');
    return this.#opening.address;
  }

  free(): void {
    for (const side of [this.#sealing, this.#opening]) {
      if (side === undefined) continue;
      this.#cipher.free(side.context);
      side.bytes.fill(0);
    }
    this.#salt.fill(0);
    this.#sealing = undefined;
    this.#opening = undefined;
  }

  #create(direction: Direction): Side {
    const cipher = this.#cipher;
    const context = cipher.create(direction, this.#key, this.#suite.keyBits / 8);
    const bytes = new Uint8Array(new ArrayBuffer(RUNNER_SIZE));
    const address = Number(koffi.address(bytes));
    const numbers = new BigUint64Array(bytes.buffer);
    numbers[CONTEXT] = BigInt(context);
    numbers[BASE] = BigInt(this.#base);
    numbers[INIT] = BigInt(cipher.init[direction]);
    numbers[UPDATE] = BigInt(cipher.update);
    numbers[FINAL] = BigInt(cipher.final);
    if (direction === 'Encrypt') numbers[GET_PARAMS] = BigInt(cipher.getParameters);
    else numbers[INIT_PARAMS] = BigInt(address + TAG);
    bytes.set(this.#salt, NONCE);
    bytes.set(Buffer.from('tag', 'latin1'), TAG_NAME);
    writeParameter(numbers, TAG, {
      name: address + TAG_NAME,
      type: OSSL_PARAM_OCTET_STRING,
      data: 0,
      size: suiteLengths(this.#suite).icv,
    });
    return { address, bytes, context };
  }
}
