/**
 * What an ESP packet is made of, the same on the way out and in (RFC 4303 §2).
 *
 *     | SPI | sequence number | IV | payload … padding | pad length | next header | ICV |
 *     |<--- ESP_HEADER ------>|    |                   |<----- ESP_TRAILER ------>|
 */
import { PACKET_AAD, PACKET_AAD_LENGTH, PACKET_INLINE } from "./layout";
import { SA_FLAG_COMBINED, SA_FLAG_ESN } from "./layout/records";

export const ESP_HEADER: u32 = 8;
export const ESP_TRAILER: u32 = 2;
/** SPI and both halves of the sequence number. */
const ESN_AAD: u32 = 12;

/**
 * See PACKET_AAD: SPI ‖ (high half ‖) sequence number, or the header in front of the payload.
 * @param esp the packet's SPI; behind it lie `gap` bytes of header and IV in all
 * @param flags of its SA
 * @param high half of the sequence number
 */
@inline
export function describeAad(packet: usize, esp: usize, gap: u32, flags: u32, high: u32): void {
  if (!(flags & SA_FLAG_COMBINED)) {
    store<u32>(packet, <u32>esp, PACKET_AAD);
    store<u32>(packet, gap, PACKET_AAD_LENGTH);
  } else if (flags & SA_FLAG_ESN) {
    // The high half is not on the wire (RFC 4106 §5).
    store<u32>(packet, load<u32>(esp), PACKET_INLINE);
    store<u32>(packet, bswap<u32>(high), PACKET_INLINE + 4);
    store<u32>(packet, load<u32>(esp, 4), PACKET_INLINE + 8);
    store<u32>(packet, <u32>(packet + PACKET_INLINE), PACKET_AAD);
    store<u32>(packet, ESN_AAD, PACKET_AAD_LENGTH);
  } else {
    store<u32>(packet, <u32>esp, PACKET_AAD);
    store<u32>(packet, ESP_HEADER, PACKET_AAD_LENGTH);
  }
}
