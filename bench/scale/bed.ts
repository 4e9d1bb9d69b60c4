/**
 * What `bench scale` measures of two gateways in a bed: UDP through device, kernel, sockets and back,
 * to ten thousand addresses in turn, over one SA or over one for each address.
 */
import { once } from 'node:events';
import { ADDRESSES, Bed, uniqueName } from '../../src/demo/bed.ts';
import { Speaker } from '../../src/demo/speaker.ts';
import { packagePath } from '../../src/package-root.ts';
import type { GatewayOptions, GatewayReport } from './gateway.ts';
import type { SprayOptions, SprayReport } from './spray.ts';
import { NETWORK } from './spread.ts';

const script = (name: string) => packagePath('dist', 'bench', 'scale', name);

/** Addresses that traffic goes to, however many SAs there are. */
export const PEERS = 10_000;
const BYTES = 1380;
/** Datagrams of a burst: what the system makes of one write of a host. */
const BURST = 45;
const INSTALLS = 5000;

/** `scattered`: every datagram goes to another address than the one before; `bursts`: 45 to each in turn. */
export const PATTERNS = ['bursts', 'scattered'] as const;
export type Pattern = (typeof PATTERNS)[number];

export interface BedFigures {
  /** Mbit/s of UDP payload that arrived, of a machine that does everything itself. */
  readonly mbps: number;
  /** Processor time a datagram, in nanoseconds, of the gateway that sends and of the one that receives. */
  readonly senderNanos: number;
  readonly receiverNanos: number;
  /** Share of datagrams that did not arrive. */
  readonly loss: number;
  /** SAs with their policies, installed at the sender meanwhile; 0 with one SA. */
  readonly installsPerSecond: number;
}

export interface BedLoad {
  readonly count: number;
  readonly backend: string;
  readonly seconds: number;
}

/** Builds a bed, measures every pattern, and takes the bed down. */
export async function measureBed(load: BedLoad): Promise<Readonly<Record<Pattern, BedFigures>>> {
  const bed = Bed.create(uniqueName('esscale'));
  try {
    // Host B answers for the whole network; gateway B takes what comes out of the tunnel there.
    bed.run('hostB', 'ip', 'route', 'add', 'local', `${NETWORK.from}/16`, 'dev', 'lo');
    bed.run('gatewayB', 'ip', 'route', 'add', `${NETWORK.from}/16`, 'via', ADDRESSES.hostB[0]);
    const gateways = await Promise.all((['A', 'B'] as const).map((side) => startGateway(bed, side, load)));
    // What is under way waits there.
    for (const place of ['gatewayA', 'gatewayB'] as const)
      bed.run(place, 'ip', 'link', 'set', 'espalier0', 'txqueuelen', '10000');
    // The first code of an engine is its slow one.
    await run(bed, 'bursts', 0.5);
    await run(bed, 'scattered', 0.5);
    const figures = {} as Record<Pattern, BedFigures>;
    for (const pattern of PATTERNS) figures[pattern] = await measurePattern(bed, gateways, pattern, load);
    return figures;
  } finally {
    await bed.remove();
  }
}

async function startGateway(bed: Bed, side: 'A' | 'B', { count, backend }: BedLoad): Promise<Speaker<GatewayReport>> {
  const options: GatewayOptions = { side, count, backend, more: count === 1 ? 0 : PATTERNS.length * INSTALLS };
  const args = [script('gateway.js'), JSON.stringify(options)];
  const speaker = new Speaker<GatewayReport>(
    bed.spawn(`gateway${side}`, process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  await speaker.line();
  return speaker;
}

async function measurePattern(
  bed: Bed,
  [a, b]: readonly Speaker<GatewayReport>[],
  pattern: Pattern,
  { count, seconds }: BedLoad,
): Promise<BedFigures> {
  const before = await Promise.all([a!.ask('report'), b!.ask('report')]);
  const traffic = await run(bed, pattern, seconds);
  const after = await Promise.all([a!.ask('report'), b!.ask('report')]);
  const nanos = (side: number) =>
    ((after[side]!.cpuSeconds - before[side]!.cpuSeconds) * 1e9) / (after[side]!.packets - before[side]!.packets);
  const installing = count === 1 ? undefined : await installBeside(bed, a!, pattern);
  return {
    mbps: (traffic.received * BYTES * 8) / traffic.seconds / 1e6,
    senderNanos: nanos(0),
    receiverNanos: nanos(1),
    loss: 1 - traffic.received / traffic.sent,
    installsPerSecond: installing ?? 0,
  };
}

/** @throws Error if no traffic flowed meanwhile */
async function installBeside(bed: Bed, gateway: Speaker<GatewayReport>, pattern: Pattern): Promise<number> {
  const traffic = run(bed, pattern, 2);
  await new Promise((resolve) => setTimeout(resolve, 700));
  const before = await gateway.ask('report');
  const { installsPerSecond = 0, packets } = await gateway.ask(`install ${INSTALLS}`);
  await traffic;
  if (packets === before.packets) throw new Error('no traffic flowed during the installations');
  return installsPerSecond;
}

async function run(bed: Bed, pattern: Pattern, seconds: number): Promise<SprayReport> {
  const options: SprayOptions = {
    from: bed.namespace('hostA'),
    to: bed.namespace('hostB'),
    peers: PEERS,
    segments: pattern === 'bursts' ? BURST : 1,
    bytes: BYTES,
    seconds,
  };
  const child = bed.spawn('hostA', process.execPath, [script('spray.js'), JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const speaker = new Speaker(child);
  const exited = once(child, 'exit');
  const report = JSON.parse(await speaker.line()) as SprayReport;
  await exited;
  if (report.received === 0) throw new Error('nothing arrived');
  return report;
}
