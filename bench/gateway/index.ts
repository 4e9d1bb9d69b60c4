/**
 * `npm run bench -- gateway`: Espalier beside what people would otherwise pick. Every contender has a
 * bed of its own; they are measured in turns (A B C A B C …), so that the machine's moods hit all.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { Bed, uniqueName } from '../../src/demo/bed.ts';
import { type Contender, cpuSeconds, sum } from './contender.ts';
import { espalier } from './espalier.ts';
import { type Measurement, startServers, TESTS } from './measure.ts';
import { openvpn } from './openvpn.ts';
import { plain } from './plain.ts';
import { strongswan } from './strongswan.ts';
import { wireguard } from './wireguard.ts';

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

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
}

interface Options {
  readonly json?: string;
  readonly peers: readonly string[];
  readonly wireguardGo?: string;
  readonly algorithms: readonly string[];
  readonly backends: readonly string[];
  readonly tests: readonly string[];
  readonly seconds: number;
  readonly rounds: number;
  readonly wan: 'offload' | 'no-segmentation';
}

interface Entry {
  readonly contender: Contender;
  readonly bed: Bed;
  readonly samples: Map<string, { measurement: Measurement; cpu: number }[]>;
}

const list = (text: string) => text.split(',').filter((word) => word !== '');

function knownTests(text: string): string[] {
  const names = list(text);
  const unknown = names.find((name) => TESTS[name] === undefined);
  if (unknown !== undefined)
    throw new InvalidArgumentError(`no test ${unknown}; there are ${Object.keys(TESTS).join(', ')}`);
  return names;
}

function contenders(options: Options): Contender[] {
  const peers: Readonly<Record<string, () => Contender>> = {
    plain,
    strongswan: () => strongswan('aes128gcm16'),
    'wireguard-go': () => wireguard(),
    openvpn,
  };
  const ours = options.algorithms.flatMap((algorithm) =>
    options.backends.map((backend) => espalier({ algorithm, backend })),
  );
  const theirs = options.peers.map((peer) => {
    const make = peers[peer];
    if (make === undefined) throw new Error(`no peer ${peer}; there are ${Object.keys(peers).join(', ')}`);
    return make();
  });
  const newer = options.wireguardGo === undefined ? [] : [wireguard(options.wireguardGo, 'wireguard-go-given')];
  return [...ours, ...theirs, ...newer];
}

const label = ({ peer, algorithm, backend }: Contender): string => `${peer} ${algorithm} ${backend}`;
const progress = (line: string) => process.stderr.write(`${line}\n`);

async function measure({ contender, bed, samples }: Entry, test: string, seconds: number): Promise<void> {
  const before = contender.processes().map(cpuSeconds);
  const measurement = await TESTS[test]!(bed, seconds);
  const cpu = sum(contender.processes().map((pid, index) => cpuSeconds(pid) - before[index]!));
  const rows = samples.get(test) ?? [];
  rows.push({ measurement, cpu });
  samples.set(test, rows);
  const { mbps, pps, micros } = measurement;
  const figure = mbps ?? pps ?? micros?.median ?? 0;
  progress(
    `  ${label(contender)}: ${test} ${figure.toFixed(0)} ${mbps ? 'Mbit/s' : pps !== undefined ? 'packets/s' : 'µs'}`,
  );
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const round = (value: number) => Math.round(value * 10) / 10;
  return { min: round(sorted[0]!), median: round(sorted[sorted.length >> 1]!), max: round(sorted.at(-1)!) };
}

function results({ contender, samples }: Entry): GatewayResult[] {
  const { peer, algorithm, backend } = contender;
  return [...samples].map(([test, rows]) => {
    const of = <T>(pick: (measurement: Measurement) => T | undefined): T[] =>
      rows.map(({ measurement }) => pick(measurement)).filter((value) => value !== undefined);
    const [mbps, pps, micros] = [of((m) => m.mbps), of((m) => m.pps), of((m) => m.micros)];
    const gigabytes = sum(of((m) => m.bytes)) / 1e9;
    const cpu = sum(rows.map((row) => row.cpu)) / 2;
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
      ...(contender.processes().length > 0 &&
        mbps.length > 0 &&
        gigabytes > 0 && { cpuSecondsPerGB: Math.round((cpu / gigabytes) * 1000) / 1000 }),
    };
  });
}

/** Ratios of medians to the rivals in this very run. */
function table(rows: readonly GatewayResult[]): string {
  const value = (row: GatewayResult) => row.mbps ?? row.pps ?? row.micros!;
  const unit = (row: GatewayResult) => (row.mbps ? 'Mbit/s' : row.pps ? 'packets/s' : 'µs');
  const lines = rows.map((row) => {
    const { min, median, max } = value(row);
    const cpu = row.cpuSecondsPerGB === undefined ? '' : `${row.cpuSecondsPerGB} s/GB`;
    const p99 = row.micros === undefined ? '' : `p99 ${row.micros.p99}`;
    return [row.test, row.peer, row.algorithm, row.backend, `${min} / ${median} / ${max}`, unit(row), cpu || p99];
  });
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A WAN device that must be handed packets of at most its MTU. */
function withoutSegmentation(bed: Bed): void {
  for (const place of ['gatewayA', 'gatewayB'] as const) {
    bed.run(place, 'ethtool', '-K', 'wan', 'tx-udp-segmentation', 'off', 'tso', 'off', 'gso', 'off');
  }
}

async function run(options: Options): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'espalier-bench-'));
  const entries: Entry[] = [];
  const closing = async () => {
    for (const { contender, bed } of entries) {
      await contender.stop().catch(() => undefined);
      await bed.remove();
    }
    rmSync(directory, { recursive: true, force: true });
  };
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  });
  const work = async () => {
    for (const [index, contender] of contenders(options).entries()) {
      progress(`starting ${label(contender)}`);
      const bed = Bed.create(`${uniqueName('b')}${index}`);
      entries.push({ contender, bed, samples: new Map() });
      if (options.wan === 'no-segmentation') withoutSegmentation(bed);
      const place = join(directory, String(index));
      mkdirSync(place);
      await contender.start(bed, place);
      startServers(bed);
    }
    for (let round = 1; round <= options.rounds; round++) {
      for (const test of options.tests) {
        progress(`round ${round} of ${options.rounds}: ${test}`);
        for (const entry of entries) await measure(entry, test, options.seconds);
      }
    }
    const rows = entries
      .flatMap(results)
      .toSorted((a, b) => options.tests.indexOf(a.test) - options.tests.indexOf(b.test));
    process.stdout.write(`${table(rows)}\n`);
    const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, wan: options.wan };
    if (options.json !== undefined) {
      writeFileSync(
        options.json,
        `${JSON.stringify({ machine, node: process.versions.node, results: rows }, null, 1)}\n`,
      );
    }
  };
  try {
    await Promise.race([work(), interrupted]);
  } finally {
    await closing();
  }
}

export function register(program: Command): void {
  program
    .command('gateway')
    .description('throughput, packet rate and latency of whole gateways, beside other user-space tunnels (root)')
    .option('--json <file>', 'write the results there')
    .option('--peers <list>', 'plain, strongswan, wireguard-go, openvpn', list, [
      'plain',
      'strongswan',
      'wireguard-go',
      'openvpn',
    ])
    .option('--wireguard-go <binary>', 'one more wireguard-go to compare with')
    .option('--algorithms <list>', 'ESP proposals', list, ['aes128gcm16', 'chacha20poly1305'])
    .option('--backends <list>', 'crypto backends', list, ['wasm', 'openssl'])
    .option('--tests <list>', Object.keys(TESTS).join(', '), knownTests, [
      'tcp1',
      'tcp4',
      'tcp-reverse',
      'rtt-idle',
      'rtt-load',
    ])
    .option('--seconds <n>', 'length of one measurement', Number, 3)
    .option('--rounds <n>', 'turns of every test', Number, 3)
    .option('--wan <kind>', 'offload, or no-segmentation: the WAN device takes single packets only', 'offload')
    .addHelpText('after', '\nExample: npm run bench -- gateway --tests tcp1 --peers wireguard-go --json gateway.json\n')
    .action((options: Options) => run(options));
}
