/** Handling of secrets: comparing without leaking where they differ, and overwriting them. */
import { timingSafeEqual } from 'node:crypto';

/** Overwrites every array; what a garbage collector copied before is out of reach. */
export function wipe(...secrets: readonly (Uint8Array | undefined)[]): void {
  for (const secret of secrets) secret?.fill(0);
}

/** @returns whether both hold the same bytes, in time that depends on their length only */
export const equalSecrets = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);
