/**
 * Encrypted payload (RFC 7296 §3.14) and Encrypted Fragment payload (RFC 7383 §2.5). What stands
 * in front of the IV is authenticated; SK is the last payload of its message, and its Next
 * Payload field names the first payload inside.
 *
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Next Payload  |C|  RESERVED   |         Payload Length        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  SKF only: Fragment Number    |  SKF only: Total Fragments    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                     Initialization Vector                     ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                    Encrypted IKE Payloads                     ~
 * +               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |               |             Padding (0-255 octets)            |
 * +-+-+-+-+-+-+-+-+                               +-+-+-+-+-+-+-+-+
 * |                                               |  Pad Length   |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                    Integrity Checksum Data                    ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { Reader, type Writer } from '../bytes.ts';
import { limitError, syntaxError } from '../error.ts';
import { PAYLOAD } from '../iana.ts';

/** RFC 7383 leaves room for 65535 fragments; 64 carry any message IKE needs. */
export const MAX_FRAGMENTS = 64;
export const SK_HEADER_LENGTH = 4;
export const SKF_HEADER_LENGTH = 8;

/** Keys and algorithms that protect one direction of an IKE SA; made by `crypto/protection.ts`. */
export interface SkProtection {
  /** @returns bytes from IV to checksum that hold so many bytes of payloads */
  sealedLength(plaintextLength: number): number;
  /** @returns the most bytes of payloads that so many bytes from IV to checksum can hold; below 0 for none */
  capacity(sealedLength: number): number;
  /**
   * @param head the message up to the IV, its length fields already final
   * @returns the whole message
   */
  seal(head: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /**
   * @param bodyOffset where the IV begins
   * @returns the payloads inside, padding removed
   * @throws WireError `ERR_WIRE_INTEGRITY`, which is never answered
   */
  open(message: Uint8Array, bodyOffset: number): Uint8Array;
  /** Overwrites the keys; the object must not be used afterwards. */
  destroy(): void;
}

/** The SK or SKF payload of a message that was not opened yet. */
export interface EncryptedPart {
  readonly kind: 'SK' | 'SKF';
  /** Type of the first payload inside; 0 in a fragment after the first. */
  readonly firstPayload: number;
  /** Where the IV begins, in bytes from the message's first. */
  readonly bodyOffset: number;
  /** SKF: 1-based number and how many there are. */
  readonly fragment?: { readonly number: number; readonly total: number };
}

/**
 * @param type SK or SKF
 * @param offset of the payload's body in the message
 * @throws WireError
 */
export function parseEncrypted(type: number, firstPayload: number, message: Uint8Array, offset: number): EncryptedPart {
  if (type === PAYLOAD.SK) return { kind: 'SK', firstPayload, bodyOffset: offset };
  const reader = new Reader(message.subarray(offset), 'SKF payload');
  const number = reader.u16();
  const total = reader.u16();
  if (number === 0 || number > total) throw syntaxError(`SKF payload is fragment ${number} of ${total}`);
  if (total > MAX_FRAGMENTS) throw limitError(`SKF payload is one of ${total} fragments, ${MAX_FRAGMENTS} at most`);
  if (number > 1 && firstPayload !== PAYLOAD.NONE) {
    throw syntaxError(`SKF payload ${number} names a first payload, which only the first may`);
  }
  return { kind: 'SKF', firstPayload, bodyOffset: offset + 4, fragment: { number, total } };
}

/** Writes the payload header; `length` counts it, the IV and everything behind. */
export function emitEncryptedHeader(part: Omit<EncryptedPart, 'bodyOffset'>, length: number, out: Writer): void {
  out.u8(part.firstPayload);
  out.u8(0);
  out.u16(length);
  if (part.fragment === undefined) return;
  out.u16(part.fragment.number);
  out.u16(part.fragment.total);
}
