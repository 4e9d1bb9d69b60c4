/** The `node` provider, and the default: node:crypto over OpenSSL. */
import crypto, { type CipherGCMTypes } from 'node:crypto';
import { ENCR } from '../../algorithms.ts';
import { concat, plainBytes } from '../wire/bytes.ts';
import { type CipherPrimitive, makeProvider } from './assemble.ts';
import { nodeKeyExchanges } from './node-ke.ts';
import { nodeSignatures } from './node-signatures.ts';
import type { CryptoProvider, RandomSource } from './provider.ts';

const TAG_LENGTH = 16;

type NameOf = (keyLength: number) => string;

/** Combined modes; Node types GCM and ChaCha20-Poly1305 alike but for their names. */
function aead(nameOf: NameOf): CipherPrimitive {
  const options = { authTagLength: TAG_LENGTH };
  const typed = (key: Uint8Array) => nameOf(key.length) as CipherGCMTypes;
  return {
    seal(key, nonce, aad, plaintext) {
      const cipher = crypto.createCipheriv(typed(key), key, nonce, options);
      cipher.setAAD(aad);
      return plainBytes(Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]));
    },
    open(key, nonce, aad, sealed) {
      const end = sealed.length - TAG_LENGTH;
      const decipher = crypto.createDecipheriv(typed(key), key, nonce, options);
      decipher.setAAD(aad);
      decipher.setAuthTag(sealed.subarray(end));
      const plaintext = decipher.update(sealed.subarray(0, end));
      try {
        decipher.final();
        return plainBytes(plaintext);
      } catch {
        // What was decrypted under a wrong tag leaves no trace.
        plaintext.fill(0);
        return undefined;
      }
    },
  };
}

/** CBC and CTR; padding is IKE's own. */
function plain(nameOf: NameOf): CipherPrimitive {
  return {
    seal(key, iv, _aad, plaintext) {
      const cipher = crypto.createCipheriv(nameOf(key.length), key, iv).setAutoPadding(false);
      return plainBytes(Buffer.concat([cipher.update(plaintext), cipher.final()]));
    },
    open(key, iv, _aad, sealed) {
      const decipher = crypto.createDecipheriv(nameOf(key.length), key, iv).setAutoPadding(false);
      return plainBytes(Buffer.concat([decipher.update(sealed), decipher.final()]));
    },
  };
}

const CIPHERS: Readonly<Record<number, CipherPrimitive>> = {
  [ENCR.AES_GCM_16]: aead((keyLength) => `aes-${keyLength * 8}-gcm`),
  [ENCR.CHACHA20_POLY1305]: aead(() => 'chacha20-poly1305'),
  [ENCR.AES_CBC]: plain((keyLength) => `aes-${keyLength * 8}-cbc`),
  [ENCR.AES_CTR]: plain((keyLength) => `aes-${keyLength * 8}-ctr`),
};

/** Bytes drawn from OpenSSL at a time, and the most that are handed out of them at a time. */
const POOL_SIZE = 2048;
const POOL_SHARE = 64;

/** OpenSSL's generator, asked once for many nonces, SPIs and jitters; what is handed out is not kept. */
function pooledRandom(): RandomSource {
  const pool = new Uint8Array(POOL_SIZE);
  let used = POOL_SIZE;
  return (length) => {
    if (length > POOL_SHARE) return plainBytes(crypto.randomBytes(length));
    if (used + length > POOL_SIZE) {
      crypto.randomFillSync(pool);
      used = 0;
    }
    const bytes = pool.slice(used, used + length);
    pool.fill(0, used, used + length);
    used += length;
    return bytes;
  };
}

/** @param random where private values, nonces and IVs come from; OpenSSL's generator by default */
export function createNodeProvider(random?: RandomSource): CryptoProvider {
  return makeProvider({
    name: 'node',
    random: random ?? pooledRandom(),
    keyExchanges: nodeKeyExchanges(random),
    ciphers: CIPHERS,
    signatures: nodeSignatures,
    hash: (name, parts) => plainBytes(crypto.hash(name, parts.length === 1 ? parts[0]! : concat(...parts), 'buffer')),
    hmac(name, key, parts) {
      const state = crypto.createHmac(name, key);
      for (const part of parts) state.update(part);
      return plainBytes(state.digest());
    },
  });
}
