/** A gateway's status for people. */
import type { BackendInfo, DataPlaneInfo, SaCounters } from '../contract.ts';
import type { ChildSaStatus, GatewayStatus, IkeSaStatus, ManualSaStatus } from '../control/manage/status.ts';

/** @returns several lines, the last with its end */
export function statusText(status: GatewayStatus): string {
  const { dataPlane, ikeSas, trapped, manualSas, policies } = status;
  const lines = [
    `espalier ${status.version}, up ${seconds(status.uptimeSeconds)}, Node.js ${status.node}, process ${status.pid}`,
    `device ${dataPlane.device.name} (MTU ${dataPlane.device.mtu}), backend ${dataPlane.backend}, ` +
      `kernel ${dataPlane.kernel}, ${dataPlane.workers} ${dataPlane.workers === 1 ? 'worker' : 'workers'}, ` +
      `UDP ${dataPlane.ports.ike} and ${dataPlane.ports.natTraversal}`,
    ...dataPlane.missing.map((sentence) => `  missing: ${sentence}`),
    // One backend that counts nothing stands in the line above.
    ...(hasMoreBackends(dataPlane) ? backendLines(dataPlane).map((line) => `  ${line}`) : []),
    '',
    ...ikeSas.flatMap(ikeLines),
    ...trapped.map(
      ({ connection, name, localTs, remoteTs }) =>
        `${connection}: ${name} TRAPPED, ${localTs.join(' ')} === ${remoteTs.join(' ')}`,
    ),
    ...manualSas.map(manualLine),
    ...policies.map(
      ({ name, direction, action, selector, packets, bytes }) =>
        `policy ${name}: ${direction} ${action} ${selector}, ${packets} packets, ${size(bytes)}`,
    ),
  ];
  if (ikeSas.length + trapped.length + manualSas.length === 0) lines.push('no SAs');
  const drops = Object.entries(status.drops).map(([reason, count]) => `${reason} ${count}`);
  lines.push('', `dropped: ${drops.join(', ') || 'nothing'}`);
  return `${lines.join('\n')}\n`;
}

const hasMoreBackends = ({ shadow, backends }: DataPlaneInfo): boolean =>
  shadow !== undefined || backends.length > 1 || Object.keys(backends[0]?.counters ?? {}).length > 0;

/** @returns a line about each backend in use */
export const backendLines = ({ shadow, backends }: DataPlaneInfo): string[] =>
  backends.map((backend, index) => {
    const users = [...(index === 0 ? ['the gateway'] : []), ...backend.connections].join(', ');
    const checked = shadow === undefined ? '' : `; ${shadow} checks it`;
    return `backend ${backend.name} of ${users}${checked}${counterText(backend)}`;
  });

/** `, shadow packets 128, shadow disagreements 0` */
const counterText = ({ counters }: BackendInfo): string =>
  Object.entries(counters)
    .map(([name, count]) => `, ${name.replaceAll('_', ' ')} ${count}`)
    .join('');

function ikeLines(sa: IkeSaStatus): string[] {
  const age = sa.establishedSeconds === undefined ? '' : `, established ${seconds(sa.establishedSeconds)} ago`;
  const rekey = sa.rekeySeconds === undefined ? '' : `, rekeying in ${seconds(sa.rekeySeconds)}`;
  const reauth = sa.reauthSeconds === undefined ? '' : `, reauthentication in ${seconds(sa.reauthSeconds)}`;
  const nat = [sa.natLocal && 'this side', sa.natRemote && 'the peer'].filter(Boolean).join(' and ');
  return [
    `${sa.connection}: #${sa.id} ${sa.state}, ${sa.initiator ? 'initiator' : 'responder'}, ${sa.spiI}_i ${sa.spiR}_r`,
    `  local  ${side(sa.local)}`,
    `  remote ${side(sa.remote)}${nat && `; ${nat} behind a NAT`}`,
    ...(sa.proposal === undefined ? [] : [`  ${sa.proposal}${age}${rekey}${reauth}`]),
    ...sa.children.flatMap(childLines),
  ];
}

const side = ({ id, address, port }: IkeSaStatus['local']): string => `'${id ?? '%any'}' @ ${address}[${port}]`;

function childLines(child: ChildSaStatus): string[] {
  const { name, id, state, mode, protocol, encapsulation, algorithm, esn } = child;
  const wrapping = encapsulation === 'udp' ? `${protocol.toUpperCase()} in UDP` : protocol.toUpperCase();
  const times = [
    `installed ${seconds(child.installedSeconds)} ago`,
    ...(child.rekeySeconds === undefined ? [] : [`rekeying in ${seconds(child.rekeySeconds)}`]),
    ...(child.lifeSeconds === undefined ? [] : [`ends in ${seconds(child.lifeSeconds)}`]),
  ];
  return [
    `  ${name}: #${id} ${state}, ${mode.toUpperCase()}, ${wrapping}, ${algorithm}${esn ? ', ESN' : ''}`,
    `    ${times.join(', ')}`,
    `    in  ${child.spiIn}  ${traffic(child.in)}`,
    `    out ${child.spiOut}  ${traffic(child.out)}`,
    `    ${child.localTs.join(' ')} === ${child.remoteTs.join(' ')}`,
  ];
}

const manualLine = ({ name, direction, protocol, mode, algorithm, spi, counters }: ManualSaStatus): string =>
  `SA ${name}: ${direction} ${protocol.toUpperCase()} ${spi}, ${mode.toUpperCase()}, ${algorithm}, ${traffic(counters)}`;

function traffic(counters: SaCounters | undefined): string {
  if (counters === undefined) return 'no traffic';
  const { packets, bytes, lastUsed, replayDrops, integrityDrops, dummies } = counters;
  const used = lastUsed === 0 ? '' : `, ${seconds(Math.max(0, Math.round((Date.now() - lastUsed) / 1000)))} ago`;
  const refused =
    replayDrops + integrityDrops > 0 ? `, refused ${replayDrops} replays, ${integrityDrops} forgeries` : '';
  const idle = dummies === undefined ? '' : `, ${dummies} dummies`;
  return `${packets} packets, ${size(bytes)}${idle}${used}${refused}`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

function size(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${UNITS[power]}`;
}

const SPANS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
] as const;

/** The two largest units are enough: `1d 4h`, `3m 20s`. */
function seconds(total: number): string {
  let rest = Math.round(total);
  const parts: string[] = [];
  for (const [unit, length] of SPANS) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0 || parts.length > 0) parts.push(`${count}${unit}`);
  }
  return [...parts, `${rest}s`].slice(0, 2).join(' ');
}
