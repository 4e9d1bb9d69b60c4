/**
 * GHASH (NIST SP 800-38D §6.4) of one long message in the four lanes of ghash-lanes.ts: lane j hashes every
 * fourth block, by powers of H^4.
 *
 *     lane          0      1      2      3
 *               +------+------+------+------+
 *     first     |  –   |  –   | AAD  | X_1  |   before the first block, zeros
 *               | X_2  | X_3  | X_4  | X_5  |
 *               |               ⋮           |
 *     last      | X_m-2| X_m-1| X_m  | len. |
 *               +------+------+------+------+
 *
 *     Y = Σ_j H^(4-j) · (what lane j has: Σ block · (H^4)^(groups after it))
 *
 * So all but the last group go through the lanes, and the last one joins what they have before ghash.ts
 * multiplies the four by H^4 … H. Karatsuba's rule then saves one message the look-ups that it saves four.
 *
 *  STRIDES: tables as in ghash-lanes.ts, but of H^4, H^8 … H^24, and u32: are they made?
 */
import { PACKET_LENGTH, PACKET_PAYLOAD } from "../layout";
import { GHASH_BLOCKS, hashBlock, hashEnd, hashFlush, hashStart, timesPower } from "./ghash";
import {
  blockOf,
  clearY,
  expandLanesPower,
  HASH_LANES,
  LANES_POWERS_SIZE,
  lengthsOf,
  messageBlocks,
  reduce,
  stage,
  storeBlocks,
  sumAll,
} from "./ghash-lanes";

const MADE: usize = LANES_POWERS_SIZE;
/** Bytes of tables, a multiple of 64. */
export const STRIDES_SIZE: usize = MADE + 64;
/** A group of blocks, and the power of H that takes a lane from one to the next. */
const STRIDE: u32 = <u32>HASH_LANES;

/** Begins with new tables. */
@inline
export function startStrides(strides: usize): void {
  store<u32>(strides, 0, MADE);
}

function makeStrides(strides: usize, tables: usize, hash: usize): void {
  // The block 1 (SP 800-38D §6.3: its first bit is x^0).
  let power = i64x2(0x80, 0);
  for (let n: u32 = 1; n <= GHASH_BLOCKS; n++) {
    power = timesPower(tables, STRIDE, hash, power);
    expandLanesPower(strides, n, power);
  }
  store<u32>(strides, 1, MADE);
}

/**
 * GHASH of a packet's AAD, payload and lengths.
 * @param strides STRIDES, @param tables ghash.ts's
 * @param hash HASH of ghash.ts, @param scratch ghash-lanes.ts's
 */
export function hashStrides(packet: usize, strides: usize, tables: usize, hash: usize, scratch: usize): v128 {
  if (!load<u32>(strides, MADE)) makeStrides(strides, tables, hash);
  const payloadBlocks = (load<u32>(packet, PACKET_LENGTH) + 15) >> 4;
  const end = load<u32>(packet, PACKET_PAYLOAD) + ((payloadBlocks + 1) << 4);
  clearY(scratch);
  for (let groups = (messageBlocks(packet) - 1) / STRIDE; groups > 0; ) {
    const powers = ((groups - 1) % GHASH_BLOCKS) + 1;
    for (let power = powers; power > 0; power--, groups--) {
      // Number of the group's first block, counted from the end: the lengths are 1.
      const n = (groups + 1) * STRIDE;
      if (n <= payloadBlocks + 1) {
        const at: usize = end - (n << 4);
        stage(
          scratch, power, power == powers,
          v128.load(at), v128.load(at, 16), v128.load(at, 32), v128.load(at, 48),
        );
      } else {
        stage(
          scratch, power, power == powers,
          blockOf(packet, n), blockOf(packet, n - 1), blockOf(packet, n - 2), blockOf(packet, n - 3),
        );
      }
    }
    sumAll(scratch, strides, 0, powers, powers);
    reduce(scratch);
  }
  const lanes = storeBlocks(scratch);
  const last = hashEnd(hash, STRIDE);
  let to = hashStart(hash);
  for (let lane: u32 = 0; lane < STRIDE; lane++) {
    const n = STRIDE - lane;
    const block = n == 1 ? lengthsOf(packet) : blockOf(packet, n);
    to = hashBlock(hash, tables, to, last, v128.xor(block, v128.load(lanes + (lane << 4))));
  }
  return hashFlush(hash, tables, to);
}
