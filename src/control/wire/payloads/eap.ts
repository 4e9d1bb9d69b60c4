/**
 * EAP payload (RFC 7296 §3.16), kept opaque: no EAP method is implemented, so none can be believed.
 */
import { PAYLOAD } from '../iana.ts';
import type { Codec } from './codec.ts';

export interface EapPayload {
  readonly kind: 'EAP';
  readonly message: Uint8Array;
}

export const eap: Codec<EapPayload> = {
  type: PAYLOAD.EAP,
  parse: (body) => ({ kind: 'EAP', message: body.slice() }),
  length: ({ message }) => message.length,
  emit({ message }, out) {
    out.put(message);
  },
};
