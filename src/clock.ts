/**
 * The clock that timers, ages and lifetimes go by. The system's time of day is no measure of these: somebody sets it,
 * or a server does, and what was to happen in a second happens an hour late, or at once. That one is for people, and
 * for what is about dates: certificates and revocation lists.
 */

/** What performance.now() of this thread counts from. */
const [seconds, nanoseconds] = process.hrtime();
const ORIGIN = seconds * 1000 + nanoseconds / 1e6 - performance.now();

/** @returns milliseconds since some time before the process began, the same in all threads; it never goes back */
export const monotonic = (): number => Math.trunc(ORIGIN + performance.now());
