/**
 * How long a backend takes for a batch: per batch of equal ones.
 *
 * In the thread's own CPU time, as `openssl speed` does too: a machine that is busy with other
 * things then changes little.
 */
import koffi from 'koffi';
import { type CipherSuite, suiteLengths } from '../../src/algorithms.ts';
import type { CryptoBackend, Direction } from '../../src/dataplane/backends/backend.ts';
import type { PacketView, Workbench } from '../../src/dataplane/backends/workbench.ts';

/** Equal batches that are worked on in turn, so that as many can be opened as were sealed. */
export interface BatchSet {
  readonly batches: readonly (readonly PacketView[])[];
  readonly count: number;
}

const SET_BATCHES = 64;

/**
 * Lays out batches of `lengths.length` packets of one SA; a block cipher's lengths are rounded down.
 * @param bytes that the batches may have together, one at least; within a core's second-level cache
 */
export function layOutBatches(
  bench: Workbench,
  suite: CipherSuite,
  lengths: readonly number[],
  bytes: number,
): BatchSet {
  const { key, salt, integKey, iv } = suiteLengths(suite);
  const pattern = (length: number, step: number) => Uint8Array.from({ length }, (_, i) => i * step + step);
  const address = bench.key(suite, { key: pattern(key, 3), salt: pattern(salt, 5), integKey: pattern(integKey, 7) });
  const block = suiteLengths(suite).block > 4 ? suiteLengths(suite).block : 1;
  const total = lengths.reduce((sum, length) => sum + length + 64, 0);
  const number = Math.max(1, Math.min(SET_BATCHES, Math.floor(bytes / total)));
  const batch = (index: number) =>
    bench.packets(
      lengths.map((length, i) => ({
        key: address,
        iv: pattern(iv, index * 2 + 1).map((byte, at) => (at < 4 ? byte : byte + i)),
        // SPI ‖ sequence number; behind a separate ICV the explicit IV follows.
        aad: pattern(integKey > 0 ? 8 + iv : 8, 11),
        payload: pattern(length - (length % block), i * 2 + 1),
      })),
    );
  return { batches: Array.from({ length: number }, (_, index) => batch(index)), count: lengths.length };
}

const CLOCK_THREAD_CPUTIME_ID = 3;
const timespec = new BigInt64Array(new ArrayBuffer(64), 0, 2);
const timespecAddress = koffi.address(timespec);
const clockGettime = koffi.load(null).func('int clock_gettime(int, uintptr_t)');

/** @returns milliseconds of CPU time that this thread has had */
function threadTime(): number {
  clockGettime(CLOCK_THREAD_CPUTIME_ID, timespecAddress);
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}

/**
 * Runs a set over and over in one direction; sealing in between is not counted.
 * @param milliseconds of work to be timed, at least one round
 * @returns nanoseconds per batch
 */
export function timeBatches(
  backend: CryptoBackend,
  direction: Direction,
  { batches, count }: BatchSet,
  milliseconds: number,
): number {
  let spent = 0;
  let done = 0;
  do {
    if (direction === 'open') for (const batch of batches) backend.seal(batch[0]!.descriptor, count);
    const start = threadTime();
    for (const batch of batches) backend[direction](batch[0]!.descriptor, count);
    spent += threadTime() - start;
    done += batches.length;
  } while (spent < milliseconds);
  return (spent * 1e6) / done;
}
