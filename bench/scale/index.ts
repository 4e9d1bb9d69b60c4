/** `bench scale`: does it stay flat from one SA and policy to ten thousand? */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { compileKernel } from '../../src/dataplane/kernel.ts';
import { packagePath } from '../../src/package-root.ts';
import { positive } from '../arguments.ts';
import { lineChart } from '../chart.ts';
import { describeMachine, describeNode, type Machine, type NodeVersions } from '../machine.ts';
import { type Spread, spreadOf } from '../medians.ts';
import { type BedResult, measureBeds, printBed } from './bed-rounds.ts';
import { type Figures, measure } from './measure.ts';

const COUNTS = [1, 10, 100, 1000, 10_000];
const MOST = 30_000;

/** What ten thousand SAs and policies must reach. */
const TARGETS = { throughput: 0.85, bytesPerSa: 16_384, installsPerSecond: 5000 } as const;

interface Options {
  readonly json?: string;
  readonly charts?: string;
  readonly seconds: number;
  readonly rounds: number;
  readonly counts?: readonly number[];
  readonly where: readonly Place[];
  readonly backend: string;
}

/** The kernel's code alone, or two gateways in a bed of namespaces, which needs root. */
const PLACES = ['kernel', 'bed'] as const;
type Place = (typeof PLACES)[number];

type Figure = keyof Figures;
export type ScaleResult = { readonly suite: 'scale'; readonly where: 'kernel'; readonly count: number } & Readonly<
  Record<Figure, Spread>
>;

interface Report {
  readonly machine: Machine;
  readonly node: NodeVersions;
  readonly results: readonly (ScaleResult | BedResult)[];
}

export function register(program: Command): void {
  program
    .command('scale')
    .description('throughput, look-up time, memory and install rate against the number of SAs and policies')
    .option('--json <file>', 'write the results there')
    .option('--charts <folder>', 'where to draw the picture (default: docs/bench, if nothing is left out)')
    .option('--seconds <number>', 'time for each figure', positive, 1)
    .option('--rounds <number>', 'turns of every count', positive, 3)
    .option(
      '--where <list>',
      `of ${PLACES.join(', ')} (default: both, the bed if this is root)`,
      places,
      defaultPlaces(),
    )
    .option('--backend <name>', 'of the gateways in the bed', 'wasm')
    .option('--counts <list>', `SAs and policies (default: ${COUNTS.join(',')})`, counts)
    .action(run);
}

async function run(options: Options): Promise<void> {
  const kernel = options.where.includes('kernel') ? await measureKernel(options) : [];
  const bed = options.where.includes('bed') ? await measureBeds(options) : [];
  const report: Report = { machine: describeMachine(), node: describeNode(), results: [...kernel, ...bed] };
  const { machine, node } = report;
  line(`${machine.cpu}, ${machine.cores} cores, ${machine.system}, load ${machine.load}; Node.js ${node.version}`);
  if (kernel.length > 0) print(kernel);
  if (bed.length > 0) printBed(bed, line);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 1)}\n`);
  const folder = options.charts ?? (options.counts === undefined ? packagePath('docs', 'bench') : undefined);
  if (folder === undefined || kernel.length < 2) return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'scale.svg'), draw(report, kernel));
}

const line = (text: string) => process.stdout.write(`${text}\n`);

async function measureKernel(options: Options): Promise<ScaleResult[]> {
  const { module } = await compileKernel();
  const wanted = options.counts ?? COUNTS;
  // The first code of an engine is its slow one.
  await measure(module, 10, options.seconds);
  const rounds = new Map<number, Figures[]>(wanted.map((count) => [count, []]));
  // In turns, so that what else the machine does falls on all alike.
  for (let round = 1; round <= options.rounds; round++) {
    for (const count of wanted) {
      process.stderr.write(`round ${round} of ${options.rounds}: ${count}\n`);
      rounds.get(count)!.push(await measure(module, count, options.seconds));
    }
  }
  return wanted.map((count) => summarise(count, rounds.get(count)!));
}

function summarise(count: number, figures: readonly Figures[]): ScaleResult {
  const spread = (figure: Figure): Spread => spreadOf(figures.map((of) => of[figure]));
  return {
    suite: 'scale',
    where: 'kernel',
    count,
    throughputMbps: spread('throughputMbps'),
    scatteredMbps: spread('scatteredMbps'),
    scatteredSmallMbps: spread('scatteredSmallMbps'),
    lookupNanos: spread('lookupNanos'),
    coldLookupNanos: spread('coldLookupNanos'),
    bytesPerSa: spread('bytesPerSa'),
    installsPerSecond: spread('installsPerSecond'),
    loadedInstallsPerSecond: spread('loadedInstallsPerSecond'),
  };
}

const COLUMNS: readonly (readonly [Figure, string])[] = [
  ['throughputMbps', 'Mbit/s'],
  ['scatteredMbps', 'scattered'],
  ['scatteredSmallMbps', 'small'],
  ['lookupNanos', 'look-up ns'],
  ['coldLookupNanos', 'cold ns'],
  ['bytesPerSa', 'bytes/SA'],
  ['installsPerSecond', 'installs/s'],
  ['loadedInstallsPerSecond', 'under load'],
];

function print(results: readonly ScaleResult[]): void {
  line('Kernel alone, no system calls: frames through SPD, SAD, framing and AES-128-GCM, each for another SA:');
  line('TCP super-frames of 45 segments; scattered UDP datagrams of 1380 bytes; small ones of 64.');
  line('Medians, per second of processor time; installations by the clock.');
  line(['SAs', ...COLUMNS.map(([, title]) => title)].map((title) => title.padStart(12)).join(''));
  for (const result of results) {
    const cells = COLUMNS.map(([figure]) => {
      const value = Math.round(result[figure].median);
      return value === 0 ? '–' : value.toLocaleString('en');
    });
    line([result.count.toLocaleString('en'), ...cells].map((cell) => cell.padStart(12)).join(''));
  }
  const [first, last] = [results[0]!, results[results.length - 1]!];
  if (first.count !== 1 || last.count !== 10_000) return;
  const ratio = last.throughputMbps.median / first.throughputMbps.median;
  const verdict = (reached: boolean) => (reached ? 'reached' : 'MISSED');
  line(
    `throughput of 10,000 / 1: ${ratio.toFixed(2)}, target ${TARGETS.throughput}: ${verdict(ratio >= TARGETS.throughput)}`,
  );
  const bytes = Math.round(last.bytesPerSa.median);
  line(`bytes an SA: ${bytes}, target ${TARGETS.bytesPerSa}: ${verdict(bytes <= TARGETS.bytesPerSa)}`);
  const installs = Math.round(last.loadedInstallsPerSecond.median);
  line(
    `installs a second beside traffic: ${installs}, target ${TARGETS.installsPerSecond}: ${verdict(installs >= TARGETS.installsPerSecond)}`,
  );
}

function draw({ machine, node }: Report, results: readonly ScaleResult[]): string {
  const points = (figure: Figure, divisor: number) =>
    results.map((result) => [result.count, result[figure].median / divisor] as const);
  return lineChart({
    title: 'From one SA and policy to ten thousand',
    subtitle: `${machine.cpu} · Node.js ${node.version} · kernel alone, one core`,
    xLabel: 'SAs, and as many policies; traffic goes to all of them in turn',
    yLabel: 'Mbit/s, ns',
    series: [
      { name: 'Mbit/s', points: points('throughputMbps', 1) },
      { name: 'scattered', points: points('scatteredMbps', 1) },
      { name: 'look-up, ns', points: points('lookupNanos', 1) },
      { name: 'uncached, ns', points: points('coldLookupNanos', 1), dashed: true },
    ],
  });
}

const defaultPlaces = (): readonly Place[] => (process.getuid?.() === 0 ? PLACES : ['kernel']);

function places(list: string): Place[] {
  return list.split(',').map((name) => {
    const place = PLACES.find((known) => known === name);
    if (place === undefined) throw new InvalidArgumentError(`use ${PLACES.join(', ')}`);
    return place;
  });
}

function counts(list: string): number[] {
  const values = list.split(',').map(Number);
  if (values.some((value) => !Number.isInteger(value) || value < 1 || value > MOST)) {
    throw new InvalidArgumentError(`use whole numbers from 1 to ${MOST}, separated by commas`);
  }
  return values;
}
