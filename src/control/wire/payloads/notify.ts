/**
 * Notify payload (RFC 7296 §3.10).
 *
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Protocol ID  |   SPI Size    |      Notify Message Type      |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                Security Parameter Index (SPI)                 ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                       Notification Data                       ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { Reader } from '../bytes.ts';
import { PAYLOAD, PROTOCOL } from '../iana.ts';
import type { Codec } from './codec.ts';

export interface NotifyPayload {
  readonly kind: 'N';
  /** PROTOCOL of the SA that `spi` names; NONE without one. */
  readonly protocol: number;
  readonly spi: Uint8Array;
  /** NOTIFY. */
  readonly notify: number;
  readonly data: Uint8Array;
}

const EMPTY = new Uint8Array();

/** @returns a notification about no SA in particular */
export const notification = (notify: number, data: Uint8Array = EMPTY): NotifyPayload => ({
  kind: 'N',
  protocol: PROTOCOL.NONE,
  spi: EMPTY,
  notify,
  data,
});

export const notify: Codec<NotifyPayload> = {
  type: PAYLOAD.N,

  parse(body) {
    const reader = new Reader(body, 'N payload');
    const protocol = reader.u8();
    const spiSize = reader.u8();
    const type = reader.u16();
    return { kind: 'N', protocol, spi: reader.take(spiSize), notify: type, data: reader.rest() };
  },

  length: ({ spi, data }) => 4 + spi.length + data.length,

  emit(payload, out) {
    out.u8(payload.protocol);
    out.u8(payload.spi.length);
    out.u16(payload.notify);
    out.put(payload.spi);
    out.put(payload.data);
  },
};
