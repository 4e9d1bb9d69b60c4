/** What the gateway benchmark compares: a pair of tunnel ends in a bed of its own. */
import { readFileSync } from 'node:fs';
import type { Bed } from '../../src/demo/bed.ts';

export interface Contender {
  /** Column `peer` of the results. */
  readonly peer: string;
  readonly algorithm: string;
  readonly backend: string;
  /** Builds the tunnel; traffic between the hosts flows when it returns. */
  start(bed: Bed, directory: string): Promise<void>;
  /** Processes of gateway A and of gateway B; none where the kernel does the work. */
  processes(): readonly number[];
  stop(): Promise<void>;
}

/** _SC_CLK_TCK is 100 on every Linux that Node.js runs on. */
const TICKS = 100;

/** @returns seconds of CPU that a process and its threads have used */
export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold blanks; fields 14 and 15 are utime and stime.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** @returns the sum, 0 of nothing */
export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
