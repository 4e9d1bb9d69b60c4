/** The pictures of a gateway report. */
import { barChart } from '../chart.ts';
import type { Machine } from '../machine.ts';
import type { GatewayResult } from './results.ts';

const THROUGHPUT: Readonly<Record<string, string>> = {
  tcp1: 'TCP, one flow',
  tcp4: 'TCP, four flows',
  'tcp-reverse': 'TCP, the other way',
};
const LATENCY: Readonly<Record<string, string>> = { 'rtt-idle': 'idle', 'rtt-load': 'under load' };

const ALGORITHM: Readonly<Record<string, string>> = {
  aes128gcm16: 'AES-128',
  aes256gcm16: 'AES-256',
  chacha20poly1305: 'ChaCha20',
};

/** What a bar is called: the tunnel, and for ours the cipher and the backend. */
function nameOf({ peer, algorithm, backend }: GatewayResult): string {
  return peer === 'espalier' ? `espalier ${ALGORITHM[algorithm] ?? algorithm}, ${backend}` : peer;
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
  const latency = groups(LATENCY, (row) => row.micros?.median);
  if (latency.length > 0) {
    pictures['gateway-latency.svg'] = barChart({ title: 'Round trip, median', subtitle, unit: 'µs', groups: latency });
  }
  return pictures;
}
