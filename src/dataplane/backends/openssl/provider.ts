/**
 * A cipher as OpenSSL's provider has it (provider-cipher(7)): the functions that EVP calls itself. Calling them
 * saves what EVP does around each, which takes 4 to 14 % of a packet of 1408 bytes.
 *
 *     OSSL_ALGORITHM ×n: names, properties, implementation ─► OSSL_DISPATCH ×n: function_id, function
 *                        description                          until function_id is 0
 *                        until names is NULL
 */
import koffi from 'koffi';
import type { Direction } from './contexts.ts';
import { type Address, type Libcrypto, must } from './libcrypto.ts';

const OSSL_OP_CIPHER = 2;

/** OSSL_FUNC_CIPHER_* of `openssl/core_dispatch.h`. */
const NEWCTX = 1;
const ENCRYPT_INIT = 2;
const DECRYPT_INIT = 3;
const UPDATE = 4;
const FINAL = 5;
const FREECTX = 7;
const GET_CTX_PARAMS = 10;

const OSSL_ALGORITHM_SIZE = 32;
const OSSL_DISPATCH_SIZE = 16;

/** Addresses of functions, with their arguments behind the context. */
export interface ProviderCipher {
  /** `int (key, size_t length, iv, size_t length, const OSSL_PARAM *)` */
  readonly init: Readonly<Record<Direction, Address>>;
  /** `int (out, size_t *written, size_t room, in, size_t length)` */
  readonly update: Address;
  /** `int (out, size_t *written, size_t room)` */
  readonly final: Address;
  /** `int (OSSL_PARAM *)` */
  readonly getParameters: Address;
  /**
   * Makes a context.
   * @param key address of the key
   * @param length its bytes
   * @throws EspalierError `ERR_BACKEND_UNAVAILABLE`
   */
  create(direction: Direction, key: Address, length: number): Address;
  /** Wipes it, too. */
  free(context: Address): void;
}

type Initialise = (context: Address, key: Address, length: number, iv: 0, ivLength: 0, parameters: 0) => number;

const found = new Map<string, ProviderCipher>();

/**
 * @param name as EVP_CIPHER_fetch takes it
 * @throws EspalierError `ERR_BACKEND_UNAVAILABLE` if there is no such cipher
 */
export function providerCipher(crypto: Libcrypto, name: string): ProviderCipher {
  let cipher = found.get(name);
  if (cipher === undefined) {
    cipher = find(crypto, name);
    found.set(name, cipher);
  }
  return cipher;
}

function find(crypto: Libcrypto, name: string): ProviderCipher {
  // Is not freed, so that its provider stays.
  const cipher = crypto.EVP_CIPHER_fetch(0, name, null);
  if (cipher === 0) must(0, `EVP_CIPHER_fetch ${name}`);
  const provider = crypto.EVP_CIPHER_get0_provider(cipher);
  const notToBeKept = new Int32Array(new ArrayBuffer(4));
  const algorithms = crypto.OSSL_PROVIDER_query_operation(provider, OSSL_OP_CIPHER, Number(koffi.address(notToBeKept)));
  const functions = functionsOf(algorithms, name);
  crypto.OSSL_PROVIDER_unquery_operation(provider, OSSL_OP_CIPHER, algorithms);

  const at = (id: number): Address => {
    const address = functions.get(id);
    if (address === undefined) must(0, `finding function ${id} of ${name}`);
    return address!;
  };
  const init = { Encrypt: at(ENCRYPT_INIT), Decrypt: at(DECRYPT_INIT) };
  const prototype = koffi.proto('int (uintptr_t, uintptr_t, size_t, uintptr_t, size_t, uintptr_t)');
  const initialise: Readonly<Record<Direction, Initialise>> = {
    Encrypt: koffi.decode(init.Encrypt, prototype),
    Decrypt: koffi.decode(init.Decrypt, prototype),
  };
  const newContext = koffi.decode(at(NEWCTX), koffi.proto('uintptr_t (uintptr_t)')) as (provider: Address) => Address;
  const free = koffi.decode(at(FREECTX), koffi.proto('void (uintptr_t)')) as (context: Address) => void;
  const providerContext = crypto.OSSL_PROVIDER_get0_provider_ctx(provider);
  return {
    init,
    update: at(UPDATE),
    final: at(FINAL),
    getParameters: at(GET_CTX_PARAMS),
    create(direction, key, length) {
      const context = newContext(providerContext);
      if (context === 0) must(0, `a context of ${name}`);
      if (initialise[direction](context, key, length, 0, 0, 0) !== 1) {
        free(context);
        must(0, `${direction}Init of ${name} with the key`);
      }
      return context;
    },
    free,
  };
}

/** @returns addresses by their number */
function functionsOf(algorithms: Address, name: string): ReadonlyMap<number, Address> {
  const functions = new Map<number, Address>();
  if (algorithms === 0) return functions;
  for (let at = algorithms; ; at += OSSL_ALGORITHM_SIZE) {
    const names: string | null = koffi.decode(at, 'const char *');
    if (names === null) return functions;
    if (!names.split(':').includes(name)) continue;
    for (let entry: Address = koffi.decode(at, 16, 'uintptr_t'); ; entry += OSSL_DISPATCH_SIZE) {
      const id: number = koffi.decode(entry, 'int');
      if (id === 0) return functions;
      functions.set(id, koffi.decode(entry, 8, 'uintptr_t'));
    }
  }
}
