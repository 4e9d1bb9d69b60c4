/** One thread of the simulator: runs the seeds it is told to, and says what came of them. */
import { parentPort } from 'node:worker_threads';
import { runSchedules } from './run.ts';

parentPort!.on('message', ({ first, count }: { first: number; count: number }) => {
  parentPort!.postMessage(runSchedules(first, count));
});
