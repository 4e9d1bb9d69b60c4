/**
 * Nonce payload (RFC 7296 §3.9): the body is the nonce, 16 to 256 bytes.
 */
import { syntaxError } from '../error.ts';
import { PAYLOAD } from '../iana.ts';
import type { Codec } from './codec.ts';

export const MIN_NONCE_LENGTH = 16;
export const MAX_NONCE_LENGTH = 256;

export interface NoncePayload {
  readonly kind: 'NONCE';
  readonly data: Uint8Array;
}

export const nonce: Codec<NoncePayload> = {
  type: PAYLOAD.NONCE,

  parse(body) {
    if (body.length < MIN_NONCE_LENGTH || body.length > MAX_NONCE_LENGTH) {
      throw syntaxError(`nonce of ${body.length} bytes is not within ${MIN_NONCE_LENGTH}..${MAX_NONCE_LENGTH}`);
    }
    return { kind: 'NONCE', data: body.slice() };
  },

  length: ({ data }) => data.length,

  emit({ data }, out) {
    out.put(data);
  },
};
