/**
 * An in-process link: what one end writes, the other reads, frame by frame with a virtio header in
 * front, like a TUN with IFF_VNET_HDR that takes every offload. For `DeviceOptions` of kind
 * 'descriptors': tests, the demo where namespaces are not allowed, gateways inside one process.
 */
import { close, setsockopt, socketpair } from './syscalls.ts';

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_SNDBUFFORCE = 32;
/** Bytes in flight: a few dozen full super-frames. */
const BUFFER = 4 << 20;

export interface Link {
  /** Descriptors for the engine's workers, one each. */
  readonly device: readonly number[];
  /** The other ends: what is behind the gateway. */
  readonly host: readonly number[];
  close(): void;
}

/** @param queues one per worker of the engine */
export function createLink(queues = 1): Link {
  const pairs = Array.from({ length: queues }, () => socketpair(AF_UNIX, SOCK_SEQPACKET));
  for (const fd of pairs.flat()) {
    // Without the privilege it is what net.core.wmem_max allows.
    if (!setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, BUFFER);
  }
  return {
    device: pairs.map(([device]) => device),
    host: pairs.map(([, host]) => host),
    close: () => pairs.flat().forEach(close),
  };
}
