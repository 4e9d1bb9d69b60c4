/**
 * The Internet checksum (RFC 1071).
 *
 * A one's complement sum does not care about byte order, as long as it is stored the way it was
 * loaded: all sums here are of little-endian 16-bit words, and `store<u16>` puts them on the wire.
 * A sum is a u32 that may still hold carries; `foldSum` takes them in.
 */

/** Adds the carries of a sum back in. @returns 16 bits */
@inline
export function foldSum(sum: u32): u32 {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/** @returns the checksum to be stored for data with that sum */
@inline
export function checksumOf(sum: u32): u16 {
  return <u16>~foldSum(sum);
}

/** @returns the UDP checksum to be stored: 0 means "none" there, and is sent as 0xffff (RFC 768) */
@inline
export function udpChecksumOf(sum: u32): u16 {
  const checksum = checksumOf(sum);
  return checksum == 0 ? 0xffff : checksum;
}

/** A 64-bit sum of u32 words, taken down to 32 bits with its carries. */
@inline
export function foldWide(sum: u64): u32 {
  sum = (sum & 0xffffffff) + (sum >>> 32);
  sum = (sum & 0xffffffff) + (sum >>> 32);
  return foldSum(<u32>sum);
}

/** Lanes of u32 to one sum. */
@inline
function foldLanes(lanes: v128): u32 {
  const pairs = i64x2.add(i64x2.extend_low_i32x4_u(lanes), i64x2.extend_high_i32x4_u(lanes));
  return foldWide(<u64>i64x2.extract_lane(pairs, 0) + <u64>i64x2.extract_lane(pairs, 1));
}

/** The last `length` bytes (below 16) as a sum, as if zeros followed. */
@inline
function sumTail(address: usize, length: u32): u32 {
  let sum: u64 = 0;
  if (length & 8) {
    const word = load<u64>(address);
    sum += (word & 0xffffffff) + (word >>> 32);
    address += 8;
  }
  if (length & 4) {
    sum += load<u32>(address);
    address += 4;
  }
  if (length & 2) {
    sum += load<u16>(address);
    address += 2;
  }
  if (length & 1) sum += load<u8>(address);
  return foldWide(sum);
}

/** Eight words of 2^15, and eight ones: constants that stood in the code V8 of Node 26 would make again in every round. */
const BIAS: usize = memory.data<u32>([0x80008000, 0x80008000, 0x80008000, 0x80008000], 16);
const ONES: usize = memory.data<u32>([0x00010001, 0x00010001, 0x00010001, 0x00010001], 16);

/**
 * Two neighbouring words of `v`, each less 2^15, added: signed words are what one instruction takes.
 * `unbias` puts back what is missing.
 */
@inline
function addWords(lanes: v128, v: v128, bias: v128, ones: v128): v128 {
  return i32x4.add(lanes, i32x4.dot_i16x8_s(v128.xor(v, bias), ones));
}

/** The sum of lanes into which `addWords` has added `blocks` blocks of eight words. */
@inline
function unbias(lanes: v128, blocks: u32): u32 {
  const pairs = i64x2.add(i64x2.extend_low_i32x4_s(lanes), i64x2.extend_high_i32x4_s(lanes));
  return foldWide(i64x2.extract_lane(pairs, 0) + i64x2.extract_lane(pairs, 1) + ((<u64>blocks << 3) << 15));
}

/** @returns the sum of `length` bytes, below 512 KiB; an odd last one counts as if a zero followed */
export function sumBytes(address: usize, length: u32): u32 {
  const bias = v128.load(BIAS);
  const ones = v128.load(ONES);
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  const end = address + (length & ~15);
  for (const pairsEnd = address + (length & ~63); address < pairsEnd; address += 64) {
    a = addWords(a, v128.load(address), bias, ones);
    b = addWords(b, v128.load(address, 16), bias, ones);
    a = addWords(a, v128.load(address, 32), bias, ones);
    b = addWords(b, v128.load(address, 48), bias, ones);
  }
  for (; address < end; address += 16) a = addWords(a, v128.load(address), bias, ones);
  return foldSum(unbias(i32x4.add(a, b), length >> 4) + sumTail(address, length & 15));
}

/**
 * Copies and sums in one pass. Writes whole blocks: up to 15 bytes behind the copy are overwritten
 * (the output is written front to back), as many are read behind the source.
 * @returns the sum of the bytes copied
 */
export function copyAndSum(to: usize, from: usize, length: u32): u32 {
  const bias = v128.load(BIAS);
  const ones = v128.load(ONES);
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  const tail = length & 15;
  const end = from + length - tail;
  for (const pairsEnd = from + (length & ~63); from < pairsEnd; from += 64, to += 64) {
    const v0 = v128.load(from);
    const v1 = v128.load(from, 16);
    const v2 = v128.load(from, 32);
    const v3 = v128.load(from, 48);
    v128.store(to, v0);
    v128.store(to, v1, 16);
    v128.store(to, v2, 32);
    v128.store(to, v3, 48);
    a = addWords(a, v0, bias, ones);
    b = addWords(b, v1, bias, ones);
    a = addWords(a, v2, bias, ones);
    b = addWords(b, v3, bias, ones);
  }
  for (; from < end; from += 16, to += 16) {
    const v = v128.load(from);
    v128.store(to, v);
    a = addWords(a, v, bias, ones);
  }
  v128.store(to, v128.load(from));
  return foldSum(unbias(i32x4.add(a, b), length >> 4) + sumTail(from, tail));
}

/** Copies whole blocks: up to 15 bytes behind the copy are overwritten, as many read behind the source. */
export function copyBlocks(to: usize, from: usize, length: u32): void {
  const end = from + length;
  for (; from + 64 <= end; from += 64, to += 64) {
    const v0 = v128.load(from);
    const v1 = v128.load(from, 16);
    const v2 = v128.load(from, 32);
    const v3 = v128.load(from, 48);
    v128.store(to, v0);
    v128.store(to, v1, 16);
    v128.store(to, v2, 32);
    v128.store(to, v3, 48);
  }
  for (; from < end; from += 16, to += 16) v128.store(to, v128.load(from));
}

/** @returns the sum of source and destination of the IP header at `ip` (version 4 or 6): the pseudo-header's part */
@inline
export function sumAddresses(ip: usize, version: u32): u32 {
  if (version == 4) return foldWide(<u64>load<u32>(ip, 12) + <u64>load<u32>(ip, 16));
  return foldLanes(i32x4.add(
    i32x4.extadd_pairwise_i16x8_u(v128.load(ip, 8)),
    i32x4.extadd_pairwise_i16x8_u(v128.load(ip, 24)),
  ));
}

/** @returns the sum of the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1); `length` of the upper-layer packet */
@inline
export function sumPseudoHeader(ip: usize, version: u32, protocol: u32, length: u32): u32 {
  return sumAddresses(ip, version) + <u32>bswap<u16>(<u16>protocol) + <u32>bswap<u16>(<u16>length);
}

/** @returns the sum of the IPv4 header at `ip`, which is too short for what `sumBytes` does */
@inline
export function sumIpv4Header(ip: usize): u32 {
  let sum: u64 = 0;
  for (const end = ip + ((<usize>load<u8>(ip) & 15) << 2); ip < end; ip += 4) sum += load<u32>(ip);
  return foldWide(sum);
}

/** Writes the checksum of the IPv4 header at `ip`. */
export function storeIpv4Checksum(ip: usize): void {
  store<u16>(ip, 0, 10);
  store<u16>(ip, checksumOf(sumIpv4Header(ip)), 10);
}

/** Takes `x`, of 16 bits, out of a one's complement sum. */
@inline
export function without(x: u32): u32 {
  return ~x & 0xffff;
}

/** @returns the checksum `old` after one 16-bit word of the data went from `from` to `to` (RFC 1624 eqn. 3) */
@inline
export function adjustChecksum(old: u32, from: u32, to: u32): u16 {
  return checksumOf(without(old) + without(from) + to);
}
