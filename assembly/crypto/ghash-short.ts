/**
 * GHASH of four short messages of ESP side by side, where one pass over the powers of H is enough:
 *
 *      H^n                        H^(n-1) … H²      H
 *     +-------------------------+-----------------+---------+
 *     | SPI, (SEQ_HI,) SEQ, 0   | payload         | lengths |       n ≤ GHASH_BLOCKS
 *     +-------------------------+-----------------+---------+
 *       same for all  differs                       same for all
 *
 * Packets of one SA, equally long, differ in one word of their AAD (RFC 4106 §5). What the rest of it and the lengths
 * come to is kept from one batch to the next, and of the nine products (ghash-lanes.ts) a lone word takes four:
 *
 *     SEQ is w1:  k = 1, 2, 7, 8           behind SEQ_HI it is w2:  k = 3, 5, 6, 8
 */
import { PACKET_AAD, PACKET_AAD_LENGTH, PACKET_LENGTH, PACKET_PAYLOAD } from "../layout";
import { loadPartial } from "./bytes";
import { GHASH_BLOCKS, GHASH_TABLES_SIZE, timesPower } from "./ghash";
import { knowEnds, reduce, stage, STAGE_STRIDE, storeHashes, sumAll } from "./ghash-lanes";

/** Bits k of the products that have the word w1, or w2. */
const PRODUCTS_OF_W1: u32 = 0x186;
const PRODUCTS_OF_W2: u32 = 0x168;

/** Are messages of these lengths short ones of ESP? */
@inline
export function isShortMessage(aadLength: u32, length: u32): bool {
  return (aadLength == 8 || aadLength == 12) && length > 0 && length <= (GHASH_BLOCKS - 2) << 4;
}

/** What of a packet's AAD does not differ from packet to packet. */
@inline
export function aadPrefix(packet: usize, aadLength: u32): u64 {
  const aad: usize = load<u32>(packet, PACKET_AAD);
  return aadLength == 8 ? <u64>load<u32>(aad) : load<u64>(aad);
}

/**
 * GHASH of four packets.
 * @param packets array of their addresses; lengths and `aadPrefix` are those of all
 * @param tables those of ghash.ts, and ghash-lanes.ts's behind them
 * @returns the address of four hashes, 16 bytes each
 */
export function hashShort(packets: usize, prefix: u64, tables: usize, scratch: usize): usize {
  const a: usize = load<u32>(packets);
  const b: usize = load<u32>(packets, 4);
  const c: usize = load<u32>(packets, 8);
  const d: usize = load<u32>(packets, 12);
  const aadLength = load<u32>(a, PACKET_AAD_LENGTH);
  const length = load<u32>(a, PACKET_LENGTH);
  const blocks = (length + 15) >> 4;
  const n = blocks + 2;
  knowEnds(a, prefix, n, tables, scratch);
  const seq = aadLength - 4;
  const isW1 = aadLength == 8;
  stageWord(scratch, n, isW1, seqOf(a, seq), seqOf(b, seq), seqOf(c, seq), seqOf(d, seq));
  const atA: usize = load<u32>(a, PACKET_PAYLOAD);
  const atB: usize = load<u32>(b, PACKET_PAYLOAD);
  const atC: usize = load<u32>(c, PACKET_PAYLOAD);
  const atD: usize = load<u32>(d, PACKET_PAYLOAD);
  let power = n - 1;
  let at: usize = 0;
  for (; at + 16 <= length; at += 16, power--) {
    stage(scratch, power, false, v128.load(atA + at), v128.load(atB + at), v128.load(atC + at), v128.load(atD + at));
  }
  if (power > 1) {
    const rest = length & 15;
    stage(
      scratch, power, false,
      loadPartial(atA + at, rest), loadPartial(atB + at, rest), loadPartial(atC + at, rest), loadPartial(atD + at, rest),
    );
  }
  sumAll(scratch, tables + GHASH_TABLES_SIZE, 1, n, isW1 ? PRODUCTS_OF_W1 : PRODUCTS_OF_W2);
  reduce(scratch);
  return storeHashes(scratch, tables, true);
}

@inline
function seqOf(packet: usize, seq: u32): u32 {
  return load<u32>(load<u32>(packet, PACKET_AAD) + seq);
}

/** A word of four messages whose other words are 0. */
@inline
function stageWord(scratch: usize, power: u32, isW1: bool, a: u32, b: u32, c: u32, d: u32): void {
  const words = i32x4.replace_lane(i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(a), 1, b), 2, c), 3, d);
  const to = scratch + ((power - 1) << 4);
  if (isW1) {
    v128.store(to, words, STAGE_STRIDE);
    v128.store(to, words, 2 * STAGE_STRIDE);
    v128.store(to, words, 7 * STAGE_STRIDE);
  } else {
    v128.store(to, words, 3 * STAGE_STRIDE);
    v128.store(to, words, 5 * STAGE_STRIDE);
    v128.store(to, words, 6 * STAGE_STRIDE);
  }
  v128.store(to, words, 8 * STAGE_STRIDE);
}
