/** Samples to rows: the results of `bench gateway` as JSON and as a table. */
import { type Spread, spread } from '../medians.ts';
import { type Contender, sum } from './contender.ts';
import type { Measurement } from './measure.ts';

/** One row of the results' JSON; `mbps` are megabits a second here, the custom of gateways. */
export interface GatewayResult {
  readonly suite: 'gateway';
  readonly peer: string;
  readonly algorithm: string;
  readonly backend: string;
  readonly test: string;
  readonly mbps?: Spread;
  readonly pps?: Spread;
  readonly micros?: Spread & { readonly p99: number };
  /** Of one gateway, on average over both. */
  readonly cpuSecondsPerGB?: number;
  /** Of a whole gateway beside the null rung. */
  readonly prediction?: Prediction;
}

/** What the path without a cipher and the cipher by itself let one expect of both together. */
export interface Prediction {
  /** Processor time of one gateway, as in `cpuSecondsPerGB`. */
  readonly nullSecondsPerGB: number;
  readonly cipherSecondsPerGB: number;
  /** What was measured to the sum of both. */
  readonly ratio: number;
}

export interface Sample {
  readonly measurement: Measurement;
  /** Seconds of both gateways together. */
  readonly cpu: number;
}

/** One contender's ratios to another, of the medians in this run. */
export interface Ratio {
  readonly ours: string;
  readonly rival: string;
  readonly test: string;
  readonly ratio: Spread;
}

export function makeResult(
  { peer, algorithm, backend, processes }: Contender,
  test: string,
  samples: readonly Sample[],
): GatewayResult {
  const of = <T>(pick: (measurement: Measurement) => T | undefined): T[] =>
    samples.map(({ measurement }) => pick(measurement)).filter((value) => value !== undefined);
  const [mbps, pps, micros] = [of((m) => m.mbps), of((m) => m.pps), of((m) => m.micros)];
  const gigabytes = sum(of((m) => m.bytes)) / 1e9;
  const cpu = sum(samples.map((sample) => sample.cpu)) / 2;
  return {
    suite: 'gateway',
    peer,
    algorithm,
    backend,
    test,
    ...(mbps.length > 0 && { mbps: spread(mbps) }),
    ...(pps.length > 0 && { pps: spread(pps) }),
    ...(micros.length > 0 && {
      micros: { ...spread(micros.map(({ median }) => median)), p99: spread(micros.map(({ p99 }) => p99)).median },
    }),
    ...(processes().length > 0 &&
      mbps.length > 0 &&
      gigabytes > 0 && { cpuSecondsPerGB: Math.round((cpu / gigabytes) * 1000) / 1000 }),
  };
}

/** Round by round, so that the machine's moods cancel. */
export function ratios(ours: readonly Sample[], rival: readonly Sample[]): Spread | undefined {
  const figure = ({ measurement: { mbps, pps, micros } }: Sample) => mbps ?? pps ?? (micros && 1 / micros.median);
  const pairs = ours.map((sample, round) => [figure(sample), rival[round] && figure(rival[round])] as const);
  const quotients = pairs.flatMap(([a, b]) => (a !== undefined && b !== undefined && b > 0 ? [a / b] : []));
  return quotients.length > 0 ? spread(quotients, 2) : undefined;
}

function columns(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]!.length))) ?? [];
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const three = ({ min, median, max }: Spread) => `${min} / ${median} / ${max}`;

/** @returns min / median / max of every row, then of the ratios, then the predictions */
export function table(rows: readonly GatewayResult[], all: readonly Ratio[]): string {
  const lines = rows.map((row) => {
    const unit = row.mbps ? 'Mbit/s' : row.pps ? 'packets/s' : 'µs';
    const cpu = row.cpuSecondsPerGB === undefined ? '' : `${row.cpuSecondsPerGB} s/GB`;
    const p99 = row.micros === undefined ? '' : `p99 ${row.micros.p99}`;
    return [
      row.test,
      row.peer,
      row.algorithm,
      row.backend,
      three((row.mbps ?? row.pps ?? row.micros)!),
      unit,
      cpu || p99,
    ];
  });
  const compared = all.map(({ ours, rival, test, ratio }) => [test, ours, `× ${rival}`, three(ratio)]);
  const predicted = rows.flatMap(({ prediction, cpuSecondsPerGB, test, algorithm, backend }) => {
    if (prediction === undefined) return [];
    const { nullSecondsPerGB, cipherSecondsPerGB, ratio } = prediction;
    const sum = `null rung ${nullSecondsPerGB} + cipher ${cipherSecondsPerGB}`;
    return [[test, `${algorithm} ${backend}`, `${cpuSecondsPerGB} s/GB`, `${sum} s/GB`, `× ${ratio}`]];
  });
  return [lines, compared, predicted]
    .filter((part) => part.length > 0)
    .map((part) => `${columns(part)}\n`)
    .join('\n');
}
