/**
 * Round keys in all lanes and GHASH's tables for many packets, of the KEYs that this instance has worked with lately.
 *
 * They take 15,680 bytes, in the wide build 22,912. Ten thousand SAs' fit no cache, and to make them anew takes about as long as to
 * fetch them from main memory. So a KEY has packed round keys, the tables for few packets and the powers of H alone,
 * and each worker keeps the others for itself, of 32 KEYs at most: no thread waits for another one's.
 *
 *  KEPT, behind the ciphers' scratch: eight SETs of four KEYs, and the TABLES of each
 *
 *       0            16           32     36        40     44     64
 *      +------------+------------+------+---------+------+------+
 *  SET | KEY × 4    | SERIAL × 4 | NEXT | WAITING | MISS |   –  |
 *      +------------+------------+------+---------+------+------+
 *
 *          0                    3072                     11840                 15680        wide: 22912
 *         +--------------------+------------------------+---------------------+------------------+
 *  TABLES | those of ghash.ts  | those of ghash-lanes.ts| KEYS of aes-lanes.ts| BITS_KEYS, wide  |
 *         +--------------------+------------------------+---------------------+------------------+
 */
import { KEY_SERIAL, KEY_STATE } from "../layout";
import { BITS_KEYS_SIZE } from "./aes-bits";
import { packedKeysSize, SLICED_KEYS_MAX, spreadKeys } from "./aes-lanes";
import { CIPHER_SCRATCH_SIZE } from "./ciphers";
import { expandPower, FEW_BLOCKS, GHASH_BLOCKS, GHASH_FEW_SIZE, GHASH_TABLES_SIZE } from "./ghash";
import { expandLanesPower, LANES_TABLES_SIZE, messageBlocks, startLanes } from "./ghash-lanes";

/** Bytes of H … H^6 in a KEY's STATE, a multiple of 64. */
export const POWERS_SIZE: u32 = ((GHASH_BLOCKS << 4) + 63) & ~63;

const SETS: u32 = 8;
const WAYS: u32 = 4;
const SET_SIZE: u32 = 64;
const SERIALS: usize = 16;
/** u32: the KEY that gives way next. */
const NEXT: usize = 32;
/** u32: the KEY that is to have tables, and blocks of its packets for which there were none. */
const WAITING: usize = 36;
const MISSED: usize = 40;
const KEYS: usize = GHASH_TABLES_SIZE + LANES_TABLES_SIZE;
const BITS_KEYS: usize = KEYS + SLICED_KEYS_MAX;
const TABLES_SIZE: u32 = <u32>(BITS_KEYS + BITS_KEYS_SIZE);
/** So many blocks pay for new tables, at once or one batch after the other. */
const WORTH: u32 = 512;

/** @returns the sliced round keys that are kept with `tables` */
@inline
export function keptKeys(tables: usize): usize {
  return tables + KEYS;
}

/** @returns what aes-bits.ts makes of the KEY when it needs it, kept with `tables` */
@inline
export function keptBitsKeys(tables: usize): usize {
  return tables + BITS_KEYS;
}

/**
 * @param list packets of this KEY
 * @returns tables of six powers of H, and those of ghash-lanes.ts behind them; 0 if they are not worth it yet
 */
export function keptTables(key: usize, keyLength: u32, list: usize, count: i32, scratch: usize): usize {
  const kept = scratch + CIPHER_SCRATCH_SIZE;
  const index: u32 = (<u32>key * 0x9e3779b1) >>> 29;
  const set = kept + index * SET_SIZE;
  const serial = load<u32>(key, KEY_SERIAL);
  const found = v128.and(
    i32x4.eq(v128.load(set), i32x4.splat(<i32>key)),
    i32x4.eq(v128.load(set, SERIALS), i32x4.splat(<i32>serial)),
  );
  const tables = kept + SETS * SET_SIZE + index * WAYS * TABLES_SIZE;
  const ways = i32x4.bitmask(found);
  if (ways != 0) return tables + ctz(ways) * TABLES_SIZE;
  if (!isWorthIt(<u32>key, blocksOf(list, count), set)) return 0;
  const way = load<u32>(set, NEXT);
  store<u32>(set, (way + 1) % WAYS, NEXT);
  store<u32>(set + (way << 2), <u32>key);
  store<u32>(set + (way << 2), serial, SERIALS);
  makeTables(tables + way * TABLES_SIZE, key + KEY_STATE, keyLength);
  return tables + way * TABLES_SIZE;
}

/**
 * Counts blocks without tables. SAs that are in use get tables, and those that come by once with a few packets
 * do not drive them out: others' blocks take a quarter of theirs off the count, so that it grows if up to four take turns.
 */
function isWorthIt(key: u32, blocks: u32, set: usize): bool {
  const waits = load<u32>(set, WAITING) == key;
  const missed = load<u32>(set, MISSED);
  const others = blocks / WAYS;
  if (!waits && missed > others && blocks < WORTH) {
    store<u32>(set, missed - others, MISSED);
    return false;
  }
  const sum = waits ? missed + blocks : blocks;
  store<u32>(set, key, WAITING);
  store<u32>(set, sum < WORTH ? sum : 0, MISSED);
  return sum >= WORTH;
}

function blocksOf(list: usize, count: i32): u32 {
  let blocks: u32 = 0;
  for (let i = 0; i < count; i++) blocks += messageBlocks(load<u32>(list + (i << 2)));
  return blocks;
}

function makeTables(tables: usize, state: usize, keyLength: u32): void {
  const own = state + packedKeysSize(keyLength);
  // Nothing stays of the KEY that gave way: this one's keys may be shorter, and be spread to bits later or never.
  memory.fill(tables + KEYS, 0, <usize>TABLES_SIZE - KEYS);
  spreadKeys(state, keyLength, tables + KEYS);
  memory.copy(tables, own, GHASH_FEW_SIZE);
  for (let n: u32 = 1; n <= GHASH_BLOCKS; n++) {
    const power = v128.load(own + GHASH_FEW_SIZE + ((n - 1) << 4));
    if (n > FEW_BLOCKS) expandPower(tables, n, power);
    expandLanesPower(tables + GHASH_TABLES_SIZE, n, power);
  }
  startLanes(tables + GHASH_TABLES_SIZE);
}

/** Wipes what is kept of a KEY, or of all if `key` is 0. */
export function forgetTables(key: usize, scratch: usize): void {
  const kept = scratch + CIPHER_SCRATCH_SIZE;
  for (let i: u32 = 0; i < SETS * WAYS; i++) {
    const entry = kept + (i / WAYS) * SET_SIZE + ((i % WAYS) << 2);
    const owner = load<u32>(entry);
    if (owner == 0 || (key != 0 && owner != <u32>key)) continue;
    store<u32>(entry, 0);
    memory.fill(kept + SETS * SET_SIZE + i * TABLES_SIZE, 0, TABLES_SIZE);
  }
}
