/** What the demo found, as data (`--json`) and for people. */
import type { GatewayStatus } from '../gateway.ts';
import type { PingReport } from './ping.ts';

export type DemoMode = 'netns' | 'userns' | 'in-process';

/** The JSON object of `npm run demo -- --json`. */
export interface DemoReport {
  readonly ok: boolean;
  readonly mode: DemoMode;
  /** Version of Node.js. */
  readonly node: string;
  readonly backend: string;
  readonly ike: { readonly established: boolean; readonly millis: number; readonly proposal: string };
  readonly child: { readonly algorithm: string; readonly mode: string; readonly encapsulation: string };
  readonly ping: {
    readonly sent: number;
    readonly received: number;
    readonly rttMillis: { readonly min: number; readonly median: number; readonly max: number };
  };
  readonly tcp: { readonly seconds: number; readonly bytes: number; readonly mbps: number };
}

/** What every mode measures, in its own way. */
export interface DemoMeasurements {
  readonly millis: number;
  readonly ping: PingReport;
  readonly tcp: { readonly seconds: number; readonly bytes: number };
  /** Of gateways A and B, after the traffic. */
  readonly status: readonly [GatewayStatus, GatewayStatus];
}

export function makeReport(mode: DemoMode, { millis, ping, tcp, status }: DemoMeasurements): DemoReport {
  const [gateway] = status;
  const ike = gateway.ikeSas.find(({ state }) => state === 'ESTABLISHED');
  const child = ike?.children.find(({ state }) => state === 'INSTALLED');
  const { min, median, max } = ping.rttMillis;
  const mbps = Math.round((tcp.bytes * 8) / tcp.seconds / 1e6);
  return {
    ok: child !== undefined && ping.received === ping.sent && ping.sent > 0 && tcp.bytes > 0,
    mode,
    node: process.versions.node,
    backend: gateway.dataPlane.backend,
    ike: { established: ike !== undefined, millis, proposal: ike?.proposal ?? '' },
    child: {
      algorithm: child?.algorithm ?? '',
      mode: child?.mode ?? '',
      encapsulation: child?.encapsulation ?? '',
    },
    ping: { sent: ping.sent, received: ping.received, rttMillis: { min, median, max } },
    tcp: { seconds: Math.round(tcp.seconds * 1000) / 1000, bytes: tcp.bytes, mbps },
  };
}

/** @returns lines for a terminal */
export function describeReport(report: DemoReport, { status }: DemoMeasurements): string {
  const { ike, child, ping, tcp } = report;
  const lines = [
    '',
    `  IKE SA     ${ike.established ? 'established' : 'not established'} in ${ike.millis} ms, ${ike.proposal}`,
    `  child SA   ${child.algorithm}, ${child.mode} mode, encapsulation ${child.encapsulation}`,
    `  backend    ${report.backend}, kernel ${status[0].dataPlane.kernel}, Node.js ${report.node}`,
    `  ping       ${ping.received} of ${ping.sent}, ${ping.rttMillis.min}/${ping.rttMillis.median}/${ping.rttMillis.max} ms (min/median/max)`,
    `  TCP        ${(tcp.bytes / 1e6).toFixed(0)} MB in ${tcp.seconds.toFixed(1)} s: ${tcp.mbps} Mbit/s`,
  ];
  status.forEach((gateway, index) => {
    const sa = gateway.ikeSas[0]?.children[0];
    if (sa === undefined) return;
    const drops = Object.entries(gateway.drops).map(([reason, count]) => `${reason} ${count}`);
    lines.push(
      `  gateway ${'AB'[index]}  in ${sa.spiIn}: ${sa.in?.packets} packets, ${sa.in?.bytes} bytes;` +
        ` out ${sa.spiOut}: ${sa.out?.packets} packets, ${sa.out?.bytes} bytes`,
      `             dropped: ${drops.join(', ') || 'nothing'}`,
    );
  });
  lines.push('', report.ok ? '  All of it works.' : '  Something did not work: see above.', '');
  return lines.join('\n');
}
