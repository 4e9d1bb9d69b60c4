/**
 * From the frame to packets, in one pass over its bytes: a TCP or UDP super-frame is cut into
 * segments (TSO, USO) as it is copied into the output, and checksums left open are completed.
 *
 * All functions work on the packet that `parseIp` saw last, as `Wrap` has it.
 */
import { checksumOf, copyAndSum, copyBlocks, foldSum, sumAddresses, sumBytes, udpChecksumOf, without } from "../ip/checksum";
import { Ip } from "../ip/packet";
import { IPPROTO_TCP, IPPROTO_UDP } from "../ip/protocols";
import { closePacket, openPacket, patchHeader, Wrap } from "./wrap";

export const TCP_HEADER: u32 = 20;
export const UDP_HEADER: u32 = 8;
const TCP_SEQUENCE: usize = 4;
/** Data offset and flags, two bytes; the flags alone. */
const TCP_OFFSET: usize = 12;
const TCP_FLAGS: usize = 13;
const TCP_CHECKSUM: usize = 16;
const UDP_LENGTH: usize = 4;
const UDP_CHECKSUM: usize = 6;
const FIN: u32 = 1;
const PSH: u32 = 8;
const CWR: u32 = 128;

/** @returns bytes of the TCP header at the packet's upper layer */
@inline
export function tcpHeaderLength(): u32 {
  return (<u32>load<u8>(Ip.at + Ip.header, TCP_OFFSET) >> 4) << 2;
}

/** One packet, complete but maybe for a checksum that covers [start, end) and is to be put at start + offset. */
export function emitWhole(needsChecksum: bool, start: u32, offset: u32): void {
  const inside = openPacket(Ip.length, 0);
  const end = inside + (Ip.length - Wrap.inside);
  if (!needsChecksum) {
    copyBlocks(inside, Ip.at + Wrap.inside, Ip.length - Wrap.inside);
    closePacket(end);
    return;
  }
  const covered = inside + (start - Wrap.inside);
  copyBlocks(inside, Ip.at + Wrap.inside, start - Wrap.inside);
  // What is in the field now, the pseudo-header's sum, takes part in the sum.
  const sum = copyAndSum(covered, Ip.at + start, Ip.length - start);
  store<u16>(covered + offset, Ip.protocol == IPPROTO_UDP ? udpChecksumOf(sum) : checksumOf(sum));
  closePacket(end);
}

/** TCP in segments of `size` bytes. FIN and PSH go with the last one, CWR with the first (RFC 3168 §6.1.2). */
export function emitTcp(size: u32): void {
  const tcp = Ip.at + Ip.header;
  const header = Ip.header + tcpHeaderLength();
  const flags = <u32>load<u8>(tcp, TCP_FLAGS);
  const base = tcpBaseSum(tcp, header - Ip.header);
  let sequence = bswap<u32>(load<u32>(tcp, TCP_SEQUENCE));
  let from = Ip.at + header;
  let left = Ip.length - header;
  for (let index: u32 = 0; left > 0; index++) {
    const chunk = min(left, size);
    const inside = openPacket(header + chunk, index);
    copyBlocks(inside, Ip.at + Wrap.inside, header - Wrap.inside);
    if (Wrap.inside == 0) patchHeader(inside, header + chunk, index);
    const out = inside + (Ip.header - Wrap.inside);
    const kept = flags & ~((left > chunk ? FIN | PSH : 0) | (index != 0 ? CWR : 0));
    const wireSequence = bswap<u32>(sequence);
    store<u8>(out, kept, TCP_FLAGS);
    store<u32>(out, wireSequence, TCP_SEQUENCE);
    const payload = inside + (header - Wrap.inside);
    const sum = base + copyAndSum(payload, from, chunk) + (wireSequence & 0xffff) + (wireSequence >>> 16) +
      <u32>load<u8>(tcp, TCP_OFFSET) + (kept << 8) + <u32>bswap<u16>(<u16>(header - Ip.header + chunk));
    store<u16>(out, checksumOf(sum), TCP_CHECKSUM);
    closePacket(payload + chunk);
    sequence += chunk;
    from += chunk;
    left -= chunk;
  }
}

/** What all segments' sums share: pseudo-header without length, TCP header without sequence, flags, checksum. */
function tcpBaseSum(tcp: usize, length: u32): u32 {
  const sequence = load<u32>(tcp, TCP_SEQUENCE);
  return foldSum(
    sumAddresses(Ip.at, Ip.version) + (IPPROTO_TCP << 8) + sumBytes(tcp, length) +
      without(sequence) + without(sequence >>> 16) + without(load<u16>(tcp, TCP_OFFSET)) + without(load<u16>(tcp, TCP_CHECKSUM)),
  );
}

/** UDP in datagrams of `size` bytes. */
export function emitUdp(size: u32): void {
  const udp = Ip.at + Ip.header;
  const header = Ip.header + UDP_HEADER;
  const base = sumAddresses(Ip.at, Ip.version) + (IPPROTO_UDP << 8) + <u32>load<u16>(udp) + <u32>load<u16>(udp, 2);
  let from = Ip.at + header;
  let left = Ip.length - header;
  for (let index: u32 = 0; left > 0; index++) {
    const chunk = min(left, size);
    const inside = openPacket(header + chunk, index);
    copyBlocks(inside, Ip.at + Wrap.inside, header - Wrap.inside);
    if (Wrap.inside == 0) patchHeader(inside, header + chunk, index);
    const out = inside + (Ip.header - Wrap.inside);
    const length = <u32>bswap<u16>(<u16>(UDP_HEADER + chunk));
    store<u16>(out, length, UDP_LENGTH);
    const payload = inside + (header - Wrap.inside);
    // The length counts twice: in the pseudo-header and in the header.
    const sum = base + copyAndSum(payload, from, chunk) + 2 * length;
    store<u16>(out, udpChecksumOf(sum), UDP_CHECKSUM);
    closePacket(payload + chunk);
    from += chunk;
    left -= chunk;
  }
}
