/**
 * IKEv2 message fragmentation (RFC 7383): one protected message in several datagrams, each sealed
 * on its own. Nothing is stored that did not prove authentic, and what is stored is bounded.
 */

import { wipe } from '../crypto/secret.ts';
import { concat } from '../wire/bytes.ts';
import { limitError } from '../wire/error.ts';
import type { Header } from '../wire/header.ts';
import { HEADER_LENGTH, MAX_MESSAGE_LENGTH } from '../wire/header.ts';
import { emitPayloads, type ParsedMessage, sealPart } from '../wire/message.ts';
import type { Payload } from '../wire/payloads/index.ts';
import { MAX_FRAGMENTS, SK_HEADER_LENGTH, SKF_HEADER_LENGTH, type SkProtection } from '../wire/payloads/sk.ts';

/** A protected message as it goes out. */
export interface SealedMessage {
  /** One, or one for each fragment. */
  readonly datagrams: readonly Uint8Array[];
  readonly plaintext: Uint8Array;
  readonly firstPayload: number;
}

/** IP and UDP headers and the non-ESP marker, which count towards the size of a fragment. */
const overhead = (ipv6: boolean): number => (ipv6 ? 40 : 20) + 8 + 4;

/**
 * @param maxDatagram bytes of IP datagram above which to fragment; undefined if the peer cannot take fragments
 * @throws RangeError if it needs more than `MAX_FRAGMENTS`, or fits no datagram
 */
export function sealAll(
  header: Header,
  payloads: readonly Payload[],
  protection: SkProtection,
  maxDatagram: number | undefined,
  ipv6: boolean,
): SealedMessage {
  const { plaintext, firstPayload } = emitPayloads(payloads);
  const whole = HEADER_LENGTH + SK_HEADER_LENGTH + protection.sealedLength(plaintext.length);
  const limit = maxDatagram === undefined ? MAX_MESSAGE_LENGTH : maxDatagram - overhead(ipv6);
  if (whole <= limit) {
    return {
      datagrams: [sealPart(header, { kind: 'SK', firstPayload }, plaintext, protection)],
      plaintext,
      firstPayload,
    };
  }
  const capacity = protection.capacity(limit - HEADER_LENGTH - SKF_HEADER_LENGTH);
  const total = Math.ceil(plaintext.length / capacity);
  if (capacity <= 0 || total > MAX_FRAGMENTS)
    throw new RangeError(`IKE message of ${whole} bytes needs too many fragments`);
  const datagrams = Array.from({ length: total }, (_, index) =>
    sealPart(
      header,
      { kind: 'SKF', firstPayload: index === 0 ? firstPayload : 0, fragment: { number: index + 1, total } },
      plaintext.subarray(index * capacity, (index + 1) * capacity),
      protection,
    ),
  );
  return { datagrams, plaintext, firstPayload };
}

/** A message all of whose fragments came. */
export interface Reassembled {
  readonly firstPayload: number;
  readonly plaintext: Uint8Array;
  /** The first fragment: IntAuth and the detection of repetitions go by it. */
  readonly first: ParsedMessage;
}

/** The fragments of one message so far. */
export class Reassembly {
  private readonly parts: (Uint8Array | undefined)[] = [];
  private total = 0;
  private held = 0;
  private bytes = 0;
  private firstMessage: ParsedMessage | undefined;

  /**
   * @param message with an SKF payload
   * @returns the message once it is complete
   * @throws WireError `ERR_WIRE_INTEGRITY` if the fragment is not authentic, `ERR_WIRE_LIMIT` if it is
   *   one more than a whole message has: then all of them are forgotten
   */
  add(message: ParsedMessage, protection: SkProtection): Reassembled | undefined {
    const { number, total } = message.encrypted!.fragment!;
    // RFC 7383 §2.6: more fragments than before is the same message cut smaller, fewer is an old copy.
    if (total < this.total || (total === this.total && this.parts[number - 1] !== undefined)) return undefined;
    const plaintext = protection.open(message.data, message.encrypted!.bodyOffset);
    if (total > this.total) this.restart(total);
    this.parts[number - 1] = plaintext;
    this.held++;
    this.bytes += plaintext.length;
    if (this.bytes > MAX_MESSAGE_LENGTH) {
      this.restart(0);
      throw limitError(`fragments hold more than the ${MAX_MESSAGE_LENGTH} bytes of a whole message`);
    }
    if (number === 1) this.firstMessage = { ...message, data: message.data.slice() };
    if (this.held < this.total || this.firstMessage === undefined) return undefined;
    const whole = concat(...this.parts.map((part) => part!));
    const first = this.firstMessage;
    this.restart(0);
    return { firstPayload: first.encrypted!.firstPayload, plaintext: whole, first };
  }

  private restart(total: number): void {
    wipe(...this.parts);
    this.parts.length = 0;
    this.total = total;
    this.held = 0;
    this.bytes = 0;
    this.firstMessage = undefined;
  }
}
