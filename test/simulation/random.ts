/** The only randomness of a simulation: sfc32, seeded by numbers and words, so that a run can be had again. */

/** @returns a 32-bit hash of what is given, by which independent streams are told apart (FNV-1a) */
export function mix(...parts: readonly (number | string)[]): number {
  let hash = 0x811c9dc5;
  const text = parts.join('\u0000');
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  // FNV's high bits are poor for short texts: one round of murmur's finish.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(...seed: readonly (number | string)[]) {
    this.a = mix('a', ...seed);
    this.b = mix('b', ...seed);
    this.c = mix('c', ...seed);
    for (let round = 0; round < 12; round++) this.next();
  }

  /** @returns 32 bits */
  next(): number {
    const sum = (this.a + this.b + this.counter++) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** @returns an integer from 0 to below `bound` */
  below(bound: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * bound);
  }

  /** @returns an integer, both ends included */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.next() / 0x1_0000_0000 < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  readonly bytes = (length: number): Uint8Array => {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += 4) {
      const word = this.next();
      for (let byte = 0; byte < 4 && at + byte < length; byte++) out[at + byte] = word >>> (8 * byte);
    }
    return out;
  };
}
