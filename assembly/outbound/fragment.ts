/**
 * Fragmentation before IPsec (RFC 4301 §8.2): an IPv4 packet that is too long for the path, and may
 * be fragmented, is cut into fragments that each travel in a packet of their own (RFC 791 §3.2).
 */
import { checksumOf, copyBlocks, storeIpv4Checksum, sumBytes, udpChecksumOf } from "../ip/checksum";
import { Ip, IPV4_HEADER } from "../ip/packet";
import { IPPROTO_UDP } from "../ip/protocols";
import { closePacket, openPacket, patchHeader } from "./wrap";

const MORE_FRAGMENTS: u32 = 0x2000;
const OPTION_END: u32 = 0;
const OPTION_NOP: u32 = 1;
/** Bit of an option's type: it goes into every fragment. */
const OPTION_COPIED: u32 = 0x80;

/** Bytes of payload in each fragment but the last. */
@inline
function fragmentPayload(mtu: u32): u32 {
  return (mtu - Ip.header) & ~7;
}

/** @returns how many fragments the packet that `parseIp` saw last makes */
export function countFragments(mtu: u32): u32 {
  const size = fragmentPayload(mtu);
  return (Ip.length - Ip.header + size - 1) / size;
}

/** Completes a checksum left open, in place: it covers what is about to be cut. */
export function completeChecksum(start: u32, offset: u32): void {
  const sum = sumBytes(Ip.at + start, Ip.length - start);
  store<u16>(Ip.at + start + offset, Ip.protocol == IPPROTO_UDP ? udpChecksumOf(sum) : checksumOf(sum));
}

/** Emits the fragments of the packet that `parseIp` saw last, in tunnel mode. */
export function emitFragments(mtu: u32): void {
  const header = Ip.header;
  const size = fragmentPayload(mtu);
  const more = Ip.moreFragments ? MORE_FRAGMENTS : 0;
  for (let offset: u32 = 0, left = Ip.length - header; left > 0; ) {
    const chunk = min(left, size);
    const inside = openPacket(header + chunk, 0);
    copyBlocks(inside, Ip.at, header);
    if (offset != 0 && header > IPV4_HEADER) blankOptions(inside + IPV4_HEADER, inside + header);
    left -= chunk;
    const field = ((Ip.fragmentOffset + offset) >>> 3) | (left > 0 ? MORE_FRAGMENTS : more);
    store<u16>(inside, bswap<u16>(<u16>field), 6);
    patchHeader(inside, header + chunk, 0);
    storeIpv4Checksum(inside);
    copyBlocks(inside + header, Ip.at + header + offset, chunk);
    closePacket(inside + header + chunk);
    offset += chunk;
  }
}

/** Options that belong to the first fragment only become no-operations in the others. */
function blankOptions(option: usize, end: usize): void {
  while (option < end) {
    const type = <u32>load<u8>(option);
    if (type == OPTION_END) return;
    const length = type == OPTION_NOP ? 1 : min<u32>(load<u8>(option, 1), <u32>(end - option));
    if (length == 0) return;
    if (!(type & OPTION_COPIED)) memory.fill(option, <u8>OPTION_NOP, length);
    option += length;
  }
}
