/** Builds IP packets byte by byte for tests, with right checksums unless told otherwise. */
import ipaddr from 'ipaddr.js';

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

const bytesOf = (address: string): Uint8Array => Uint8Array.from(ipaddr.parse(address).toByteArray());

/** @returns the Internet checksum (RFC 1071) */
export function checksum(...parts: readonly Uint8Array[]): number {
  const data = Buffer.concat(parts);
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) sum += (data[i]! << 8) | (data[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** @returns an IPv4 or IPv6 packet, by the family of its addresses */
export function ipPacket(fields: IpFields, protocol: number, upper: Uint8Array): Buffer {
  const source = bytesOf(fields.source);
  const destination = bytesOf(fields.destination);
  if (source.length === 4) {
    const header = Buffer.alloc(20);
    header[0] = 0x45;
    header[1] = fields.tos ?? 0;
    header.writeUInt16BE(20 + upper.length, 2);
    header.writeUInt16BE(fields.id ?? 0, 4);
    const place = fields.fragment ? (fields.fragment.offset >> 3) | (fields.fragment.more ? 0x2000 : 0) : 0;
    header.writeUInt16BE(((fields.df ?? true) ? 0x4000 : 0) | place, 6);
    header[8] = fields.ttl ?? 64;
    header[9] = protocol;
    header.set(source, 12);
    header.set(destination, 16);
    header.writeUInt16BE(checksum(header), 10);
    return Buffer.concat([header, upper]);
  }
  const header = Buffer.alloc(40);
  header.writeUInt32BE((0x60000000 | ((fields.tos ?? 0) << 20)) >>> 0, 0);
  header.writeUInt16BE(upper.length, 4);
  header[6] = protocol;
  header[7] = fields.ttl ?? 64;
  header.set(source, 8);
  header.set(destination, 24);
  return Buffer.concat([header, upper]);
}

function pseudo(fields: IpFields, protocol: number, length: number): Buffer {
  const tail = Buffer.alloc(8);
  tail.writeUInt32BE(length, 0);
  tail[7] = protocol;
  return Buffer.concat([bytesOf(fields.source), bytesOf(fields.destination), tail]);
}

export function tcpPacket(fields: TcpFields): Buffer {
  const options = fields.options ?? new Uint8Array();
  const header = Buffer.alloc(20 + options.length);
  header.writeUInt16BE(fields.sourcePort ?? 1000, 0);
  header.writeUInt16BE(fields.destinationPort ?? 2000, 2);
  header.writeUInt32BE((fields.sequence ?? 0) >>> 0, 4);
  header.writeUInt32BE(fields.acknowledgment ?? 0, 8);
  header[12] = (header.length / 4) << 4;
  header[13] = fields.flags ?? TCP.ACK;
  header.writeUInt16BE(fields.window ?? 512, 14);
  header.set(options, 20);
  const upper = Buffer.concat([header, fields.payload ?? new Uint8Array()]);
  upper.writeUInt16BE(checksum(pseudo(fields, 6, upper.length), upper) ^ (fields.spoil ?? 0), 16);
  return ipPacket(fields, 6, upper);
}

export interface UdpFields extends IpFields {
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly payload?: Uint8Array;
  readonly zeroChecksum?: boolean;
}

export function udpPacket(fields: UdpFields): Buffer {
  const payload = fields.payload ?? new Uint8Array();
  const upper = Buffer.concat([Buffer.alloc(8), payload]);
  upper.writeUInt16BE(fields.sourcePort ?? 1000, 0);
  upper.writeUInt16BE(fields.destinationPort ?? 2000, 2);
  upper.writeUInt16BE(upper.length, 4);
  if (!fields.zeroChecksum) upper.writeUInt16BE(checksum(pseudo(fields, 17, upper.length), upper) || 0xffff, 6);
  return ipPacket(fields, 17, upper);
}

/** @returns whether the transport checksum of a TCP or UDP packet is right */
export function verifies(packet: Uint8Array): boolean {
  const version = packet[0]! >> 4;
  const offset = version === 4 ? (packet[0]! & 15) * 4 : 40;
  const protocol = version === 4 ? packet[9]! : packet[6]!;
  const addresses = version === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  const tail = Buffer.alloc(8);
  tail.writeUInt32BE(packet.length - offset, 0);
  tail[7] = protocol;
  return checksum(addresses, tail, packet.subarray(offset)) === 0;
}
