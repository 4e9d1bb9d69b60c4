/** What happens to a packet once its fate is known: the one place that accepts and refuses. */
import { partialMask } from "./bytes";
import { PACKET_LENGTH, PACKET_PAYLOAD, PACKET_STATUS, STATUS_BAD_ICV, STATUS_BAD_LENGTH, STATUS_OK } from "../layout";

@inline
export function accept(packet: usize): void {
  store<u32>(packet, STATUS_OK, PACKET_STATUS);
}

/** Refuses a packet that did not authenticate and wipes its payload (RFC 4303 §3.4.4.1). */
export function rejectIcv(packet: usize): void {
  memory.fill(load<u32>(packet, PACKET_PAYLOAD), 0, load<u32>(packet, PACKET_LENGTH));
  store<u32>(packet, STATUS_BAD_ICV, PACKET_STATUS);
}

/** Refuses a packet whose length does not fit the cipher; its bytes stay as they are. */
export function rejectLength(packet: usize): void {
  store<u32>(packet, STATUS_BAD_LENGTH, PACKET_STATUS);
}

/**
 * Is the ICV in the packet another one than the tag that was computed? In one comparison, so time tells nothing
 * about where they differ.
 * @param length bytes of the ICV, at most 16
 */
@inline
export function tagDiffers(tag: v128, icv: usize, length: u32): bool {
  return v128.any_true(v128.and(v128.xor(tag, v128.load(icv)), partialMask(length)));
}

/**
 * Compares two ICVs without an early exit, so that time tells nothing about where they differ.
 * @param length bytes, a multiple of 4
 * @returns 0 if they are equal
 */
@inline
export function icvDifference(a: usize, b: usize, length: u32): u32 {
  let difference: u32 = 0;
  for (let i: u32 = 0; i < length; i += 4) difference |= load<u32>(a + i) ^ load<u32>(b + i);
  return difference;
}
