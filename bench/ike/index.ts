/**
 * `npm run bench -- ike`: full handshakes (IKE_SA_INIT and IKE_AUTH with a child SA) against one
 * responder after the other, by the same initiator in a process of its own; and the responder's
 * memory at many established pairs. Before the clock starts, some handshakes let both sides warm up: a
 * gateway runs for months.
 *
 * Initiator and responder have a core each, and either may be the slower one. So the responder's
 * own cost is reported too: handshakes per second of its processor time.
 */
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { Bed, uniqueName } from '../../src/demo/bed.ts';
import { packagePath } from '../../src/package-root.ts';
import { cpuSeconds } from '../gateway/contender.ts';
import { describeMachine, describeNode } from '../machine.ts';
import { type Spread, spread } from '../medians.ts';
import { Espalier } from '../peers/espalier.ts';
import { StrongSwan } from '../peers/strongswan.ts';
import type { InitiatorReport } from './initiator.ts';
import { draw } from './pictures.ts';
import {
  type AuthKind,
  type Handshake,
  initiatorYaml,
  responderControl,
  responderYaml,
  strongswanConf,
  writeCertificates,
} from './setup.ts';

const INITIATOR = packagePath('dist', 'bench', 'ike', 'initiator.js');
const PROPOSALS: Readonly<Record<string, string>> = {
  x25519: 'aes128gcm16-prfsha256-x25519',
  'x25519-mlkem768': 'aes128gcm16-prfsha256-x25519-ke1_mlkem768',
};
const CHARON = `
  threads = 16
  dos_protection = no
  half_open_timeout = 60
  ikesa_table_size = 4096
  ikesa_table_segments = 16
  filelog {
    log {
      default = -1
    }
  }
`;

export interface IkeResult {
  readonly suite: 'ike';
  readonly responder: string;
  readonly auth: AuthKind;
  readonly keyExchange: string;
  /** As the initiator sees them. */
  readonly handshakesPerSecond: Spread;
  readonly handshakesPerCpuSecond: Spread;
}

export interface MemoryResult {
  readonly suite: 'ike-memory';
  readonly responder: string;
  readonly pairs: number;
  /** Growth of the responder's resident memory per established IKE and child SA, from before the first. */
  readonly bytesPerPair: number;
  /** The same of those after the warm-up: without what compiling and a grown heap take once. */
  readonly bytesPerFurtherPair: number;
}

interface Options {
  readonly json?: string;
  readonly svg?: string;
  readonly count: number;
  readonly warmUp: number;
  readonly concurrency: number;
  readonly rounds: number;
  readonly responders: readonly string[];
  readonly auth: readonly AuthKind[];
  readonly keyExchanges: readonly string[];
  readonly pairs: number;
}

/** A responder that is up. */
interface Responder {
  readonly pid: number;
  stop(): Promise<void>;
}

const list = (text: string) => text.split(',').filter((word) => word !== '');
const progress = (line: string) => process.stderr.write(`${line}\n`);

async function startResponder(name: string, bed: Bed, directory: string, handshake: Handshake): Promise<Responder> {
  if (name === 'strongswan') {
    const peer = new StrongSwan(bed, 'gatewayB', join(directory, 'b'), { charon: CHARON });
    for (const [file, folder] of [
      ['server.pem', 'x509'],
      ['server.key', 'private'],
      ['ca.pem', 'x509ca'],
    ] as const) {
      copyFileSync(join(directory, file), join(directory, 'b', folder, file));
    }
    await peer.start(strongswanConf(handshake));
    return peer;
  }
  const gateway = new Espalier(bed, 'gatewayB', join(directory, 'b'));
  await gateway.start(responderYaml(handshake, directory), {
    control: responderControl(name.replace('espalier-', '')),
  });
  return gateway;
}

interface Run extends InitiatorReport {
  readonly cpu: number;
  /** Bytes of the responder: before the first handshake, after those to warm up, after the last. */
  readonly residentBefore: number;
  readonly residentWarm: number;
  readonly residentAfter: number;
}

/** Starts both sides anew, makes `count` handshakes after those to warm up, and looks at the responder before it ends. */
async function measure(
  name: string,
  handshake: Handshake,
  { count, warmUp, concurrency }: Pick<Options, 'count' | 'warmUp' | 'concurrency'>,
): Promise<Run> {
  const directory = mkdtempSync(join(tmpdir(), 'espalier-bench-'));
  const bed = Bed.create(uniqueName('i'));
  try {
    mkdirSync(join(directory, 'b'));
    writeCertificates(directory);
    const file = join(directory, 'initiator.yaml');
    writeFileSync(file, initiatorYaml(handshake, directory), { mode: 0o600 });
    const responder = await startResponder(name, bed, directory, handshake);
    const residentBefore = resident(responder.pid);
    const args = [INITIATOR, file, String(warmUp), String(count), String(concurrency)];
    const child = bed.spawn('gatewayA', process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout! });
    await once(lines, 'line');
    const before = cpuSeconds(responder.pid);
    const residentWarm = resident(responder.pid);
    child.stdin!.write('go\n');
    const [line] = await once(lines, 'line');
    const run = {
      ...(JSON.parse(line as string) as InitiatorReport),
      cpu: cpuSeconds(responder.pid) - before,
      residentBefore,
      residentWarm,
      residentAfter: resident(responder.pid),
    };
    child.kill('SIGKILL');
    await responder.stop();
    if (run.failed > 0) throw new Error(`${run.failed} of ${count} handshakes with ${name} failed: ${run.reason}`);
    return run;
  } finally {
    await bed.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @returns bytes of resident memory */
const resident = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;

async function rates(options: Options): Promise<IkeResult[]> {
  const runs = new Map<
    string,
    { result: Omit<IkeResult, 'handshakesPerSecond' | 'handshakesPerCpuSecond'>; runs: Run[] }
  >();
  for (let round = 1; round <= options.rounds; round++) {
    for (const auth of options.auth) {
      for (const keyExchange of options.keyExchanges) {
        for (const responder of options.responders) {
          // Debian's strongSwan 5.9.8 knows neither RFC 9370 nor ML-KEM.
          if (responder === 'strongswan' && keyExchange.includes('mlkem')) continue;
          const key = `${responder} ${auth} ${keyExchange}`;
          const handshake = { auth, proposal: PROPOSALS[keyExchange]! };
          const run = await measure(responder, handshake, options);
          const entry = runs.get(key) ?? { result: { suite: 'ike', responder, auth, keyExchange }, runs: [] };
          entry.runs.push(run);
          runs.set(key, entry);
          progress(`round ${round}: ${key}: ${(run.established / run.seconds).toFixed(0)} handshakes/s`);
        }
      }
    }
  }
  return [...runs.values()].map(({ result, runs: all }) => ({
    ...result,
    handshakesPerSecond: spread(all.map(({ established, seconds }) => established / seconds)),
    handshakesPerCpuSecond: spread(all.map(({ established, cpu }) => established / Math.max(cpu, 0.01))),
  }));
}

async function memory(options: Options): Promise<MemoryResult[]> {
  const results: MemoryResult[] = [];
  for (const responder of options.responders.filter((name) => name.startsWith('espalier'))) {
    const handshake = { auth: 'psk', proposal: PROPOSALS['x25519']! } as const;
    const { pairs } = options;
    const warmUp = Math.min(options.warmUp, pairs >> 1);
    const run = await measure(responder, handshake, { ...options, count: pairs - warmUp, warmUp });
    const bytesPerPair = Math.round((run.residentAfter - run.residentBefore) / pairs);
    const bytesPerFurtherPair = Math.round((run.residentAfter - run.residentWarm) / (pairs - warmUp));
    results.push({ suite: 'ike-memory', responder, pairs, bytesPerPair, bytesPerFurtherPair });
    progress(
      `${responder}: ${bytesPerPair} bytes a pair at ${pairs}, ${bytesPerFurtherPair} after the first ${warmUp}`,
    );
  }
  return results;
}

async function run(options: Options): Promise<void> {
  const machine = describeMachine();
  const results = [...(await rates(options)), ...(options.pairs > 0 ? await memory(options) : [])];
  for (const row of results) {
    process.stdout.write(
      row.suite === 'ike'
        ? `${row.responder.padEnd(16)} ${row.auth.padEnd(6)} ${row.keyExchange.padEnd(16)} ` +
            `${row.handshakesPerSecond.min} / ${row.handshakesPerSecond.median} / ${row.handshakesPerSecond.max} handshakes/s, ` +
            `${row.handshakesPerCpuSecond.median} per CPU second of the responder\n`
        : `${row.responder.padEnd(16)} ${row.bytesPerPair} bytes per IKE and child SA at ${row.pairs}, ` +
            `${row.bytesPerFurtherPair} for each after the warm-up\n`,
    );
  }
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ machine, node: describeNode(), results }, null, 1)}\n`);
  }
  if (options.svg !== undefined) {
    mkdirSync(options.svg, { recursive: true });
    writeFileSync(join(options.svg, 'ike-handshakes.svg'), draw(results, machine, process.versions.node));
  }
}

export function register(program: Command): void {
  program
    .command('ike')
    .description('full handshakes a second and memory per SA pair, beside strongSwan as responder (root)')
    .option('--json <file>', 'write the results there')
    .option('--svg <folder>', 'draw the picture there')
    .option('--count <n>', 'handshakes of one measurement', Number, 1000)
    .option('--warm-up <n>', 'handshakes before it, of which nothing is counted', Number, 1000)
    .option('--concurrency <n>', 'handshakes at a time', Number, 16)
    .option('--rounds <n>', 'turns', Number, 3)
    .option('--responders <list>', 'espalier-node, espalier-noble, strongswan', list, [
      'espalier-node',
      'espalier-noble',
      'strongswan',
    ])
    .option('--auth <list>', 'psk, ecdsa', list, ['psk', 'ecdsa'])
    .option('--key-exchanges <list>', Object.keys(PROPOSALS).join(', '), list, Object.keys(PROPOSALS))
    .option('--pairs <n>', 'established pairs for the memory figure; 0 leaves it out', Number, 10_000)
    .addHelpText('after', '\nExample: npm run bench -- ike --auth psk --rounds 5 --json ike.json\n')
    .action((options: Options) => run(options));
}
