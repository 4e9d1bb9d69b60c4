/** What EVENT records of the kernel (assembly/layout/arena.ts) say, in the words of the contract. */
import * as A from '../../assembly/layout/arena.ts';
import type { DataPlaneEvents, SelectorSide, TrafficSelector } from '../contract.ts';
import { addressText } from './selector.ts';
import { readSockaddr } from './sockaddr.ts';

type Emit = <E extends 'acquire' | 'expire' | 'mapping'>(event: E, ...values: DataPlaneEvents[E]) => void;

const EXPIRATIONS = [
  [A.EVENT_EXPIRE_HARD_BYTES, 'hard', 'bytes'],
  [A.EVENT_EXPIRE_HARD_PACKETS, 'hard', 'packets'],
  [A.EVENT_EXPIRE_HARD_SEQUENCE, 'hard', 'sequence'],
  [A.EVENT_EXPIRE_SOFT_BYTES, 'soft', 'bytes'],
  [A.EVENT_EXPIRE_SOFT_PACKETS, 'soft', 'packets'],
  [A.EVENT_EXPIRE_SOFT_SEQUENCE, 'soft', 'sequence'],
] as const;

/** @param events EVENT records, one behind the other */
export function emitEvents(events: Uint8Array, emit: Emit): void {
  for (let at = 0; at + A.EVENT_SIZE <= events.length; at += A.EVENT_SIZE) {
    emitEvent(events.subarray(at, at + A.EVENT_SIZE), emit);
  }
}

function emitEvent(event: Uint8Array, emit: Emit): void {
  const word = (field: number) => new DataView(event.buffer, event.byteOffset).getUint32(field, true);
  const handle = word(A.EVENT_HANDLE);
  switch (word(A.EVENT_KIND)) {
    case A.EVENT_ACQUIRE:
      emit('acquire', handle, packetOf(event, word));
      break;
    case A.EVENT_EXPIRE:
      for (const [bit, kind, reason] of EXPIRATIONS) {
        if ((word(A.EVENT_REASON) & bit) !== 0) emit('expire', handle, kind, reason);
      }
      break;
    case A.EVENT_MAPPING:
      emit('mapping', handle, readSockaddr(event, A.EVENT_NAME));
      break;
  }
}

function packetOf(event: Uint8Array, word: (field: number) => number): TrafficSelector {
  const size = event[A.EVENT_FAMILY] === 4 ? 4 : 16;
  const side = (address: number, port: number): SelectorSide => {
    const text = addressText(readAddress(event, address, size));
    return { addresses: { from: text, to: text }, ports: portsOf(word(port)) };
  };
  return {
    protocol: event[A.EVENT_PROTOCOL]!,
    local: side(A.EVENT_LOCAL, A.EVENT_LOCAL_PORT),
    remote: side(A.EVENT_REMOTE, A.EVENT_REMOTE_PORT),
  };
}

/** OPAQUE is 65535–0 (RFC 4301 §4.4.1.1). */
const portsOf = (port: number): SelectorSide['ports'] =>
  port === A.OPAQUE_PORT ? { from: 65_535, to: 0 } : { from: port, to: port };

/** Two u64 in host order, high half first, become `size` bytes in wire order. */
function readAddress(event: Uint8Array, at: number, size: number): Uint8Array {
  const address = new Uint8Array(16);
  for (let half = 0; half < 16; half += 8) {
    for (let byte = 0; byte < 8; byte++) address[half + byte] = event[at + half + 7 - byte]!;
  }
  return address.subarray(16 - size);
}
