/**
 * The arena: everything one worker owns. A batch is read into it, worked on in place and written
 * out of it. Its offsets are constants; arena `i` lies at HEADER_ARENA_BASE + i × ARENA_SIZE.
 *
 * Structures that the kernel of the operating system reads (mmsghdr, iovec, sockaddr, cmsghdr) are
 * those of 64-bit little-endian Linux and hold absolute addresses (HEADER_ABSOLUTE + offset).
 */

// ─── ARENA ────────────────────────────────────────────────────────────────────────────────────
//
//     +-------------------------------------------------------------------------------+
//     | ARENA header: epoch, clock, counts, drop counters               (4 KiB)       |
//     | EVENTS                             ring of one batch            64 × 128      |
//     | OUT: LENGTHS, SLOTS                frames read from the TUN     64 × 65 KiB   |
//     | OUT: PACKETS                       PACKET descriptors           8192 × 64     |
//     | OUT: OUTPUT                        finished packets, contiguous 8 MiB         |
//     | OUT: MESSAGES, EXTRAS, IOVECS      one mmsghdr array per lane                 |
//     | OUT: REPLIES                       ICMP errors for the TUN      64 × 1408     |
//     | QUEUE                              frames waiting for an SA     64 × 65 KiB   |
//     | REASSEMBLY                         fragments for transport mode 16 × 66 KiB   |
//     | IN: MESSAGES, NAMES, CONTROLS …    one mmsghdr array            64            |
//     | IN: SLOTS                          datagrams received           64 × 65 KiB   |
//     | IN: PACKETS, FRAMES, IOVECS, HEADERS, IKE                                     |
//     | FLOWS                              flow cache, coalescing table               |
//     | SCRATCH                            the cipher's own               1 MiB       |
//     | GATHER                             PACKETs of one backend       512 × 64      |
//     +-------------------------------------------------------------------------------+

/** u32, atomic: odd while a batch is in flight (from a Prepare to its Finish). */
export const ARENA_EPOCH = 0;
/** u32: index of the worker. */
export const ARENA_WORKER = 4;
/** u32: CAPABILITY_* bits, written by the worker at start. */
export const ARENA_CAPABILITIES = 8;
/** f64: what the clock of src/clock.ts shows, written by the worker after each batch and each wait in vain: half a second old at most. */
export const ARENA_NOW = 16;
/**
 * u32: frames that the last outboundPrepare has dealt with. Less than `count` when descriptors or
 * output ran out: finish and send, then call outboundPrepare again, which goes on from here.
 */
export const ARENA_OUT_TAKEN = 24;
/** u32: frames in the OUT slots, as outboundPrepare was told. */
export const ARENA_OUT_COUNT = 28;
/** u32: packets in OUT_PACKETS. */
export const ARENA_OUT_PACKETS_USED = 32;
/** u32: packets in IN_PACKETS. */
export const ARENA_IN_PACKETS_USED = 36;
/** u32: IKE datagrams that inboundPrepare found (IN_IKE). */
export const ARENA_IKE_COUNT = 40;
/** u32: events in EVENTS; the worker reads them after a Finish and sets it to 0. */
export const ARENA_EVENT_COUNT = 44;
/** u32 × LANES: messages per lane, after outboundFinish. */
export const ARENA_LANE_COUNTS = 48;
/** u32: FRAMEs in OUT_REPLY_FRAMES, to be written to the TUN after outboundFinish. */
export const ARENA_REPLY_COUNT = 80;
/** u32: frames in the trap queue. */
export const ARENA_QUEUE_COUNT = 84;
/** u32, atomic: IKE datagrams that the worker has handed to the engine's thread and that it has yet to take. */
export const ARENA_IKE_PENDING = 88;
/** u64 × 64: counters by drop reason (assembly/drops.ts). */
export const ARENA_DROPS = 512;
export const ARENA_DROPS_SIZE = 512;
/** 32 bytes, random: the secret behind this arena's IVs, written by initialiseMemory. */
export const ARENA_SEED = 1024;
/** u64: pools drawn so far; 256 bytes of unpredictable IVs; u32: bytes of the pool still to be used. */
export const ARENA_IV_COUNTER = 1056;
export const ARENA_IV_LEFT = 1064;
export const ARENA_IV_POOL = 1088;
export const ARENA_IV_POOL_SIZE = 256;
export const ARENA_HEADER_SIZE = 4096;

/** UDP_SEGMENT works on the UDP sockets; without it every packet is a message of its own. */
export const CAPABILITY_UDP_SEGMENT = 1;
/** The TUN takes TCP super-frames (TUN_F_TSO4 | TUN_F_TSO6). */
export const CAPABILITY_TUN_TSO = 2;
/** The TUN takes UDP super-frames (TUN_F_USO4 | TUN_F_USO6). */
export const CAPABILITY_TUN_USO = 4;

// ─── Batches ──────────────────────────────────────────────────────────────────────────────────

/** Frames or datagrams of one batch. */
export const SLOTS = 64;
/** Bytes from one slot to the next; not a power of two, or all headers would share cache sets. */
export const SLOT_SIZE = 66560;
/** Packets of one batch. */
export const MAX_PACKETS = 8192;
/** What stands in front of every frame on the TUN: struct virtio_net_hdr. */
export const VNET_HEADER_SIZE = 10;

// ─── Lanes: where messages leave ──────────────────────────────────────────────────────────────
//
// One mmsghdr array each, for one sendmmsg. The two UDP/IPv4 lanes use the same socket: set
// IP_MTU_DISCOVER to IP_PMTUDISC_PROBE (DF) or IP_PMTUDISC_DONT in between, where it changes.
// The raw lanes carry whole IP packets: sockets of IPPROTO_RAW with IP_HDRINCL / IPV6_HDRINCL.

export const LANE_UDP4 = 0;
export const LANE_UDP4_DF = 1;
export const LANE_UDP6 = 2;
export const LANE_RAW4 = 3;
export const LANE_RAW6 = 4;
export const LANES = 5;

// ─── Sources: where datagrams come from ───────────────────────────────────────────────────────
//
// UDP sockets need UDP_GRO, IP_PKTINFO / IPV6_RECVPKTINFO and IP_RECVTOS / IPV6_RECVTCLASS. A raw
// IPv4 socket delivers the IP header; a raw IPv6 socket does not, so that IPV6_RECVPKTINFO,
// RECVTCLASS, RECVHOPLIMIT (and for AH: RECVHOPOPTS, RECVDSTOPTS, RECVRTHDR, FLOWINFO) are needed.

export const SOURCE_UDP4 = 0;
export const SOURCE_UDP6 = 1;
/** Protocols 50 and 51 alike. */
export const SOURCE_RAW4 = 2;
export const SOURCE_RAW6_ESP = 3;
export const SOURCE_RAW6_AH = 4;

// ─── EVENT ────────────────────────────────────────────────────────────────────────────────────
//
//      0         4         8         12        16        20        24        28
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//   0 | KIND    | HANDLE  | REASON  | FAM|PROT| LOCAL_  | REMOTE_ | reserved          |
//     |         |         |         |         | PORT    | PORT    |                   |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//  32 | LOCAL (hi, lo)                        | REMOTE (hi, lo)                       |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//  64 | NAME: sockaddr of the new remote (28)                               | reserved|
//     +---------+---------+---------+---------+---------+---------+---------+---------+

export const EVENT_SIZE = 128;
export const EVENTS_MAX = 64;
/** u32: one of EVENT_ACQUIRE, EVENT_EXPIRE, EVENT_MAPPING. */
export const EVENT_KIND = 0;
/** u32: PolicyHandle (acquire) or SaHandle. */
export const EVENT_HANDLE = 4;
/** u32: EVENT_EXPIRE_* of an expire. */
export const EVENT_REASON = 8;
/** u8 × 2: family (4, 6) and protocol of the packet that asked. */
export const EVENT_FAMILY = 12;
export const EVENT_PROTOCOL = 13;
/** u32: port of the packet, host order (ICMP: type × 256 + code in both); OPAQUE_PORT for none. */
export const EVENT_LOCAL_PORT = 16;
export const EVENT_REMOTE_PORT = 20;
/** Two u64 each, host order, as in a SELECTOR. */
export const EVENT_LOCAL = 32;
export const EVENT_REMOTE = 48;
/** struct sockaddr_in or sockaddr_in6 (AF_INET6 = 10). */
export const EVENT_NAME = 64;

export const EVENT_ACQUIRE = 1;
export const EVENT_EXPIRE = 2;
export const EVENT_MAPPING = 3;

/** Bits, also of SA_EXPIRED. */
export const EVENT_EXPIRE_SOFT_BYTES = 1;
export const EVENT_EXPIRE_HARD_BYTES = 2;
export const EVENT_EXPIRE_SOFT_PACKETS = 4;
export const EVENT_EXPIRE_HARD_PACKETS = 8;
export const EVENT_EXPIRE_SOFT_SEQUENCE = 16;
export const EVENT_EXPIRE_HARD_SEQUENCE = 32;

/** A packet that has no ports: a later fragment, or a protocol without them. */
export const OPAQUE_PORT = 65536;

export const ARENA_EVENTS = ARENA_HEADER_SIZE;

// ─── OUT ──────────────────────────────────────────────────────────────────────────────────────

/** u32 × SLOTS: bytes read from the TUN into each slot, virtio header included; written by the worker. */
export const OUT_LENGTHS = ARENA_EVENTS + EVENTS_MAX * EVENT_SIZE;
/** SAs that are to send a dummy packet: u32 address of the record, u32 SaHandle; written by the worker. */
export const OUT_DUMMIES = OUT_LENGTHS + 256;
export const OUT_DUMMIES_MAX = 256;
/** The slots; read(2) goes to slot + OUT_SLOT_FRAME, so that the IP header is 16-byte aligned. */
export const OUT_SLOTS = OUT_LENGTHS + 4096;
export const OUT_SLOT_FRAME = 6;
/** PACKET descriptors for `CryptoBackend.seal`. */
export const OUT_PACKETS = OUT_SLOTS + SLOTS * SLOT_SIZE;
/** Finished packets, one behind the other. */
export const OUT_OUTPUT = OUT_PACKETS + MAX_PACKETS * 64;
export const OUT_OUTPUT_SIZE = 8388608;
/** LANES arrays of struct mmsghdr, LANE_STRIDE bytes apart: pass address and ARENA_LANE_COUNTS[lane] to sendmmsg. */
export const OUT_MESSAGES = OUT_OUTPUT + OUT_OUTPUT_SIZE + 4096;
export const MMSGHDR_SIZE = 64;
/** u32 in the padding of OUT_MESSAGES': packets in the message. */
export const MMSGHDR_PACKETS = 60;
export const LANE_STRIDE = 524288;
/** Per message: its sockaddr (32) and its control messages (160). */
export const OUT_EXTRAS = OUT_MESSAGES + LANES * LANE_STRIDE;
export const OUT_EXTRA_SIZE = 192;
export const OUT_EXTRA_CONTROL = 32;
/** struct iovec, one or more per message. */
export const OUT_IOVECS = OUT_EXTRAS + MAX_PACKETS * OUT_EXTRA_SIZE;
/** RUNs: what outboundPrepare notes for outboundFinish, one per message. */
export const OUT_RUNS = OUT_IOVECS + MAX_PACKETS * 16;
export const OUT_RUN_SIZE = 32;
/** PIECEs: where the bytes of RUNs lie. */
export const OUT_PIECES = OUT_RUNS + MAX_PACKETS * OUT_RUN_SIZE;
export const OUT_PIECE_SIZE = 16;
/** RUNs that still grow, see assembly/outbound/batch.ts. */
export const OUT_GROWING = OUT_PIECES + MAX_PACKETS * OUT_PIECE_SIZE;
export const OUT_GROWING_SIZE = 256;
/**
 * FRAMEs for the TUN: u32 address of the first struct iovec, u32 their number (≤ 1024), u32 packets that the frame
 * was made of. One writev each; the first iovec begins with the virtio header.
 */
export const FRAME_IOVECS = 0;
export const FRAME_IOVEC_COUNT = 4;
export const FRAME_PACKETS = 8;
export const FRAME_SIZE = 12;
/** ICMP errors for the senders behind us, FRAMEs and their bytes. */
export const OUT_REPLY_FRAMES = OUT_GROWING + OUT_GROWING_SIZE;
export const OUT_REPLIES_MAX = 64;
export const OUT_REPLY_SIZE = 1408;
export const OUT_REPLY_IOVECS = OUT_REPLY_FRAMES + OUT_REPLIES_MAX * FRAME_SIZE;
export const OUT_REPLIES = OUT_REPLY_IOVECS + OUT_REPLIES_MAX * 16;

// ─── QUEUE: frames that wait for an SA ────────────────────────────────────────────────────────

/**
 * QUEUE entries: u32 length (0: free), u32 PolicyHandle, u32 time queued (milliseconds modulo 2^32),
 * u32 ticket, which tells the order.
 */
export const QUEUE_ENTRIES = OUT_REPLIES + OUT_REPLIES_MAX * OUT_REPLY_SIZE;
export const QUEUE_MAX = 64;
export const QUEUE_ENTRY_SIZE = 16;
export const QUEUE_LENGTH = 0;
export const QUEUE_POLICY = 4;
export const QUEUE_SINCE = 8;
export const QUEUE_TICKET = 12;
/** Same shape as OUT_SLOTS. */
export const QUEUE_SLOTS = QUEUE_ENTRIES + QUEUE_MAX * QUEUE_ENTRY_SIZE;

// ─── REASSEMBLY: datagrams that come in fragments and leave whole ─────────────────────────────

/** See assembly/outbound/reassemble.ts. */
export const REASSEMBLY_ENTRIES = QUEUE_SLOTS + QUEUE_MAX * SLOT_SIZE;
export const REASSEMBLY_MAX = 16;
export const REASSEMBLY_ENTRY_SIZE = 64;
/** A bit for every 8 bytes of each datagram. */
export const REASSEMBLY_MAPS = REASSEMBLY_ENTRIES + REASSEMBLY_MAX * REASSEMBLY_ENTRY_SIZE;
export const REASSEMBLY_MAP_SIZE = 1024;
export const REASSEMBLY_SLOTS = REASSEMBLY_MAPS + REASSEMBLY_MAX * REASSEMBLY_MAP_SIZE;

// ─── IN ───────────────────────────────────────────────────────────────────────────────────────

/** struct mmsghdr × SLOTS, for recvmmsg. */
export const IN_MESSAGES = REASSEMBLY_SLOTS + REASSEMBLY_MAX * SLOT_SIZE;
/** The sender's sockaddr of each slot. */
export const IN_NAMES = IN_MESSAGES + SLOTS * MMSGHDR_SIZE;
export const IN_NAME_SIZE = 32;
export const IN_IOVECS = IN_NAMES + SLOTS * IN_NAME_SIZE;
export const IN_CONTROLS = IN_IOVECS + SLOTS * 16;
export const IN_CONTROL_SIZE = 512;
/** The slots; datagrams start at slot + IN_SLOT_DATA. */
export const IN_SLOTS = IN_CONTROLS + SLOTS * IN_CONTROL_SIZE;
export const IN_SLOT_DATA = 512;
/** Bytes that recvmmsg may put into a slot. */
export const IN_SLOT_ROOM = 65536;
/** PACKET descriptors for `CryptoBackend.open`. */
export const IN_PACKETS = IN_SLOTS + SLOTS * SLOT_SIZE;
/** FRAMEs after inboundFinish, in order. */
export const IN_FRAMES = IN_PACKETS + MAX_PACKETS * 64;
export const IN_FRAME_IOVECS = IN_FRAMES + MAX_PACKETS * FRAME_SIZE;
/** Headers that do not stand in front of their payload (virtio, IP, TCP or UDP). */
export const IN_HEADERS = IN_FRAME_IOVECS + MAX_PACKETS * 32;
export const IN_HEADER_SIZE = 128;
/** Side notes of AH: ICV and header as they arrived. */
export const IN_SIDE = IN_HEADERS + MAX_PACKETS * IN_HEADER_SIZE;
export const IN_SIDE_SIZE = 1048576;
/**
 * Datagrams for IKE, non-ESP marker removed: u32 address, u32 length, u32 slot (its name:
 * IN_NAMES + slot × IN_NAME_SIZE), u32 reserved. Valid until the next recvmmsg.
 */
export const IN_IKE = IN_SIDE + IN_SIDE_SIZE;
export const IN_IKE_SIZE = 16;
export const IN_IKE_MAX = 1024;
export const IKE_ADDRESS = 0;
export const IKE_LENGTH = 4;
export const IKE_SLOT = 8;
/** Per slot: where its datagram was sent to (IP_PKTINFO), and what else its control messages said. */
export const IN_LOCALS = IN_IKE + IN_IKE_MAX * IN_IKE_SIZE;
export const IN_LOCAL_SIZE = 32;
/** u32: 4 or 6; 0 if the system did not say. */
export const LOCAL_FAMILY = 0;
/** u32: TOS or traffic class of the outer header. */
export const LOCAL_TOS = 4;
/** u32: bytes of each datagram but the last (UDP_GRO); the whole slot if the system merged none. */
export const LOCAL_SEGMENT = 8;
/** u32: IPv6: hop limit, 0 if not known. */
export const LOCAL_HOP_LIMIT = 12;
/** 4 or 16 bytes, wire. */
export const LOCAL_ADDRESS = 16;

// ─── Private tables of the kernel ─────────────────────────────────────────────────────────────

/** Flow cache, see assembly/spd.ts. */
export const ARENA_FLOWS = IN_LOCALS + SLOTS * IN_LOCAL_SIZE;
export const ARENA_FLOWS_SIZE = 1048576;
/** Flows whose packets may be coalesced, see assembly/inbound/coalesce.ts. */
export const ARENA_MERGES = ARENA_FLOWS + ARENA_FLOWS_SIZE;
export const ARENA_MERGES_SIZE = 65536;
/** Fragments seen lately, see assembly/ip/fragment.ts. */
export const ARENA_FRAGMENTS = ARENA_MERGES + ARENA_MERGES_SIZE;
export const ARENA_FRAGMENTS_SIZE = 65536;
/** For `initialiseCrypto`: CRYPTO_SCRATCH_SIZE of ../layout.ts. */
export const ARENA_CRYPTO = ARENA_FRAGMENTS + ARENA_FRAGMENTS_SIZE;
export const ARENA_CRYPTO_SIZE = 1048576;
/** Copies of the PACKETs that go to one of several backends, see src/dataplane/backends/split.ts. */
export const ARENA_GATHER = ARENA_CRYPTO + ARENA_CRYPTO_SIZE;
export const GATHER_MAX = 512;
/** The whole arena, in whole pages. */
export const ARENA_SIZE = ((ARENA_GATHER + GATHER_MAX * 64 + 65535) >> 16) << 16;
