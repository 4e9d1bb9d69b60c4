/**
 * Identification payloads (RFC 7296 §3.5).
 *
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |   ID Type     |                 RESERVED                      |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                   Identification Data                         ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { concat, Reader } from '../bytes.ts';
import { PAYLOAD } from '../iana.ts';
import type { Codec } from './codec.ts';

export interface IdPayload<K extends 'IDi' | 'IDr' = 'IDi' | 'IDr'> {
  readonly kind: K;
  /** ID_TYPE. */
  readonly idType: number;
  readonly data: Uint8Array;
}

function codec<K extends 'IDi' | 'IDr'>(kind: K): Codec<IdPayload<K>> {
  return {
    type: PAYLOAD[kind],

    parse(body) {
      const reader = new Reader(body, `${kind} payload`);
      const idType = reader.u8();
      reader.skip(3);
      return { kind, idType, data: reader.rest() };
    },

    length: ({ data }) => 4 + data.length,

    emit({ idType, data }, out) {
      out.u8(idType);
      out.zeros(3);
      out.put(data);
    },
  };
}

export const idI = codec('IDi');
export const idR = codec('IDr');

/** @returns RestOfInitIDPayload / RestOfRespIDPayload, which AUTH covers (RFC 7296 §2.15) */
export const idBody = ({ idType, data }: Pick<IdPayload, 'idType' | 'data'>): Uint8Array =>
  concat(Uint8Array.of(idType, 0, 0, 0), data);
