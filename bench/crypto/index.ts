/** `bench crypto`: every algorithm by every backend, packet size and batch size, in both directions. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { type CipherSuite, suiteName } from '../../src/algorithms.ts';
import { BACKENDS } from '../../src/contract.ts';
import { ALL_SUITES } from '../../src/dataplane/backends/suites.ts';
import { packagePath } from '../../src/package-root.ts';
import { positive } from '../arguments.ts';
import { draw } from './pictures.ts';
import { compareWithTargets } from './ratios.ts';
import { printReport } from './report.ts';
import { measureAll, type Plan } from './run.ts';

/** What is measured unless `--algorithms` says otherwise: each kind of cipher, each hash. */
const ALGORITHMS = [
  'aes128gcm16',
  'aes256gcm16',
  'chacha20poly1305',
  'aes128ccm16',
  'aes128gmac',
  'aes128-sha256',
  'aes128ctr-sha256',
  'aes256-sha512',
  'null-sha256',
  'null-sha384',
  'null-sha1',
];
const BYTES = [64, 256, 576, 1024, 1408, 8192];
const BATCHES = [1, 8, 32, 256];
/** Rows that are not backends of ours. */
const RIVALS = ['libsodium', 'openssl-speed'];

interface Options {
  readonly json?: string;
  readonly charts?: string;
  readonly seconds: number;
  readonly algorithms?: readonly CipherSuite[];
  readonly backends?: readonly string[];
  readonly bytes?: readonly number[];
  readonly batch?: readonly number[];
}

export function register(program: Command): void {
  program
    .command('crypto')
    .description('seal and open packets: our backends, their rivals, and the native limit')
    .option('--json <file>', 'write all results to a file')
    .option('--charts <folder>', 'where to draw pictures (default: docs/bench, if nothing is left out)')
    .option('--seconds <number>', 'time for each figure', positive, 0.06)
    .option(
      '--algorithms <list>',
      `comma-separated proposal keywords, or 'all' (default: ${ALGORITHMS.join(',')})`,
      suites,
    )
    .option('--backends <list>', `of ${[...BACKENDS, ...RIVALS].join(', ')}, or a module's path (default: all)`, words)
    .option('--bytes <list>', `payload lengths (default: ${BYTES.join(',')})`, integers)
    .option('--batch <list>', `packets per call (default: ${BATCHES.join(',')})`, integers)
    .action(run);
}

async function run(options: Options): Promise<void> {
  const plan: Plan = {
    seconds: options.seconds,
    suites: options.algorithms ?? suites(ALGORITHMS.join()),
    backends: (options.backends ?? [...BACKENDS, ...RIVALS]).filter((name) => name !== 'openssl-speed'),
    opensslSpeed: (options.backends ?? RIVALS).includes('openssl-speed'),
    bytes: options.bytes ?? BYTES,
    batches: options.batch ?? BATCHES,
    imix: options.bytes === undefined && options.batch === undefined,
  };
  const report = await measureAll(plan, (line) => process.stderr.write(`${line}\n`));
  const targets = compareWithTargets(report.results);
  printReport(report, targets, (line) => process.stdout.write(`${line}\n`));
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ ...report, targets }, undefined, 1)}\n`);
  }
  const narrowed = [options.algorithms, options.backends, options.bytes, options.batch].some(
    (list) => list !== undefined,
  );
  const folder = options.charts ?? (narrowed ? undefined : packagePath('docs', 'bench'));
  if (folder !== undefined) {
    for (const [name, svg] of Object.entries(draw(report))) {
      const file = join(folder, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, svg);
    }
  }
}

function words(list: string): string[] {
  return list
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

function integers(list: string): number[] {
  const values = words(list).map(Number);
  if (values.length === 0 || values.some((value) => !Number.isInteger(value) || value < 1 || value > 65_536)) {
    throw new InvalidArgumentError('use whole numbers from 1 to 65536, separated by commas');
  }
  return values;
}

function suites(list: string): CipherSuite[] {
  if (list === 'all') return [...ALL_SUITES];
  return words(list).map((word) => {
    const found = ALL_SUITES.find((suite) => suiteName(suite) === word);
    if (found === undefined)
      throw new InvalidArgumentError(`'${word}' is none of ${ALL_SUITES.map(suiteName).join(', ')}`);
    return found;
  });
}
