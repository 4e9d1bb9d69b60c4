/**
 * The hash functions behind one interface: what HMAC needs to know of each.
 *
 * A hash keeps several messages in lanes of one `state`: word i of lane l at byte
 * 16·i + wordSize·l (so a state is 128 bytes), and reads its blocks through an array of addresses.
 */
import { sha1Blocks, sha1Blocks4, sha1Start } from "./sha1";
import { sha256Blocks, sha256Blocks4, sha256Start } from "./sha256";
import { SHA512_SCHEDULE_SIZE, sha384Start, sha512Blocks, sha512Blocks2, sha512Start } from "./sha512";

export const SHA1: u32 = 1;
export const SHA256: u32 = 2;
export const SHA384: u32 = 3;
export const SHA512: u32 = 4;

/** Bytes of a state with all of its lanes. */
export const HASH_STATE_SIZE: usize = 128;
/** Bytes that any of the hashes needs for message schedules. */
export const HASH_SCHEDULE_SIZE: usize = SHA512_SCHEDULE_SIZE;
export const HASH_WORDS: usize = 8;
export const HASH_MAX_LANES: i32 = 4;

/** @returns bytes of a block */
@inline
export function hashBlockSize(hash: u32): u32 {
  return hash >= SHA384 ? 128 : 64;
}

/** @returns bytes of a word, and so the distance of lanes in a state */
@inline
export function hashWordSize(hash: u32): u32 {
  return hash >= SHA384 ? 8 : 4;
}

/** @returns bytes of the digest */
@inline
export function hashDigestLength(hash: u32): u32 {
  return hash == SHA1 ? 20 : hash == SHA256 ? 32 : hash == SHA384 ? 48 : 64;
}

/** @returns how many messages `hashBlocksAll` takes at once */
@inline
export function hashLanes(hash: u32): i32 {
  return hash >= SHA384 ? 2 : 4;
}

/** Writes the initial hash value to one lane. */
export function hashStart(hash: u32, lane: usize): void {
  if (hash == SHA1) sha1Start(lane);
  else if (hash == SHA256) sha256Start(lane);
  else if (hash == SHA384) sha384Start(lane);
  else sha512Start(lane);
}

/** Absorbs `blocks` blocks at `from` into one lane. */
export function hashBlocks(hash: u32, lane: usize, from: usize, blocks: u32, schedule: usize): void {
  if (hash == SHA1) sha1Blocks(lane, from, blocks, schedule);
  else if (hash == SHA256) sha256Blocks(lane, from, blocks, schedule);
  else sha512Blocks(lane, from, blocks, schedule);
}

/** Absorbs `blocks` blocks into every lane; that of lane l are at the address in `pointers` + 4·l. */
export function hashBlocksAll(hash: u32, state: usize, pointers: usize, blocks: u32, schedule: usize): void {
  if (hash == SHA1) sha1Blocks4(state, pointers, blocks, schedule);
  else if (hash == SHA256) sha256Blocks4(state, pointers, blocks, schedule);
  else sha512Blocks2(state, pointers, blocks, schedule);
}

/** Writes one lane's digest, `hashDigestLength` bytes and what is left of HASH_WORDS words, to `out`. */
export function hashDigest(hash: u32, lane: usize, out: usize): void {
  if (hashWordSize(hash) == 4) {
    for (let i: usize = 0; i < HASH_WORDS; i++) store<u32>(out + (i << 2), bswap<u32>(load<u32>(lane + (i << 4))));
  } else {
    for (let i: usize = 0; i < HASH_WORDS; i++) store<u64>(out + (i << 3), bswap<u64>(load<u64>(lane + (i << 4))));
  }
}
