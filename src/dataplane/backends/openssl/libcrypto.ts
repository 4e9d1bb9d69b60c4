/**
 * The OpenSSL that is linked into the node binary, by address. `koffi.load(null)` looks symbols up
 * in the running program, so no library of the system is loaded beside it (two libcryptos in one
 * process interpose each other's symbols).
 *
 * All pointers are plain numbers: offsets in linear memory plus `KernelMemory.base`, or addresses
 * of a `NativeBlock`.
 */
import koffi from 'koffi';
import { EspalierError } from '../../../errors.ts';
import { storeAddress } from '../../io/machine-code.ts';

export type Address = number;

/** What is used of libcrypto, as `openssl/evp.h` declares it; each returns 1 for success. */
export interface Libcrypto {
  EVP_CIPHER_fetch(library: Address, name: string, properties: null): Address;
  EVP_CIPHER_free(cipher: Address): void;
  EVP_CIPHER_get0_provider(cipher: Address): Address;
  EVP_CIPHER_CTX_new(): Address;
  EVP_CIPHER_CTX_free(context: Address): void;
  EVP_CIPHER_CTX_ctrl(context: Address, type: number, argument: number, pointer: Address): number;
  EVP_CIPHER_CTX_get_params(context: Address, parameters: Address): number;
  EVP_CIPHER_CTX_set_padding(context: Address, padding: number): number;
  EVP_EncryptInit_ex2(context: Address, cipher: Address, key: Address, iv: Address, parameters: Address): number;
  EVP_EncryptUpdate(context: Address, out: Address, written: Address, input: Address, length: number): number;
  EVP_EncryptFinal_ex(context: Address, out: Address, written: Address): number;
  EVP_DecryptInit_ex2(context: Address, cipher: Address, key: Address, iv: Address, parameters: Address): number;
  EVP_DecryptUpdate(context: Address, out: Address, written: Address, input: Address, length: number): number;
  EVP_DecryptFinal_ex(context: Address, out: Address, written: Address): number;
  EVP_MAC_fetch(library: Address, name: string, properties: null): Address;
  EVP_MAC_free(mac: Address): void;
  EVP_MAC_CTX_new(mac: Address): Address;
  EVP_MAC_CTX_free(context: Address): void;
  EVP_MAC_init(context: Address, key: Address, length: number, parameters: Address): number;
  EVP_MAC_update(context: Address, data: Address, length: number): number;
  EVP_MAC_final(context: Address, out: Address, written: Address, size: number): number;
  OSSL_PROVIDER_get0_provider_ctx(provider: Address): Address;
  OSSL_PROVIDER_query_operation(provider: Address, operation: number, notToBeKept: Address): Address;
  OSSL_PROVIDER_unquery_operation(provider: Address, operation: number, algorithms: Address): void;
  CRYPTO_memcmp(a: Address, b: Address, length: number): number;
  ERR_clear_error(): void;
}

const DECLARATIONS: Readonly<Record<keyof Libcrypto, readonly [result: string, ...parameters: string[]]>> = {
  EVP_CIPHER_fetch: ['uintptr_t', 'uintptr_t', 'str', 'str'],
  EVP_CIPHER_free: ['void', 'uintptr_t'],
  EVP_CIPHER_get0_provider: ['uintptr_t', 'uintptr_t'],
  EVP_CIPHER_CTX_new: ['uintptr_t'],
  EVP_CIPHER_CTX_free: ['void', 'uintptr_t'],
  EVP_CIPHER_CTX_ctrl: ['int', 'uintptr_t', 'int', 'int', 'uintptr_t'],
  EVP_CIPHER_CTX_get_params: ['int', 'uintptr_t', 'uintptr_t'],
  EVP_CIPHER_CTX_set_padding: ['int', 'uintptr_t', 'int'],
  EVP_EncryptInit_ex2: ['int', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t'],
  EVP_EncryptUpdate: ['int', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'int'],
  EVP_EncryptFinal_ex: ['int', 'uintptr_t', 'uintptr_t', 'uintptr_t'],
  EVP_DecryptInit_ex2: ['int', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t'],
  EVP_DecryptUpdate: ['int', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'int'],
  EVP_DecryptFinal_ex: ['int', 'uintptr_t', 'uintptr_t', 'uintptr_t'],
  EVP_MAC_fetch: ['uintptr_t', 'uintptr_t', 'str', 'str'],
  EVP_MAC_free: ['void', 'uintptr_t'],
  EVP_MAC_CTX_new: ['uintptr_t', 'uintptr_t'],
  EVP_MAC_CTX_free: ['void', 'uintptr_t'],
  EVP_MAC_init: ['int', 'uintptr_t', 'uintptr_t', 'size_t', 'uintptr_t'],
  EVP_MAC_update: ['int', 'uintptr_t', 'uintptr_t', 'size_t'],
  EVP_MAC_final: ['int', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'size_t'],
  OSSL_PROVIDER_get0_provider_ctx: ['uintptr_t', 'uintptr_t'],
  OSSL_PROVIDER_query_operation: ['uintptr_t', 'uintptr_t', 'int', 'uintptr_t'],
  OSSL_PROVIDER_unquery_operation: ['void', 'uintptr_t', 'int', 'uintptr_t'],
  CRYPTO_memcmp: ['int', 'uintptr_t', 'uintptr_t', 'size_t'],
  ERR_clear_error: ['void'],
};

export const EVP_CTRL_AEAD_SET_IVLEN = 0x9;
export const EVP_CTRL_AEAD_GET_TAG = 0x10;
export const EVP_CTRL_AEAD_SET_TAG = 0x11;

let loaded: Libcrypto | undefined;

/** @throws EspalierError `ERR_BACKEND_UNAVAILABLE` if this program does not export OpenSSL 3's functions */
export function loadLibcrypto(): Libcrypto {
  if (loaded !== undefined) return loaded;
  const program = koffi.load(null);
  try {
    const functions = Object.entries(DECLARATIONS).map(([name, [result, ...parameters]]) => [
      name,
      program.func(name, result, parameters),
    ]);
    loaded = Object.fromEntries(functions) as unknown as Libcrypto;
    return loaded;
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new EspalierError('ERR_BACKEND_UNAVAILABLE', `this node binary does not export OpenSSL 3: ${reason}`, {
      cause,
    });
  }
}

/** Checks what a call returned. Not for packets: there a failure is a status. */
export function must(result: number, what: string): void {
  if (result !== 1) throw new EspalierError('ERR_BACKEND_UNAVAILABLE', `OpenSSL: ${what} failed`);
}

const OSSL_PARAM_UTF8_STRING = 4;
export const OSSL_PARAM_OCTET_STRING = 5;

/** An OSSL_PARAM: name, data_type, data, data_size, return_size, a u64 each. Behind the last one are zeros. */
export interface Parameter {
  readonly name: Address;
  readonly type: number;
  readonly data: Address;
  readonly size: number;
}

/** @param at in bytes */
export function writeParameter(numbers: BigUint64Array, at: number, { name, type, data, size }: Parameter): void {
  numbers.set([name, type, data, size, 0].map(BigInt), at / 8);
}

/**
 * A small piece of memory whose address native code may hold: an ArrayBuffer's bytes do not move,
 * and live as long as this object.
 *
 *      0         4         8         12        16        20        24        28
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *   0 | NONCE (16): salt, IV, counter         | WRITTEN | SEQ_HI  | reserved          |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *  32 | MAC (64)                                                                      |
 *     +                                                                               +
 *  64 |                                                                               |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *  96 | TAG_PARAMETER: OSSL_PARAM { name, data_type, data, data_size, return_size }   |
 *     +         +---------+---------+---------+---------+---------+---------+---------+
 * 128 |         | OSSL_PARAM_END (40)                                       | "tag"   |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 */
export class NativeBlock {
  readonly bytes = new Uint8Array(new ArrayBuffer(192));
  readonly #words = new Uint32Array(this.bytes.buffer);
  readonly #view = new DataView(this.bytes.buffer);
  readonly #address: Address = Number(koffi.address(this.bytes));

  readonly nonce: Address = this.#address;
  readonly written: Address = this.#address + 16;
  readonly sequenceHigh: Address = this.#address + SEQUENCE_HIGH;
  readonly mac: Address = this.#address + MAC;
  readonly tagParameter: Address = this.#address + TAG_PARAMETER;

  /** @param tagLength bytes that the parameter `tag` has */
  constructor(tagLength: number) {
    this.bytes.set(Buffer.from('tag', 'latin1'), TAG_NAME);
    writeParameter(new BigUint64Array(this.bytes.buffer), TAG_PARAMETER, {
      name: this.#address + TAG_NAME,
      type: OSSL_PARAM_OCTET_STRING,
      data: 0,
      size: tagLength,
    });
  }

  /** Lets the parameter `tag` point to an ICV. */
  setTag(address: Address): void {
    storeAddress(this.#words, TAG_DATA, address);
  }

  /** In network order. */
  setSequenceHigh(value: number): void {
    this.#view.setUint32(SEQUENCE_HIGH, value);
  }
}

const SEQUENCE_HIGH = 20;
export const MAC = 32;
const TAG_PARAMETER = 96;
const TAG_DATA = (TAG_PARAMETER + 16) / 4;
const TAG_NAME = 176;

/** An array of one OSSL_PARAM with text, for calls that copy it. The address is good while the object lives. */
export class TextParameter {
  readonly #bytes = new Uint8Array(new ArrayBuffer(128));
  readonly address: Address = Number(koffi.address(this.#bytes));

  constructor(name: string, value: string) {
    const text = (at: number, characters: string): Address => {
      this.#bytes.set(Buffer.from(characters, 'latin1'), at);
      return this.address + at;
    };
    writeParameter(new BigUint64Array(this.#bytes.buffer), 0, {
      name: text(96, name),
      type: OSSL_PARAM_UTF8_STRING,
      data: text(112, value),
      size: value.length,
    });
  }
}
