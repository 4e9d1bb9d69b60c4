/** The `noble` provider: audited JavaScript; no OpenSSL but for RSA. */
import { cbc, ctr, gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { randomBytes } from '@noble/hashes/utils.js';
import { ENCR } from '../../algorithms.ts';
import { type CipherPrimitive, makeProvider } from './assemble.ts';
import { nobleKeyExchanges } from './noble-ke.ts';
import { nobleSignatures } from './noble-signatures.ts';
import type { CryptoProvider, RandomSource } from './provider.ts';

const HASHES = { sha1, sha256, sha384, sha512 } as const;

/** noble throws for a wrong tag; anything else it could throw is excluded by the lengths we pass. */
function orUndefined(open: () => Uint8Array): Uint8Array | undefined {
  try {
    return open();
  } catch {
    return undefined;
  }
}

const CIPHERS: Readonly<Record<number, CipherPrimitive>> = {
  [ENCR.AES_GCM_16]: {
    seal: (key, nonce, aad, plaintext) => gcm(key, nonce, aad).encrypt(plaintext),
    open: (key, nonce, aad, sealed) => orUndefined(() => gcm(key, nonce, aad).decrypt(sealed)),
  },
  [ENCR.CHACHA20_POLY1305]: {
    seal: (key, nonce, aad, plaintext) => chacha20poly1305(key, nonce, aad).encrypt(plaintext),
    open: (key, nonce, aad, sealed) => orUndefined(() => chacha20poly1305(key, nonce, aad).decrypt(sealed)),
  },
  [ENCR.AES_CBC]: {
    seal: (key, iv, _aad, plaintext) => cbc(key, iv, { disablePadding: true }).encrypt(plaintext),
    open: (key, iv, _aad, sealed) => cbc(key, iv, { disablePadding: true }).decrypt(sealed),
  },
  [ENCR.AES_CTR]: {
    seal: (key, block, _aad, plaintext) => ctr(key, block).encrypt(plaintext),
    open: (key, block, _aad, sealed) => ctr(key, block).decrypt(sealed),
  },
};

/** @param random where private values, nonces and IVs come from; the operating system by default */
export function createNobleProvider(random: RandomSource = randomBytes): CryptoProvider {
  return makeProvider({
    name: 'noble',
    random,
    keyExchanges: nobleKeyExchanges(random),
    ciphers: CIPHERS,
    signatures: nobleSignatures,
    hash(name, parts) {
      const state = HASHES[name].create();
      for (const part of parts) state.update(part);
      return state.digest();
    },
    hmac(name, key, parts) {
      const state = hmac.create(HASHES[name], key);
      for (const part of parts) state.update(part);
      return state.digest();
    },
  });
}
