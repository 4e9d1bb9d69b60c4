/**
 * The SAD as the kernel sees it (RFC 4301 §4.4.2): look-up by SPI, and what both directions do with
 * an SA. Records are written by src/dataplane/sad.ts; a record is linked into its chain when it is
 * complete, and used again only when no batch that may have found it is in flight.
 */
import { now, pushEvent } from "./arena";
import {
  EVENT_EXPIRE,
  EVENT_EXPIRE_HARD_BYTES,
  EVENT_EXPIRE_HARD_PACKETS,
  EVENT_EXPIRE_SOFT_BYTES,
  EVENT_EXPIRE_SOFT_PACKETS,
  EVENT_REASON,
} from "./layout/arena";
import {
  HEADER_BASE,
  HEADER_SPI_MASK,
  HEADER_SPI_TABLE,
  SA_BYTES,
  SA_EXPIRED,
  SA_FLAG_AH,
  SA_FLAG_MULTICAST,
  SA_FLAG_OUTER6,
  SA_FLAGS,
  SA_HANDLE,
  SA_HARD_BYTES,
  SA_HARD_PACKETS,
  SA_LAST_USED,
  SA_LOCAL,
  SA_LOCK,
  SA_NEXT,
  SA_PACKETS,
  SA_SOFT_BYTES,
  SA_SOFT_PACKETS,
  SA_SPI,
  SPI_HASH_FACTOR,
  SPI_HASH_SHIFT,
} from "./layout/records";

/**
 * Finds the inbound SA for an SPI (RFC 4301 §4.1): by SPI and protocol, and for a multicast SA by
 * its group too.
 * @param spi as a load finds it on the wire
 * @param ah SA_FLAG_AH or 0
 * @param destination address of the outer destination, wire; its family is the SA's
 * @returns address of the SA record, 0 for none
 */
export function findSa(spi: u32, ah: u32, destination: usize): usize {
  let sa = firstSa(spi);
  while (sa != 0) {
    if (load<u32>(sa, SA_SPI) == spi) {
      const flags = load<u32>(sa, SA_FLAGS);
      if ((flags & SA_FLAG_AH) == ah && ((flags & SA_FLAG_MULTICAST) == 0 || isGroup(sa, flags, destination))) return sa;
    }
    sa = atomic.load<u32>(sa, SA_NEXT);
  }
  return 0;
}

/** @returns the SA whose chain those with that SPI are in; 0 for an empty one */
@inline
export function firstSa(spi: u32): usize {
  const hash = spi * <u32>SPI_HASH_FACTOR;
  const index = (hash ^ (hash >> SPI_HASH_SHIFT)) & load<u32>(HEADER_BASE, HEADER_SPI_MASK);
  const table: usize = load<u32>(HEADER_BASE, HEADER_SPI_TABLE);
  return atomic.load<u32>(table + (<usize>index << 2));
}

/** Is `destination` the group the SA belongs to? */
function isGroup(sa: usize, flags: u32, destination: usize): bool {
  if (flags & SA_FLAG_OUTER6) {
    return load<u64>(destination) == load<u64>(sa, SA_LOCAL + 8) && load<u64>(destination, 8) == load<u64>(sa, SA_LOCAL + 16);
  }
  return load<u32>(destination) == load<u32>(sa, SA_LOCAL + 4);
}

/** Has the SA carried as much as it may (RFC 4301 §4.4.2.1, hard lifetime)? */
@inline
export function isExpired(sa: usize): bool {
  return (
    atomic.load<u64>(sa, SA_BYTES) >= load<u64>(sa, SA_HARD_BYTES) ||
    atomic.load<u64>(sa, SA_PACKETS) >= load<u64>(sa, SA_HARD_PACKETS)
  );
}

/** Adds to what the SA has carried, and reports the lifetimes that this brings to their end. */
export function countSa(arena: usize, sa: usize, packets: u64, bytes: u64): void {
  const totalPackets = atomic.add<u64>(sa, packets, SA_PACKETS) + packets;
  const totalBytes = atomic.add<u64>(sa, bytes, SA_BYTES) + bytes;
  store<f64>(sa, now(arena), SA_LAST_USED);
  let reached: u32 = 0;
  if (totalBytes >= load<u64>(sa, SA_SOFT_BYTES)) reached |= EVENT_EXPIRE_SOFT_BYTES;
  if (totalPackets >= load<u64>(sa, SA_SOFT_PACKETS)) reached |= EVENT_EXPIRE_SOFT_PACKETS;
  if (totalBytes >= load<u64>(sa, SA_HARD_BYTES)) reached |= EVENT_EXPIRE_HARD_BYTES;
  if (totalPackets >= load<u64>(sa, SA_HARD_PACKETS)) reached |= EVENT_EXPIRE_HARD_PACKETS;
  if (reached != 0) reportExpiry(arena, sa, reached);
}

/**
 * Raises an expire event for each of the EVENT_EXPIRE_* bits that no worker has reported yet. One
 * that finds no room is left for the next packet to report.
 */
export function reportExpiry(arena: usize, sa: usize, reasons: u32): void {
  let fresh = reasons & ~atomic.load<u32>(sa, SA_EXPIRED);
  while (fresh != 0) {
    const reason = fresh & (0 - fresh);
    fresh ^= reason;
    if (atomic.or<u32>(sa, reason, SA_EXPIRED) & reason) continue;
    const event = pushEvent(arena, EVENT_EXPIRE, load<u32>(sa, SA_HANDLE));
    if (event != 0) store<u32>(event, reason, EVENT_REASON);
    else atomic.and<u32>(sa, ~reason, SA_EXPIRED);
  }
}

/** Takes SA_LOCK. Held for a few hundred nanoseconds a batch, so contention is rare; then it sleeps. */
export function lockSa(sa: usize): void {
  if (atomic.cmpxchg<u32>(sa, 0, 1, SA_LOCK) == 0) return;
  for (let spin = 0; spin < 64; spin++) {
    if (atomic.load<u32>(sa, SA_LOCK) == 0 && atomic.cmpxchg<u32>(sa, 0, 1, SA_LOCK) == 0) return;
  }
  while (atomic.xchg<u32>(sa, 2, SA_LOCK) != 0) atomic.wait<u32>(sa + SA_LOCK, 2, -1);
}

export function unlockSa(sa: usize): void {
  if (atomic.xchg<u32>(sa, 0, SA_LOCK) == 2) atomic.notify(sa + SA_LOCK, 1);
}
