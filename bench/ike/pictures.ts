/** The picture of an IKE report. */
import { barChart } from '../chart.ts';
import type { Machine } from '../machine.ts';
import type { IkeResult, MemoryResult } from './index.ts';

/** @returns SVG: handshakes a second by authentication and key exchange */
export function draw(rows: readonly (IkeResult | MemoryResult)[], machine: Machine, node: string): string {
  const rates = rows.filter((row) => row.suite === 'ike');
  const groups = new Map<string, { name: string; value: number }[]>();
  for (const { auth, keyExchange, responder, handshakesPerSecond } of rates) {
    const name = `${auth}, ${keyExchange}`;
    groups.set(name, [...(groups.get(name) ?? []), { name: responder, value: handshakesPerSecond.median }]);
  }
  return barChart({
    title: 'IKEv2 handshakes, by responder',
    subtitle: `${machine.cpu}, one core each for initiator and responder · Node.js ${node}`,
    unit: 'handshakes/s',
    groups: [...groups].map(([name, bars]) => ({ name, bars })),
  });
}
