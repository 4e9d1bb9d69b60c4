/**
 * Authentication payload (RFC 7296 §3.8).
 *
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Auth Method   |                RESERVED                       |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                      Authentication Data                      ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { Reader } from '../bytes.ts';
import { PAYLOAD } from '../iana.ts';
import type { Codec } from './codec.ts';

export interface AuthPayload {
  readonly kind: 'AUTH';
  /** AUTH_METHOD. */
  readonly method: number;
  readonly data: Uint8Array;
}

export const auth: Codec<AuthPayload> = {
  type: PAYLOAD.AUTH,

  parse(body) {
    const reader = new Reader(body, 'AUTH payload');
    const method = reader.u8();
    reader.skip(3);
    return { kind: 'AUTH', method, data: reader.rest() };
  },

  length: ({ data }) => 4 + data.length,

  emit({ method, data }, out) {
    out.u8(method);
    out.zeros(3);
    out.put(data);
  },
};
