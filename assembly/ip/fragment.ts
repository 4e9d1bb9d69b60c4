/**
 * Fragments (RFC 4301 §7): a later one shows no ports, so what the first one showed is remembered
 * for those that follow. This worker's own, ARENA_FRAGMENTS; a new entry takes the place of an old one.
 *
 *      0         4         8         12        16        20        24        28
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *   0 | IDENTI- | KIND    | PORTS   | PROTO-  | SOURCE (hi, lo)                       |
 *     | FICATION|         |         | COL     |                                       |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *  32 | DESTINATION (hi, lo)                  | SEEN (f64)        | reserved          |
 *     +---------------------------------------+-------------------+-------------------+
 */
import { now } from "../arena";
import { ARENA_FRAGMENTS, ARENA_FRAGMENTS_SIZE, OPAQUE_PORT } from "../layout/arena";
import { mix } from "../mix";
import { Ip } from "./packet";
import { PROTOCOL_OPAQUE } from "./protocols";

const IDENTIFICATION: usize = 0;
const KIND: usize = 4;
const PORTS: usize = 8;
const PROTOCOL: usize = 12;
const SOURCE: usize = 16;
const DESTINATION: usize = 32;
const SEEN: usize = 48;
const ENTRIES: u32 = ARENA_FRAGMENTS_SIZE / 64;
/** Milliseconds; reassembly gives up after 60 s (RFC 8200 §4.5), a path does not reorder that much. */
const LIFETIME: f64 = 30000;

/**
 * Remembers the ports of a first fragment; gives a later one those of its first, if that was seen.
 * Works on the packet that `parseIp` saw last.
 */
export function trackFragment(arena: usize, inbound: bool): void {
  if (!Ip.fragment) return;
  // An IPv4 Identification counts per protocol; that of IPv6 does not, and may hide the protocol.
  const kind = Ip.version | (<u32>inbound << 8) | (Ip.version == 4 ? Ip.protocol << 16 : 0);
  const entry = arena + ARENA_FRAGMENTS + (hashFragment(kind) % ENTRIES << 6);
  if (Ip.fragmentOffset == 0) {
    if (Ip.sourcePort == OPAQUE_PORT) return;
    store<u32>(entry, Ip.identification, IDENTIFICATION);
    store<u32>(entry, kind, KIND);
    store<u32>(entry, Ip.sourcePort | (Ip.destinationPort << 16), PORTS);
    store<u32>(entry, Ip.protocol, PROTOCOL);
    store<u64>(entry, Ip.sourceHigh, SOURCE);
    store<u64>(entry, Ip.sourceLow, SOURCE + 8);
    store<u64>(entry, Ip.destinationHigh, DESTINATION);
    store<u64>(entry, Ip.destinationLow, DESTINATION + 8);
    store<f64>(entry, now(arena), SEEN);
    return;
  }
  if (!isEntry(entry, kind) || now(arena) - load<f64>(entry, SEEN) > LIFETIME) return;
  const ports = load<u32>(entry, PORTS);
  if (Ip.protocol != PROTOCOL_OPAQUE && Ip.protocol != load<u32>(entry, PROTOCOL)) return;
  Ip.protocol = load<u32>(entry, PROTOCOL);
  Ip.sourcePort = ports & 0xffff;
  Ip.destinationPort = ports >>> 16;
}

@inline
function hashFragment(kind: u32): u32 {
  let hash = mix(<u64>kind << 32 | Ip.identification, Ip.sourceLow ^ rotl<u64>(Ip.sourceHigh, 32));
  hash = mix(hash, Ip.destinationLow ^ rotl<u64>(Ip.destinationHigh, 32));
  return <u32>(hash ^ (hash >>> 32));
}

@inline
function isEntry(entry: usize, kind: u32): bool {
  return load<u32>(entry, IDENTIFICATION) == Ip.identification &&
    load<u32>(entry, KIND) == kind &&
    load<u64>(entry, SOURCE) == Ip.sourceHigh &&
    load<u64>(entry, SOURCE + 8) == Ip.sourceLow &&
    load<u64>(entry, DESTINATION) == Ip.destinationHigh &&
    load<u64>(entry, DESTINATION + 8) == Ip.destinationLow;
}
