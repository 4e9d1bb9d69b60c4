/**
 * The SPD's classifier: which policy is the first to match (RFC 4301 §4.4.1)?
 *
 * Tuple space search. A TUPLE says which bits of a packet a policy looks at: a prefix of either
 * address, a prefix of either port, the protocol or not. Policies of one tuple lie in a hash table
 * under the value of those bits, in chains ordered by rank. So a look-up costs one probe per tuple,
 * and real policy sets have a handful of tuples however many policies; adding and removing a policy
 * touches one chain. The table may send a packet to too many policies, never to too few: the
 * SELECTOR decides.
 *
 * One thread writes, any number reads: HEADER_SPD_GENERATION is the sequence lock.
 */
import { Ip } from "./ip/packet";
import { PROTOCOL_OPAQUE } from "./ip/protocols";
import { OPAQUE_PORT } from "./layout/arena";
import {
  HEADER_BASE,
  HEADER_SPD_GENERATION,
  POLICY_HANDLE,
  POLICY_NEXT,
  POLICY_PRIORITY,
  POLICY_SELECTOR,
  SELECTOR_FAMILY,
  SELECTOR_LOCAL_FROM,
  SELECTOR_LOCAL_PORTS,
  SELECTOR_PROTOCOL,
  SELECTOR_REMOTE_FROM,
  SELECTOR_REMOTE_PORTS,
  SPD_BUCKET_MASK,
  SPD_BUCKETS,
  SPD_TUPLE_COUNT,
  SPD_TUPLES,
  SPD_TUPLES_MAX,
  TUPLE_FAMILY,
  TUPLE_LEAST,
  TUPLE_LOCAL_MASK,
  TUPLE_POLICIES,
  TUPLE_PORTS_MASK,
  TUPLE_REMOTE_MASK,
  TUPLE_SIZE,
} from "./layout/records";
import { mix } from "./mix";
import { MATCH_FULL, MATCH_OPAQUE, matchSelector } from "./selector";

/** What `classify` says if a policy that might come first asks for ports which the packet does not show. */
export const POLICY_UNKNOWN: usize = 1;

const NO_RANK: u64 = u64.MAX_VALUE;

/** Where a policy stands in the order: by priority, then by age. */
@inline
function rankOf(policy: usize): u64 {
  return (<u64>load<u32>(policy, POLICY_PRIORITY) << 32) | load<u32>(policy, POLICY_HANDLE);
}

// ─── Look-up ──────────────────────────────────────────────────────────────────────────────────

/** @returns the generation of an SPD at rest, to be compared after reading it */
@inline
export function generationAtRest(): u32 {
  let generation: u32;
  do {
    generation = atomic.load<u32>(HEADER_BASE + HEADER_SPD_GENERATION);
  } while (generation & 1);
  return generation;
}

/**
 * Looks the packet that `parseIp` saw last up in an SPD.
 * @returns the address of the policy, 0 for none, or POLICY_UNKNOWN
 */
export function classify(spd: usize, inbound: bool): usize {
  while (true) {
    const generation = generationAtRest();
    const policy = search(spd, inbound);
    if (atomic.load<u32>(HEADER_BASE + HEADER_SPD_GENERATION) == generation) return policy;
  }
}

function search(spd: usize, inbound: bool): usize {
  const localHigh = inbound ? Ip.destinationHigh : Ip.sourceHigh;
  const localLow = inbound ? Ip.destinationLow : Ip.sourceLow;
  const remoteHigh = inbound ? Ip.sourceHigh : Ip.destinationHigh;
  const remoteLow = inbound ? Ip.sourceLow : Ip.destinationLow;
  const ports = inbound ? Ip.destinationPort | (Ip.sourcePort << 16) : Ip.sourcePort | (Ip.destinationPort << 16);
  const opaque = Ip.sourcePort == OPAQUE_PORT;
  let best: usize = 0;
  let bestRank = NO_RANK;
  let unknown = false;
  let tuple = spd + SPD_TUPLES;
  for (const end = tuple + load<u32>(spd, SPD_TUPLE_COUNT) * TUPLE_SIZE; tuple < end; tuple += TUPLE_SIZE) {
    if (load<u64>(tuple, TUPLE_LEAST) > bestRank) break;
    const family = load<u32>(tuple, TUPLE_FAMILY);
    if ((family & 255) != Ip.version) continue;
    const portsMask = load<u32>(tuple, TUPLE_PORTS_MASK);
    // Only a part of a fragmented packet has ports, or a protocol, that cannot be seen (RFC 4301 §7).
    if ((opaque && portsMask != 0) || (Ip.protocol == PROTOCOL_OPAQUE && family > 255)) {
      unknown = unknown || Ip.fragment;
      continue;
    }
    const hash = hashTuple(
      tuple,
      localHigh & load<u64>(tuple, TUPLE_LOCAL_MASK),
      localLow & load<u64>(tuple, TUPLE_LOCAL_MASK + 8),
      remoteHigh & load<u64>(tuple, TUPLE_REMOTE_MASK),
      remoteLow & load<u64>(tuple, TUPLE_REMOTE_MASK + 8),
      ports & portsMask,
      Ip.protocol & (family >>> 8),
    );
    let policy: usize = load<u32>(bucketOf(spd, hash));
    for (; policy != 0; policy = load<u32>(policy, POLICY_NEXT)) {
      const rank = rankOf(policy);
      if (rank >= bestRank) break;
      const match = matchSelector(policy + POLICY_SELECTOR, inbound);
      if (match == MATCH_OPAQUE) unknown = unknown || Ip.fragment;
      if (match != MATCH_FULL) continue;
      best = policy;
      bestRank = rank;
      break;
    }
  }
  return unknown ? POLICY_UNKNOWN : best;
}

@inline
function bucketOf(spd: usize, hash: u32): usize {
  return spd + SPD_BUCKETS + (<usize>(hash & load<u32>(spd, SPD_BUCKET_MASK)) << 2);
}

/** Mixes the bits that a tuple looks at. The tuple itself counts too: its masks, not its place. */
@inline
function hashTuple(tuple: usize, localHigh: u64, localLow: u64, remoteHigh: u64, remoteLow: u64, ports: u32, protocol: u32): u32 {
  let hash = mix(<u64>load<u32>(tuple, TUPLE_FAMILY) << 32 | load<u32>(tuple, TUPLE_PORTS_MASK), localLow ^ localHigh);
  hash = mix(hash, remoteLow ^ rotl<u64>(localHigh, 32));
  hash = mix(hash, remoteHigh ^ (<u64>protocol << 32 | ports));
  return <u32>(hash ^ (hash >>> 32));
}

// ─── Changes, by the engine's thread alone ────────────────────────────────────────────────────

/** The masks of the policy's tuple. */
class Shape {
  static localHigh: u64 = 0;
  static localLow: u64 = 0;
  static remoteHigh: u64 = 0;
  static remoteLow: u64 = 0;
  static ports: u32 = 0;
  static family: u32 = 0;
}

/** Puts the POLICY record at `policy`, written in full, into force. */
export function insertPolicy(spd: usize, policy: usize): void {
  beginChange();
  shapeOf(policy + POLICY_SELECTOR);
  const tuple = findTuple(spd) || appendTuple(spd);
  store<u32>(tuple, load<u32>(tuple, TUPLE_POLICIES) + 1, TUPLE_POLICIES);
  const rank = rankOf(policy);
  if (rank < load<u64>(tuple, TUPLE_LEAST)) store<u64>(tuple, rank, TUPLE_LEAST);
  let link = policyBucket(spd, tuple, policy + POLICY_SELECTOR);
  for (let other: usize = load<u32>(link); other != 0 && rankOf(other) < rank; other = load<u32>(link)) {
    link = other + POLICY_NEXT;
  }
  store<u32>(policy, load<u32>(link), POLICY_NEXT);
  store<u32>(link, <u32>policy);
  moveForward(spd, tuple);
  endChange();
}

/** Takes a policy out of force; the record may be written again when this returns. */
export function removePolicy(spd: usize, policy: usize): void {
  beginChange();
  shapeOf(policy + POLICY_SELECTOR);
  if (!unlink(spd, findExact(spd), policy)) {
    widenShape();
    unlink(spd, findExact(spd), policy);
  }
  endChange();
}

/** @returns whether the policy was there */
function unlink(spd: usize, tuple: usize, policy: usize): bool {
  if (tuple == 0) return false;
  let link = policyBucket(spd, tuple, policy + POLICY_SELECTOR);
  for (let other: usize = load<u32>(link); other != 0; other = load<u32>(link)) {
    if (other == policy) {
      store<u32>(link, load<u32>(policy, POLICY_NEXT));
      const left = load<u32>(tuple, TUPLE_POLICIES) - 1;
      store<u32>(tuple, left, TUPLE_POLICIES);
      if (left == 0) dropTuple(spd, tuple);
      return true;
    }
    link = other + POLICY_NEXT;
  }
  return false;
}

@inline
function beginChange(): void {
  atomic.add<u32>(HEADER_BASE + HEADER_SPD_GENERATION, 1);
}

@inline
function endChange(): void {
  atomic.add<u32>(HEADER_BASE + HEADER_SPD_GENERATION, 1);
}

function shapeOf(selector: usize): void {
  const local = selector + SELECTOR_LOCAL_FROM;
  const remote = selector + SELECTOR_REMOTE_FROM;
  Shape.localHigh = commonBits(load<u64>(local), load<u64>(local, 16));
  Shape.localLow = Shape.localHigh == NO_RANK ? commonBits(load<u64>(local, 8), load<u64>(local, 24)) : 0;
  Shape.remoteHigh = commonBits(load<u64>(remote), load<u64>(remote, 16));
  Shape.remoteLow = Shape.remoteHigh == NO_RANK ? commonBits(load<u64>(remote, 8), load<u64>(remote, 24)) : 0;
  Shape.ports = portBits(load<u32>(selector, SELECTOR_LOCAL_PORTS)) | (portBits(load<u32>(selector, SELECTOR_REMOTE_PORTS)) << 16);
  Shape.family = <u32>load<u8>(selector, SELECTOR_FAMILY) | (load<u8>(selector, SELECTOR_PROTOCOL) != 0 ? 0xff00 : 0);
}

/** @returns a mask of the leading bits that all numbers between the two have in common */
@inline
function commonBits(from: u64, to: u64): u64 {
  const different = from ^ to;
  if (different == 0) return u64.MAX_VALUE;
  const shared = clz<u64>(different);
  return shared == 0 ? 0 : u64.MAX_VALUE << (64 - shared);
}

/** The same for a range of ports; ANY and OPAQUE look at none. */
@inline
function portBits(ports: u32): u32 {
  const from = ports & 0xffff;
  const to = ports >>> 16;
  return from > to ? 0 : <u32>commonBits(from, to) & 0xffff;
}

@inline
function policyBucket(spd: usize, tuple: usize, selector: usize): usize {
  return bucketOf(spd, hashTuple(
    tuple,
    load<u64>(selector, SELECTOR_LOCAL_FROM) & load<u64>(tuple, TUPLE_LOCAL_MASK),
    load<u64>(selector, SELECTOR_LOCAL_FROM + 8) & load<u64>(tuple, TUPLE_LOCAL_MASK + 8),
    load<u64>(selector, SELECTOR_REMOTE_FROM) & load<u64>(tuple, TUPLE_REMOTE_MASK),
    load<u64>(selector, SELECTOR_REMOTE_FROM + 8) & load<u64>(tuple, TUPLE_REMOTE_MASK + 8),
    ((load<u32>(selector, SELECTOR_LOCAL_PORTS) & 0xffff) | (load<u32>(selector, SELECTOR_REMOTE_PORTS) << 16)) & load<u32>(tuple, TUPLE_PORTS_MASK),
    <u32>load<u8>(selector, SELECTOR_PROTOCOL) & (load<u32>(tuple, TUPLE_FAMILY) >>> 8),
  ));
}

/** @returns the tuple that takes policies of that Shape, 0 if it is to be made; may widen the Shape */
function findTuple(spd: usize): usize {
  const found = findExact(spd);
  // A table full of tuples: policies of new shapes share the widest one, and are searched one by one.
  if (found != 0 || load<u32>(spd, SPD_TUPLE_COUNT) < <u32>SPD_TUPLES_MAX - 2) return found;
  widenShape();
  return findExact(spd);
}

/** One such tuple per family always finds room. */
function widenShape(): void {
  Shape.localHigh = 0;
  Shape.localLow = 0;
  Shape.remoteHigh = 0;
  Shape.remoteLow = 0;
  Shape.ports = 0;
  Shape.family &= 255;
}

function findExact(spd: usize): usize {
  let tuple = spd + SPD_TUPLES;
  for (const end = tuple + load<u32>(spd, SPD_TUPLE_COUNT) * TUPLE_SIZE; tuple < end; tuple += TUPLE_SIZE) {
    if (
      load<u64>(tuple, TUPLE_LOCAL_MASK) == Shape.localHigh &&
      load<u64>(tuple, TUPLE_LOCAL_MASK + 8) == Shape.localLow &&
      load<u64>(tuple, TUPLE_REMOTE_MASK) == Shape.remoteHigh &&
      load<u64>(tuple, TUPLE_REMOTE_MASK + 8) == Shape.remoteLow &&
      load<u32>(tuple, TUPLE_PORTS_MASK) == Shape.ports &&
      load<u32>(tuple, TUPLE_FAMILY) == Shape.family
    ) return tuple;
  }
  return 0;
}

function appendTuple(spd: usize): usize {
  const count = load<u32>(spd, SPD_TUPLE_COUNT);
  const tuple = spd + SPD_TUPLES + count * TUPLE_SIZE;
  store<u64>(tuple, Shape.localHigh, TUPLE_LOCAL_MASK);
  store<u64>(tuple, Shape.localLow, TUPLE_LOCAL_MASK + 8);
  store<u64>(tuple, Shape.remoteHigh, TUPLE_REMOTE_MASK);
  store<u64>(tuple, Shape.remoteLow, TUPLE_REMOTE_MASK + 8);
  store<u32>(tuple, Shape.ports, TUPLE_PORTS_MASK);
  store<u32>(tuple, Shape.family, TUPLE_FAMILY);
  store<u32>(tuple, 0, TUPLE_POLICIES);
  store<u64>(tuple, NO_RANK, TUPLE_LEAST);
  store<u32>(spd, count + 1, SPD_TUPLE_COUNT);
  return tuple;
}

function dropTuple(spd: usize, tuple: usize): void {
  const count = load<u32>(spd, SPD_TUPLE_COUNT) - 1;
  memory.copy(tuple, tuple + TUPLE_SIZE, spd + SPD_TUPLES + count * TUPLE_SIZE - tuple);
  store<u32>(spd, count, SPD_TUPLE_COUNT);
}

/** Keeps the tuples in the order of LEAST. */
function moveForward(spd: usize, tuple: usize): void {
  const least = load<u64>(tuple, TUPLE_LEAST);
  while (tuple > spd + SPD_TUPLES && load<u64>(tuple - TUPLE_SIZE, TUPLE_LEAST) > least) {
    for (let at: usize = 0; at < <usize>TUPLE_SIZE; at += 16) {
      const before = v128.load(tuple - TUPLE_SIZE + at);
      v128.store(tuple - TUPLE_SIZE + at, v128.load(tuple + at));
      v128.store(tuple + at, before);
    }
    tuple -= TUPLE_SIZE;
  }
}
