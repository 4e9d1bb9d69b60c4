/** The tests of the gateway benchmark: iperf3, datagrams and pings between the hosts of a bed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ADDRESSES, type Bed, outputOf, type Place } from '../../src/demo/bed.ts';
import type { PingReport } from '../../src/demo/ping.ts';
import { packagePath } from '../../src/package-root.ts';
import type { LosslessOptions, LosslessReport } from './lossless.ts';

const HOST = packagePath('dist', 'src', 'demo', 'host.js');
const LOSSLESS = packagePath('dist', 'bench', 'gateway', 'lossless.js');
const [TARGET] = ADDRESSES.hostB;
const SERVER_TRIES = 100;
const IDLE_PINGS = 200;
const PING_BYTES = 56;
const PING_INTERVAL = 4;
/** Bytes of UDP payload, 7:4:1. */
const IMIX = [36, 548, 36, 36, 548, 36, 1372, 36, 548, 36, 36, 548];

/** What one run of one test gave. */
export interface Measurement {
  readonly mbps?: number;
  readonly pps?: number;
  /** Round trips in microseconds. */
  readonly micros?: { readonly median: number; readonly p99: number };
  /** Bytes that crossed, for CPU seconds per GB. */
  readonly bytes?: number;
}

type Test = (bed: Bed, seconds: number) => Promise<Measurement>;

async function capture(bed: Bed, place: Place, file: string, args: readonly (string | number)[]): Promise<string> {
  const child = bed.spawn(place, file, args.map(String), { stdio: ['ignore', 'pipe', 'pipe'] });
  return outputOf(child, `${file} ${args.join(' ')}`);
}

interface IperfEnd {
  readonly sum_sent: { readonly bytes: number };
  readonly sum_received: { readonly bits_per_second: number; readonly bytes: number };
}

async function iperf(
  bed: Bed,
  seconds: number,
  port: number,
  ...args: readonly (string | number)[]
): Promise<IperfEnd> {
  const text = await capture(bed, 'hostA', 'iperf3', ['-c', TARGET, '-p', port, '-t', seconds, '-J', ...args]);
  const { error, end } = JSON.parse(text) as { error?: string; end: IperfEnd };
  if (error !== undefined) throw new Error(`iperf3: ${error}`);
  return end;
}

/** Every iperf3 server takes one client at a time, so a mix of flows needs several. */
export const IPERF_PORTS = [5301, 5302, 5303] as const;

/** @returns once they listen */
export async function startServers(bed: Bed): Promise<void> {
  for (const port of IPERF_PORTS) bed.spawn('hostB', 'iperf3', ['-s', '-p', String(port)], { stdio: 'ignore' });
  for (let tries = 0; tries < SERVER_TRIES; tries++) {
    const listening = bed.run('hostB', 'ss', '-Hltn');
    if (IPERF_PORTS.every((port) => listening.includes(`:${port} `))) return;
    await sleep(50);
  }
  throw new Error('iperf3 does not listen');
}

const tcp =
  (...args: readonly (string | number)[]): Test =>
  async (bed, seconds) => {
    const { sum_received: received } = await iperf(bed, seconds, IPERF_PORTS[0], ...args);
    return { mbps: received.bits_per_second / 1e6, bytes: received.bytes };
  };

const lossless =
  (...lengths: readonly number[]): Test =>
  async (bed, seconds) => {
    const options: LosslessOptions = {
      from: bed.namespace('hostA'),
      to: bed.namespace('hostB'),
      address: TARGET.split('.').map(Number),
      lengths,
      seconds,
    };
    const text = await capture(bed, 'hostA', process.execPath, [LOSSLESS, JSON.stringify(options)]);
    return { pps: (JSON.parse(text) as LosslessReport).pps };
  };

async function roundTrips(bed: Bed, count: number): Promise<Measurement> {
  const text = await capture(bed, 'hostA', process.execPath, [HOST, 'ping', TARGET, count, PING_BYTES, PING_INTERVAL]);
  const { rttMillis } = JSON.parse(text) as PingReport;
  return { micros: { median: rttMillis.median * 1000, p99: rttMillis.p99 * 1000 } };
}

const underLoad: Test = async (bed, seconds) => {
  const load = iperf(bed, seconds + 1, IPERF_PORTS[0]);
  const trips = await roundTrips(bed, Math.floor((seconds * 1000) / PING_INTERVAL / 2));
  await load;
  return trips;
};

/** By the name that `--tests` and the results use. */
export const TESTS: Readonly<Record<string, Test>> = {
  tcp1: tcp(),
  tcp4: tcp('-P', 4),
  'tcp-reverse': tcp('-R'),
  udp64: lossless(64),
  udp512: lossless(512),
  udp1350: lossless(1350),
  imix: lossless(...IMIX),
  'rtt-idle': (bed) => roundTrips(bed, IDLE_PINGS),
  'rtt-load': underLoad,
};
