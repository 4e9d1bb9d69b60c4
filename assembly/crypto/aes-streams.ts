/**
 * What counter mode keeps of each packet, and the SETs whose lanes all belong to one packet or to sixteen alike.
 *
 *  STREAM:
 *    0        16       20     24      48       64                                   320, wide: 4160
 *    +--------+--------+------+-------+--------+--------- ··· ----------------------+
 *    | after 2| col. 0 | WHOLE|   –   | mask   | keystream of up to 15 blocks; wide: 256
 *    +--------+--------+------+-------+--------+--------- ··· ----------------------+
 */
import { IS_WIDE } from "./aes-bits";
import {
  CONSTANTS,
  enterSet,
  middleOfSets,
  ROUND1,
  ROUND1_FROM,
  ROUND1_KNOWN,
  SETS,
  startCounters,
  startSet,
  WORK,
  WRITTEN,
} from "./aes-counter-rounds";
import { lastRoundWords, SET_SIZE, SLICED_SIZE, wordsToBlocks, xorWords } from "./aes-lanes";
import { xorKeystream } from "./bytes";

export const STREAM_COLUMN: usize = 16;
/** u32, in the wide build, of a segment of sixteen blocks and more: is all its keystream there? */
export const STREAM_WHOLE: usize = 20;
/** The keystream block before the payload's: what masks the tag of GCM and CCM. */
export const STREAM_MASK: usize = 48;
export const STREAM_REST: usize = 64;
/** Bytes of a STREAM, a multiple of 64, and those that may be written where none is wide. */
export const STREAM_SIZE: u32 = IS_WIDE ? 4160 : 320;
export const NARROW_SIZE: u32 = 320;

/** Notes how much of STREAMs is to be wiped. */
@inline
export function noteWritten(bytes: u32, scratch: usize): void {
  store<u32>(scratch, max(bytes, load<u32>(scratch, WRITTEN)), WRITTEN);
}

// ─── SETs of one packet ───────────────────────────────────────────────────────────────────────

/** XORs keystream to `sets` times 256 bytes of payload, of which the last may not be whole. */
export function cryptSets(at: usize, length: u32, stream: usize, counter: u32, sets: i32, scratch: usize): void {
  const constants = scratch + CONSTANTS;
  for (let row: usize = 0; row < 4; row++) {
    v128.store(constants + (row << 4), v128.load8_splat(stream + row, STREAM_COLUMN));
  }
  for (let j: usize = 0; j < 16; j++) v128.store(constants + (j << 4), v128.load8_splat(stream + j), 64);
  const work = scratch + WORK;
  if (load<u32>(scratch, ROUND1_FROM) != counter) {
    store<u32>(scratch, counter, ROUND1_FROM);
    store<u32>(scratch, 0, ROUND1_KNOWN);
  }
  let round1 = scratch + ROUND1;
  let bit: u32 = 1;
  for (; sets > 0; sets -= SETS) {
    const taken = min(sets, SETS);
    for (let set = 0; set < taken; set++, counter += 16, round1 += 32, bit <<= 1) {
      if (!(load<u32>(scratch, ROUND1_KNOWN) & bit)) {
        const counters = i8x16.add(i8x16.splat(<i8>counter), i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
        startCounters(round1, counters, scratch);
        store<u32>(scratch, load<u32>(scratch, ROUND1_KNOWN) | bit, ROUND1_KNOWN);
      }
      enterSet(work + set * SET_SIZE, round1, scratch);
    }
    lastRoundWords(work, taken, middleOfSets(taken, scratch));
    for (let set = work; set < work + taken * SET_SIZE; set += SET_SIZE) {
      if (length >= 256) {
        xorWords(at, set + SLICED_SIZE);
        at += 256;
        length -= 256;
      } else {
        wordsToBlocks(set + SLICED_SIZE, set, 16);
        xorKeystream(at, set, length);
      }
    }
  }
}

// ─── SETs of sixteen packets that are alike ───────────────────────────────────────────────────

/** Fills the STREAMs of the packets that CONSTANTS are of. */
export function fillStreams(masks: bool, first: u32, blocks: u32, streams: usize, scratch: usize): void {
  const rest = first + (blocks & ~15);
  const end = streams + STREAM_REST + ((blocks & 15) << 4);
  noteWritten(<u32>(end - streams), scratch);
  if (masks) fillBlocks(first - 1, rest, streams + STREAM_MASK, end, scratch);
  else fillBlocks(rest, rest + 1, streams + STREAM_REST, end, scratch);
}

/**
 * A SET has one block of each of sixteen packets that CONSTANTS are of.
 * @param counter of the first block, @param next of the second, and so on from there
 * @param target where the first packet's first block goes, @param end behind its last one
 */
export function fillBlocks(counter: u32, next: u32, target: usize, end: usize, scratch: usize): void {
  const work = scratch + WORK;
  while (target < end) {
    const taken = min<i32>(<i32>(end - target) >> 4, SETS);
    for (let set = 0; set < taken; set++) {
      startSet(work + set * SET_SIZE, i8x16.splat(<i8>counter), scratch);
      counter = next++;
    }
    lastRoundWords(work, taken, middleOfSets(taken, scratch));
    for (let set = 0; set < taken; set++, target += 16) {
      wordsToBlocks(work + set * SET_SIZE + SLICED_SIZE, target, STREAM_SIZE);
    }
  }
}
