/** Fills SA records and KEY blocks in shared memory (`assembly/layout/records.ts`, `assembly/layout.ts`). */
import { randomFillSync } from 'node:crypto';
import * as R from '../../assembly/layout/records.ts';
import * as K from '../../assembly/layout.ts';
import type { Endpoint, SaHandle, SaParameters } from '../contract.ts';
import type { KernelMemory } from './backends/backend.ts';
import { DEFAULT_PATH_MTU, type Geometry, innerMtu } from './geometry.ts';
import type { Heap } from './heap.ts';
import type { KernelExports } from './kernel.ts';
import { addressBytes, writeSelector } from './selector.ts';
import { writeSockaddr } from './sockaddr.ts';
import { SocketPairs } from './socket-pairs.ts';

const LEAST_WINDOW = 64;
const MOST_WINDOW = 65_536;
const MAX_U32 = 0xffffffff;
/** A successor is asked for when this part of the sequence numbers is used up. */
const SOFT_SEQUENCE = 15 / 16;
const HOP_LIMIT = 64;
/** DSCP has six bits (RFC 2474 §3). */
const DSCPS = 64;
const IPPROTO = { udp: 17, esp: 50, ah: 51 } as const;

/** What an SA's outer header follows from. */
type Path = Pick<SaParameters, 'local' | 'remote' | 'protocol' | 'udpEncapsulation' | 'df'>;

export class SaRecords {
  readonly #memory: KernelMemory;
  readonly #kernel: KernelExports;
  readonly #heap: Heap;
  readonly #deviceMtu: number;
  readonly #pairs = new SocketPairs();
  #serial = 0;

  /** @param deviceMtu bytes that an inner packet has at most */
  constructor(memory: KernelMemory, kernel: KernelExports, heap: Heap, deviceMtu: number) {
    this.#deviceMtu = deviceMtu;
    this.#memory = memory;
    this.#kernel = kernel;
    this.#heap = heap;
  }

  /** Everything but STATE and KEY; the record is all zero before. */
  write(address: number, handle: SaHandle, parameters: SaParameters, geometry: Geometry): void {
    const { bytes, words } = this.#memory;
    const set = (field: number, value: number) => {
      words[(address + field) >>> 2] = value;
    };
    set(R.SA_HANDLE, handle);
    set(R.SA_SPI, byteSwap(parameters.spi));
    set(R.SA_IV_LENGTH, geometry.iv);
    set(R.SA_ICV_LENGTH, geometry.icv);
    set(R.SA_TFC, parameters.tfcPadding ?? 0);
    this.writePath(address, parameters, geometry, DEFAULT_PATH_MTU);
    this.#writeLimits(address, parameters);
    randomFillSync(bytes, address + R.SA_IV_MASK, 8);
    if (parameters.direction === 'in') {
      const window = windowSize(parameters.replayWindow);
      if (window > 0) set(R.SA_WINDOW, this.#heap.allocate(windowRing(window) / 8));
      set(R.SA_WINDOW_SIZE, window);
    }
    if (parameters.dscpMap !== undefined) {
      const map = this.#heap.allocate(DSCPS);
      set(R.SA_DSCP_MAP, map);
      bytes.set(dscpTable(parameters), map);
    }
    const { selectors } = parameters;
    if (selectors.length === 0) return;
    const list = this.#heap.allocate(selectors.length * R.SELECTOR_SIZE);
    set(R.SA_SELECTORS, list);
    set(R.SA_SELECTOR_COUNT, selectors.length);
    selectors.forEach((selector, index) => {
      writeSelector(this.#memory, list + index * R.SELECTOR_SIZE, selector);
    });
  }

  /** Copies the raw keys into a KEY block of the record's and expands them. */
  writeKey(address: number, { suite, keys }: SaParameters, lengths: Geometry, stateLength: number): void {
    const { bytes, words } = this.#memory;
    const key = this.#heap.allocate(K.KEY_STATE + stateLength);
    words[(address + R.SA_KEY) >>> 2] = key;
    this.#serial = (this.#serial + 1) >>> 0;
    const set = (field: number, value: number) => {
      words[(key + field) >>> 2] = value;
    };
    set(K.KEY_ENCR, suite.encr ?? 0);
    set(K.KEY_INTEG, suite.integ);
    set(K.KEY_KEY_LENGTH, lengths.key);
    set(K.KEY_INTEG_KEY_LENGTH, lengths.integKey);
    set(K.KEY_ICV_LENGTH, lengths.icv);
    set(K.KEY_IV_LENGTH, lengths.iv);
    set(K.KEY_SERIAL, this.#serial);
    set(K.KEY_STATE_LENGTH, stateLength);
    bytes.set(keys.encryption.subarray(0, lengths.key), key + K.KEY_KEY);
    bytes.set(keys.encryption.subarray(lengths.key), key + K.KEY_SALT);
    bytes.set(keys.integrity.subarray(0, lengths.integKey), key + K.KEY_INTEG_KEY);
    if (keys.integrity.length > lengths.integKey) {
      bytes.set(keys.integrity.subarray(lengths.integKey), key + K.KEY_SALT);
    }
    this.#kernel.setupKey(key);
  }

  #writeLimits(address: number, { direction, esn, lifetime = {} }: SaParameters): void {
    const set = (field: number, value: number | undefined) => {
      const word = (address + field) >>> 2;
      this.#memory.words[word] = value === undefined ? MAX_U32 : value % 2 ** 32;
      this.#memory.words[word + 1] = value === undefined ? MAX_U32 : Math.floor(value / 2 ** 32);
    };
    set(R.SA_SOFT_BYTES, lifetime.softBytes);
    set(R.SA_HARD_BYTES, lifetime.hardBytes);
    set(R.SA_SOFT_PACKETS, lifetime.softPackets);
    set(R.SA_HARD_PACKETS, lifetime.hardPackets);
    const numbers = esn ? 2 ** 64 : 2 ** 32;
    set(R.SA_SOFT_SEQUENCE, direction === 'out' ? numbers * SOFT_SEQUENCE : undefined);
    set(R.SA_HARD_SEQUENCE, direction === 'out' && !esn ? MAX_U32 : undefined);
  }

  /** What follows from the outer addresses. */
  writePath(address: number, parameters: Path, geometry: Geometry, pathMtu: number): void {
    const { words } = this.#memory;
    words[(address + R.SA_FLAGS) >>> 2] = geometry.flags;
    words[(address + R.SA_LANE) >>> 2] = geometry.lane;
    words[(address + R.SA_BLOCK_MASK) >>> 2] = geometry.blockMask;
    this.#writeAddresses(address, parameters);
    this.writeMtu(address, geometry, pathMtu);
  }

  /** @param pathMtu bytes that an outer IP packet may have */
  writeMtu(address: number, geometry: Geometry, pathMtu: number): void {
    this.#memory.words[(address + R.SA_PATH_MTU) >>> 2] = pathMtu;
    this.#memory.words[(address + R.SA_INNER_MTU) >>> 2] = Math.min(this.#deviceMtu, innerMtu(geometry, pathMtu));
  }

  /** Wipes a record that nobody looks at any more. */
  clear(address: number): void {
    this.#pairs.giveBack(this.#memory.words[(address + R.SA_PATH) >>> 2]!);
    this.#memory.bytes.fill(0, address, address + R.SA_SIZE);
  }

  /** Socket addresses, the number of their pair, and the template of the outer header. */
  #writeAddresses(address: number, parameters: Path): void {
    const { bytes, words } = this.#memory;
    const { local, remote, udpEncapsulation } = parameters;
    const path = (address + R.SA_PATH) >>> 2;
    this.#pairs.giveBack(words[path]!);
    words[path] = this.#pairs.take(`${remote.address} ${remote.port} ${local.address} ${udpEncapsulation}`);
    const ported = (endpoint: Endpoint) => (udpEncapsulation ? endpoint : { ...endpoint, port: 0 });
    words[(address + R.SA_REMOTE_LENGTH) >>> 2] = writeSockaddr(bytes, address + R.SA_REMOTE, ported(remote));
    words[(address + R.SA_LOCAL_LENGTH) >>> 2] = writeSockaddr(bytes, address + R.SA_LOCAL, ported(local));
    const header = outerHeader(parameters);
    bytes.fill(0, address + R.SA_HEADER, address + R.SA_HEADER + R.SA_HEADER_SIZE);
    bytes.set(header, address + R.SA_HEADER);
    words[(address + R.SA_HEADER_LENGTH) >>> 2] = header.length;
  }
}

/** @returns the outer DSCP for each inner one */
const dscpTable = ({ dscpMap = {}, copyDscp = true }: SaParameters): Uint8Array =>
  Uint8Array.from({ length: DSCPS }, (_, inner) => dscpMap[inner] ?? (copyDscp ? inner : 0));

/** @returns numbers the window holds: a multiple of 32; 0 switches anti-replay off */
function windowSize(wanted: number): number {
  if (wanted === 0) return 0;
  return Math.min(MOST_WINDOW, Math.max(LEAST_WINDOW, Math.ceil(wanted / 32) * 32));
}

/** @returns bits of the ring that holds a window; same as `ringMask` of assembly/replay.ts */
function windowRing(size: number): number {
  return 2 ** Math.ceil(Math.log2(size));
}

const byteSwap = (word: number): number =>
  ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;

/** The outer IP header without lengths, ID, DSCP and checksum. */
function outerHeader({ local, remote, protocol, udpEncapsulation, df }: Path): Uint8Array {
  const source = addressBytes(local.address);
  const destination = addressBytes(remote.address);
  const next = udpEncapsulation ? IPPROTO.udp : IPPROTO[protocol];
  if (source.length === 4) {
    const header = new Uint8Array(20);
    header[0] = 0x45;
    header[6] = df === 'set' ? 0x40 : 0;
    header[8] = HOP_LIMIT;
    header[9] = next;
    header.set(source, 12);
    header.set(destination, 16);
    return header;
  }
  const header = new Uint8Array(40);
  header[0] = 0x60;
  header[6] = next;
  header[7] = HOP_LIMIT;
  header.set(source, 8);
  header.set(destination, 24);
  return header;
}
