/**
 * RFC 4301 §4.4.1.1 selectors against the packet that `parseIp` saw last.
 *
 * "Local" is the source of a packet that goes out and the destination of one that comes in.
 */
import { Ip } from "./ip/packet";
import { OPAQUE_PORT } from "./layout/arena";
import {
  SELECTOR_FAMILY,
  SELECTOR_LOCAL_FROM,
  SELECTOR_LOCAL_PORTS,
  SELECTOR_PROTOCOL,
  SELECTOR_REMOTE_FROM,
  SELECTOR_REMOTE_PORTS,
  SELECTOR_SIZE,
} from "./layout/records";

/** The selector does not match. */
export const MATCH_NONE: u32 = 0;
/** It matches. */
export const MATCH_FULL: u32 = 1;
/** It matches but for ports, which the packet does not show and the selector asks for. */
export const MATCH_OPAQUE: u32 = 2;

/** @returns whether one of `count` selectors matches; an empty list admits everything */
export function matchesAny(selectors: usize, count: u32, inbound: bool): bool {
  if (count == 0) return true;
  for (const end = selectors + count * SELECTOR_SIZE; selectors < end; selectors += SELECTOR_SIZE) {
    if (matchSelector(selectors, inbound) == MATCH_FULL) return true;
  }
  return false;
}

/** @returns one of MATCH_* */
export function matchSelector(selector: usize, inbound: bool): u32 {
  if (<u32>load<u8>(selector, SELECTOR_FAMILY) != Ip.version) return MATCH_NONE;
  const protocol = <u32>load<u8>(selector, SELECTOR_PROTOCOL);
  if (protocol != 0 && protocol != Ip.protocol) return MATCH_NONE;
  const local = inbound ? SELECTOR_REMOTE_FROM : SELECTOR_LOCAL_FROM;
  const remote = inbound ? SELECTOR_LOCAL_FROM : SELECTOR_REMOTE_FROM;
  if (!inRange(selector + local, Ip.sourceHigh, Ip.sourceLow)) return MATCH_NONE;
  if (!inRange(selector + remote, Ip.destinationHigh, Ip.destinationLow)) return MATCH_NONE;
  const localPorts = inbound ? SELECTOR_REMOTE_PORTS : SELECTOR_LOCAL_PORTS;
  const remotePorts = inbound ? SELECTOR_LOCAL_PORTS : SELECTOR_REMOTE_PORTS;
  const source = matchPort(load<u32>(selector + localPorts), Ip.sourcePort);
  const destination = matchPort(load<u32>(selector + remotePorts), Ip.destinationPort);
  if (source == MATCH_NONE || destination == MATCH_NONE) return MATCH_NONE;
  return max(source, destination);
}

/** Is the address within the range at `range`: …_FROM and, behind it, …_TO? */
@inline
function inRange(range: usize, high: u64, low: u64): bool {
  const fromHigh = load<u64>(range);
  const toHigh = load<u64>(range, 16);
  if (high < fromHigh || high > toHigh) return false;
  if (high == fromHigh && low < load<u64>(range, 8)) return false;
  return high != toHigh || low <= load<u64>(range, 24);
}

/** @param ports the range, its end in the high half: ANY is 0–65535, OPAQUE 65535–0 */
@inline
function matchPort(ports: u32, port: u32): u32 {
  const from = ports & 0xffff;
  const to = ports >>> 16;
  if (port != OPAQUE_PORT) return port >= from && port <= to ? MATCH_FULL : MATCH_NONE;
  // ANY includes packets whose ports are not there (RFC 4301 §4.4.1).
  return (from == 0 && to == 65535) || from > to ? MATCH_FULL : MATCH_OPAQUE;
}
