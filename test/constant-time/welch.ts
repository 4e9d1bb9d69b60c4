/**
 * Does the time of an operation depend on which class its input is of? Reparaz, Balasch and
 * Verbauwhede, "Dude, is my code constant time?" (DATE 2017): inputs of two classes in random order,
 * and Welch's t-test on the times. |t| grows with the square root of the measurements if there is a
 * difference, and stays small if there is none.
 */

/** One class has the same input every time, the other a random one every time. */
export type InputClass = 'fixed' | 'random';

export interface Experiment {
  /** Puts an input in place; not timed, and the same work for both classes. */
  prepare(inputClass: InputClass): void;
  run(): void;
}

/** Above this, times differ: that |t| of equal times exceeds it by chance is beyond reckoning. */
export const DIFFERENT = 5;

const WARM_UP = 500;
/** Shares of the shortest times that are looked at: an interrupt's or a collector's time is not ours. */
const QUANTILES = [0.5, 0.75, 0.9];
const SEPARATE = 0.02;

/** @returns the largest |t| over the quantiles */
export function welch({ prepare, run }: Experiment, measurements: number): number {
  const times = new Float64Array(measurements);
  const fixed = new Uint8Array(measurements);
  for (let i = -WARM_UP; i < measurements; i++) {
    const isFixed = Math.random() < 0.5;
    prepare(isFixed ? 'fixed' : 'random');
    const start = performance.now();
    run();
    const time = performance.now() - start;
    if (i < 0) continue;
    times[i] = time;
    fixed[i] = isFixed ? 1 : 0;
  }
  const sorted = times.slice().sort();
  const values = QUANTILES.map((quantile) => {
    const limit = sorted[Math.floor(measurements * quantile)]!;
    const classes: [number[], number[]] = [[], []];
    for (let i = 0; i < measurements; i++) if (times[i]! <= limit) classes[fixed[i] as 0 | 1].push(times[i]!);
    // A class that is hardly among the fast ones, or the slow ones, needs no statistics.
    if (Math.min(classes[0].length, classes[1].length) < measurements * SEPARATE) return Number.POSITIVE_INFINITY;
    return Math.abs(statistic(classes[0], classes[1]));
  });
  return Math.max(...values);
}

/** Welch's t: the difference of the means in units of its standard error. */
export function statistic(a: readonly number[], b: readonly number[]): number {
  const [one, other] = [moments(a), moments(b)];
  const difference = one.mean - other.mean;
  // Times of one tick of the clock each have no variance, and no difference either.
  return difference === 0 ? 0 : difference / Math.sqrt(one.variance / a.length + other.variance / b.length);
}

function moments(values: readonly number[]): { readonly mean: number; readonly variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { mean, variance };
}

/**
 * The smallest |t| of a few attempts: a machine that changes its pace in the middle of one may tell
 * the classes apart by accident, but not every time; a leak is there every time.
 */
export function persistentDifference(experiment: Experiment, measurements: number, attempts: number): number {
  let smallest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < attempts && smallest >= DIFFERENT; i++)
    smallest = Math.min(smallest, welch(experiment, measurements));
  return smallest;
}
