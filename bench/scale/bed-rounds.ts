/** `bench scale` in the bed: turns of one SA and of ten thousand, their medians, and what they must reach. */
import { type Spread, spreadOf } from '../medians.ts';
import { type BedFigures, measureBed, PATTERNS, type Pattern, PEERS } from './bed.ts';

/** The same traffic over one SA with one policy, and over one of each for every address. */
const COUNTS = [1, PEERS] as const;
const TARGETS = { throughput: 0.85, installsPerSecond: 5000 } as const;

export type BedResult = {
  readonly suite: 'scale';
  readonly where: 'bed';
  readonly backend: string;
  readonly count: number;
  readonly pattern: Pattern;
} & Readonly<Record<keyof BedFigures, Spread>>;

export interface BedOptions {
  readonly backend: string;
  readonly seconds: number;
  readonly rounds: number;
}

export async function measureBeds({ backend, seconds, rounds }: BedOptions): Promise<BedResult[]> {
  const all = new Map<number, Readonly<Record<Pattern, BedFigures>>[]>(COUNTS.map((count) => [count, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const count of COUNTS) {
      process.stderr.write(`bed, round ${round} of ${rounds}: ${count}\n`);
      all.get(count)!.push(await measureBed({ count, backend, seconds: 2 * seconds }));
    }
  }
  return PATTERNS.flatMap((pattern) =>
    COUNTS.map((count) =>
      summarise(
        { backend, count, pattern },
        all.get(count)!.map((of) => of[pattern]),
      ),
    ),
  );
}

function summarise(of: Pick<BedResult, 'backend' | 'count' | 'pattern'>, figures: readonly BedFigures[]): BedResult {
  const spread = (figure: keyof BedFigures): Spread => spreadOf(figures.map((one) => one[figure]));
  return {
    suite: 'scale',
    where: 'bed',
    ...of,
    mbps: spread('mbps'),
    senderNanos: spread('senderNanos'),
    receiverNanos: spread('receiverNanos'),
    loss: spread('loss'),
    installsPerSecond: spread('installsPerSecond'),
  };
}

export function printBed(results: readonly BedResult[], line: (text: string) => void): void {
  line(
    `Two gateways in a bed, ${results[0]!.backend}: UDP of 1380 bytes to ${PEERS.toLocaleString('en')} addresses in turn,`,
  );
  line('45 to each (bursts) or one (scattered); one machine does it all. Processor time of a gateway for a datagram.');
  line(['', 'SAs', 'Mbit/s', 'sender ns', 'receiver ns', 'installs/s'].map((title) => title.padStart(12)).join(''));
  for (const { pattern, count, mbps, senderNanos, receiverNanos, installsPerSecond } of results) {
    const figures = [count, mbps.median, senderNanos.median, receiverNanos.median, installsPerSecond.median];
    const cells = figures.map((value) => (value === 0 ? '–' : Math.round(value).toLocaleString('en')));
    line([pattern, ...cells].map((cell) => cell.padStart(12)).join(''));
  }
  const verdict = (reached: boolean) => (reached ? 'reached' : 'MISSED');
  for (const pattern of PATTERNS) {
    const [one, many] = results.filter((result) => result.pattern === pattern);
    const ratio = many!.mbps.median / one!.mbps.median;
    const installs = Math.round(many!.installsPerSecond.median);
    const { throughput, installsPerSecond } = TARGETS;
    line(
      `${pattern}: throughput of many / one ${ratio.toFixed(2)}, target ${throughput}: ${verdict(ratio >= throughput)}`,
    );
    line(
      `${pattern}: ${installs} installs a second, target ${installsPerSecond}: ${verdict(installs >= installsPerSecond)}`,
    );
  }
}
