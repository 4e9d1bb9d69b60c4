/**
 * The packet under consideration, if it is plain TCP or UDP: the only ones that are coalesced, and
 * the only ones whose admission is remembered for the rest of the batch.
 *
 * ARENA_MERGES is a table by hash of the flow: u32 address of the NOTE that heads the flow's latest
 * run, u32 number of the batch it was put there in. Two flows with one hash displace each other.
 */
import { IPPROTO_TCP, IPPROTO_UDP } from "../ip/protocols";
import { ARENA_MERGES, ARENA_MERGES_SIZE } from "../layout/arena";
import { KIND_IPV6, KIND_TCP, KIND_UDP, NOTE_AT, NOTE_KIND, NOTE_SA, NOTE_UPPER } from "./packet";

const ENTRY_SIZE: usize = 8;
const ENTRIES: u32 = 1024;
/** KIND bits that belong to the flow. */
const KIND_FLOW: u32 = KIND_TCP | KIND_UDP | KIND_IPV6;

/** Fibonacci hashing. */
const MIX: u64 = 0x9e3779b97f4a7c15;

/** What `classify` saw last. */
export class Candidate {
  /** KIND_TCP or KIND_UDP, with KIND_IPV6. */
  static kind: u32 = 0;
  /** Bytes of the IP header, of that and the next one, of the payload, of the whole packet. */
  static upper: u32 = 0;
  static headers: u32 = 0;
  static payload: u32 = 0;
  static total: u32 = 0;
  /** Address of the flow's entry in the table. */
  static entry: usize = 0;
}

/** Number of the batch, so that the table need not be cleared. An instance has one arena. */
let batch: u32 = 0;

export function nextBatch(): void {
  batch++;
}

/**
 * @param head bytes that stand at `at`, of `available` in all
 * @returns whether it is a whole, well-formed TCP or UDP packet without IP options, extension headers or fragments
 */
export function classify(arena: usize, at: usize, head: u32, available: u32): bool {
  const first = <u32>load<u8>(at);
  let protocol: u32;
  let upper: u32;
  let total: u32;
  let kind: u32 = 0;
  let hash: u64;
  if (available < 40) return false;
  if (first == 0x45) {
    // Any fragment field but DF.
    if (load<u16>(at, 6) & 0xffbf) return false;
    protocol = load<u8>(at, 9);
    upper = 20;
    total = <u32>bswap<u16>(load<u16>(at, 2));
    hash = load<u64>(at, 12);
  } else if (first >> 4 == 6) {
    protocol = load<u8>(at, 6);
    upper = 40;
    total = <u32>bswap<u16>(load<u16>(at, 4)) + 40;
    kind = KIND_IPV6;
    hash = load<u64>(at, 8) ^ rotl<u64>(load<u64>(at, 16), 17) ^ rotl<u64>(load<u64>(at, 24), 31) ^ rotl<u64>(load<u64>(at, 32), 47);
  } else return false;
  if (total > available) return false;
  let headers = upper;
  if (protocol == IPPROTO_TCP) {
    headers += (<u32>load<u8>(at + upper, 12) >> 4) << 2;
    if (headers < upper + 20) return false;
    kind |= KIND_TCP;
  } else if (protocol == IPPROTO_UDP) {
    headers += 8;
    if (<u32>bswap<u16>(load<u16>(at + upper, 4)) + upper != total) return false;
    kind |= KIND_UDP;
  } else return false;
  if (headers > total || headers > head) return false;
  hash = (hash ^ (<u64>load<u32>(at + upper) << 16)) * MIX;
  Candidate.kind = kind;
  Candidate.upper = upper;
  Candidate.headers = headers;
  Candidate.payload = total - headers;
  Candidate.total = total;
  Candidate.entry = arena + ARENA_MERGES + <usize>(<u32>(hash >>> 48) & (ENTRIES - 1)) * ENTRY_SIZE;
  return true;
}

/** @returns the NOTE that heads the latest run of the candidate's flow in this batch, 0 for none */
export function findFlow(at: usize, sa: usize): usize {
  const entry = Candidate.entry;
  if (load<u32>(entry, 4) != batch) return 0;
  const note: usize = load<u32>(entry);
  if (load<u32>(note, NOTE_SA) != <u32>sa || (load<u32>(note, NOTE_KIND) & KIND_FLOW) != Candidate.kind) return 0;
  const other: usize = load<u32>(note, NOTE_AT);
  const upper = load<u32>(note, NOTE_UPPER);
  if (load<u32>(at + upper) != load<u32>(other + upper)) return 0;
  if (upper == 20) return load<u64>(at, 12) == load<u64>(other, 12) ? note : 0;
  const differ = v128.or(v128.xor(v128.load(at, 8), v128.load(other, 8)), v128.xor(v128.load(at, 24), v128.load(other, 24)));
  return v128.any_true(differ) ? 0 : note;
}

/** Puts a NOTE of the candidate's flow into the table. */
@inline
export function rememberFlow(note: usize): void {
  store<u32>(Candidate.entry, <u32>note);
  store<u32>(Candidate.entry, batch, 4);
}
