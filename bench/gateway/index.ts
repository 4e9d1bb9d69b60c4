/**
 * `npm run bench -- gateway`: Espalier beside what people would otherwise pick. Every contender has a
 * bed of its own; they are measured in turns (A B C A B C …), so that the machine's moods hit all.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { Bed, command, uniqueName } from '../../src/demo/bed.ts';
import { packagePath } from '../../src/package-root.ts';
import { positive } from '../arguments.ts';
import { describeMachine, describeNode } from '../machine.ts';
import { type Contender, cpuSeconds, sum } from './contender.ts';
import { espalier } from './espalier.ts';
import { NULL, rung } from './ladder.ts';
import { startServers, TESTS } from './measure.ts';
import { openvpn } from './openvpn.ts';
import { draw } from './pictures.ts';
import { plain } from './plain.ts';
import { cipherOf, cipherSecondsPerGB, predict } from './prediction.ts';
import { type GatewayResult, makeResult, type Ratio, ratios, type Sample, table } from './results.ts';
import { strongswan } from './strongswan.ts';
import { wireguard } from './wireguard.ts';

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
  readonly encapsulation: 'udp' | 'none';
  readonly workers: number;
  readonly ladder?: boolean;
  readonly svg?: string;
}

interface Entry {
  readonly contender: Contender;
  readonly bed: Bed;
  readonly samples: Map<string, Sample[]>;
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
  const own = (algorithm: string, backend: string) =>
    espalier({ algorithm, backend, workers: options.workers, encapsulation: options.encapsulation });
  const rungs = options.ladder ? [rung('forward'), rung('frame'), own(options.algorithms[0]!, NULL)] : [];
  const full = options.algorithms.flatMap((algorithm) => options.backends.map((backend) => own(algorithm, backend)));
  const theirs = options.peers.map((peer) => {
    const make = peers[peer];
    if (make === undefined) throw new Error(`no peer ${peer}; there are ${Object.keys(peers).join(', ')}`);
    return make();
  });
  const newer = options.wireguardGo === undefined ? [] : [wireguard(options.wireguardGo, 'wireguard-go-given')];
  return [...rungs, ...full, ...theirs, ...newer];
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

/** Every contender of ours against every other one. */
function allRatios(entries: readonly Entry[], tests: readonly string[]): Ratio[] {
  const ours = entries.filter(({ contender }) => contender.peer === 'espalier' && contender.algorithm !== 'none');
  const rivals = entries.filter(({ contender }) => contender.peer !== 'espalier' && contender.peer !== 'plain');
  return tests.flatMap((test) =>
    ours.flatMap((one) =>
      rivals.flatMap((rival) => {
        const ratio = ratios(one.samples.get(test) ?? [], rival.samples.get(test) ?? []);
        return ratio === undefined ? [] : [{ ours: label(one.contender), rival: rival.contender.peer, test, ratio }];
      }),
    ),
  );
}

/** @returns processor time a GB of each cipher of our whole gateways, if the null rung was measured too */
async function ciphers(rows: readonly GatewayResult[]): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>();
  if (!rows.some(({ backend }) => backend === NULL)) return times;
  for (const row of rows) {
    const whole = row.peer === 'espalier' && row.algorithm !== 'none' && row.backend !== NULL;
    if (!whole || row.cpuSecondsPerGB === undefined || times.has(cipherOf(row))) continue;
    progress(`timing ${cipherOf(row)} by itself`);
    times.set(cipherOf(row), await cipherSecondsPerGB(row.algorithm, row.backend));
  }
  return times;
}

/** A WAN device that must be handed packets of at most its MTU. */
function withoutSegmentation(bed: Bed): void {
  for (const place of ['gatewayA', 'gatewayB'] as const) {
    bed.run(place, 'ethtool', '-K', 'wan', 'tx-udp-segmentation', 'off', 'tso', 'off', 'gso', 'off');
  }
}

/** Debian packages that the tests need, and those of the peers. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  bed: ['iproute2', 'iperf3', 'ethtool'],
  strongswan: ['charon-systemd', 'strongswan-swanctl', 'libstrongswan-standard-plugins', 'libcharon-extra-plugins'],
  'wireguard-go': ['wireguard-go', 'wireguard-tools'],
  openvpn: ['openvpn', 'openssl'],
};

function install(options: Options): void {
  const peers = options.wireguardGo === undefined ? options.peers : [...options.peers, 'wireguard-go'];
  command(
    'bash',
    packagePath('scripts', 'install-peers.sh'),
    ...['bed', ...peers].flatMap((name) => PACKAGES[name] ?? []),
  );
}

async function run(options: Options): Promise<void> {
  install(options);
  const directory = mkdtempSync(join(tmpdir(), 'espalier-bench-'));
  const entries: Entry[] = [];
  const closing = async () => {
    const close = async ({ contender, bed }: Entry) => {
      await contender.stop().catch(() => undefined);
      await bed.remove();
    };
    await Promise.all(entries.map(close));
    rmSync(directory, { recursive: true, force: true });
  };
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  });
  const machine = describeMachine();
  const work = async () => {
    for (const [index, contender] of contenders(options).entries()) {
      progress(`starting ${label(contender)}`);
      const bed = Bed.create(`${uniqueName('b')}${index}`);
      entries.push({ contender, bed, samples: new Map() });
      if (options.wan === 'no-segmentation') withoutSegmentation(bed);
      const place = join(directory, String(index));
      mkdirSync(place);
      await contender.start(bed, place);
      await startServers(bed);
    }
    for (let round = 1; round <= options.rounds; round++) {
      for (const test of options.tests) {
        progress(`round ${round} of ${options.rounds}: ${test}`);
        for (const entry of entries) await measure(entry, test, options.seconds);
      }
    }
    const measured = options.tests.flatMap((test) =>
      entries.map(({ contender, samples }) => makeResult(contender, test, samples.get(test) ?? [])),
    );
    const rows = predict(measured, await ciphers(measured));
    const compared = allRatios(entries, options.tests);
    process.stdout.write(table(rows, compared));
    if (options.json !== undefined) {
      const { wan, encapsulation } = options;
      const report = { machine, node: describeNode(), wan, encapsulation, results: rows, ratios: compared };
      writeFileSync(options.json, `${JSON.stringify(report, null, 1)}\n`);
    }
    if (options.svg === undefined) return;
    mkdirSync(options.svg, { recursive: true });
    for (const [name, svg] of Object.entries(draw(rows, machine, process.versions.node))) {
      writeFileSync(join(options.svg, name), svg);
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
    .option('--backends <list>', 'crypto backends; null leaves packets as they are: framing and I/O alone', list, [
      'wasm',
      'openssl',
    ])
    .option('--tests <list>', Object.keys(TESTS).join(', '), knownTests, [
      'tcp1',
      'tcp4',
      'tcp-reverse',
      'rtt-idle',
      'rtt-load',
    ])
    .option('--seconds <n>', 'length of one measurement', positive, 3)
    .option('--rounds <n>', 'turns of every test', positive, 3)
    .option('--workers <n>', 'worker threads of each of our gateways', positive, 1)
    .addOption(
      new Option('--encapsulation <kind>', 'ESP in udp, or none: raw ESP').choices(['udp', 'none']).default('udp'),
    )
    .option('--ladder', 'our own rungs too: forward, frame, null; and what they let expect of the whole')
    .option('--svg <folder>', 'draw pictures there')
    .addOption(
      new Option('--wan <kind>', 'no-segmentation: the WAN device takes single packets only')
        .choices(['offload', 'no-segmentation'])
        .default('offload'),
    )
    .addHelpText('after', '\nExample: npm run bench -- gateway --tests tcp1 --peers wireguard-go --json gateway.json\n')
    .action((options: Options) => run(options));
}
