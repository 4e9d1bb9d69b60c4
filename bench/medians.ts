/** What is told of a figure that was measured several times. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** @param values at least one, in any order */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { min: sorted[0]!, median: sorted[sorted.length >> 1]!, max: sorted.at(-1)! };
}

/** The same, rounded for people and files. */
export function spread(values: readonly number[], digits = 1): Spread {
  const { min, median, max } = spreadOf(values);
  const round = (value: number) => Math.round(value * 10 ** digits) / 10 ** digits;
  return { min: round(min), median: round(median), max: round(max) };
}
