/**
 * The map of shared linear memory, read by AssemblyScript and by TypeScript alike.
 *
 * Plain integer constants only: no types, no functions, no imports. Every offset is in bytes, every multi-byte
 * field is little-endian unless it says "wire" (then network byte order). Here: what a crypto
 * backend sees. `layout/records.ts`: what the workers share. `layout/arena.ts`: what one owns.
 *
 *          0 +----------------------------------------------------------------+
 *            | constants of the compiler                                      |
 * STATIC_END +----------------------------------------------------------------+
 *            | HEADER: where the regions below lie                            |
 *            +----------------------------------------------------------------+
 *            | SPI hash table · SA records · POLICY records                   |
 *            +----------------------------------------------------------------+
 *            | heap: KEY blocks, selectors, replay windows, classifier        |
 *            +----------------------------------------------------------------+
 *            | ARENA 0 · ARENA 1 · …  one per worker                          |
 *            +----------------------------------------------------------------+
 */

// ─── KEY block ────────────────────────────────────────────────────────────────────────────────
//
// The keys of one SA in one direction, as a crypto backend sees them. The raw part is written by
// the engine's thread when the SA is installed; the kernel's `setupKey` derives the expanded
// state behind it (round keys, GHASH tables, HMAC midstates). The whole block is wiped on removal.
//
//      0         4         8         12        16        20        24        28
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//   0 | ENCR    | INTEG   | KEY_LEN | INTEG_  | ICV_LEN | IV_LEN  | SERIAL  | STATE_  |
//     |         |         |         | KEY_LEN |         |         |         | LENGTH  |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//  32 | SALT (4, rest zero)                   | KEY (32)                              |
//     +---------+---------+---------+---------+                                       +
//  64 |                                       | INTEG_KEY (64)                        |
//     +---------+---------+---------+---------+                                       +
//  96 |                                                                               |
//     +                                       +---------+---------+---------+---------+
// 128 |                                       | BACKEND | reserved (44)               |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
// 192 | STATE: expanded key material, STATE_LENGTH bytes, 64-byte aligned             |
//     +-------------------------------------------------------------------------------+

/** u32: IANA "Transform Type 1" number (20 = AES-GCM-16, 28 = ChaCha20-Poly1305, …). */
export const KEY_ENCR = 0;
/** u32: IANA "Transform Type 3" number, 0 for none (combined modes). */
export const KEY_INTEG = 4;
/** u32: bytes of KEY in use, without the salt. */
export const KEY_KEY_LENGTH = 8;
/** u32: bytes of INTEG_KEY in use. */
export const KEY_INTEG_KEY_LENGTH = 12;
/** u32: bytes of the ICV on the wire. */
export const KEY_ICV_LENGTH = 16;
/** u32: bytes of the explicit IV on the wire. */
export const KEY_IV_LENGTH = 20;
/** u32: changes whenever the block is given to another SA; keys the contexts of JavaScript backends. */
export const KEY_SERIAL = 24;
/** u32: bytes of STATE in use. */
export const KEY_STATE_LENGTH = 28;
/** 4 bytes: the implicit part of the nonce (RFC 4106 §4, RFC 7634 §2; CTR and CCM use 4 and 3). */
export const KEY_SALT = 32;
/** Up to 32 bytes: the encryption key. */
export const KEY_KEY = 48;
/** Up to 64 bytes: the integrity key. */
export const KEY_INTEG_KEY = 80;
/** u32, atomic: which of the workers' backends the SA's packets go to; 0 is the gateway's. A backend leaves it alone. */
export const KEY_BACKEND = 144;
/** Expanded state starts here; the block itself is 64-byte aligned. */
export const KEY_STATE = 192;

// ─── PACKET descriptor ────────────────────────────────────────────────────────────────────────
//
// One packet to seal or open. The batch is an array of these; a backend works in place.
//
//      0         4         8         12        16        20        24        28
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//   0 | KEY     | PAYLOAD | LENGTH  | IV      | AAD     | AAD_    | ICV     | STATUS  |
//     |         |         |         |         |         | LENGTH  |         |         |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//  32 | SEQ_HI  | FLAGS   | USER0   | USER1   | INLINE (16): AAD built by the framer  |
//     +---------+---------+---------+---------+---------+---------+---------+---------+
//
// A backend may write PAYLOAD[0, LENGTH), ICV[0, icvLength) (seal only) and STATUS, and nothing
// else: the bytes behind the ICV belong to the next packet of a GRO buffer. It may read up to
// 1024 bytes past any of them.

/** u32: address of the KEY block. */
export const PACKET_KEY = 0;
/** u32: address of the bytes to encrypt or decrypt in place. */
export const PACKET_PAYLOAD = 4;
/** u32: their number. */
export const PACKET_LENGTH = 8;
/** u32: address of the explicit IV (the framer writes it before seal, it is read for open). */
export const PACKET_IV = 12;
/**
 * u32: address of the associated data. Combined modes: SPI ‖ (SEQ_HI ‖) SEQ, 8 or 12 bytes
 * (RFC 4106 §5). Encryption with a separate ICV: the ESP header and the IV, contiguous with the
 * payload, so that the ICV covers [AAD, PAYLOAD + LENGTH) and then SEQ_HI if FLAG_ESN is set
 * (RFC 4303 §2.8, §3.3.2.1).
 */
export const PACKET_AAD = 16;
/** u32: its length in bytes; combined modes accept any length. */
export const PACKET_AAD_LENGTH = 20;
/** u32: address of the ICV. */
export const PACKET_ICV = 24;
/** u32: one of STATUS_*, written by the backend. */
export const PACKET_STATUS = 28;
/** u32: the high half of the sequence number, host order; covered by the ICV if FLAG_ESN. */
export const PACKET_SEQ_HI = 32;
/** u32: PACKET_FLAG_* bits. */
export const PACKET_FLAGS = 36;
/** u32 × 2: the framer's own; a backend leaves them alone. */
export const PACKET_USER0 = 40;
export const PACKET_USER1 = 44;
/** 16 bytes: room for AAD that is not contiguous on the wire (ESN). */
export const PACKET_INLINE = 48;
export const PACKET_SIZE = 64;

export const PACKET_FLAG_ESN = 1;

/** Sealed, or opened and authentic. */
export const STATUS_OK = 0;
/** The ICV did not verify: the payload has been zeroed (RFC 4303 §3.4.4.1). */
export const STATUS_BAD_ICV = 1;
/** The length does not fit the algorithm (e.g. not a multiple of the block). */
export const STATUS_BAD_LENGTH = 2;
/** Not processed yet; the framer's initial value for an inbound packet. */
export const STATUS_PENDING = 3;

// ─── Regions ──────────────────────────────────────────────────────────────────────────────────

/** The compiler's own constants lie below; every instantiation writes them again, so no state there. */
export const STATIC_END = 65536;
/**
 * Bytes of private scratch each instance hands to `initialiseCrypto`: for work, zero again after every call,
 * and behind that for what is kept of KEYs until `forgetKey` (assembly/crypto/gcm-tables.ts).
 */
export const CRYPTO_WORK_SIZE = 262144;
export const CRYPTO_SCRATCH_SIZE = 1048576;
