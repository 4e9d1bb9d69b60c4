/** AH by the book (RFC 4302) over node:crypto, for tests: it masks by a table of what it knows of its headers. */
import { createCipheriv, createHmac } from 'node:crypto';
import { INTEG, suiteLengths } from '../../src/algorithms.ts';
import type { SaParameters } from '../../src/contract.ts';
import { sum16 } from './packets.ts';

type Sa = Pick<SaParameters, 'suite' | 'keys' | 'esn' | 'spi'>;

const HMAC: Readonly<Record<number, string>> = {
  [INTEG.HMAC_SHA1_96]: 'sha1',
  [INTEG.HMAC_SHA2_256_128]: 'sha256',
  [INTEG.HMAC_SHA2_384_192]: 'sha384',
  [INTEG.HMAC_SHA2_512_256]: 'sha512',
};

export interface AhOptions {
  readonly sequence: number | bigint;
  /** What AH protects. */
  readonly next: number;
  /** Alignment of the header; by default 4 for IPv4 and 8 for IPv6. */
  readonly align?: number;
  /** The headers as the ICV covers them, if more than the fixed header has mutable fields. */
  readonly masked?: Uint8Array;
}

/**
 * Puts AH between `header` (which announces AH, without final length) and `payload`.
 * @returns the packet
 */
export function ahPacket(sa: Sa, header: Uint8Array, payload: Uint8Array, options: AhOptions): Buffer {
  const version = header[0]! >> 4;
  const { icv: icvLength, iv: ivLength, integKey } = suiteLengths(sa.suite);
  const align = options.align ?? (version === 4 ? 4 : 8);
  const size = Math.ceil((12 + ivLength + icvLength) / align) * align;
  const sequence = BigInt(options.sequence);
  const ah = Buffer.alloc(size);
  ah[0] = options.next;
  ah[1] = size / 4 - 2;
  ah.writeUInt32BE(sa.spi, 4);
  ah.writeUInt32BE(Number(sequence & 0xffffffffn), 8);
  const high = Buffer.alloc(sa.esn ? 4 : 0);
  if (sa.esn) high.writeUInt32BE(Number(sequence >> 32n));
  const packet = Buffer.concat([header, ah, payload]);
  const covered = Buffer.concat([options.masked ?? header, ah, payload, high]);
  if (version === 4) {
    packet.writeUInt16BE(packet.length, 2);
    packet.writeUInt16BE(0, 10);
    packet.writeUInt16BE(~sum16(packet.subarray(0, header.length)) & 0xffff, 10);
    covered.writeUInt16BE(packet.length, 2);
    covered[1] = 0;
    covered.writeUInt16BE(0, 6);
    covered[8] = 0;
    covered.writeUInt16BE(0, 10);
  } else {
    packet.writeUInt16BE(packet.length - 40, 4);
    covered.writeUInt16BE(packet.length - 40, 4);
    covered.writeUInt32BE(0x60000000, 0);
    covered[7] = 0;
  }
  const hash = HMAC[sa.suite.integ];
  if (hash !== undefined) {
    createHmac(hash, sa.keys.integrity)
      .update(covered)
      .digest()
      .copy(packet, header.length + 12, 0, icvLength);
    return packet;
  }
  const iv = Buffer.alloc(8, 0x5a);
  const nonce = Buffer.concat([sa.keys.integrity.subarray(integKey), iv]);
  const cipher = createCipheriv(
    `aes-${integKey * 8}-gcm` as 'aes-128-gcm',
    sa.keys.integrity.subarray(0, integKey),
    nonce,
  );
  cipher.setAAD(covered).final();
  packet.set(iv, header.length + 12);
  packet.set(cipher.getAuthTag(), header.length + 20);
  return packet;
}
