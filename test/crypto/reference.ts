/** Every suite of ESP once more, by node:crypto: what the kernel has to agree with. */
import { type CipherCCMTypes, type CipherGCMTypes, createCipheriv, createHmac } from 'node:crypto';
import { type CipherSuite, ENCR, INTEG, integrity, suiteLengths } from '../../src/algorithms.ts';
import type { SuiteKeys } from './laboratory.ts';

export interface ReferencePacket {
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
  readonly payload: Uint8Array;
  readonly sequenceHigh?: number;
}

export interface ReferenceSealed {
  readonly payload: Uint8Array;
  readonly icv: Uint8Array;
}

const NONE = new Uint8Array();

const HASHES: Readonly<Record<number, string>> = {
  [INTEG.HMAC_SHA1_96]: 'sha1',
  [INTEG.HMAC_SHA2_256_128]: 'sha256',
  [INTEG.HMAC_SHA2_384_192]: 'sha384',
  [INTEG.HMAC_SHA2_512_256]: 'sha512',
};

/** @returns ciphertext and ICV as the RFC of the suite has them */
export function referenceSeal(suite: CipherSuite, keys: SuiteKeys, packet: ReferencePacket): ReferenceSealed {
  const lengths = suiteLengths(suite);
  const key = keys.key ?? NONE;
  const nonce = Buffer.concat([keys.salt ?? NONE, packet.iv]);
  if (suite.integ === INTEG.NONE) return combined(suite, key, nonce, packet, lengths.icv);
  const high = Buffer.alloc(packet.sequenceHigh === undefined ? 0 : 4);
  if (packet.sequenceHigh !== undefined) high.writeUInt32BE(packet.sequenceHigh);
  if (integrity(suite.integ)?.ivLength) {
    // AH with GMAC (RFC 4543 §4): all of it is AAD.
    const aad = Buffer.concat([packet.aad, packet.payload, high]);
    return { payload: packet.payload, icv: gmac(keys.integKey ?? NONE, nonce, aad, lengths.icv) };
  }
  const payload = encrypted(suite, key, nonce, packet.payload);
  const hmac = createHmac(HASHES[suite.integ]!, keys.integKey ?? NONE);
  hmac.update(packet.aad).update(payload).update(high);
  return { payload, icv: hmac.digest().subarray(0, lengths.icv) };
}

function combined(
  suite: CipherSuite,
  key: Uint8Array,
  nonce: Uint8Array,
  { aad, payload }: ReferencePacket,
  authTagLength: number,
): ReferenceSealed {
  if (suite.encr === ENCR.NULL_AUTH_AES_GMAC) {
    // RFC 4543 §3.3
    return { payload, icv: gmac(key, nonce, Buffer.concat([aad, nonce.subarray(4), payload]), authTagLength) };
  }
  const cipher = createCipheriv(combinedName(suite) as CipherCCMTypes, key, nonce, { authTagLength });
  cipher.setAAD(aad, { plaintextLength: payload.length });
  const sealed = Buffer.concat([cipher.update(payload), cipher.final()]);
  return { payload: sealed, icv: cipher.getAuthTag() };
}

function gmac(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, authTagLength: number): Uint8Array {
  const cipher = createCipheriv(`aes-${key.length * 8}-gcm` as CipherGCMTypes, key, nonce, { authTagLength });
  cipher.setAAD(aad);
  cipher.final();
  return cipher.getAuthTag();
}

function combinedName({ encr, keyBits }: CipherSuite): string {
  if (encr === ENCR.CHACHA20_POLY1305) return 'chacha20-poly1305';
  const ccm = encr === ENCR.AES_CCM_8 || encr === ENCR.AES_CCM_12 || encr === ENCR.AES_CCM_16;
  return `aes-${keyBits}-${ccm ? 'ccm' : 'gcm'}`;
}

function encrypted({ encr, keyBits }: CipherSuite, key: Uint8Array, nonce: Uint8Array, payload: Uint8Array) {
  if (encr === ENCR.AES_CBC) {
    const cipher = createCipheriv(`aes-${keyBits}-cbc`, key, nonce).setAutoPadding(false);
    return Buffer.concat([cipher.update(payload), cipher.final()]);
  }
  if (encr === ENCR.AES_CTR) {
    // RFC 3686 §4: nonce, IV, and a block counter that starts at one.
    const cipher = createCipheriv(`aes-${keyBits}-ctr`, key, Buffer.concat([nonce, Uint8Array.of(0, 0, 0, 1)]));
    return Buffer.concat([cipher.update(payload), cipher.final()]);
  }
  return payload;
}
