/**
 * The records that all workers share: header, SA, SELECTOR, POLICY. Written by the engine's thread
 * alone (src/dataplane/sad.ts, spd.ts); a worker writes only the fields marked "atomic".
 */

// ─── HEADER ───────────────────────────────────────────────────────────────────────────────────
//
// One per memory, at HEADER_BASE. Says where the regions lie; fixed once the workers run, except
// for the SPD pointers, the generation and the ICMP sources.
//
//      0         4         8         12        16        20        24        28
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//   0 | ABSOLUTE (u64)    | SA_BASE | SA_     | SPI_    | SPI_    | POLICY_ | POLICY_ |
//     |                   |         | CAPACITY| TABLE   | MASK    | BASE    | CAPACITY|
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//  32 | HEAP_   | HEAP_   | ARENA_  | ARENA_  | SPD_OUT | SPD_IN  | SPD_    | ICMP4   |
//     | BASE    | SIZE    | BASE    | COUNT   |         |         | GENERA- |         |
//     |         |         |         |         |         |         | TION    |         |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//  64 | ICMP6 (16)                            | reserved                              |
//     +---------+---------+---------+---------+---------------------------------------+

/** Behind the compiler's own constants (STATIC_END). */
export const HEADER_BASE = 65536;
export const HEADER_SIZE = 4096;
/** u64: the absolute address of linear memory's byte 0 in this process. */
export const HEADER_ABSOLUTE = 0;
/** u32: address of the array of SA records, and their number. */
export const HEADER_SA_BASE = 8;
export const HEADER_SA_CAPACITY = 12;
/** u32: address of the SPI hash table (heads of chains: u32 addresses of SA records), and its index mask. */
export const HEADER_SPI_TABLE = 16;
export const HEADER_SPI_MASK = 20;
/** u32: address of the array of POLICY records, and their number. */
export const HEADER_POLICY_BASE = 24;
export const HEADER_POLICY_CAPACITY = 28;
/** u32: the heap of KEY blocks, selector lists, replay windows and classifier tables. */
export const HEADER_HEAP_BASE = 32;
export const HEADER_HEAP_SIZE = 36;
/** u32: address of the first arena (ARENA_SIZE apart), and their number. */
export const HEADER_ARENA_BASE = 40;
export const HEADER_ARENA_COUNT = 44;
/** u32: address of the SPD of either direction; 0 while it has none. */
export const HEADER_SPD_OUT = 48;
export const HEADER_SPD_IN = 52;
/**
 * u32, atomic: goes up by two whenever a policy comes or goes and is odd meanwhile: readers of an SPD
 * look again if it changed under them, and what a flow cache remembers is void then.
 */
export const HEADER_SPD_GENERATION = 56;
/** 4 bytes, wire: source of ICMP errors to IPv4 senders; 0 uses the packet's own destination. */
export const HEADER_ICMP4 = 60;
/** 16 bytes, wire: source of ICMPv6 errors; 0 uses the packet's own destination. */
export const HEADER_ICMP6 = 64;

// ─── SA ───────────────────────────────────────────────────────────────────────────────────────
//
// One per SA and direction (RFC 4301 §4.4.2.1), 64-byte aligned. The first 128 bytes are only read
// by workers; the next line is theirs.
//
//      0         4         8         12        16        20        24        28
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//   0 | STATE   | HANDLE  | SPI     | NEXT    | FLAGS   | KEY     | SELECT- | SELECTOR|
//     |         |         | (wire)  |         |         |         | ORS     | _COUNT  |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//  32 | IV_     | ICV_    | BLOCK_  | LANE    | PATH_   | INNER_  | TFC     | WINDOW  |
//     | LENGTH  | LENGTH  | MASK    |         | MTU     | MTU     |         |         |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//  64 | IV_MASK (u64)     | WINDOW_ | HEADER_ | SOFT_BYTES (u64)  | HARD_BYTES (u64)  |
//     |                   | SIZE    | LENGTH  |                   |                   |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//  96 | SOFT_PACKETS      | HARD_PACKETS      | SOFT_SEQUENCE     | HARD_SEQUENCE     |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
// 128 | SEQUENCE (atomic) | PACKETS (atomic)  | BYTES (atomic)    | LAST_USED (f64)   |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
// 160 | LOCK    | EXPIRED | REPLAY_DROPS      | INTEGRITY_DROPS   | MAPPED  | PATH    |
//     | (atomic)| (atomic)| (atomic)          | (atomic)          | (atomic)|         |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
// 192 | REMOTE: struct sockaddr_in or sockaddr_in6 (28)                     | R_LEN   |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
// 224 | LOCAL: struct sockaddr_in or sockaddr_in6 (28)                      | L_LEN   |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
// 256 | HEADER: template of the outer IP header (40)                                  |
//     +                   +---------+---------+---------+---------+---------+---------+
// 288 |                   | DSCP_   | reserved                                        |
//     |                   | MAP     |                                                 |
//     +-------------------+---------+-------------------------------------------------+

export const SA_SIZE = 320;
/** u32: one of SA_STATE_*. */
export const SA_STATE = 0;
/** u32: the SaHandle. */
export const SA_HANDLE = 4;
/** u32: the SPI as a little-endian load finds it on the wire. */
export const SA_SPI = 8;
/** u32: the next SA of the same hash bucket; 0 ends the chain. */
export const SA_NEXT = 12;
/** u32: SA_FLAG_* bits. */
export const SA_FLAGS = 16;
/** u32: address of the KEY block. */
export const SA_KEY = 20;
/** u32: address of the SELECTOR list, and its length; an empty list admits everything. */
export const SA_SELECTORS = 24;
export const SA_SELECTOR_COUNT = 28;
/** u32: bytes of the explicit IV and of the ICV on the wire. */
export const SA_IV_LENGTH = 32;
export const SA_ICV_LENGTH = 36;
/** u32: alignment of the ESP payload (or the AH header), minus one. */
export const SA_BLOCK_MASK = 40;
/** u32: outbound: the LANE_* its messages leave by, without DF. */
export const SA_LANE = 44;
/** u32: bytes that an outer IP packet may have. */
export const SA_PATH_MTU = 48;
/** u32: bytes that an inner IP packet (in transport mode: the whole packet) may have to fit it; inbound: of answers. */
export const SA_INNER_MTU = 52;
/** u32: pad to this many bytes of ESP payload (RFC 4303 §2.7); 0 for none. */
export const SA_TFC = 56;
/** u32: inbound: address of the replay bitmap, the power of two of bits that holds WINDOW_SIZE; 0 with anti-replay off. */
export const SA_WINDOW = 60;
/** u64: XORed with the sequence number to make the IV of a counter mode; random per installation. */
export const SA_IV_MASK = 64;
/** u32: numbers that the replay window holds, a multiple of 32, 64 at least; 0 with anti-replay off. */
export const SA_WINDOW_SIZE = 72;
/** u32: bytes of HEADER in use. */
export const SA_HEADER_LENGTH = 76;
/** u64: limits, all bits set for none. */
export const SA_SOFT_BYTES = 80;
export const SA_HARD_BYTES = 88;
export const SA_SOFT_PACKETS = 96;
export const SA_HARD_PACKETS = 104;
/** u64: sequence numbers at which the SA asks for a successor, and past which it sends nothing. */
export const SA_SOFT_SEQUENCE = 112;
export const SA_HARD_SEQUENCE = 120;
/** u64, atomic: the last number allocated (outbound), the highest accepted (inbound). */
export const SA_SEQUENCE = 128;
/** u64, atomic: what the SA has carried (inner bytes). */
export const SA_PACKETS = 136;
export const SA_BYTES = 144;
/** f64: milliseconds since the epoch. */
export const SA_LAST_USED = 152;
/** u32, atomic: guards the replay window: 0 free, 1 held, 2 held and awaited. */
export const SA_LOCK = 160;
/** u32, atomic: EVENT_EXPIRE_* bits already reported. */
export const SA_EXPIRED = 164;
/** u64, atomic. */
export const SA_REPLAY_DROPS = 168;
export const SA_INTEGRITY_DROPS = 176;
/** u32, atomic: hash of the last foreign source address reported. */
export const SA_MAPPED = 184;
/** u32: the same number for all SAs with the same REMOTE and LOCAL, whose datagrams may share a message. */
export const SA_PATH = 188;
/** struct sockaddr_in (16) or sockaddr_in6 (28) and the length of the structure (u32). */
export const SA_REMOTE = 192;
export const SA_REMOTE_LENGTH = 220;
export const SA_LOCAL = 224;
export const SA_LOCAL_LENGTH = 252;
/** Template of the outer IP header for tunnel mode; lengths, ID, DSCP and checksum are filled per packet. */
export const SA_HEADER = 256;
export const SA_HEADER_SIZE = 40;
/** u32: address of 64 bytes, the outer DSCP for each inner one; 0 without SA_FLAG_MAP_DSCP. */
export const SA_DSCP_MAP = 296;

export const SA_STATE_FREE = 0;
export const SA_STATE_LIVE = 1;
/** Stopped: nothing may be sent or accepted any more. */
export const SA_STATE_DEAD = 2;

export const SA_FLAG_INBOUND = 1;
export const SA_FLAG_AH = 2;
export const SA_FLAG_TUNNEL = 4;
export const SA_FLAG_UDP = 8;
export const SA_FLAG_ESN = 16;
/** The outer addresses are IPv6. */
export const SA_FLAG_OUTER6 = 32;
/** The ICV comes with the cipher: AAD is SPI ‖ sequence number. Without it AAD runs into the payload. */
export const SA_FLAG_COMBINED = 64;
/** The IV is a counter (XOR IV_MASK); without it the IV is random (CBC). */
export const SA_FLAG_COUNTER_IV = 128;
export const SA_FLAG_DF_SET = 256;
export const SA_FLAG_DF_COPY = 512;
export const SA_FLAG_COPY_DSCP = 1024;
/** LOCAL is a multicast group: the destination is part of the look-up (RFC 4301 §4.1). */
export const SA_FLAG_MULTICAST = 2048;
/** The outer DSCP follows from the inner one by DSCP_MAP. */
export const SA_FLAG_MAP_DSCP = 4096;

/** Bucket of an SPI (as loaded from the wire): h = SPI × FACTOR mod 2^32, (h ⊕ h >> SHIFT) & SPI_MASK. */
export const SPI_HASH_FACTOR = 0x9e3779b1;
export const SPI_HASH_SHIFT = 15;

// ─── SELECTOR ─────────────────────────────────────────────────────────────────────────────────
//
// RFC 4301 §4.4.1.1. Addresses are two u64 in host order (high half first); an IPv4 address is the
// low 32 bits of the second. Ranges are inclusive; OPAQUE ports are 65535–0.
//
//      0         4         8         12        16        20        24        28
//     +----+----+---------+---------+---------+---------+---------+---------+---------+
//   0 |FAM |PROT| LOCAL_  | REMOTE_ | reserv- | LOCAL_FROM (hi, lo)                   |
//     |    |    | PORTS   | PORTS   | ed      |                                       |
//     +----+----+---------+---------+---------+---------+---------+---------+---------+
//  32 | LOCAL_TO                              | REMOTE_FROM                           |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//  64 | REMOTE_TO                             |
//     +---------+---------+---------+---------+

export const SELECTOR_SIZE = 80;
/** u8: 4 or 6. */
export const SELECTOR_FAMILY = 0;
/** u8: IP protocol number, 0 for ANY. */
export const SELECTOR_PROTOCOL = 1;
/** u16 from, u16 to, host order. */
export const SELECTOR_LOCAL_PORTS = 4;
export const SELECTOR_REMOTE_PORTS = 8;
export const SELECTOR_LOCAL_FROM = 16;
export const SELECTOR_LOCAL_TO = 32;
export const SELECTOR_REMOTE_FROM = 48;
export const SELECTOR_REMOTE_TO = 64;

// ─── POLICY ───────────────────────────────────────────────────────────────────────────────────
//
//      0         4         8         12        16        20        24        28
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//   0 | STATE   | HANDLE  | PRIORITY| ACTION  | SA      | ACQUIRED| PACKETS (atomic)  |
//     |         |         |         |         | (atomic)| (atomic)|                   |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//  32 | BYTES (atomic)    | NEXT    | reserved                                        |
//     +---------+---------+---------+-------------------------------------------------+
//  64 | SELECTOR (80)                                                                 |
//     +-------------------------------------------------------------------------------+

export const POLICY_SIZE = 192;
/** u32: 0 free, 1 in force. */
export const POLICY_STATE = 0;
export const POLICY_HANDLE = 4;
/** u32: lower is looked up first. */
export const POLICY_PRIORITY = 8;
/** u32: one of POLICY_ACTION_*. */
export const POLICY_ACTION = 12;
/** u32, atomic: address of the outbound SA; 0 traps. */
export const POLICY_SA = 16;
/** u32, atomic: seconds (modulo 2^32) of the last acquire, so that one flow asks once. */
export const POLICY_ACQUIRED = 20;
/** u64, atomic: what the policy has matched. */
export const POLICY_PACKETS = 24;
export const POLICY_BYTES = 32;
/** u32: the next policy of the same bucket of the classifier, not before this one in rank; 0 ends the chain. */
export const POLICY_NEXT = 40;
export const POLICY_SELECTOR = 64;

export const POLICY_ACTION_PROTECT = 1;
export const POLICY_ACTION_BYPASS = 2;
export const POLICY_ACTION_DISCARD = 3;

// ─── SPD: the classifier of one direction ─────────────────────────────────────────────────────
//
// Tuple space search: policies that look at the same bits of a packet (their TUPLE) are found by
// one hash of those bits. A range counts as the smallest prefix around it; the SELECTOR decides.
// See assembly/classifier.ts.
//
//      0         4         8         12        16        20        24        28
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//   0 | TUPLE_  | BUCKET_ | reserved                                                  |
//     | COUNT   | MASK    |                                                           |
//     +---------+---------+-----------------------------------------------------------+
//  32 | reserved                                                                      |
//     +-------------------------------------------------------------------------------+
//  64 | TUPLEs, in the order of their LEAST rank (SPD_TUPLES_MAX × 64)                |
//     +-------------------------------------------------------------------------------+
//     | BUCKETS: u32 address of the first POLICY × (BUCKET_MASK + 1)                  |
//     +-------------------------------------------------------------------------------+

export const SPD_TUPLE_COUNT = 0;
export const SPD_BUCKET_MASK = 4;
export const SPD_TUPLES = 64;
export const SPD_TUPLES_MAX = 512;
/** Two u64 each, as in a SELECTOR: which bits of the address count. */
export const TUPLE_LOCAL_MASK = 0;
export const TUPLE_REMOTE_MASK = 16;
/** u32: which bits of the ports count, local in the low half and remote in the high half. */
export const TUPLE_PORTS_MASK = 32;
/** u32: family (4, 6) in the low byte; 255 in the next one if the protocol counts. */
export const TUPLE_FAMILY = 36;
/** u32: policies in force. */
export const TUPLE_POLICIES = 40;
/** u64: no policy of this tuple comes before that rank (priority × 2^32 + handle). */
export const TUPLE_LEAST = 48;
export const TUPLE_SIZE = 64;
export const SPD_BUCKETS = 32832;
