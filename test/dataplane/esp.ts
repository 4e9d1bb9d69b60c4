/** ESP by the book (RFC 4303) over node:crypto: an independent encoder and decoder for tests. */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { ENCR, INTEG, suiteLengths } from '../../src/algorithms.ts';
import type { SaParameters } from '../../src/contract.ts';

export interface EspPacket {
  readonly spi: number;
  readonly sequence: number;
  readonly iv: Uint8Array;
  readonly payload: Uint8Array;
  readonly padding: Uint8Array;
  readonly next: number;
}

type Sa = Pick<SaParameters, 'suite' | 'keys' | 'esn'>;

const HMAC: Readonly<Record<number, string>> = {
  [INTEG.HMAC_SHA1_96]: 'sha1',
  [INTEG.HMAC_SHA2_256_128]: 'sha256',
  [INTEG.HMAC_SHA2_384_192]: 'sha384',
  [INTEG.HMAC_SHA2_512_256]: 'sha512',
};

const word = (value: number) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);

function aead({ suite, keys }: Sa, iv: Uint8Array) {
  const { key } = suiteLengths(suite);
  const nonce = Buffer.concat([keys.encryption.subarray(key), iv]);
  const name = suite.encr === ENCR.CHACHA20_POLY1305 ? 'chacha20-poly1305' : `aes-${suite.keyBits}-gcm`;
  return { name: name as 'aes-128-gcm', key: keys.encryption.subarray(0, key), nonce };
}

/** Is the ICV made by the cipher? */
const isCombined = ({ suite }: Sa) => suite.integ === INTEG.NONE;

/** @throws Error if the ICV does not verify or the packet is malformed; `high` is the sequence number's high half */
export function openEsp(sa: Sa, datagram: Uint8Array, high = 0): EspPacket {
  const { iv: ivLength, icv: icvLength } = suiteLengths(sa.suite);
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
  const iv = datagram.slice(8, 8 + ivLength);
  const body = datagram.subarray(8 + ivLength, datagram.length - icvLength);
  const icv = datagram.subarray(datagram.length - icvLength);
  let plain: Uint8Array;
  if (isCombined(sa)) {
    const aad = sa.esn
      ? Buffer.concat([datagram.subarray(0, 4), word(high), datagram.subarray(4, 8)])
      : datagram.subarray(0, 8);
    const { name, key, nonce } = aead(sa, iv);
    const decipher = createDecipheriv(name, key, nonce, { authTagLength: icvLength });
    decipher.setAAD(aad);
    decipher.setAuthTag(icv);
    plain = Buffer.concat([decipher.update(body), decipher.final()]);
  } else {
    const mac = createHmac(HMAC[sa.suite.integ]!, sa.keys.integrity).update(
      datagram.subarray(0, datagram.length - icvLength),
    );
    if (sa.esn) mac.update(word(high));
    if (Buffer.compare(mac.digest().subarray(0, icvLength), icv) !== 0) throw new Error('the ICV is wrong');
    plain = body.slice();
    if (sa.suite.encr === ENCR.AES_CBC) {
      const decipher = createDecipheriv(`aes-${sa.suite.keyBits}-cbc`, sa.keys.encryption, iv).setAutoPadding(false);
      plain = Buffer.concat([decipher.update(body), decipher.final()]);
    }
  }
  const length = plain[plain.length - 2]!;
  const end = plain.length - 2 - length;
  if (end < 0) throw new Error('the padding is longer than the packet');
  return {
    spi: view.getUint32(0),
    sequence: view.getUint32(4),
    iv,
    payload: Uint8Array.from(plain.subarray(0, end)),
    padding: Uint8Array.from(plain.subarray(end, end + length)),
    next: plain[plain.length - 1]!,
  };
}

export interface EspOptions {
  readonly spi: number;
  readonly sequence: number;
  readonly high?: number;
  readonly iv?: Uint8Array;
  readonly next: number;
  /** By default 1, 2, 3 … up to the alignment. */
  readonly padding?: Uint8Array;
  /** What the trailer claims. */
  readonly padLength?: number;
}

/** @returns an ESP packet, from the SPI to the ICV */
export function sealEsp(sa: Sa, payload: Uint8Array, options: EspOptions): Uint8Array {
  const { iv: ivLength, icv: icvLength, block } = suiteLengths(sa.suite);
  const iv = options.iv ?? Uint8Array.from({ length: ivLength }, (_, i) => (options.sequence >>> (8 * (i % 4))) & 255);
  const fill = (block - ((payload.length + 2) % block)) % block;
  const padding = options.padding ?? Uint8Array.from({ length: fill }, (_, i) => i + 1);
  const plain = Buffer.concat([payload, padding, Uint8Array.of(options.padLength ?? padding.length, options.next)]);
  const header = Buffer.concat([word(options.spi), word(options.sequence)]);
  const high = word(options.high ?? 0);
  if (isCombined(sa)) {
    const { name, key, nonce } = aead(sa, iv);
    const cipher = createCipheriv(name, key, nonce, { authTagLength: icvLength });
    cipher.setAAD(sa.esn ? Buffer.concat([header.subarray(0, 4), high, header.subarray(4)]) : header);
    return Buffer.concat([header, iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }
  let body: Buffer = plain;
  if (sa.suite.encr === ENCR.AES_CBC) {
    const cipher = createCipheriv(`aes-${sa.suite.keyBits}-cbc`, sa.keys.encryption, iv).setAutoPadding(false);
    body = Buffer.concat([cipher.update(plain), cipher.final()]);
  }
  const mac = createHmac(HMAC[sa.suite.integ]!, sa.keys.integrity).update(header).update(iv).update(body);
  if (sa.esn) mac.update(high);
  return Buffer.concat([header, iv, body, mac.digest().subarray(0, icvLength)]);
}

export interface InnerOptions {
  readonly sequence: number | bigint;
  /** By default 4 or 41, by the version of the payload. */
  readonly next?: number;
  /** Bytes of TFC padding behind the payload. */
  readonly tfc?: number;
  readonly padding?: Uint8Array;
  readonly padLength?: number;
}

/** @returns what the sender's end of an SA makes of a packet */
export function espPacket(sa: Sa & Pick<SaParameters, 'spi'>, payload: Uint8Array, options: InnerOptions): Uint8Array {
  const number = BigInt(options.sequence);
  return sealEsp(sa, Buffer.concat([payload, new Uint8Array(options.tfc ?? 0)]), {
    ...options,
    spi: sa.spi,
    sequence: Number(number & 0xffffffffn),
    high: Number(number >> 32n),
    next: options.next ?? (payload[0]! >> 4 === 6 ? 41 : 4),
  });
}
