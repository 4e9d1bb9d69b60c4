/**
 * The SPD as the packet's path uses it: a flow cache in front of the classifier.
 *
 * The cache is this worker's own (ARENA_FLOWS). It remembers which policy a flow met and is void
 * when HEADER_SPD_GENERATION has moved on. Two entries share a bucket:
 *
 *      0         4         8         12        16        20        24        28
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *   0 | GENERA- | KIND    | PORTS   | POLICY  | SOURCE (hi, lo)                       |
 *     | TION    |         |         |         |                                       |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *  32 | DESTINATION (hi, lo)                  | reserved                              |
 *     +---------------------------------------+---------------------------------------+
 */
import { classify, generationAtRest } from "./classifier";
import { copyBlocks } from "./ip/checksum";
import { Ip } from "./ip/packet";
import { OPAQUE_PORT, ARENA_FLOWS, ARENA_FLOWS_SIZE } from "./layout/arena";
import { HEADER_BASE, HEADER_SPD_GENERATION, HEADER_SPD_IN, HEADER_SPD_OUT, POLICY_BYTES, POLICY_PACKETS } from "./layout/records";
import { mix } from "./mix";

const FLOW_GENERATION: usize = 0;
const FLOW_KIND: usize = 4;
const FLOW_PORTS: usize = 8;
export const FLOW_POLICY: usize = 12;
const FLOW_SOURCE: usize = 16;
const FLOW_DESTINATION: usize = 32;
const FLOW_SIZE: usize = 64;
const BUCKETS: u32 = ARENA_FLOWS_SIZE / 128;

/**
 * What the last look-up relied on. A policy's record may be given to another one as soon as the
 * generation moves on, so whoever reads a policy's action asks `isCurrent` afterwards.
 */
let generationSeen: u32 = 0;

/** One bit of 64 for the flow of the last packet looked up; packets without ports share theirs. */
export let flowBit: u64 = 1;

/** Is what the last look-up found still in force, and so what was read from it? */
@inline
export function isCurrent(): bool {
  return atomic.load<u32>(HEADER_BASE + HEADER_SPD_GENERATION) == generationSeen;
}

/**
 * Looks the packet that `parseIp` saw last up in the SPD of its direction.
 * @returns the address of the POLICY, 0 for none, or POLICY_UNKNOWN
 */
export function lookUpPolicy(arena: usize, inbound: bool): usize {
  // An entry never written has generation 0, but no SPD that ever had a policy does.
  const generation = generationAtRest();
  generationSeen = generation;
  const spd: usize = load<u32>(HEADER_BASE + (inbound ? HEADER_SPD_IN : HEADER_SPD_OUT));
  flowBit = 1;
  if (spd == 0) return 0;
  // Without ports there is no flow to speak of, and fragments without them are a case of their own.
  if (Ip.sourcePort == OPAQUE_PORT) return classify(spd, inbound);
  const kind = flowKind(inbound);
  const ports = flowPorts();
  const hash = flowHash(kind, ports);
  flowBit = <u64>1 << (hash >>> 58);
  const entry = flowEntry(arena, hash);
  if (isFlow(entry, generation, kind, ports)) return load<u32>(entry, FLOW_POLICY);
  if (isFlow(entry + FLOW_SIZE, generation, kind, ports)) return load<u32>(entry + FLOW_SIZE, FLOW_POLICY);
  const policy = classify(spd, inbound);
  copyBlocks(entry + FLOW_SIZE, entry, <u32>FLOW_SIZE);
  store<u32>(entry, generation, FLOW_GENERATION);
  store<u32>(entry, kind, FLOW_KIND);
  store<u32>(entry, ports, FLOW_PORTS);
  store<u32>(entry, <u32>policy, FLOW_POLICY);
  store<u64>(entry, Ip.sourceHigh, FLOW_SOURCE);
  store<u64>(entry, Ip.sourceLow, FLOW_SOURCE + 8);
  store<u64>(entry, Ip.destinationHigh, FLOW_DESTINATION);
  store<u64>(entry, Ip.destinationLow, FLOW_DESTINATION + 8);
  return policy;
}

/**
 * Where an outbound packet that `parseIp` saw last would be found, so that it can be fetched.
 * @returns the address of the bucket, two entries of 64 bytes
 */
export function expectFlow(arena: usize): usize {
  return flowEntry(arena, flowHash(flowKind(false), flowPorts()));
}

@inline
function flowKind(inbound: bool): u32 {
  return Ip.version | (Ip.protocol << 8) | (<u32>inbound << 31);
}

@inline
function flowPorts(): u32 {
  return Ip.sourcePort | (Ip.destinationPort << 16);
}

@inline
function flowHash(kind: u32, ports: u32): u64 {
  const hash = mix(<u64>kind << 32 | ports, Ip.sourceLow ^ rotl<u64>(Ip.sourceHigh, 32));
  return mix(hash, Ip.destinationLow ^ rotl<u64>(Ip.destinationHigh, 32));
}

@inline
function flowEntry(arena: usize, hash: u64): usize {
  return arena + ARENA_FLOWS + <usize>((<u32>hash ^ <u32>(hash >>> 32)) % BUCKETS) * 2 * FLOW_SIZE;
}

@inline
function isFlow(entry: usize, generation: u32, kind: u32, ports: u32): bool {
  return load<u32>(entry, FLOW_GENERATION) == generation &&
    load<u32>(entry, FLOW_KIND) == kind &&
    load<u32>(entry, FLOW_PORTS) == ports &&
    load<u64>(entry, FLOW_SOURCE + 8) == Ip.sourceLow &&
    load<u64>(entry, FLOW_DESTINATION + 8) == Ip.destinationLow &&
    load<u64>(entry, FLOW_SOURCE) == Ip.sourceHigh &&
    load<u64>(entry, FLOW_DESTINATION) == Ip.destinationHigh;
}

/** Counts packets under the policy they met. */
@inline
export function countPolicy(policy: usize, packets: u32, bytes: u64): void {
  atomic.add<u64>(policy + POLICY_PACKETS, packets);
  atomic.add<u64>(policy + POLICY_BYTES, bytes);
}
