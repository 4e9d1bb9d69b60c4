/** The pictures of a gateway report. */
import { barChart } from '../chart.ts';
import type { Machine } from '../machine.ts';
import { NULL } from './ladder.ts';
import type { GatewayResult } from './results.ts';

const THROUGHPUT: Readonly<Record<string, string>> = {
  tcp1: 'TCP, one flow',
  tcp4: 'TCP, four flows',
  'tcp-reverse': 'TCP, the other way',
};
const LATENCY: Readonly<Record<string, string>> = { 'rtt-idle': 'idle', 'rtt-load': 'under load' };

const DATAGRAMS: Readonly<Record<string, string>> = { udp64: '64 B', udp512: '512 B', udp1350: '1350 B', imix: 'IMIX' };
const PROCESSOR: Readonly<Record<string, string>> = { tcp1: 'TCP, one flow' };

const ALGORITHM: Readonly<Record<string, string>> = {
  aes128gcm16: 'AES-128',
  aes256gcm16: 'AES-256',
  chacha20poly1305: 'ChaCha20',
};

/** One of the ladder below the whole gateways. */
const isRung = ({ algorithm, backend }: GatewayResult): boolean => algorithm === 'none' || backend === NULL;

/** What a bar is called: the tunnel, and for ours the cipher and the backend, or the rung. */
function nameOf(row: GatewayResult): string {
  const { peer, algorithm, backend } = row;
  if (peer !== 'espalier') return peer;
  return isRung(row) ? `rung ${backend}` : `espalier ${ALGORITHM[algorithm] ?? algorithm}, ${backend}`;
}

/** @returns SVG by file name; only what the report has figures for */
export function draw(rows: readonly GatewayResult[], machine: Machine, node: string): Record<string, string> {
  const subtitle = `${machine.cpu}, ${machine.cores} cores for both gateways and both hosts · Node.js ${node}`;
  const groups = (names: Readonly<Record<string, string>>, value: (row: GatewayResult) => number | undefined) =>
    Object.entries(names)
      .map(([test, name]) => ({
        name,
        bars: rows.flatMap((row) => {
          const figure = row.test === test && row.peer !== 'plain' ? value(row) : undefined;
          return figure === undefined ? [] : [{ name: nameOf(row), value: figure }];
        }),
      }))
      .filter(({ bars }) => bars.length > 0);
  const pictures: Record<string, string> = {};
  const throughput = groups(THROUGHPUT, (row) => row.mbps?.median);
  if (throughput.length > 0) {
    pictures['gateway-throughput.svg'] = barChart({
      title: 'Throughput, gateway to gateway',
      subtitle,
      unit: 'Mbit/s',
      groups: throughput,
    });
  }
  const datagrams = groups(DATAGRAMS, (row) => row.pps?.median);
  if (datagrams.length > 0) {
    const title = 'Datagrams without loss, gateway to gateway';
    pictures['gateway-datagrams.svg'] = barChart({ title, subtitle, unit: 'datagrams/s', groups: datagrams });
  }
  const ladder = groups(PROCESSOR, ({ peer, cpuSecondsPerGB }) =>
    peer === 'espalier' && cpuSecondsPerGB !== undefined ? cpuSecondsPerGB * 1000 : undefined,
  );
  if (rows.some(isRung) && ladder.length > 0) {
    const title = 'Processor time of one gateway, rung by rung';
    pictures['gateway-ladder.svg'] = barChart({ title, subtitle, unit: 'ms/GB', groups: ladder });
  }
  const latency = groups(LATENCY, (row) => row.micros?.median);
  if (latency.length > 0) {
    pictures['gateway-latency.svg'] = barChart({ title: 'Round trip, median', subtitle, unit: 'µs', groups: latency });
  }
  return pictures;
}
