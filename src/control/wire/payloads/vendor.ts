/**
 * Vendor ID payload (RFC 7296 §3.12): the body is the vendor's constant.
 */
import { PAYLOAD } from '../iana.ts';
import type { Codec } from './codec.ts';

export interface VendorPayload {
  readonly kind: 'V';
  readonly data: Uint8Array;
}

export const vendor: Codec<VendorPayload> = {
  type: PAYLOAD.V,
  parse: (body) => ({ kind: 'V', data: body.slice() }),
  length: ({ data }) => data.length,
  emit({ data }, out) {
    out.put(data);
  },
};
