/** Finds out what this machine lets the demo do. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import type { DemoMode } from './report.ts';

/** What `ip netns`, TUN devices and raw sockets need, tried for real. */
const TRIAL = 'ip link add name trial0 type veth peer name trial1 && ip link delete trial0';

export interface Choice {
  readonly mode: DemoMode;
  /** What stands in the way of a better mode, one sentence each. */
  readonly missing: readonly string[];
}

const works = (file: string, ...args: readonly string[]): boolean =>
  spawnSync(file, args, { stdio: 'ignore' }).status === 0;

/** @returns the best mode that works: root's namespaces, an own user namespace, or none of it */
export function chooseMode(): Choice {
  const missing: string[] = [];
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
  } catch {
    missing.push('/dev/net/tun cannot be opened: the kernel has no TUN, or the container was given none');
  }
  if (!works('ip', '-V')) missing.push('the ip command is not installed (package iproute2)');
  if (missing.length > 0) return { mode: 'in-process', missing };
  const root = process.getuid?.() === 0;
  if (root && works('unshare', '--net', 'sh', '-c', TRIAL)) return { mode: 'netns', missing };
  if (root) missing.push('root may not make network namespaces here: CAP_SYS_ADMIN and CAP_NET_ADMIN are needed');
  const trial = `mount -t tmpfs tmpfs /run && ${TRIAL}`;
  if (works('unshare', '--user', '--map-root-user', '--net', '--mount', 'sh', '-c', trial)) {
    return { mode: 'userns', missing };
  }
  if (!root) missing.push('not root, and an ordinary user may not make user namespaces here (unshare --user --net)');
  return { mode: 'in-process', missing };
}
