/** The pictures of a crypto report. */
import { type Bar, barChart, lineChart } from '../chart.ts';
import type { Report, Result } from './run.ts';

const BATCH = 32;
const BYTES = 1408;
/** Lines of their own, in the order of the legend. */
const LINES = ['aes128gcm16', 'chacha20poly1305'];
const BARS = ['wasm', 'openssl', 'node', 'noble'];

/** @returns SVG by file name; only what the report has figures for */
export function draw(report: Report): Record<string, string> {
  const pictures: Record<string, string> = {};
  const { machine, node, build } = report;
  const where = `${machine.cpu}, one core · Node.js ${node.version}, ${build} SIMD`;
  for (const algorithm of LINES) {
    const rows = report.results.filter(
      (row) =>
        row.suite === 'aead' &&
        row.algorithm === algorithm &&
        row.direction === 'seal' &&
        (row.batch === BATCH || row.backend === 'openssl-speed'),
    );
    if (new Set(rows.map(({ bytes }) => bytes)).size < 2) continue;
    pictures[`crypto-${algorithm}.svg`] = lineChart({
      title: `${algorithm}: sealing, ${BATCH} packets a call`,
      subtitle: where,
      xLabel: 'bytes of payload in a packet',
      yLabel: 'MB/s',
      series: [...byBackend(rows)].map(([name, points]) => ({
        name: name.replace('-', ' '),
        dashed: name === 'openssl-speed',
        points: points.map(({ bytes, mbps }) => [bytes, mbps.median] as const),
      })),
    });
  }
  const bars = report.results.filter(
    (row) => row.suite === 'aead' && row.direction === 'seal' && row.bytes === BYTES && row.batch === BATCH,
  );
  const groups = barGroups(bars);
  if (groups.length > 1) {
    pictures['crypto-algorithms.svg'] = barChart({
      title: `Sealing ${BYTES}-byte packets, ${BATCH} a call`,
      subtitle: where,
      unit: 'MB/s',
      groups,
    });
  }
  return pictures;
}

function byBackend(rows: readonly Result[]): Map<string, Result[]> {
  const found = new Map<string, Result[]>();
  for (const row of rows) found.set(row.backend, [...(found.get(row.backend) ?? []), row]);
  return found;
}

function barGroups(rows: readonly Result[]): { name: string; bars: Bar[] }[] {
  const algorithms = [...new Set(rows.map(({ algorithm }) => algorithm))];
  return algorithms.map((name) => ({
    name,
    bars: BARS.flatMap((backend) => {
      const row = rows.find((one) => one.algorithm === name && one.backend === backend);
      return row === undefined ? [] : [{ name: backend, value: row.mbps.median }];
    }),
  }));
}
