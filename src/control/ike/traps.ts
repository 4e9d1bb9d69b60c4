/** What the configuration traps, or keeps from leaving in the clear, before there is any SA. */
import { ownSelectors } from '../child/negotiation.ts';
import type { Trap } from '../child/policies.ts';
import type { ChildConfig, ConnectionConfig } from '../config/model.ts';
import { followsAddress, isSiteToSite, peerAddress } from './choose.ts';
import type { Context } from './context.ts';

/** In place of our own address where none is needed. */
const ANY_ADDRESS = '0.0.0.0';

/** Where its ends are not known, it is not trapped. */
export function trap(cx: Context, connection: ConnectionConfig, child: ChildConfig): void {
  const trapped = configured(cx, connection, child);
  if (trapped !== undefined) cx.policies.trap(trapped);
  else cx.log('error', `child "${child.name}" cannot be trapped: there is no address to call`, connection.name);
}

/** This host's addresses changed: what could not be trapped is, and a trap for packets from its own goes where that goes. */
export function trapWhereNow(cx: Context, connection: ConnectionConfig, child: ChildConfig): void {
  if (!cx.policies.isTrapped(connection, child)) {
    if (child.startAction.includes('trap')) trap(cx, connection, child);
  } else if (followsAddress(child.localTs) && configured(cx, connection, child) !== undefined) {
    trap(cx, connection, child);
  }
}

/** RFC 4301 §4.4.1: what is to be protected does not leave in the clear because it cannot be protected. */
export function hold(cx: Context, connection: ConnectionConfig, child: ChildConfig): void {
  if (child.whenDown !== 'drop' || !isSiteToSite(connection, child)) return;
  const trapped = configured(cx, connection, child);
  if (trapped !== undefined) cx.policies.hold(trapped);
}

/** @returns the child's traffic as the configuration has it; undefined if its ends are not known */
function configured(cx: Context, connection: ConnectionConfig, child: ChildConfig): Trap | undefined {
  const remote = peerAddress(connection);
  // Without an address of ours, too, nothing leaves in the clear, as long as it is clear what that would be.
  const local = cx.localAddress(connection, remote) ?? (followsAddress(child.localTs) ? undefined : ANY_ADDRESS);
  if (remote === undefined || local === undefined) return undefined;
  const path = { local: { address: local, port: 0 }, remote: { address: remote, port: 0 } };
  return { connection, child, ...ownSelectors(path, child) };
}
