/** Whole IP packets for what comes in: a name for every field, and right checksums unless told otherwise. */
import { finished, ip, sum16, tcp, udp } from './packets.ts';

export interface IpFields {
  readonly source: string;
  readonly destination: string;
  readonly tos?: number;
  readonly ttl?: number;
  readonly id?: number;
  readonly df?: boolean;
  /** Bytes from the start of the whole packet, and whether more follow. */
  readonly fragment?: { readonly offset: number; readonly more: boolean };
}

export interface TcpFields extends IpFields {
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  readonly flags?: number;
  readonly window?: number;
  readonly options?: Uint8Array;
  readonly payload?: Uint8Array;
  /** XORed into the right checksum. */
  readonly spoil?: number;
}

export const TCP = { FIN: 1, SYN: 2, PSH: 8, ACK: 16, ECE: 64, CWR: 128 } as const;

/** @returns the Internet checksum (RFC 1071) */
export const checksum = (data: Uint8Array): number => ~sum16(data) & 0xffff;

/** @returns an IPv4 or IPv6 packet, by the family of its addresses */
export function ipPacket(fields: IpFields, protocol: number, upper: Uint8Array): Buffer {
  const { source, destination, tos, ttl, id = 0, df = true, fragment } = fields;
  const place = fragment === undefined ? 0 : (fragment.offset >> 3) | (fragment.more ? 0x2000 : 0);
  const options = { source, destination, tos, ttl, id, protocol, fragment: (df ? 0x4000 : 0) | place };
  return Buffer.from(ip(upper, options).buffer);
}

const headerLength = (fields: IpFields) => (fields.source.includes(':') ? 40 : 20);

export function tcpPacket(fields: TcpFields): Buffer {
  const { acknowledgment = 0, window = 512, spoil = 0, payload = new Uint8Array() } = fields;
  const { sourcePort = 1000, destinationPort = 2000, sequence = 0, flags = TCP.ACK, options } = fields;
  const segment = { sourcePort, destinationPort, sequence: sequence >>> 0, flags };
  const upper = Buffer.from(tcp(payload, options === undefined ? segment : { ...segment, options }).buffer);
  upper.writeUInt32BE(acknowledgment, 8);
  upper.writeUInt16BE(window, 14);
  const header = headerLength(fields);
  const packet = Buffer.from(finished(ipPacket(fields, 6, upper), header, 16));
  packet.writeUInt16BE(packet.readUInt16BE(header + 16) ^ spoil, header + 16);
  return packet;
}

export interface UdpFields extends IpFields {
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly payload?: Uint8Array;
  readonly zeroChecksum?: boolean;
}

export function udpPacket(fields: UdpFields): Buffer {
  const { sourcePort = 1000, destinationPort = 2000, payload = new Uint8Array() } = fields;
  const packet = ipPacket(fields, 17, udp(payload, sourcePort, destinationPort));
  if (fields.zeroChecksum) return packet;
  const header = headerLength(fields);
  const summed = Buffer.from(finished(packet, header, 6));
  // RFC 768: 0 would mean that there is none.
  if (summed.readUInt16BE(header + 6) === 0) summed.writeUInt16BE(0xffff, header + 6);
  return summed;
}
