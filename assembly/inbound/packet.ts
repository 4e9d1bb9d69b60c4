/**
 * What the inbound path keeps of a packet from Prepare to the last iovec, in its PACKET descriptor.
 *
 * From Prepare to open, USER0, USER1 and the end of INLINE are ours. Once the batch is opened the
 * backend is done with the descriptor, and all of it but USER0 and USER1 becomes a NOTE:
 *
 *      0         4         8         12        16        20        24        28
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *   0 | AT      | HEAD    | BODY    | BODY_   | NEXT    | TAIL    | KIND    | POLICY  |
 *     |         |         |         | LENGTH  |         |         |         |         |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *  32 | TOTAL   | COUNT   | SA      | SLOT    | UPPER   | HEADERS | SIZE    | EXPECT  |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *
 * The inner packet is HEAD bytes at AT and BODY_LENGTH bytes at BODY; in front of AT there is room
 * for the virtio header. TAIL, TOTAL, COUNT, SIZE and EXPECT tell of the run that the packet heads. NEXT and TAIL
 * lead from piece to piece: a packet whose payload was moved behind another one's is in that one's HEAD.
 */
import { PACKET_INLINE, PACKET_USER0, PACKET_USER1 } from "../layout";

/** u32: address of the SA record. */
export const NOTE_SA: usize = PACKET_USER0;
/** u32: the slot, and NOTE_SOURCE bits. */
export const NOTE_SLOT: usize = PACKET_USER1;
/** u32: the low half of the sequence number; until the batch is opened. */
export const PACKET_SEQUENCE: usize = PACKET_INLINE + 12;

/** Bits of NOTE_SLOT above the slot's number. */
export const SLOT_MASK: u32 = 0xff;
/** The datagram came over a socket of protocol 50 or 51. */
export const SLOT_RAW: u32 = 0x100;

/** u32: address of the inner IP header. */
export const NOTE_AT: usize = 0;
/** u32: bytes there. */
export const NOTE_HEAD: usize = 4;
/** u32: address and number of the bytes that follow elsewhere. */
export const NOTE_BODY: usize = 8;
export const NOTE_BODY_LENGTH: usize = 12;
/** u32: the run's next piece, 0 for none. */
export const NOTE_NEXT: usize = 16;
/** u32: its last piece. */
export const NOTE_TAIL: usize = 20;
/** u32: KIND_* bits. */
export const NOTE_KIND: usize = 24;
/** u32: the inbound policy that the packet met, 0 for none; in place of STATUS. */
export const NOTE_POLICY: usize = 28;
/** u32: bytes of the IP packet that the run makes. */
export const NOTE_TOTAL: usize = 32;
/** u32: packets in the run. */
export const NOTE_COUNT: usize = 36;
/** u32: bytes of the IP header. */
export const NOTE_UPPER: usize = 48;
/** u32: bytes of the IP header and the TCP or UDP header. */
export const NOTE_HEADERS: usize = 52;
/** u32: bytes of payload in each packet of the run but the last. */
export const NOTE_SIZE: usize = 56;
/** u32: TCP: the sequence number that comes next. */
export const NOTE_EXPECT: usize = 60;

export const KIND_TCP: u32 = 1;
export const KIND_UDP: u32 = 2;
export const KIND_IPV6: u32 = 4;
/** Nothing may be appended any more. */
export const KIND_CLOSED: u32 = 8;
/** The checksums of the head have been found good. */
export const KIND_VERIFIED: u32 = 16;
