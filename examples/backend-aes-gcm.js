/**
 * A crypto backend of your own: AES-GCM by node:crypto, in one file without imports from Espalier.
 *
 *     espalier backend test ./examples/backend-aes-gcm.js     # does it conform?
 *     espalier run --backend ./examples/backend-aes-gcm.js    # use it
 *
 * A module exports `createBackend(kernel)` (or that function as its default). It is called once in
 * every worker thread. What a backend is given and what it may touch is drawn in
 * assembly/layout.ts; the constants here are a few of the offsets from there. Suites that the
 * backend does not support are done by `wasm`, and all of them once it has thrown an error.
 */
import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto';

const ENCR_AES_GCM_16 = 20;

const KEY = { ENCR: 0, KEY_LENGTH: 8, SERIAL: 24, SALT: 32, KEY: 48 };
const PACKET = { KEY: 0, PAYLOAD: 4, LENGTH: 8, IV: 12, AAD: 16, AAD_LENGTH: 20, ICV: 24, STATUS: 28, SIZE: 64 };
const STATUS = { OK: 0, BAD_ICV: 1 };
const ICV_LENGTH = 16;

/** @param {import('espalier').KernelMemory} kernel */
export function createBackend({ bytes, words }) {
  /** What is kept for a KEY block, by its address. */
  const keys = new Map();
  const word = (address, offset) => words[(address + offset) >>> 2];
  const view = (from, length) => bytes.subarray(from, from + length);

  /** A KEY block is given to another SA some time: its SERIAL is another one then. */
  function keyAt(address) {
    const serial = word(address, KEY.SERIAL);
    const known = keys.get(address);
    if (known?.serial === serial) return known;
    const length = word(address, KEY.KEY_LENGTH);
    const nonce = new Uint8Array(12);
    nonce.set(view(address + KEY.SALT, 4));
    const key = createSecretKey(view(address + KEY.KEY, length));
    const entry = { serial, key, nonce, name: `aes-${length * 8}-gcm` };
    keys.set(address, entry);
    return entry;
  }

  function each(descriptors, count, work) {
    for (let packet = descriptors; packet < descriptors + count * PACKET.SIZE; packet += PACKET.SIZE) {
      const { key, nonce, name } = keyAt(word(packet, PACKET.KEY));
      // RFC 4106 §4: the nonce is the SA's salt and the packet's explicit IV.
      nonce.set(view(word(packet, PACKET.IV), 8), 4);
      const aad = view(word(packet, PACKET.AAD), word(packet, PACKET.AAD_LENGTH));
      const payload = view(word(packet, PACKET.PAYLOAD), word(packet, PACKET.LENGTH));
      const icv = view(word(packet, PACKET.ICV), ICV_LENGTH);
      words[(packet + PACKET.STATUS) >>> 2] = work({ name, key, nonce, aad, payload, icv });
    }
  }

  return {
    name: 'example-aes-gcm',
    supports: ({ encr }) => encr === ENCR_AES_GCM_16,

    seal(descriptors, count) {
      each(descriptors, count, ({ name, key, nonce, aad, payload, icv }) => {
        const cipher = createCipheriv(name, key, nonce).setAAD(aad);
        payload.set(cipher.update(payload));
        cipher.final();
        icv.set(cipher.getAuthTag());
        return STATUS.OK;
      });
    },

    open(descriptors, count) {
      each(descriptors, count, ({ name, key, nonce, aad, payload, icv }) => {
        const decipher = createDecipheriv(name, key, nonce).setAAD(aad).setAuthTag(icv);
        try {
          const plain = decipher.update(payload);
          decipher.final();
          payload.set(plain);
          return STATUS.OK;
        } catch {
          // Never leave decrypted what is not authentic.
          payload.fill(0);
          return STATUS.BAD_ICV;
        }
      });
    },

    /** The SA is gone: drop what was kept. */
    forget: (address) => keys.delete(address),
    close: () => keys.clear(),
  };
}
