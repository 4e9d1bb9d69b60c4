/**
 * Security Association payload (RFC 7296 §3.3): proposals of transforms of attributes.
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Last (0 or 2) |   RESERVED    |         Proposal Length       |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Proposal Num  |  Protocol ID  |    SPI Size   |Num Transforms |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                        SPI (variable)                         ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Last (0 or 3) |   RESERVED    |        Transform Length       |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |Transform Type |   RESERVED    |          Transform ID         |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |A|       Attribute Type        |    AF=0  Attribute Length     |
 * |F|                             |    AF=1  Attribute Value      |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~            AF=0  Attribute Value; AF=1  not transmitted       ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { Reader, type Writer } from '../bytes.ts';
import { limitError, syntaxError } from '../error.ts';
import { PAYLOAD } from '../iana.ts';
import type { Codec } from './codec.ts';

const PROPOSAL_HEADER = 8;
const TRANSFORM_HEADER = 8;
const KEY_LENGTH_ATTRIBUTE = 14;
const FIXED_FORMAT = 0x8000;
/** RFC 7296 §3.3.1 leaves room for 255 proposals; no honest peer sends as many as these. */
const MAX_PROPOSALS = 128;

export interface Transform {
  /** TRANSFORM. */
  readonly type: number;
  /** IANA transform ID within the type. */
  readonly id: number;
  /** Key Length attribute in bits, where there is one (RFC 7296 §3.3.5). */
  readonly keyBits?: number;
  /** An attribute we do not know came along: the transform must not be chosen (RFC 7296 §3.3.6). */
  readonly unknownAttribute?: true;
}

export interface Proposal {
  /** 1 for the first; an answer carries the number of the proposal it took. */
  readonly number: number;
  /** PROTOCOL. */
  readonly protocol: number;
  /** Empty in IKE_SA_INIT, 8 bytes in an IKE rekey, 4 for ESP and AH. */
  readonly spi: Uint8Array;
  readonly transforms: readonly Transform[];
}

export interface SaPayload {
  readonly kind: 'SA';
  readonly proposals: readonly Proposal[];
}

export const sa: Codec<SaPayload> = {
  type: PAYLOAD.SA,

  parse(body) {
    const reader = new Reader(body, 'SA payload');
    const proposals: Proposal[] = [];
    let last = false;
    while (!last) {
      if (proposals.length === MAX_PROPOSALS) throw limitError(`SA payload has more than ${MAX_PROPOSALS} proposals`);
      last = parseLast(reader, 2);
      proposals.push(parseProposal(reader));
    }
    reader.end();
    return { kind: 'SA', proposals };
  },

  length: ({ proposals }) => proposals.reduce((sum, proposal) => sum + proposalLength(proposal), 0),

  emit({ proposals }, out) {
    proposals.forEach((proposal, index) => {
      emitProposal(proposal, index === proposals.length - 1, out);
    });
  },
};

/** @returns whether the substructure that starts here is the last one of its list */
function parseLast(reader: Reader, more: number): boolean {
  const marker = reader.u8();
  if (marker !== 0 && marker !== more) throw syntaxError(`${reader.what} has ${marker} where 0 or ${more} must stand`);
  reader.skip(1);
  return marker === 0;
}

function parseProposal(outer: Reader): Proposal {
  const length = outer.u16();
  if (length < PROPOSAL_HEADER) throw syntaxError(`proposal of ${length} bytes is shorter than its header`);
  const reader = outer.sub(length - 4, 'proposal');
  const number = reader.u8();
  const protocol = reader.u8();
  const spiSize = reader.u8();
  const count = reader.u8();
  const spi = reader.take(spiSize);
  const transforms: Transform[] = [];
  for (let index = 1; index <= count; index++) {
    const last = parseLast(reader, 3);
    if (last !== (index === count)) throw syntaxError('proposal has not as many transforms as it says');
    transforms.push(parseTransform(reader));
  }
  reader.end();
  return { number, protocol, spi, transforms };
}

function parseTransform(outer: Reader): Transform {
  const length = outer.u16();
  if (length < TRANSFORM_HEADER) throw syntaxError(`transform of ${length} bytes is shorter than its header`);
  const reader = outer.sub(length - 4, 'transform');
  const type = reader.u8();
  reader.skip(1);
  const id = reader.u16();
  let keyBits: number | undefined;
  let unknown = false;
  while (reader.remaining > 0) {
    const attribute = reader.u16();
    const value = reader.u16();
    if (attribute === (FIXED_FORMAT | KEY_LENGTH_ATTRIBUTE) && keyBits === undefined) {
      keyBits = value;
    } else {
      unknown = true;
      if (attribute < FIXED_FORMAT) reader.skip(value);
    }
  }
  return { type, id, ...(keyBits !== undefined && { keyBits }), ...(unknown && { unknownAttribute: true as const }) };
}

const transformLength = (transform: Transform): number => TRANSFORM_HEADER + (transform.keyBits === undefined ? 0 : 4);

const proposalLength = (proposal: Proposal): number =>
  PROPOSAL_HEADER +
  proposal.spi.length +
  proposal.transforms.reduce((sum, transform) => sum + transformLength(transform), 0);

function emitProposal(proposal: Proposal, last: boolean, out: Writer): void {
  out.u8(last ? 0 : 2);
  out.u8(0);
  out.u16(proposalLength(proposal));
  out.u8(proposal.number);
  out.u8(proposal.protocol);
  out.u8(proposal.spi.length);
  out.u8(proposal.transforms.length);
  out.put(proposal.spi);
  proposal.transforms.forEach((transform, index) => {
    out.u8(index === proposal.transforms.length - 1 ? 0 : 3);
    out.u8(0);
    out.u16(transformLength(transform));
    out.u8(transform.type);
    out.u8(0);
    out.u16(transform.id);
    if (transform.keyBits === undefined) return;
    out.u16(FIXED_FORMAT | KEY_LENGTH_ATTRIBUTE);
    out.u16(transform.keyBits);
  });
}
