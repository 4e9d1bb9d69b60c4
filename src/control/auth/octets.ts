/**
 * What an AUTH payload covers (RFC 7296 §2.15), with the IKE_INTERMEDIATE exchanges before it
 * (RFC 9242 §3.3.2):
 *
 *   InitiatorSignedOctets = RealMessage1 | NonceRData | MACedIDForI [| IntAuth]
 *   ResponderSignedOctets = RealMessage2 | NonceIData | MACedIDForR [| IntAuth]
 *   MACedIDForI = prf(SK_pi, RestOfInitIDPayload)
 *   IntAuth     = IntAuth_iN | IntAuth_rN | IKE_AUTH_MID
 */
import type { Prf } from '../crypto/provider.ts';
import { concat, Writer } from '../wire/bytes.ts';
import { PAYLOAD } from '../wire/iana.ts';
import type { OpenedMessage, ParsedMessage } from '../wire/message.ts';
import { idBody } from '../wire/payloads/id.ts';
import { SK_HEADER_LENGTH } from '../wire/payloads/sk.ts';
import type { IdentityBytes } from './identity.ts';

/** Everything that the octets of one side are made of. */
export interface SignedInputs {
  readonly prf: Prf;
  /** The IKE_SA_INIT message of the side that authenticates, as it went over the wire, without a non-ESP marker. */
  readonly initMessage: Uint8Array;
  /** The nonce of the other side. */
  readonly otherNonce: Uint8Array;
  /** SK_pi if the initiator authenticates, else SK_pr; with a PPK, the mixed one (RFC 8784 §3). */
  readonly skP: Uint8Array;
  /** The ID payload of the side that authenticates. */
  readonly id: IdentityBytes;
  /** From `intAuth`, if there were IKE_INTERMEDIATE exchanges. */
  readonly intAuth?: Uint8Array;
}

/** @returns InitiatorSignedOctets or ResponderSignedOctets */
export function signedOctets({ prf, initMessage, otherNonce, skP, id, intAuth }: SignedInputs): Uint8Array {
  const macedId = prf.compute(skP, idBody(id));
  return concat(initMessage, otherNonce, macedId, intAuth ?? new Uint8Array());
}

const LENGTH_OFFSET = 24;
const NEXT_PAYLOAD_OFFSET = 16;

/**
 * One link of the chain over IKE_INTERMEDIATE messages of one side:
 * IntAuth_*N = prf(SK_p*N, [IntAuth_*(N-1)] | IntAuth_*NA | IntAuth_*NP) (RFC 9242 §3.3.2).
 * @param skP of the sender, in force when the message was sent
 * @param previous undefined for the sender's first IKE_INTERMEDIATE message
 * @param message as it was sent or received; of a fragmented one, the first fragment
 * @param opened its payloads, of all fragments together
 */
export function intermediateAuth(
  prf: Prf,
  skP: Uint8Array,
  previous: Uint8Array | undefined,
  message: ParsedMessage,
  opened: Pick<OpenedMessage, 'plaintext' | 'firstPayload'>,
): Uint8Array {
  const covered = wholeHead(message, opened);
  return prf.compute(skP, previous ?? new Uint8Array(), covered, opened.plaintext);
}

/**
 * IntAuth_*NA: header to SK payload header of the message as it would be without fragmentation, with
 * both length fields counting neither IV, padding, Pad Length nor ICV.
 */
function wholeHead(
  { data, encrypted }: ParsedMessage,
  { plaintext, firstPayload }: Pick<OpenedMessage, 'plaintext' | 'firstPayload'>,
): Uint8Array {
  if (encrypted === undefined) throw new Error('IKE_INTERMEDIATE message is not protected');
  const end = encrypted.bodyOffset - (encrypted.fragment === undefined ? 0 : 4);
  const head = data.slice(0, end);
  const view = new DataView(head.buffer);
  if (head[NEXT_PAYLOAD_OFFSET] === PAYLOAD.SKF) head[NEXT_PAYLOAD_OFFSET] = PAYLOAD.SK;
  view.setUint32(LENGTH_OFFSET, end + plaintext.length);
  head[end - SK_HEADER_LENGTH] = firstPayload;
  view.setUint16(end - 2, SK_HEADER_LENGTH + plaintext.length);
  return head;
}

/**
 * @param initiator IntAuth_iN @param responder IntAuth_rN
 * @param authMessageId Message ID of the first IKE_AUTH exchange
 * @returns IntAuth (RFC 9242 §3.3.2)
 */
export function intAuth(initiator: Uint8Array, responder: Uint8Array, authMessageId: number): Uint8Array {
  const id = new Writer(4);
  id.u32(authMessageId);
  return concat(initiator, responder, id.bytes);
}
