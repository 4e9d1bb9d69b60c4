/** The tests of the gateway benchmark: iperf3 and pings between the hosts of a bed. */
import { ADDRESSES, type Bed, outputOf, type Place } from '../../src/demo/bed.ts';
import type { PingReport } from '../../src/demo/ping.ts';
import { packagePath } from '../../src/package-root.ts';

const HOST = packagePath('dist', 'src', 'demo', 'host.js');
const [TARGET] = ADDRESSES.hostB;
/** Share of datagrams that may be missing for "without loss": one in a thousand is the sender's jitter. */
const LOSS = 0.001;
/** Rates are tried from the one that arrives under overload downwards, by this factor. */
const STEP = 0.92;
const TRIES = 8;
const IDLE_PINGS = 200;
const PING_BYTES = 56;
const PING_INTERVAL = 4;
/** Sizes of UDP payload and their share of packets, 7:4:1. */
const IMIX = [
  { bytes: 36, share: 7 },
  { bytes: 548, share: 4 },
  { bytes: 1372, share: 1 },
] as const;

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
  /** UDP only. */
  readonly sum: { readonly packets: number; readonly lost_packets: number; readonly seconds: number };
}

async function iperf(
  bed: Bed,
  seconds: number,
  port: number,
  ...args: readonly (string | number)[]
): Promise<IperfEnd> {
  const text = await capture(bed, 'hostA', 'iperf3', ['-c', TARGET, '-p', port, '-t', seconds, '-J', ...args]);
  return JSON.parse(text).end as IperfEnd;
}

/** Every iperf3 server takes one client at a time, so a mix of flows needs several. */
export const IPERF_PORTS = [5301, 5302, 5303] as const;

export function startServers(bed: Bed): void {
  for (const port of IPERF_PORTS) bed.spawn('hostB', 'iperf3', ['-s', '-p', String(port)], { stdio: 'ignore' });
}

const tcp =
  (...args: readonly (string | number)[]): Test =>
  async (bed, seconds) => {
    const { sum_received: received } = await iperf(bed, seconds, IPERF_PORTS[0], ...args);
    return { mbps: received.bits_per_second / 1e6, bytes: received.bytes };
  };

interface Load {
  readonly bytes: number;
  /** Packets a second; 0 for as many as the sender makes. */
  readonly rate: number;
  readonly port: number;
}

interface Delivery {
  readonly pps: number;
  readonly loss: number;
  readonly bytes: number;
}

async function udpLoad(bed: Bed, seconds: number, { bytes, rate, port }: Load): Promise<Delivery> {
  const { sum } = await iperf(bed, seconds, port, '-u', '-l', bytes, '-b', Math.round(rate * bytes * 8));
  const arrived = sum.packets - sum.lost_packets;
  return { pps: arrived / sum.seconds, loss: sum.lost_packets / Math.max(1, sum.packets), bytes: arrived * bytes };
}

/** Packets a second of every flow, in the proportions of `sizes`, at a total rate. */
async function mixedLoad(
  bed: Bed,
  seconds: number,
  sizes: readonly { readonly bytes: number; readonly share: number }[],
  total: number,
): Promise<Delivery> {
  const shares = sizes.reduce((sum, { share }) => sum + share, 0);
  const flows = await Promise.all(
    sizes.map(({ bytes, share }, index) =>
      udpLoad(bed, seconds, { bytes, rate: (total * share) / shares, port: IPERF_PORTS[index]! }),
    ),
  );
  return {
    pps: flows.reduce((sum, flow) => sum + flow.pps, 0),
    loss: Math.max(...flows.map(({ loss }) => loss)),
    bytes: flows.reduce((sum, flow) => sum + flow.bytes, 0),
  };
}

/** The highest rate of those tried that arrives whole. */
const lossless =
  (sizes: readonly { readonly bytes: number; readonly share: number }[]): Test =>
  async (bed, seconds) => {
    const overload = await mixedLoad(bed, seconds, sizes, sizes.length === 1 ? 0 : 150_000);
    let rate = overload.pps;
    for (let tries = 0; tries < TRIES; tries++, rate *= STEP) {
      const { pps, loss, bytes } = await mixedLoad(bed, seconds, sizes, rate);
      if (loss <= LOSS) return { pps, bytes };
    }
    return { pps: 0 };
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
  udp64: lossless([{ bytes: 64, share: 1 }]),
  udp512: lossless([{ bytes: 512, share: 1 }]),
  udp1350: lossless([{ bytes: 1350, share: 1 }]),
  imix: lossless(IMIX),
  'rtt-idle': (bed) => roundTrips(bed, IDLE_PINGS),
  'rtt-load': underLoad,
};
