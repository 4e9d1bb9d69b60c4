/**
 * `npm run bench -- soak`: full speed through two gateways for minutes. Is their memory flat, and is
 * nothing left when they are gone?
 */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { DEFAULT_MARK } from '../../src/dataplane/routes.ts';
import { ADDRESSES, Bed, command, type Place, uniqueName } from '../../src/demo/bed.ts';
import { positive } from '../arguments.ts';
import { describeMachine, describeNode, type Machine, type NodeVersions } from '../machine.ts';
import { spreadOf } from '../medians.ts';
import { cpuSeconds } from './contender.ts';
import { type EspalierPair, espalier } from './espalier.ts';
import { IPERF_PORTS, startServers } from './measure.ts';

/** Percent by which resident memory may vary after the first minute. */
const TARGET = 5;
/** Caches fill and code is optimised meanwhile; of a short run, its first third. */
const WARM_UP_SECONDS = 60;
const GATEWAYS = ['gatewayA', 'gatewayB'] as const;
const PLACES = ['hostA', ...GATEWAYS, 'hostB'] as const;

interface Options {
  readonly minutes: number;
  /** Seconds between samples. */
  readonly interval: number;
  readonly algorithm: string;
  readonly backend: string;
  readonly workers: number;
  readonly encapsulation: 'udp' | 'none';
  readonly json?: string;
}

interface Sample {
  readonly seconds: number;
  /** Resident set in MiB, of gateway A and of gateway B. */
  readonly mebibytes: readonly number[];
}

export interface SoakResult {
  readonly suite: 'soak';
  readonly algorithm: string;
  readonly backend: string;
  readonly minutes: number;
  /** From A to B and back, at the same time. */
  readonly mbps: readonly [number, number];
  readonly cpuSeconds: readonly number[];
  /** MiB after the first minute, of gateway A and of gateway B; the spread is (max − min) / median in percent. */
  readonly resident: readonly {
    readonly min: number;
    readonly median: number;
    readonly max: number;
    readonly spread: number;
  }[];
  readonly drops: readonly Readonly<Record<string, number>>[];
  /** What `down` and the end of the gateways have left behind; nothing, one hopes. */
  readonly leftovers: readonly string[];
  readonly samples: readonly Sample[];
}

interface Report {
  readonly machine: Machine;
  readonly node: NodeVersions;
  readonly results: readonly [SoakResult];
}

const progress = (line: string) => process.stderr.write(`${line}\n`);
const round = (value: number) => Math.round(value * 10) / 10;

/** @returns MiB */
function resident(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) / 1024;
}

/** One TCP flow, as fast as it goes. @returns megabits a second */
async function flow(bed: Bed, port: number, seconds: number, ...more: string[]): Promise<number> {
  const args = ['-c', ADDRESSES.hostB[0], '-p', String(port), '-t', String(seconds), '-J', ...more];
  const child = bed.spawn('hostA', 'iperf3', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout!.on('data', (data) => {
    output += data;
  });
  await once(child, 'close');
  const { error, end } = JSON.parse(output) as {
    error?: string;
    end: { sum_received: { bits_per_second: number } };
  };
  if (error !== undefined) throw new Error(`iperf3: ${error}`);
  return end.sum_received.bits_per_second / 1e6;
}

async function watch(pids: readonly number[], { minutes, interval }: Options, samples: Sample[]): Promise<void> {
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  for (let next = 0; next < minutes * 60; next += interval) {
    await sleep(Math.max(0, (next - elapsed()) * 1000));
    const sample = { seconds: Math.round(elapsed()), mebibytes: pids.map((pid) => round(resident(pid))) };
    samples.push(sample);
    if (samples.length % 12 === 1) progress(`  ${sample.seconds} s: ${sample.mebibytes.join(' and ')} MiB`);
  }
}

function summarise(values: readonly number[]): SoakResult['resident'][number] {
  const { min, median, max } = spreadOf(values);
  return { min, median, max, spread: round(((max - min) / median) * 100) };
}

/** @returns a sentence for each thing that should not be there */
const found = (what: string, text: string, trace: RegExp): string[] =>
  text
    .split('\n')
    .filter((line) => trace.test(line))
    .map((line) => `${what}: ${line.trim()}`);

/** After `down`: SAs, policies and routes are gone. */
function afterDown(bed: Bed, pair: EspalierPair): string[] {
  return GATEWAYS.flatMap((gateway, index) => {
    const { ikeSas } = pair.sides[index]!.status();
    const routes = ['-4', '-6'].map((family) =>
      bed
        .run(gateway, 'ip', family, 'route', 'show', 'table', 'all')
        .split('\n')
        .filter((line) => line.includes(`table ${DEFAULT_MARK}`))
        .join('\n'),
    );
    return [
      ...ikeSas.map(({ connection, state }) => `${gateway}: IKE SA ${connection} ${state} after down`),
      ...routes.flatMap((text) => found(`${gateway}: route after down`, text, /./)),
    ];
  });
}

/** After the end: device, rules and routes are gone. */
function afterStop(bed: Bed): string[] {
  return GATEWAYS.flatMap((gateway) => {
    const ip = (...args: string[]) => bed.run(gateway, 'ip', ...args);
    return [
      ...found(`${gateway}: device`, ip('-br', 'link'), /espalier/),
      ...['-4', '-6'].flatMap((family) => [
        ...found(`${gateway}: rule`, ip(family, 'rule'), /fwmark/),
        ...found(`${gateway}: route`, ip(family, 'route', 'show', 'table', 'all'), /espalier|table 17747/),
      ]),
    ];
  });
}

function print({ machine, node, results: [result] }: Report): void {
  const line = (text: string) => process.stdout.write(`${text}\n`);
  line(`${machine.cpu}, ${machine.cores} cores, ${machine.system}, load ${machine.load}; Node.js ${node.version}`);
  line(
    `${result.minutes} minutes, ${result.algorithm}, ${result.backend}: ${result.mbps.map(Math.round).join(' and ')} Mbit/s at the same time`,
  );
  for (const [index, { min, median, max, spread }] of result.resident.entries()) {
    const verdict = spread <= TARGET ? 'reached' : 'MISSED';
    const gateway = GATEWAYS[index]!;
    line(`${gateway}: resident ${min} / ${median} / ${max} MiB, spread ${spread} %, target ${TARGET} %: ${verdict}`);
    line(`${gateway}: ${result.cpuSeconds[index]} s of processor time, drops ${JSON.stringify(result.drops[index])}`);
  }
  line(
    result.leftovers.length === 0
      ? 'nothing is left: no SA, route, device, rule, namespace'
      : result.leftovers.join('\n'),
  );
}

/** Runs the traffic and takes everything down again. */
async function soak(
  bed: Bed,
  pair: EspalierPair,
  options: Options,
): Promise<Omit<SoakResult, 'leftovers'> & { leftovers: string[] }> {
  const samples: Sample[] = [];
  const seconds = Math.ceil(options.minutes * 60);
  const before = pair.processes().map(cpuSeconds);
  const [there, back] = await Promise.all([
    flow(bed, IPERF_PORTS[0], seconds),
    flow(bed, IPERF_PORTS[1], seconds, '-R'),
    watch(pair.processes(), options, samples),
  ]);
  const warmUp = Math.min(WARM_UP_SECONDS, seconds / 3);
  const steady = samples.filter((sample) => sample.seconds >= warmUp);
  const cpu = pair.processes().map((pid, index) => round(cpuSeconds(pid) - before[index]!));
  const drops = pair.sides.map((side) => side.status().drops);
  // Each for itself: whose peer closes has its traffic protected or dropped as before, until told otherwise.
  for (const side of pair.sides) side.cli('down', 'bench');
  const leftovers = afterDown(bed, pair);
  await pair.stop();
  leftovers.push(...afterStop(bed));
  return {
    suite: 'soak',
    algorithm: options.algorithm,
    backend: options.backend,
    minutes: options.minutes,
    mbps: [round(there), round(back)],
    cpuSeconds: cpu,
    resident: GATEWAYS.map((_, index) => summarise(steady.map(({ mebibytes }) => mebibytes[index]!))),
    drops,
    leftovers,
    samples,
  };
}

async function run(options: Options): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'espalier-soak-'));
  const machine = describeMachine();
  const bed = Bed.create(uniqueName('soak'));
  const pair = espalier(options);
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  });
  const work = async () => {
    await pair.start(bed, directory);
    await startServers(bed);
    return soak(bed, pair, options);
  };
  try {
    const { leftovers, ...result } = await Promise.race([work(), interrupted]);
    await bed.remove();
    const names = PLACES.map((place: Place) => bed.namespace(place));
    leftovers.push(...found('namespace', command('ip', 'netns', 'list'), new RegExp(names.join('|'))));
    const report: Report = { machine, node: describeNode(), results: [{ ...result, leftovers }] };
    print(report);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 1)}\n`);
    if (leftovers.length > 0) process.exitCode = 1;
  } finally {
    await pair.stop().catch(() => undefined);
    await bed.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

export function register(program: Command): void {
  program
    .command('soak')
    .description('two gateways at full speed for minutes: memory, and what is left behind (root)')
    .option('--minutes <number>', 'length of the run', positive, 10)
    .option('--interval <seconds>', 'between two samples', positive, 5)
    .option('--algorithm <proposal>', 'ESP proposal', 'aes128gcm16')
    .option('--backend <name>', 'crypto backend', 'wasm')
    .option('--workers <number>', 'threads of each gateway', positive, 1)
    .addOption(
      new Option('--encapsulation <kind>', 'ESP in udp, or none: raw ESP').choices(['udp', 'none']).default('udp'),
    )
    .option('--json <file>', 'write the results there')
    .action(run);
}
