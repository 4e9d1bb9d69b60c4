/**
 * Configuration payload (RFC 7296 §3.15).
 *
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |   CFG Type    |                    RESERVED                   |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |R|         Attribute Type      |            Length             |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                             Value                             ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { Reader } from '../bytes.ts';
import { PAYLOAD } from '../iana.ts';
import type { Codec } from './codec.ts';

const ATTRIBUTE_TYPE_MASK = 0x7fff;

export interface CfgAttribute {
  readonly type: number;
  readonly value: Uint8Array;
}

export interface CpPayload {
  readonly kind: 'CP';
  /** CFG_TYPE. */
  readonly cfgType: number;
  readonly attributes: readonly CfgAttribute[];
}

export const cp: Codec<CpPayload> = {
  type: PAYLOAD.CP,

  parse(body) {
    const reader = new Reader(body, 'CP payload');
    const cfgType = reader.u8();
    reader.skip(3);
    const attributes: CfgAttribute[] = [];
    while (reader.remaining > 0) {
      const type = reader.u16() & ATTRIBUTE_TYPE_MASK;
      attributes.push({ type, value: reader.take(reader.u16()) });
    }
    return { kind: 'CP', cfgType, attributes };
  },

  length: ({ attributes }) => attributes.reduce((sum, { value }) => sum + 4 + value.length, 4),

  emit({ cfgType, attributes }, out) {
    out.u8(cfgType);
    out.zeros(3);
    for (const { type, value } of attributes) {
      out.u16(type);
      out.u16(value.length);
      out.put(value);
    }
  },
};
