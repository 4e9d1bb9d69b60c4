/** Writes addresses and SELECTORs of the contract into shared memory (assembly/layout/records.ts). */
import {
  SELECTOR_FAMILY,
  SELECTOR_LOCAL_FROM,
  SELECTOR_LOCAL_PORTS,
  SELECTOR_LOCAL_TO,
  SELECTOR_PROTOCOL,
  SELECTOR_REMOTE_FROM,
  SELECTOR_REMOTE_PORTS,
  SELECTOR_REMOTE_TO,
  SELECTOR_SIZE,
} from '../../assembly/layout/records.ts';
import type { AddressRange, SelectorSide, TrafficSelector } from '../contract.ts';
import { EspalierError } from '../errors.ts';
import { addressText, parseAddress } from '../ip-address.ts';
import type { KernelMemory } from './backends/backend.ts';

export { addressText };

/**
 * @returns the 4 or 16 bytes of an address
 * @throws EspalierError `ERR_ADDRESS`
 */
export function addressBytes(address: string): Uint8Array {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new EspalierError('ERR_ADDRESS', `'${address}' is not an IP address`);
  return bytes;
}

/** Writes one SELECTOR, SELECTOR_SIZE bytes, at `at`. */
export function writeSelector(memory: KernelMemory, at: number, selector: TrafficSelector): void {
  const { bytes } = memory;
  bytes.fill(0, at, at + SELECTOR_SIZE);
  const family = writeRange(
    memory,
    at + SELECTOR_LOCAL_FROM,
    at + SELECTOR_LOCAL_TO,
    selector.local.addresses,
    writeRange(memory, at + SELECTOR_REMOTE_FROM, at + SELECTOR_REMOTE_TO, selector.remote.addresses),
  );
  bytes[at + SELECTOR_FAMILY] = family;
  bytes[at + SELECTOR_PROTOCOL] = selector.protocol;
  writePorts(memory, at + SELECTOR_LOCAL_PORTS, selector.local.ports);
  writePorts(memory, at + SELECTOR_REMOTE_PORTS, selector.remote.ports);
}

/** @returns the family of the range, which must be `family` if that is given */
function writeRange(memory: KernelMemory, from: number, to: number, range: AddressRange, family?: number): number {
  const first = addressBytes(range.from);
  const last = addressBytes(range.to);
  const found = first.length === 4 ? 4 : 6;
  if (last.length !== first.length || (family !== undefined && family !== found)) {
    throw new EspalierError('ERR_ADDRESS', `${range.from}–${range.to}: a traffic selector has addresses of one family`);
  }
  writeAddress(memory, from, first);
  writeAddress(memory, to, last);
  return found;
}

/** Two u64 in host order, high half first; IPv4 in the low 32 bits of the second. */
function writeAddress({ words }: KernelMemory, at: number, address: Uint8Array): void {
  const word = at >>> 2;
  if (address.length === 4) {
    words[word + 2] = bigEndian(address, 0);
    return;
  }
  words[word + 1] = bigEndian(address, 0);
  words[word] = bigEndian(address, 4);
  words[word + 3] = bigEndian(address, 8);
  words[word + 2] = bigEndian(address, 12);
}

const bigEndian = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;

function writePorts({ words }: KernelMemory, at: number, { from, to }: SelectorSide['ports']): void {
  words[at >>> 2] = (from | (to << 16)) >>> 0;
}
