/** The demo over real TUN devices: two gateways and two hosts, each in a network namespace. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { ControlClient } from '../control/manage/client.ts';
import { EspalierError } from '../errors.ts';
import { packagePath } from '../package-root.ts';
import { ADDRESSES, type Bed, outputOf, type Place } from './bed.ts';
import { CHILD, configuration, newSecret, SIDES } from './configuration.ts';
import type { PingReport } from './ping.ts';
import type { DemoMeasurements } from './report.ts';
import { READY, type TcpReport } from './tasks.ts';

const MAIN = packagePath('dist', 'src', 'main.js');
const HOST = packagePath('dist', 'src', 'demo', 'host.js');
const PORT = 5201;
const PINGS = 20;
const PING_BYTES = 56;
const PING_INTERVAL = 50;
const START_MILLIS = 15_000;

export interface DemoPlan {
  readonly backend: string;
  /** Length of the bulk transfer. */
  readonly seconds: number;
  /** Where the configurations and logs go. */
  readonly directory: string;
  readonly progress: (line: string) => void;
}

interface RunningGateway {
  readonly child: ChildProcess;
  readonly client: ControlClient;
  readonly log: string;
}

export async function demoInNamespaces(bed: Bed, plan: DemoPlan): Promise<DemoMeasurements> {
  plan.progress('starting a gateway on either side');
  const secret = newSecret();
  const places = ['gatewayA', 'gatewayB'] as const;
  const [a, b] = await Promise.all(places.map((place, index) => startGateway(bed, plan, place, index, secret)));
  plan.progress('negotiating IKEv2');
  const started = performance.now();
  await a!.client.up(CHILD);
  const millis = Math.round((performance.now() - started) * 10) / 10;
  plan.progress(`pinging ${ADDRESSES.hostB[0]} from ${ADDRESSES.hostA[0]}`);
  const ping = (await task(bed, 'hostA', 'ping', ADDRESSES.hostB[0], PINGS, PING_BYTES, PING_INTERVAL)) as PingReport;
  plan.progress(`moving TCP across for ${plan.seconds} s`);
  const tcp = await bulk(bed, plan.seconds);
  const status = [await a!.client.status(), await b!.client.status()] as const;
  plan.progress('stopping the gateways');
  await Promise.all([bed.end(a!.child), bed.end(b!.child)]);
  return { millis, ping, tcp, status };
}

async function startGateway(
  bed: Bed,
  plan: DemoPlan,
  place: Place,
  index: number,
  secret: string,
): Promise<RunningGateway> {
  const file = join(plan.directory, `${place}.yaml`);
  const log = join(plan.directory, `${place}.log`);
  const socket = join(plan.directory, `${place}.sock`);
  const config = configuration(SIDES[index]!, SIDES[1 - index]!, secret, { backend: plan.backend, socket });
  writeFileSync(file, stringify(config), { mode: 0o600 });
  const output = openSync(log, 'a');
  const child = bed.spawn(place, process.execPath, [MAIN, 'run', '-c', file], { stdio: ['ignore', output, output] });
  const deadline = Date.now() + START_MILLIS;
  while (!existsSync(socket)) {
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new EspalierError('ERR_DEMO', `gateway ${'AB'[index]} did not start:\n${readFileSync(log, 'utf8')}`);
    }
    await sleep(20);
  }
  return { child, client: new ControlClient(socket), log };
}

/** Runs one of the host's tasks to its end. */
async function task(bed: Bed, place: Place, ...args: readonly (string | number)[]): Promise<unknown> {
  return finish(startTask(bed, place, ...args));
}

function startTask(bed: Bed, place: Place, ...args: readonly (string | number)[]): ChildProcess {
  return bed.spawn(place, process.execPath, [HOST, ...args.map(String)], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function finish(child: ChildProcess): Promise<unknown> {
  const output = await outputOf(child, "a host's task");
  return JSON.parse(output.trim().split('\n').at(-1)!);
}

async function bulk(bed: Bed, seconds: number): Promise<TcpReport> {
  const receiver = startTask(bed, 'hostB', 'tcp-receive', ADDRESSES.hostB[0], PORT);
  const received = finish(receiver);
  await new Promise<void>((resolve, reject) => {
    receiver.stdout!.on('data', (data: Buffer) => {
      if (data.includes(READY)) resolve();
    });
    received.catch(reject);
  });
  await task(bed, 'hostA', 'tcp-send', ADDRESSES.hostB[0], PORT, seconds);
  return (await received) as TcpReport;
}

/**
 * Runs this program again as root of a user namespace of its own.
 * @returns its exit status
 */
export async function demoInUserNamespace(args: readonly string[]): Promise<number> {
  const unshare = ['--user', '--map-root-user', '--net', '--mount', '--'];
  // `ip netns` keeps its names under /run, which an ordinary user cannot write.
  const script = 'mount -t tmpfs tmpfs /run && exec "$@"';
  const command = ['sh', '-c', script, 'sh', process.execPath, MAIN, 'demo', ...args];
  const child = spawn('unshare', [...unshare, ...command], { stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  process.on('SIGINT', pass);
  process.on('SIGTERM', pass);
  const [code] = await once(child, 'close');
  return code ?? 1;
}
