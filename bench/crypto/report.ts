/** The report as text. */
import { hybridRatio, type Target } from './ratios.ts';
import type { Report, Result } from './run.ts';

export function printReport(report: Report, targets: readonly Target[], print: (line: string) => void): void {
  const { machine, node, build } = report;
  print(`${machine.cpu}, ${machine.cores} cores, ${machine.system}, load ${machine.load}`);
  print(`Node.js ${node.version} (V8 ${node.v8}, OpenSSL ${node.openssl}), kernel: ${build} SIMD`);
  print(`${report.command}`);
  print('Megabytes (10^6) of payload a second: median of 5 rounds, taken in turn.');
  for (const [title, rows] of tables(report.results)) {
    print('');
    print(title);
    printTable(rows, print);
  }
  if (targets.length === 0) return;
  print('');
  print('ratio of medians                                                            ratio  target');
  for (const { what, ratio, target, reached } of targets) {
    print(
      `${what.padEnd(74)} ${ratio.toFixed(2).padStart(6)} ${target.toFixed(2).padStart(6)} ${reached ? '' : ' MISSED'}`,
    );
  }
}

/** One table per algorithm and direction. */
function tables(results: readonly Result[]): Map<string, Result[]> {
  const found = new Map<string, Result[]>();
  for (const row of results) {
    const title = `${row.algorithm} ${row.direction}`;
    found.set(title, [...(found.get(title) ?? []), row]);
  }
  return found;
}

/** A line per packet size and batch, a column per backend. `openssl speed` knows no batches: its figure is repeated. */
function printTable(rows: readonly Result[], print: (line: string) => void): void {
  const backends = [...new Set(rows.map(({ backend }) => backend))];
  const compared = rows.some((row) => row.backend === 'hybrid' && hybridRatio(row, rows) !== undefined);
  print(
    ['bytes', 'batch', ...backends, ...(compared ? ['hybrid/better'] : [])]
      .map((word, i) => word.padStart(i < 2 ? 6 : 14))
      .join(''),
  );
  const lines = new Map<string, Result>();
  for (const row of rows.filter(({ backend }) => backend !== 'openssl-speed')) {
    const key = `${row.suite} ${row.bytes} ${row.batch}`;
    if (!lines.has(key)) lines.set(key, row);
  }
  for (const line of lines.values()) {
    const cells = backends.map((backend) => {
      const found = rows.find(
        (row) =>
          row.backend === backend &&
          row.suite === line.suite &&
          row.bytes === line.bytes &&
          (row.batch === line.batch || backend === 'openssl-speed'),
      );
      return found === undefined ? '–' : figure(found.mbps.median);
    });
    if (compared) {
      const hybrid = rows.find(
        (row) =>
          row.backend === 'hybrid' && row.suite === line.suite && row.bytes === line.bytes && row.batch === line.batch,
      );
      cells.push((hybrid && hybridRatio(hybrid, rows)?.toFixed(2)) ?? '–');
    }
    const size = line.suite === 'imix' ? 'IMIX' : String(line.bytes);
    print([size.padStart(6), String(line.batch).padStart(6), ...cells.map((cell) => cell.padStart(14))].join(''));
  }
}

const figure = (mbps: number): string => mbps.toFixed(mbps < 100 ? 1 : 0);
