/** IP packets for tests, built and taken apart byte by byte, independently of the kernel. */
import { addressBytes } from '../../src/dataplane/selector.ts';

/** RFC 1071, the slow way. @returns the sum of big-endian words, carries added */
export function sum16(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

export interface PacketOptions {
  readonly source?: string;
  readonly destination?: string;
  readonly protocol?: number;
  readonly tos?: number;
  readonly ttl?: number;
  readonly id?: number;
  /** IPv4: flags and offset field; by default DF. */
  readonly fragment?: number;
  readonly options?: Uint8Array;
}

const word = (bytes: Uint8Array, at: number, value: number) => {
  bytes[at] = (value >>> 8) & 255;
  bytes[at + 1] = value & 255;
};

/** @returns an IP packet; IPv6 if the source says so. `options` are IPv4 options, or IPv6 extension headers. */
export function ip(payload: Uint8Array, options: PacketOptions = {}): Uint8Array {
  const { source = '10.1.0.1', destination = '10.2.0.1', protocol = 17, tos = 0, ttl = 64, id = 0x1234 } = options;
  const from = addressBytes(source);
  const to = addressBytes(destination);
  const extra = options.options ?? new Uint8Array();
  if (from.length === 16) {
    const packet = new Uint8Array(40 + extra.length + payload.length);
    packet[0] = 0x60 | (tos >>> 4);
    packet[1] = (tos & 15) << 4;
    word(packet, 4, extra.length + payload.length);
    packet[6] = protocol;
    packet[7] = ttl;
    packet.set(from, 8);
    packet.set(to, 24);
    packet.set(extra, 40);
    packet.set(payload, 40 + extra.length);
    return packet;
  }
  const header = 20 + extra.length;
  const packet = new Uint8Array(header + payload.length);
  packet[0] = 0x40 | (header >>> 2);
  packet[1] = tos;
  word(packet, 2, packet.length);
  word(packet, 4, id);
  word(packet, 6, options.fragment ?? 0x4000);
  packet[8] = ttl;
  packet[9] = protocol;
  packet.set(from, 12);
  packet.set(to, 16);
  packet.set(extra, 20);
  word(packet, 10, ~sum16(packet.subarray(0, header)) & 0xffff);
  packet.set(payload, header);
  return packet;
}

/** @returns the sum of the pseudo-header of an IP packet whose upper layer has `length` bytes */
export function pseudoHeader(packet: Uint8Array, protocol: number, length: number): number {
  const addresses = packet[0]! >>> 4 === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  return sum16(addresses, protocol + length);
}

export interface Tcp {
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly sequence?: number;
  readonly flags?: number;
  readonly options?: Uint8Array;
}

/** @returns a TCP segment without checksum */
export function tcp(data: Uint8Array, segment: Tcp = {}): Uint8Array {
  const options = segment.options ?? new Uint8Array();
  const header = 20 + options.length;
  const bytes = new Uint8Array(header + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, segment.sourcePort ?? 40_000);
  view.setUint16(2, segment.destinationPort ?? 5201);
  view.setUint32(4, segment.sequence ?? 0xfffff000);
  view.setUint32(8, 0x01020304);
  bytes[12] = header << 2;
  bytes[13] = segment.flags ?? 0x10;
  view.setUint16(14, 0x7fff);
  bytes.set(options, 20);
  bytes.set(data, header);
  return bytes;
}

/** @returns a UDP datagram without checksum */
export function udp(data: Uint8Array, sourcePort = 40_000, destinationPort = 53): Uint8Array {
  const bytes = new Uint8Array(8 + data.length);
  word(bytes, 0, sourcePort);
  word(bytes, 2, destinationPort);
  word(bytes, 4, bytes.length);
  bytes.set(data, 8);
  return bytes;
}

export interface VirtioHeader {
  readonly flags?: number;
  readonly gsoType?: number;
  readonly gsoSize?: number;
  readonly checksumStart?: number;
  readonly checksumOffset?: number;
}

/** @returns a frame as a TUN with IFF_VNET_HDR delivers it */
export function frame(packet: Uint8Array, header: VirtioHeader = {}): Uint8Array {
  const bytes = new Uint8Array(10 + packet.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = header.flags ?? 0;
  bytes[1] = header.gsoType ?? 0;
  view.setUint16(4, header.gsoSize ?? 0, true);
  view.setUint16(6, header.checksumStart ?? 0, true);
  view.setUint16(8, header.checksumOffset ?? 0, true);
  bytes.set(packet, 10);
  return bytes;
}

/** Leaves a packet's TCP (16) or UDP (6) checksum to the reader, as the stack does: the pseudo-header's sum stands in it. */
export function unfinished(packet: Uint8Array, header: number, offset: number, more: VirtioHeader = {}): Uint8Array {
  const copy = packet.slice();
  word(copy, header + offset, pseudoHeader(copy, offset === 16 ? 6 : 17, copy.length - header));
  return frame(copy, { flags: 1, checksumStart: header, checksumOffset: offset, ...more });
}

/** @returns the packet with its TCP (16) or UDP (6) checksum filled in */
export function finished(packet: Uint8Array, header: number, offset: number): Uint8Array {
  const copy = packet.slice();
  word(copy, header + offset, 0);
  const start = pseudoHeader(copy, offset === 16 ? 6 : 17, copy.length - header);
  word(copy, header + offset, ~sum16(copy.subarray(header), start) & 0xffff);
  return copy;
}

export interface Parsed {
  readonly version: number;
  readonly header: number;
  readonly protocol: number;
  readonly id: number;
  readonly upper: Uint8Array;
}

/** Takes a packet without extension headers apart; throws if a length or the IPv4 checksum is wrong. */
export function parse(packet: Uint8Array): Parsed {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const version = packet[0]! >>> 4;
  if (version === 6) {
    if (view.getUint16(4) + 40 !== packet.length) throw new Error('IPv6: the payload length is wrong');
    return { version, header: 40, protocol: packet[6]!, id: 0, upper: packet.subarray(40) };
  }
  const header = (packet[0]! & 15) * 4;
  if (view.getUint16(2) !== packet.length) throw new Error('IPv4: the total length is wrong');
  if (sum16(packet.subarray(0, header)) !== 0xffff) throw new Error('IPv4: the header checksum is wrong');
  return { version, header, protocol: packet[9]!, id: view.getUint16(4), upper: packet.subarray(header) };
}

/** Does the TCP, UDP or ICMP checksum of a whole packet verify? */
export function isChecksumRight(packet: Uint8Array): boolean {
  const { protocol, upper } = parse(packet);
  const start = protocol === 1 ? 0 : pseudoHeader(packet, protocol, upper.length);
  return sum16(upper, start) === 0xffff;
}

/** @returns bytes that repeat late and show where they come from */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >>> 8) * 7 + seed) & 255);
}
