/**
 * Delete payload (RFC 7296 §3.11).
 *
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Protocol ID   |   SPI Size    |          Num of SPIs          |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~               Security Parameter Index(es) (SPI)              ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { Reader } from '../bytes.ts';
import { syntaxError } from '../error.ts';
import { PAYLOAD, PROTOCOL, protocolName } from '../iana.ts';
import type { Codec } from './codec.ts';

export interface DeletePayload {
  readonly kind: 'D';
  /** PROTOCOL: IKE, AH or ESP. */
  readonly protocol: number;
  /** The sender's inbound SPIs, in host order; none for IKE, where the header names the SA. */
  readonly spis: readonly number[];
}

const spiSizeOf = (protocol: number): number => (protocol === PROTOCOL.IKE ? 0 : 4);

export const del: Codec<DeletePayload> = {
  type: PAYLOAD.D,

  parse(body) {
    const reader = new Reader(body, 'D payload');
    const protocol = reader.u8();
    const spiSize = reader.u8();
    const count = reader.u16();
    if (protocol !== PROTOCOL.IKE && protocol !== PROTOCOL.AH && protocol !== PROTOCOL.ESP) {
      throw syntaxError(`D payload names ${protocolName(protocol)}, which has no SAs`);
    }
    if (spiSize !== spiSizeOf(protocol) || (protocol === PROTOCOL.IKE && count !== 0)) {
      throw syntaxError(`D payload has ${count} SPIs of ${spiSize} bytes for ${protocolName(protocol)}`);
    }
    if (reader.remaining !== count * spiSize) {
      throw syntaxError(`D payload has ${reader.remaining} bytes of SPIs, not ${count * spiSize}`);
    }
    return { kind: 'D', protocol, spis: Array.from({ length: count }, () => reader.u32()) };
  },

  length: ({ spis }) => 4 + spis.length * 4,

  emit({ protocol, spis }, out) {
    out.u8(protocol);
    out.u8(spiSizeOf(protocol));
    out.u16(spis.length);
    for (const spi of spis) out.u32(spi);
  },
};
