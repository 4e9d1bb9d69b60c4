/**
 * What the null rung and the cipher alone let one expect of the whole path: processor time a byte of both,
 * added up, beside what was measured. All in one run, so that it is one machine in one mood.
 */
import { suiteName } from '../../src/algorithms.ts';
import { loadBackend } from '../../src/dataplane/backends/index.ts';
import { ALL_SUITES } from '../../src/dataplane/backends/suites.ts';
import { Workbench } from '../../src/dataplane/backends/workbench.ts';
import { layOutBatches, timeBatches } from '../crypto/timing.ts';
import { spreadOf } from '../medians.ts';
import { NULL } from './ladder.ts';
import type { GatewayResult, Prediction } from './results.ts';

/** A full TCP segment under the default MTU with timestamps: its data, and what is encrypted of it. */
const TCP_DATA = 1386;
const ESP_PAYLOAD = 1440;
/** Segments of a frame of 64 KiB, which the cipher is given at once. */
const BATCH = 47;
const ROUNDS = 5;
const ROUND_MS = 100;
const MEMORY = 8 << 20;
/** Several frames, as they go round in a worker's arena; within a core's second-level cache. */
const SET_BYTES = 262_144;

/** @returns seconds of processor time that sealing, or opening, a GB of TCP data takes: their mean */
export async function cipherSecondsPerGB(algorithm: string, name: string): Promise<number> {
  const suite = ALL_SUITES.find((one) => suiteName(one) === algorithm);
  if (suite === undefined)
    throw new Error(`no algorithm ${algorithm}; there are ${ALL_SUITES.map(suiteName).join(', ')}`);
  const bench = new Workbench(MEMORY);
  const backend = await loadBackend(name, bench.kernel, await bench.instantiate());
  const set = layOutBatches(bench, suite, new Array<number>(BATCH).fill(ESP_PAYLOAD), SET_BYTES);
  const directions = ['seal', 'open'] as const;
  const nanos = directions.map((direction) => {
    // The first round only brings code and data to where they will be.
    timeBatches(backend, direction, set, ROUND_MS);
    return spreadOf(Array.from({ length: ROUNDS }, () => timeBatches(backend, direction, set, ROUND_MS))).median;
  });
  backend.close();
  return (nanos[0]! + nanos[1]!) / 2 / (BATCH * TCP_DATA);
}

/**
 * @param cipher seconds of processor time a GB, by algorithm and backend as `cipherOf` joins them
 * @returns the rows; those of whole gateways that the null rung was measured beside bear a prediction
 */
export function predict(rows: readonly GatewayResult[], cipher: ReadonlyMap<string, number>): readonly GatewayResult[] {
  return rows.map((row) => {
    const base = rows.find(({ backend, test }) => backend === NULL && test === row.test)?.cpuSecondsPerGB;
    const cipherSeconds = cipher.get(cipherOf(row));
    if (base === undefined || cipherSeconds === undefined || row.cpuSecondsPerGB === undefined) return row;
    const prediction: Prediction = {
      nullSecondsPerGB: base,
      cipherSecondsPerGB: Math.round(cipherSeconds * 1000) / 1000,
      ratio: Math.round((row.cpuSecondsPerGB / (base + cipherSeconds)) * 100) / 100,
    };
    return { ...row, prediction };
  });
}

export const cipherOf = ({ algorithm, backend }: Pick<GatewayResult, 'algorithm' | 'backend'>): string =>
  `${algorithm} ${backend}`;
