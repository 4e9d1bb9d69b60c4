/**
 * Datagrams for many SAs, thousands of which do not fit into the processor's caches: what finding and
 * checking them takes is fetched for a train of datagrams at once, rather than waited for one by one.
 *
 *     SPI ─► SA ─► replay window, selectors
 *
 * What is found here is a guess and changes nothing.
 */
import { SA_SELECTORS, SA_WINDOW } from "../layout/records";
import { firstSa } from "../sad";

/** Datagrams looked at; UDP_GRO merges no more. */
const MOST: i32 = 64;
/** Bytes of an SA's record that receiving reads: all but the template of the outer header. */
const SA_READ: usize = 256;

/**
 * @param at the first datagram; the others follow `segment` bytes apart, up to `end`
 * @param list MOST words to work in
 */
export function fetchTrain(at: usize, end: usize, segment: u32, list: usize): void {
  // One SA's train needs nothing of the kind.
  if (<usize>segment * 3 + 4 > end - at || load<u32>(at) == load<u32>(at + segment)) return;
  let count = 0;
  for (; at + 4 <= end && count < MOST; at += segment) store<u32>(list + (count++ << 2), <u32>firstSa(load<u32>(at)));
  let sum: u32 = 0;
  for (let i = 0; i < count; i++) {
    const sa: usize = load<u32>(list + (i << 2));
    if (sa == 0) continue;
    for (let line: usize = 0; line < SA_READ; line += 64) sum ^= load<u32>(sa + line);
  }
  for (let i = 0; i < count; i++) {
    const sa: usize = load<u32>(list + (i << 2));
    if (sa == 0) continue;
    const selectors: usize = load<u32>(sa, SA_SELECTORS);
    sum ^= load<u32>(load<u32>(sa, SA_WINDOW)) ^ load<u32>(selectors) ^ load<u32>(selectors + 64);
  }
  // Otherwise nothing would need it.
  store<u32>(list, sum);
}
