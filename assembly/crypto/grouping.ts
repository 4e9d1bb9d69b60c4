/**
 * Puts the packets of a batch in an order that ciphers can use: grouped, and sorted by length.
 *
 * Works in the first GROUPING_SIZE bytes of the instance's scratch:
 *
 *        0 +-----------------------------+
 *          | LIST: u32 × LIST_LIMIT      |  descriptor addresses, group after group
 *     2048 +-----------------------------+
 *          | SPARE: u32 × LIST_LIMIT     |  copy for the length sort; before that, packet → group
 *     4096 +-----------------------------+
 *          | START: u32 × (LIST_LIMIT+1) |  where each group begins in LIST
 *     8192 +-----------------------------+
 *          | SLOTS: u32 × 2 × 1024       |  open-addressed hash table: token, group
 *    16384 +-----------------------------+
 *
 * All of it is public: addresses, lengths, never a byte of a key or a packet.
 */
import { KEY_ENCR, KEY_INTEG, PACKET_KEY, PACKET_LENGTH, PACKET_SIZE } from "../layout";
import { mixesKeys } from "./ciphers";

/** Packets handled at a time. */
export const LIST_LIMIT: i32 = 512;
/** Bytes of scratch taken by this file; what follows is the cipher's. */
export const GROUPING_SIZE: usize = 16384;

const SPARE: usize = 2048;
const START: usize = 4096;
const SLOTS: usize = 8192;
const SLOT_MASK: u32 = 1023;

/** @returns the index in LIST of the group's first packet; of `groups`, the end of the last */
@inline
export function groupStart(scratch: usize, group: i32): i32 {
  return load<i32>(scratch + (group << 2), START);
}

/**
 * Fills LIST with the packets' addresses, those of one token together, in the batch's order inside.
 * @returns the number of groups
 */
export function groupPackets(descriptors: usize, count: i32, scratch: usize): i32 {
  let packet = descriptors;
  const first = load<u32>(packet, PACKET_KEY);
  let same = true;
  for (let i = 0; i < count; i++, packet += PACKET_SIZE) {
    store<u32>(scratch + (i << 2), <u32>packet);
    same = same && load<u32>(packet, PACKET_KEY) == first;
  }
  if (!same) return groupMixed(descriptors, count, scratch);
  store<u32>(scratch, 0, START);
  store<u32>(scratch + 4, count, START);
  return 1;
}

/** Counting sort by token: number the tokens, count, sum up, place. */
function groupMixed(descriptors: usize, count: i32, scratch: usize): i32 {
  memory.fill(scratch + SLOTS, 0, <usize>(SLOT_MASK + 1) << 3);
  memory.fill(scratch + START, 0, <usize>(count + 1) << 2);
  let groups = 0;
  for (let i = 0; i < count; i++) {
    const token = groupToken(load<u32>(descriptors + i * PACKET_SIZE, PACKET_KEY));
    const slot = findSlot(scratch + SLOTS, token);
    if (load<u32>(slot) == 0) {
      store<u32>(slot, token);
      store<u32>(slot, groups++, 4);
    }
    const group = load<u32>(slot, 4);
    store<u32>(scratch + (i << 2), group, SPARE);
    const start = scratch + (<usize>group << 2);
    store<u32>(start, load<u32>(start, START) + 1, START);
  }
  let sum: u32 = 0;
  for (let group = 0; group < groups; group++) {
    const start = scratch + (group << 2);
    const size = load<u32>(start, START);
    store<u32>(start, sum, START);
    sum += size;
  }
  // Placing moves each start to its group's end, which is the next group's start: shift them back after.
  for (let i = 0; i < count; i++) {
    const start = scratch + (<usize>load<u32>(scratch + (i << 2), SPARE) << 2);
    const at = load<u32>(start, START);
    store<u32>(start, at + 1, START);
    store<u32>(scratch + (<usize>at << 2), <u32>(descriptors + i * PACKET_SIZE));
  }
  memory.copy(scratch + START + 4, scratch + START, <usize>groups << 2);
  store<u32>(scratch, 0, START);
  return groups;
}

/** Packets with equal tokens go to the cipher together: those of one KEY, or of one suite if it mixes keys. */
@inline
function groupToken(key: u32): u32 {
  const encr = load<u32>(key, KEY_ENCR);
  const integ = load<u32>(key, KEY_INTEG);
  // A suite's token lies below any KEY's address (they start behind STATIC_END) and is never 0.
  return mixesKeys(encr, integ) ? 1 + (encr << 8) + integ : key;
}

@inline
function findSlot(slots: usize, token: u32): usize {
  let index = (token * 0x9e3779b1) >>> 22;
  while (true) {
    const slot = slots + (<usize>index << 3);
    const found = load<u32>(slot);
    if (found == token || found == 0) return slot;
    index = (index + 1) & SLOT_MASK;
  }
}

/** Sorts `count` packets of LIST by payload length, short ones first; stable. */
export function orderByLength(list: usize, count: i32, scratch: usize): void {
  if (isOrdered(list, count)) return;
  if (count <= 24) insertionSort(list, count);
  else bucketSort(list, count, scratch + SPARE, scratch + SLOTS);
}

@inline
function lengthAt(entry: usize): u32 {
  return load<u32>(load<u32>(entry), PACKET_LENGTH);
}

/** Mostly all are equally long. */
function isOrdered(list: usize, count: i32): bool {
  let longest: u32 = 0;
  for (const end = list + (count << 2); list < end; list += 4) {
    const length = lengthAt(list);
    if (length < longest) return false;
    longest = length;
  }
  return true;
}

function insertionSort(list: usize, count: i32): void {
  const end = list + (count << 2);
  for (let entry = list + 4; entry < end; entry += 4) {
    const packet = load<u32>(entry);
    const length = load<u32>(packet, PACKET_LENGTH);
    let hole = entry;
    while (hole > list && lengthAt(hole - 4) > length) {
      store<u32>(hole, load<u32>(hole - 4));
      hole -= 4;
    }
    store<u32>(hole, packet);
  }
}

/** By 16-byte blocks; payloads above 255 blocks share the last bucket, where order matters little. */
function bucketSort(list: usize, count: i32, spare: usize, buckets: usize): void {
  memory.fill(buckets, 0, 1024);
  memory.copy(spare, list, <usize>count << 2);
  for (let i = 0; i < count; i++) {
    const bucket = buckets + lengthBucket(spare + (i << 2));
    store<u32>(bucket, load<u32>(bucket) + 1);
  }
  let sum: u32 = 0;
  for (let bucket = buckets; bucket < buckets + 1024; bucket += 4) {
    const size = load<u32>(bucket);
    store<u32>(bucket, sum);
    sum += size;
  }
  for (let i = 0; i < count; i++) {
    const bucket = buckets + lengthBucket(spare + (i << 2));
    const at = load<u32>(bucket);
    store<u32>(bucket, at + 1);
    store<u32>(list + (<usize>at << 2), load<u32>(spare + (i << 2)));
  }
}

@inline
function lengthBucket(entry: usize): usize {
  return <usize>min((lengthAt(entry) + 15) >> 4, 255) << 2;
}
