/**
 * What the ICV of an AH packet covers in front of the protected part: a copy of its headers in which
 * everything that may change on the way is zero, or as the receiver will see it (RFC 4302 §3.3.3,
 * appendix A).
 *
 *     packet   | IP header, options or extension headers | AH: next, length, SPI, sequence | ICV | …
 *     image    | mutable fields zeroed                   | as it is                        | 0   |
 *
 * The cipher reads the image as associated data and the protected part in place, so that nothing on
 * the wire is changed for the sake of the computation.
 */
import { IPPROTO_DSTOPTS, IPPROTO_HOPOPTS, IPPROTO_ROUTING } from "../ip/protocols";

/** Without ICV. */
export const AH_HEADER: u32 = 12;

const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;

/**
 * Makes an image of the copy of a packet's headers.
 * @param before bytes in front of AH
 * @param icv bytes of the ICV (and of the IV in front of it)
 * @returns whether the headers make sense
 */
export function maskImage(image: usize, before: u32, icv: u32): bool {
  memory.fill(image + before + AH_HEADER, 0, icv);
  return load<u8>(image) >> 4 == 4 ? maskIpv4(image, before) : maskIpv6(image, before);
}

/** Appendix A1: TOS, flags and fragment offset, TTL, checksum; options one by one. */
function maskIpv4(ip: usize, length: u32): bool {
  store<u8>(ip, 0, 1);
  store<u16>(ip, 0, 6);
  store<u8>(ip, 0, 8);
  store<u16>(ip, 0, 10);
  let offset = IPV4_HEADER;
  while (offset < length) {
    const type = <u32>load<u8>(ip + offset);
    // End of options; no operation: one byte, immutable.
    if (type == 0) break;
    if (type == 1) {
      offset++;
      continue;
    }
    if (offset + 2 > length) return false;
    const size = <u32>load<u8>(ip + offset, 1);
    if (size < 2 || offset + size > length) return false;
    // Loose and strict source route: the destination is predictable, the option itself is not.
    if (type == 131 || type == 137) predictDestination(ip, ip + offset, size);
    if (!isImmutable(type)) memory.fill(ip + offset, 0, size);
    offset += size;
  }
  return true;
}

/** Security, extended and commercial security, router alert, selective directed broadcast. */
@inline
function isImmutable(type: u32): bool {
  return type == 130 || type == 133 || type == 134 || type == 148 || type == 149;
}

/** A source route not yet used up ends at its last address (RFC 791 §3.1). */
function predictDestination(ip: usize, option: usize, size: u32): void {
  const pointer = <u32>load<u8>(option, 2);
  if (size >= 7 && pointer + 3 <= size) store<u32>(ip, load<u32>(option + size - 4), 16);
}

/** Appendix A2: traffic class, flow label, hop limit; extension headers one by one. */
function maskIpv6(ip: usize, length: u32): bool {
  store<u32>(ip, 0x60);
  store<u8>(ip, 0, 7);
  let next = <u32>load<u8>(ip, 6);
  let offset = IPV6_HEADER;
  while (offset < length) {
    if (offset + 8 > length) return false;
    const header = ip + offset;
    const size = (<u32>load<u8>(header, 1) + 1) << 3;
    if (offset + size > length) return false;
    if (next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS) {
      if (!maskOptions(header + 2, size - 2)) return false;
    } else if (next == IPPROTO_ROUTING) {
      if (!predictRoute(ip, header, size)) return false;
    } else return false;
    next = load<u8>(header);
    offset += size;
  }
  return true;
}

/** Data of an option that may change en route (third bit of its type) counts as zero (RFC 8200 §4.2). */
function maskOptions(option: usize, length: u32): bool {
  const end = option + length;
  while (option < end) {
    const type = <u32>load<u8>(option);
    if (type == 0) {
      option++;
      continue;
    }
    if (option + 2 > end) return false;
    const size = <u32>load<u8>(option, 1);
    if (option + 2 + size > end) return false;
    if (type & 0x20) memory.fill(option + 2, 0, size);
    option += 2 + size;
  }
  return true;
}

/**
 * Routing headers of types 0 and 2 swap the destination with their next address at every stop: goes
 * through what is left, so that the image is the receiver's (RFC 8200 §4.4, RFC 6275 §6.4). Others
 * are taken as they are.
 */
function predictRoute(ip: usize, header: usize, size: u32): bool {
  const type = <u32>load<u8>(header, 2);
  if (type != 0 && type != 2) return true;
  const addresses = (size - 8) >> 4;
  const left = <u32>load<u8>(header, 3);
  if (left > addresses) return false;
  for (let i = addresses - left; i < addresses; i++) {
    const stop = header + 8 + (<usize>i << 4);
    const destination = v128.load(ip, 24);
    v128.store(ip, v128.load(stop), 24);
    v128.store(stop, destination);
  }
  store<u8>(header, 0, 3);
  return true;
}
