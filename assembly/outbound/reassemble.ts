/**
 * Transport mode is for whole datagrams (RFC 4303 §3.3.4), but a host cuts what is too long for the
 * device before the device sees it. So fragments for an SA of transport mode are put together again
 * here; what is fragmented is the outer packet.
 *
 * Bounded: REASSEMBLY_MAX datagrams of this worker's own, half of them between one pair of addresses,
 * for LIFETIME. A new one takes the place of the oldest: a host sends all parts of one back to back.
 *
 * REASSEMBLY entry:
 *
 *      0         4         8         12        16        20        24        28
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *   0 | IDENTI- | KIND    | PARTS   | GATHERED| SOURCE (hi, lo)                       |
 *     | FICATION|         |         |         |                                       |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *  32 | DESTINATION (hi, lo)                  | SINCE (f64)       | TOTAL   | HEADER  |
 *     +---------------------------------------+-------------------+---------+---------+
 *
 * Its slot, and its map with a bit for every 8 bytes of data that are there:
 *
 *     |           | header | data …          |
 *                          ^ slot + DATA_AT
 */
import { countDrops, now } from "../arena";
import { OutReassemblyError } from "../drops";
import { copyBlocks } from "../ip/checksum";
import { Ip, IPV6_HEADER } from "../ip/packet";
import {
  REASSEMBLY_ENTRIES,
  REASSEMBLY_ENTRY_SIZE,
  REASSEMBLY_MAP_SIZE,
  REASSEMBLY_MAPS,
  REASSEMBLY_MAX,
  REASSEMBLY_SLOTS,
  SLOT_SIZE,
} from "../layout/arena";

const IDENTIFICATION: usize = 0;
/** Version and protocol, as an IPv4 Identification counts per protocol; 0 in a free entry. */
const KIND: usize = 4;
/** Fragments, and bytes of their data. */
const PARTS: usize = 8;
const GATHERED: usize = 12;
const SOURCE: usize = 16;
const DESTINATION: usize = 32;
const SINCE: usize = 48;
/** Bytes of data in all; 0 until the last fragment is there. */
const TOTAL: usize = 56;
/** Bytes of the header; 0 until the first fragment is there. */
const HEADER: usize = 60;

const DATA_AT: u32 = 512;
const FRAGMENT_HEADER: u32 = 8;
const LONGEST: u32 = 65535;
const PER_PAIR: u32 = REASSEMBLY_MAX / 2;
/** Milliseconds. */
const LIFETIME: f64 = 30000;

/** The datagram that `gatherFragment` found whole: its place, and what becomes free with `forgetDatagram`. */
export class Datagram {
  static at: usize = 0;
  static length: u32 = 0;
  static entry: usize = 0;
}

/**
 * Adds the fragment that `parseIp` saw last. One that is there already may be shown again.
 * @returns whether its datagram is whole, and in `Datagram`
 */
export function gatherFragment(arena: usize): bool {
  const kind = Ip.version | (Ip.version == 4 ? Ip.protocol << 8 : 0);
  const entry = findEntry(arena, kind);
  if (!add(arena, entry)) {
    abandon(arena, entry, 1);
    return false;
  }
  const header = load<u32>(entry, HEADER);
  const total = load<u32>(entry, TOTAL);
  if (header == 0 || total == 0 || load<u32>(entry, GATHERED) != total) return false;
  if (header + total > LONGEST) {
    abandon(arena, entry, 0);
    return false;
  }
  Datagram.entry = entry;
  Datagram.at = slotOf(arena, entry) + DATA_AT - header;
  Datagram.length = header + total;
  if (Ip.version == 4) store<u16>(Datagram.at, bswap<u16>(<u16>Datagram.length), 2);
  else store<u16>(Datagram.at, bswap<u16>(<u16>(Datagram.length - IPV6_HEADER)), 4);
  return true;
}

/** The datagram in `Datagram` has gone its way. */
export function forgetDatagram(): void {
  store<u32>(Datagram.entry, 0, KIND);
}

function findEntry(arena: usize, kind: u32): usize {
  const first = arena + REASSEMBLY_ENTRIES;
  const end = first + REASSEMBLY_MAX * REASSEMBLY_ENTRY_SIZE;
  const limit = now(arena) - LIFETIME;
  let free: usize = 0;
  let oldest: usize = 0;
  let oldestOfPair: usize = 0;
  let ofPair: u32 = 0;
  for (let entry = first; entry < end; entry += REASSEMBLY_ENTRY_SIZE) {
    if (load<u32>(entry, KIND) != 0 && load<f64>(entry, SINCE) < limit) abandon(arena, entry, 0);
    if (load<u32>(entry, KIND) == 0) {
      free = entry;
      continue;
    }
    oldest = older(oldest, entry);
    if (!isOfPair(entry)) continue;
    if (load<u32>(entry, IDENTIFICATION) == Ip.identification && load<u32>(entry, KIND) == kind) return entry;
    oldestOfPair = older(oldestOfPair, entry);
    ofPair++;
  }
  if (ofPair == PER_PAIR) free = oldestOfPair;
  else if (free == 0) free = oldest;
  abandon(arena, free, 0);
  begin(arena, free, kind);
  return free;
}

@inline
function older(a: usize, b: usize): usize {
  return a == 0 || load<f64>(b, SINCE) < load<f64>(a, SINCE) ? b : a;
}

@inline
function isOfPair(entry: usize): bool {
  return load<u64>(entry, SOURCE) == Ip.sourceHigh &&
    load<u64>(entry, SOURCE + 8) == Ip.sourceLow &&
    load<u64>(entry, DESTINATION) == Ip.destinationHigh &&
    load<u64>(entry, DESTINATION + 8) == Ip.destinationLow;
}

function begin(arena: usize, entry: usize, kind: u32): void {
  memory.fill(entry, 0, REASSEMBLY_ENTRY_SIZE);
  memory.fill(mapOf(arena, entry), 0, REASSEMBLY_MAP_SIZE);
  store<u32>(entry, Ip.identification, IDENTIFICATION);
  store<u32>(entry, kind, KIND);
  store<u64>(entry, Ip.sourceHigh, SOURCE);
  store<u64>(entry, Ip.sourceLow, SOURCE + 8);
  store<u64>(entry, Ip.destinationHigh, DESTINATION);
  store<u64>(entry, Ip.destinationLow, DESTINATION + 8);
  store<f64>(entry, now(arena), SINCE);
}

/** Frees an entry; what it held is lost, and `more` fragments with it. */
function abandon(arena: usize, entry: usize, more: u32): void {
  if (load<u32>(entry, KIND) != 0) countDrops(arena, OutReassemblyError, load<u32>(entry, PARTS) + more);
  store<u32>(entry, 0, KIND);
}

@inline
function indexOf(arena: usize, entry: usize): usize {
  return (entry - arena - REASSEMBLY_ENTRIES) / REASSEMBLY_ENTRY_SIZE;
}

@inline
function slotOf(arena: usize, entry: usize): usize {
  return arena + REASSEMBLY_SLOTS + indexOf(arena, entry) * SLOT_SIZE;
}

@inline
function mapOf(arena: usize, entry: usize): usize {
  return arena + REASSEMBLY_MAPS + indexOf(arena, entry) * REASSEMBLY_MAP_SIZE;
}

/** @returns false if the fragment cannot be one of this datagram: nothing may overlap (RFC 8200 §4.5) */
function add(arena: usize, entry: usize): bool {
  const start = Ip.version == 4 ? Ip.header : Ip.fragmentHeader + FRAGMENT_HEADER;
  const length = Ip.length - start;
  const end = Ip.fragmentOffset + length;
  if (length == 0 || end > LONGEST || (Ip.moreFragments && (length & 7) != 0)) return false;
  const total = load<u32>(entry, TOTAL);
  if (total != 0 && (end > total || (!Ip.moreFragments && end != total))) return false;
  const there = mark(mapOf(arena, entry), Ip.fragmentOffset >>> 3, (end + 7) >>> 3);
  if (there != 0) return there == (length + 7) >>> 3;
  // What lies behind the end was taken for a part.
  if (!Ip.moreFragments && reach(mapOf(arena, entry)) > (end + 7) >>> 3) return false;
  const data = slotOf(arena, entry) + DATA_AT;
  if (Ip.fragmentOffset == 0 && !keepHeader(entry, data, Ip.version == 4 ? start : Ip.fragmentHeader)) return false;
  if (!Ip.moreFragments) store<u32>(entry, end, TOTAL);
  memory.copy(data + Ip.fragmentOffset, Ip.at + start, length);
  store<u32>(entry, load<u32>(entry, PARTS) + 1, PARTS);
  store<u32>(entry, load<u32>(entry, GATHERED) + length, GATHERED);
  return true;
}

/** The whole datagram has the first fragment's header, but for what made that a fragment. */
function keepHeader(entry: usize, data: usize, length: u32): bool {
  if (length > DATA_AT) return false;
  const header = data - length;
  memory.copy(header, Ip.at, length);
  if (Ip.version == 4) store<u16>(header, 0, 6);
  else store<u8>(header + Ip.fragmentNamed, load<u8>(Ip.at + Ip.fragmentHeader));
  store<u32>(entry, length, HEADER);
  return true;
}

/** Sets the bits [from, to) if none of them is set. @returns how many were */
function mark(map: usize, from: u32, to: u32): u32 {
  let there: u32 = 0;
  for (let bit = from; bit < to; bit++) there += (<u32>load<u8>(map + (bit >>> 3)) >>> (bit & 7)) & 1;
  if (there != 0) return there;
  for (let bit = from; bit < to; bit++) {
    const byte = map + (bit >>> 3);
    store<u8>(byte, <u32>load<u8>(byte) | (1 << (bit & 7)));
  }
  return 0;
}

/** @returns the highest bit that is set, plus one */
function reach(map: usize): u32 {
  for (let at: u32 = REASSEMBLY_MAP_SIZE; at > 0; at -= 8) {
    const word = load<u64>(map + at - 8);
    if (word != 0) return (at << 3) - <u32>clz(word);
  }
  return 0;
}
