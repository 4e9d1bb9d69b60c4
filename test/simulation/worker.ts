/** One thread of the simulator: runs the seeds it is told to, and says what came of them. */
import { parentPort } from 'node:worker_threads';
import { runSchedules } from './run.ts';

// A core refuses a lot in a simulation: where it did so is asked for when one schedule is told, not here.
Error.stackTraceLimit = 0;

parentPort!.on('message', ({ first, count }: { first: number; count: number }) => {
  parentPort!.postMessage(runSchedules(first, count));
});
