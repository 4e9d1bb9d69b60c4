/** libsodium compiled to WebAssembly, a rival for ChaCha20-Poly1305 (its AES needs a CPU's instructions). */
import { ENCR } from '../../src/algorithms.ts';
import type { PacketCiphers } from '../../src/dataplane/backends/packet-backend.ts';

export async function sodiumCiphers(): Promise<PacketCiphers> {
  const { default: sodium } = await import('libsodium-wrappers-sumo');
  await sodium.ready;
  return {
    name: 'libsodium',
    supports: ({ encr }) => encr === ENCR.CHACHA20_POLY1305,
    create(_, keys) {
      const key = keys.key.slice();
      const nonce = new Uint8Array(12);
      nonce.set(keys.salt);
      return {
        seal({ payload, iv, aad, icv }) {
          nonce.set(iv, 4);
          const sealed = sodium.crypto_aead_chacha20poly1305_ietf_encrypt_detached(payload, aad, null, nonce, key);
          payload.set(sealed.ciphertext);
          icv.set(sealed.mac);
        },
        open({ payload, iv, aad, icv }) {
          nonce.set(iv, 4);
          try {
            payload.set(sodium.crypto_aead_chacha20poly1305_ietf_decrypt_detached(null, payload, icv, aad, nonce, key));
            return true;
          } catch {
            return false;
          }
        },
        wipe: () => key.fill(0),
      };
    },
  };
}
