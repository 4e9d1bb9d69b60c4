/**
 * The IKE header (RFC 7296 §3.1).
 *
 *                      1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                       IKE SA Initiator's SPI                  |
 * |                                                               |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                       IKE SA Responder's SPI                  |
 * |                                                               |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Next Payload | MjVer | MnVer | Exchange Type |  0 0 R V I 0  |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                          Message ID                           |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                            Length                             |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { Reader, type Writer } from './bytes.ts';
import { WireError } from './error.ts';
import { NOTIFY } from './iana.ts';

export const HEADER_LENGTH = 28;
/** RFC 7296 §2: every implementation takes 3000 bytes; ours takes whatever fits a UDP datagram. */
export const MAX_MESSAGE_LENGTH = 65_507;
export const MAJOR_VERSION = 2;

const FLAG_INITIATOR = 0x08;
const FLAG_VERSION = 0x10;
const FLAG_RESPONSE = 0x20;

export interface Header {
  /** SPI chosen by the initiator of the IKE SA; never 0. */
  readonly spiI: bigint;
  /** SPI chosen by the responder; 0 in the first message. */
  readonly spiR: bigint;
  /** EXCHANGE. */
  readonly exchange: number;
  /** Sent by the original initiator of this IKE SA (I flag). */
  readonly fromInitiator: boolean;
  /** A response to the message with the same ID (R flag). */
  readonly response: boolean;
  /** Unsigned 32 bits. */
  readonly messageId: number;
}

export interface ParsedHeader extends Header {
  readonly nextPayload: number;
  readonly majorVersion: number;
  readonly minorVersion: number;
  /** The sender could speak a higher major version (V flag). */
  readonly higherVersion: boolean;
  /** Bytes of the whole message, header included. */
  readonly length: number;
}

const malformed = (message: string): WireError => new WireError('ERR_WIRE_SYNTAX', message);

/**
 * Reads the fields and checks nothing but that they are there: for answering another version.
 * @throws WireError without a notify if there are fewer than 28 bytes
 */
export function readHeader(data: Uint8Array): ParsedHeader {
  if (data.length < HEADER_LENGTH) throw malformed(`IKE header needs ${HEADER_LENGTH} bytes, ${data.length} arrived`);
  const reader = new Reader(data, 'IKE header');
  const spiI = reader.u64();
  const spiR = reader.u64();
  const nextPayload = reader.u8();
  const version = reader.u8();
  const exchange = reader.u8();
  const flags = reader.u8();
  return {
    spiI,
    spiR,
    nextPayload,
    majorVersion: version >> 4,
    minorVersion: version & 15,
    exchange,
    fromInitiator: (flags & FLAG_INITIATOR) !== 0,
    response: (flags & FLAG_RESPONSE) !== 0,
    higherVersion: (flags & FLAG_VERSION) !== 0,
    messageId: reader.u32(),
    length: reader.u32(),
  };
}

/**
 * @param data one datagram, without non-ESP marker
 * @throws WireError: with INVALID_MAJOR_VERSION for a higher version, else without a notify
 */
export function parseHeader(data: Uint8Array): ParsedHeader {
  const header = readHeader(data);
  if (header.majorVersion !== MAJOR_VERSION) {
    // RFC 7296 §2.5: only a higher version is answered.
    const notify = header.majorVersion > MAJOR_VERSION ? NOTIFY.INVALID_MAJOR_VERSION : undefined;
    const version = `${header.majorVersion}.${header.minorVersion}`;
    throw new WireError('ERR_WIRE_VERSION', `IKE version ${version} is not 2.0`, notify);
  }
  if (header.length !== data.length) {
    throw malformed(`IKE header says ${header.length} bytes, the datagram has ${data.length}`);
  }
  if (header.spiI === 0n) throw malformed("IKE header has 0 as the initiator's SPI");
  return header;
}

/** Writes version 2.0; the reserved bits and V are 0. `length` is the whole message's. */
export function emitHeader(header: Header, nextPayload: number, length: number, out: Writer): void {
  out.u64(header.spiI);
  out.u64(header.spiR);
  out.u8(nextPayload);
  out.u8(MAJOR_VERSION << 4);
  out.u8(header.exchange);
  out.u8((header.fromInitiator ? FLAG_INITIATOR : 0) | (header.response ? FLAG_RESPONSE : 0));
  out.u32(header.messageId);
  out.u32(length);
}

/** @returns an SPI as 16 hexadecimal digits, for logs and keys */
export const spiText = (spi: bigint): string => spi.toString(16).padStart(16, '0');
