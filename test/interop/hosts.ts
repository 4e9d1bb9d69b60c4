/** Tasks of the hosts behind the gateways: `src/demo/host.ts`, run in their namespaces. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Bed, Place } from '../../src/demo/bed.ts';
import type { DatagramLoad, UdpReport, UdpSendReport } from '../../src/demo/datagrams.ts';
import type { PingReport } from '../../src/demo/ping.ts';
import type { TcpReport } from '../../src/demo/tasks.ts';
import { packagePath } from '../../src/package-root.ts';

const HOST = packagePath('dist', 'src', 'demo', 'host.js');

interface Task {
  /** Settles when the task can be reached. */
  readonly ready: Promise<void>;
  readonly result: Promise<unknown>;
}

function start(bed: Bed, place: Place, ...args: readonly (string | number)[]): Task {
  const child = bed.spawn(place, process.execPath, [HOST, ...args.map(String)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let errors = '';
  const reader = createInterface({ input: child.stdout! });
  const ready = new Promise<void>((resolve) => reader.once('line', () => resolve()));
  reader.on('line', (line) => lines.push(line));
  child.stderr!.on('data', (data) => {
    errors += data;
  });
  const result = once(child, 'close').then(([code]) => {
    if (code !== 0) throw new Error(`${args.join(' ')} failed: ${errors}`);
    return JSON.parse(lines.at(-1)!);
  });
  return { ready, result };
}

export async function ping(
  bed: Bed,
  from: Place,
  to: string,
  bytes = 56,
  count = 5,
  interval = 20,
): Promise<PingReport> {
  return (await start(bed, from, 'ping', to, count, bytes, interval).result) as PingReport;
}

/** A transfer of so many bytes. @returns what both ends saw */
export async function transfer(bed: Bed, from: Place, to: Place, address: string, bytes: number, port = 5201) {
  const receiver = start(bed, to, 'tcp-receive', address, port, 'hash');
  await receiver.ready;
  const sent = (await start(bed, from, 'tcp-send', address, port, `${bytes}b`).result) as TcpReport;
  return { sent, received: (await receiver.result) as TcpReport };
}

/** Numbered datagrams at a steady rate. @returns what arrived, and how fast they were sent */
export async function datagrams(
  bed: Bed,
  from: Place,
  to: Place,
  address: string,
  { count, bytes, perSecond, flows = 1 }: Omit<DatagramLoad, 'flows'> & { readonly flows?: number },
): Promise<UdpReport & { readonly sending: UdpSendReport }> {
  const receiver = start(bed, to, 'udp-receive', address, 5202, 1000);
  await receiver.ready;
  const sender = start(bed, from, 'udp-send', address, 5202, count, bytes, perSecond, flows);
  const sending = (await sender.result) as UdpSendReport;
  return { ...((await receiver.result) as UdpReport), sending };
}
