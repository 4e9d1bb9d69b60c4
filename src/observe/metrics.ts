/** Prometheus metrics, made from the gateway's status whenever someone asks. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { SaCounters } from '../contract.ts';
import type { GatewayStatus } from '../control/manage/status.ts';

/** One metric: its name, and its values as labels with a number. */
interface Metric {
  readonly kind: 'gauge' | 'counter';
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly values: (status: GatewayStatus) => readonly (readonly [labels: readonly string[], value: number])[];
}

function countBy(states: readonly string[]): [string[], number][] {
  const counts = new Map<string, number>();
  for (const state of states) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => [[state], count]);
}

type SaValue = (counters: SaCounters) => number;

/** Every SA with its counters; a child that is replaced goes on under its name with another SPI. */
const perSa = ({ ikeSas, manualSas }: GatewayStatus, value: SaValue): [string[], number][] => [
  ...ikeSas.flatMap(({ connection, children }) =>
    children.flatMap(({ name, spiIn, spiOut, in: inbound, out: outbound }): [string[], number][] => [
      ...(inbound ? [[[connection, name, 'in', spiIn], value(inbound)] as [string[], number]] : []),
      ...(outbound ? [[[connection, name, 'out', spiOut], value(outbound)] as [string[], number]] : []),
    ]),
  ),
  ...manualSas.flatMap(({ name, direction, spi, counters }): [string[], number][] =>
    counters ? [[['', name, direction, spi], value(counters)]] : [],
  ),
];

const SA_LABELS = ['connection', 'child', 'direction', 'spi'];
const saCounter = (name: string, help: string, value: SaValue): Metric => ({
  kind: 'counter',
  name: `espalier_sa_${name}_total`,
  help,
  labels: SA_LABELS,
  values: (status) => perSa(status, value),
});

const METRICS: readonly Metric[] = [
  {
    kind: 'gauge',
    name: 'espalier_info',
    help: 'What is running; always 1',
    labels: ['version', 'node', 'backend', 'kernel'],
    values: ({ version, node, dataPlane }) => [[[version, node, dataPlane.backend, dataPlane.kernel], 1]],
  },
  {
    kind: 'counter',
    name: 'espalier_backend_events_total',
    help: 'What crypto backends have counted: shadow_packets compared, shadow_disagreements',
    labels: ['backend', 'event'],
    values: ({ dataPlane }) =>
      dataPlane.backends.flatMap(({ name, counters }) =>
        Object.entries(counters).map(([event, count]): [string[], number] => [[name, event], count]),
      ),
  },
  {
    kind: 'gauge',
    name: 'espalier_uptime_seconds',
    help: 'Seconds since the gateway started',
    labels: [],
    values: ({ uptimeSeconds }) => [[[], uptimeSeconds]],
  },
  {
    kind: 'gauge',
    name: 'espalier_ike_sas',
    help: 'IKE SAs by state',
    labels: ['state'],
    values: ({ ikeSas }) => countBy(ikeSas.map(({ state }) => state)),
  },
  {
    kind: 'gauge',
    name: 'espalier_child_sas',
    help: 'Child SAs by state',
    labels: ['state'],
    values: ({ ikeSas }) => countBy(ikeSas.flatMap(({ children }) => children.map(({ state }) => state))),
  },
  saCounter('packets', 'Packets that the SA protected or accepted', ({ packets }) => packets),
  saCounter('bytes', 'Bytes that the SA protected or accepted', ({ bytes }) => bytes),
  saCounter('dummies', 'Dummy packets that the SA sent', ({ dummies = 0 }) => dummies),
  saCounter('replay_drops', 'Packets refused as replays', ({ replayDrops }) => replayDrops),
  saCounter('integrity_drops', 'Packets whose ICV was wrong', ({ integrityDrops }) => integrityDrops),
  {
    kind: 'counter',
    name: 'espalier_policy_packets_total',
    help: 'Packets that met an SPD entry: one of the configuration, or connection/child',
    labels: ['policy', 'direction', 'action'],
    values: ({ policies }) =>
      policies.map(({ name, direction, action, packets }) => [[name, direction, action], packets]),
  },
  {
    kind: 'counter',
    name: 'espalier_dropped_packets_total',
    help: 'Packets dropped by reason',
    labels: ['reason'],
    values: ({ drops }) => Object.entries(drops).map(([reason, count]) => [[reason], count]),
  },
];

/** @param status is called once for each scrape */
export function createMetrics(status: () => GatewayStatus): () => Promise<string> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const fill = METRICS.map(({ kind, name, help, labels, values }) => {
    const options = { name, help, labelNames: labels, registers: [registry] };
    const metric = kind === 'gauge' ? new Gauge(options) : new Counter(options);
    return (now: GatewayStatus) => {
      metric.reset();
      for (const [texts, value] of values(now))
        metric.inc(Object.fromEntries(labels.map((label, i) => [label, texts[i]!])), value);
    };
  });
  return () => {
    const now = status();
    for (const each of fill) each(now);
    return registry.metrics();
  };
}
