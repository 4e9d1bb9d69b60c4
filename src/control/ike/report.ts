/** IKE SAs and children as `espalier status` shows them. */
import { suiteName } from '../../algorithms.ts';
import { type ChildSa, spiText as childSpiText } from '../child/child-sa.ts';
import type { Trap } from '../child/policies.ts';
import { dated } from '../manage/dated.ts';
import type { ChildSaStatus, IkeSaStatus, TrappedChildStatus } from '../manage/status.ts';
import { formatProposal } from '../proposals/keywords.ts';
import { spiText } from '../wire/header.ts';
import { PROTOCOL } from '../wire/iana.ts';
import { formatSelector } from '../wire/payloads/ts.ts';
import type { Context } from './context.ts';
import type { IkeSa } from './sa.ts';

const seconds = (from: number, to: number): number => Math.max(0, Math.round((to - from) / 1000));

/** @returns the key with the seconds until `at`; nothing without one */
const until = <K extends string>(key: K, at: number | undefined, now: number): { [P in K]?: number } =>
  (at === undefined ? {} : { [key]: seconds(now, at) }) as { [P in K]?: number };

export function saStatus(cx: Context, sa: IkeSa, now: number): IkeSaStatus {
  return {
    connection: sa.connection.name,
    id: sa.id,
    state: sa.state,
    initiator: sa.initiator,
    local: { ...sa.local, ...(sa.localId && { id: sa.localId.text }) },
    remote: { ...sa.remote, ...(sa.remoteId && { id: sa.remoteId.text }) },
    spiI: spiText(sa.spiI),
    spiR: spiText(sa.spiR),
    ...(sa.transforms.length > 0 && { proposal: formatProposal(PROTOCOL.IKE, sa.transforms) }),
    natLocal: sa.natLocal,
    natRemote: sa.natRemote,
    ...(sa.establishedAt > 0 && { establishedSeconds: seconds(sa.establishedAt, now) }),
    ...until('rekeySeconds', sa.rekeyAt, now),
    ...until('reauthSeconds', sa.reauthAt, now),
    children: [...sa.children.values()].map((child) => childStatus(cx, sa, child, now)),
  };
}

function childStatus(cx: Context, sa: IkeSa, child: ChildSa, now: number): ChildSaStatus {
  const { agreement, config } = child;
  const clocks = { now, wallClock: cx.environment.wallClock() };
  const [received, sent] = [cx.environment.counters(child.keyIn), cx.environment.counters(child.keyOut)];
  return {
    name: config.name,
    id: child.id,
    state: child.state,
    protocol: agreement.protocol,
    mode: agreement.mode,
    encapsulation: sa.udpEncapsulation && agreement.protocol === 'esp' ? 'udp' : 'none',
    algorithm: suiteName(agreement.suite),
    esn: agreement.esn,
    spiIn: childSpiText(agreement.spiIn),
    spiOut: childSpiText(agreement.spiOut),
    localTs: agreement.local.map(formatSelector),
    remoteTs: agreement.remote.map(formatSelector),
    installedSeconds: seconds(child.installedAt, now),
    ...until('rekeySeconds', child.rekeyAt, now),
    ...until('lifeSeconds', child.expireAt, now),
    ...(received && { in: dated(received, clocks) }),
    ...(sent && { out: dated(sent, clocks) }),
  };
}

export const trappedStatus = ({ connection, child, local, remote }: Trap): TrappedChildStatus => ({
  connection: connection.name,
  name: child.name,
  localTs: local.map(formatSelector),
  remoteTs: remote.map(formatSelector),
});
