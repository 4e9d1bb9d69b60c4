/**
 * Packets that the system dropped because a worker did not come to take them: under overload the queues
 * of device and sockets fill, and nothing else does. And those that it drops for us, as they arrived in the clear
 * (spelled as where XFRM does so). They are told beside the kernel's own drop reasons.
 */
import type { WorkerDescriptors } from './descriptors.ts';
import type { InboundClear } from './inbound-clear.ts';
import { Rtnetlink } from './io/rtnetlink.ts';
import { SOL_SOCKET } from './io/socket-options.ts';
import { readOption } from './io/syscalls.ts';

const SO_MEMINFO = 55;
/** SK_MEMINFO_DROPS is the last of nine words. */
const MEMINFO = { size: 36, drops: 32 } as const;

export interface Droppers {
  /** Index of the TUN; undefined for a device that is none. */
  readonly device: number | undefined;
  readonly workers: readonly WorkerDescriptors[];
  readonly clear: InboundClear | undefined;
}

/** @returns by reason, those that are not 0 */
export function readSystemDrops({ device, workers, clear }: Droppers): Readonly<Record<string, number>> {
  const sockets = workers.flatMap(({ receivers }) => receivers.map(({ fd }) => socketDrops(fd)));
  const refused = clear?.dropped;
  const drops = {
    OutQueueFull: device === undefined ? 0 : deviceDrops(device),
    InQueueFull: sockets.reduce((sum, count) => sum + count, 0),
    XfrmInTmplMismatch: refused?.protect ?? 0,
    XfrmInPolBlock: refused?.discard ?? 0,
  };
  return Object.fromEntries(Object.entries(drops).filter(([, count]) => count > 0));
}

function deviceDrops(index: number): number {
  const netlink = new Rtnetlink();
  try {
    return netlink.links().find((link) => link.index === index)?.dropped ?? 0;
  } finally {
    netlink.close();
  }
}

function socketDrops(fd: number): number {
  const info = readOption(fd, SOL_SOCKET, SO_MEMINFO, MEMINFO.size);
  return info === undefined ? 0 : Buffer.from(info).readUInt32LE(MEMINFO.drops);
}
