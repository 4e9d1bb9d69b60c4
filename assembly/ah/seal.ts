/**
 * AH on the way out (RFC 4302 §3.3).
 *
 *      0                   8                  16                              31
 *     +-------------------+-------------------+-------------------------------+
 *     |    Next Header    |    Payload Len    |           Reserved            |
 *     +-------------------+-------------------+-------------------------------+
 *     |                  Security Parameters Index (SPI)                      |
 *     +-----------------------------------------------------------------------+
 *     |                       Sequence Number                                 |
 *     +-----------------------------------------------------------------------+
 *     |                (IV, RFC 4543 §4)  ICV, padding                        |
 *     +-----------------------------------------------------------------------+
 */
import {
  PACKET_AAD,
  PACKET_AAD_LENGTH,
  PACKET_FLAG_ESN,
  PACKET_FLAGS,
  PACKET_ICV,
  PACKET_IV,
  PACKET_KEY,
  PACKET_LENGTH,
  PACKET_PAYLOAD,
  PACKET_SEQ_HI,
  PACKET_STATUS,
  STATUS_PENDING,
} from "../layout";
import {
  SA_BLOCK_MASK,
  SA_FLAG_ESN,
  SA_FLAGS,
  SA_ICV_LENGTH,
  SA_IV_LENGTH,
  SA_IV_MASK,
  SA_KEY,
  SA_SPI,
} from "../layout/records";
import { AH_HEADER, maskImage } from "./image";

/** @returns bytes of an SA's AH header, with ICV and padding */
@inline
export function ahLength(sa: usize): u32 {
  const mask = load<u32>(sa, SA_BLOCK_MASK);
  return (AH_HEADER + load<u32>(sa, SA_IV_LENGTH) + load<u32>(sa, SA_ICV_LENGTH) + mask) & ~mask;
}

/**
 * Writes the AH header of a packet that is complete otherwise, its PACKET descriptor and, behind the
 * packet, the image of its headers that the ICV covers.
 * @param packet address of the descriptor
 * @param at address of the IP header, which announces AH and has its final length
 * @param ah address of the AH header, `ahLength` bytes in front of the protected part
 * @param end address behind the packet; `ah + ahLength - at` bytes there are overwritten, up to the next Finish
 * @param next what AH protects
 * @returns address behind the image; 0 if the headers make no sense
 */
export function frameAh(sa: usize, packet: usize, at: usize, ah: usize, end: usize, next: u32, sequence: u64): usize {
  const length = ahLength(sa);
  const iv = load<u32>(sa, SA_IV_LENGTH);
  const before = <u32>(ah - at);
  memory.fill(ah, 0, length);
  store<u8>(ah, next);
  store<u8>(ah, (length >> 2) - 2, 1);
  store<u32>(ah, load<u32>(sa, SA_SPI), 4);
  store<u32>(ah, bswap<u32>(<u32>sequence), 8);
  memory.copy(end, at, before + length);
  if (!maskImage(end, before, 0)) return 0;
  if (iv != 0) store<u64>(ah, sequence ^ load<u64>(sa, SA_IV_MASK), AH_HEADER);
  store<u32>(packet, load<u32>(sa, SA_KEY), PACKET_KEY);
  store<u32>(packet, <u32>(ah + length), PACKET_PAYLOAD);
  store<u32>(packet, <u32>(end - ah) - length, PACKET_LENGTH);
  store<u32>(packet, <u32>ah + AH_HEADER, PACKET_IV);
  store<u32>(packet, <u32>ah + AH_HEADER + iv, PACKET_ICV);
  store<u32>(packet, <u32>end, PACKET_AAD);
  store<u32>(packet, before + length, PACKET_AAD_LENGTH);
  store<u32>(packet, <u32>(sequence >> 32), PACKET_SEQ_HI);
  store<u32>(packet, load<u32>(sa, SA_FLAGS) & SA_FLAG_ESN ? PACKET_FLAG_ESN : 0, PACKET_FLAGS);
  store<u32>(packet, STATUS_PENDING, PACKET_STATUS);
  return end + before + length;
}
