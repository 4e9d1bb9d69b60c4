/**
 * Key Exchange payload (RFC 7296 §3.4; RFC 9370 for further key exchanges).
 *
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |      Key Exchange Method      |           RESERVED            |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                       Key Exchange Data                       ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { Reader } from '../bytes.ts';
import { syntaxError } from '../error.ts';
import { PAYLOAD } from '../iana.ts';
import type { Codec } from './codec.ts';

export interface KePayload {
  readonly kind: 'KE';
  /** IANA Key Exchange Method transform ID. */
  readonly method: number;
  /** Public value or ciphertext; its length is checked where the method is known (`crypto/`). */
  readonly data: Uint8Array;
}

export const ke: Codec<KePayload> = {
  type: PAYLOAD.KE,

  parse(body) {
    const reader = new Reader(body, 'KE payload');
    const method = reader.u16();
    reader.skip(2);
    if (reader.remaining === 0) throw syntaxError('KE payload has no key exchange data');
    return { kind: 'KE', method, data: reader.rest() };
  },

  length: ({ data }) => 4 + data.length,

  emit({ method, data }, out) {
    out.u16(method);
    out.u16(0);
    out.put(data);
  },
};
