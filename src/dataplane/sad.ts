/**
 * The SAD's owner (RFC 4301 §4.4.2): installs, moves and removes SAs in shared memory, while workers
 * read it without a lock.
 *
 *     install   records and KEY are complete before the record is linked into its SPI's chain
 *     remove    stop (SA_STATE_DEAD), unlink, wait until every batch that may have seen it is over
 *               (ARENA_EPOCH), then wipe and use again
 */
import { randomFillSync } from 'node:crypto';
import { ARENA_EPOCH, ARENA_SIZE } from '../../assembly/layout/arena.ts';
import * as R from '../../assembly/layout/records.ts';
import { KEY_BACKEND } from '../../assembly/layout.ts';
import { ENCR, INTEG, suiteName } from '../algorithms.ts';
import type { Endpoint, SaCounters, SaHandle, SaParameters } from '../contract.ts';
import { EspalierError } from '../errors.ts';
import type { KernelMemory } from './backends/backend.ts';
import { DEFAULT_PATH_MTU, type Geometry, geometryOf, isMulticast } from './geometry.ts';
import type { Heap } from './heap.ts';
import type { KernelExports } from './kernel.ts';
import type { MemoryPlan } from './memory.ts';
import { SaRecords } from './sa-records.ts';
import { addressBytes } from './selector.ts';

/** SPIs up to here are reserved by IANA (RFC 4303 §2.1). */
const RESERVED_SPIS = 255;
const MAX_U32 = 0xffffffff;
const UNKNOWN_SUITE = 0xffffffff;
/** Every link takes IPv4 packets so long without fragmenting them (RFC 791 §3.2). */
const LEAST_PATH_MTU = 68;
/** Milliseconds after which removed SAs are looked at again. */
const REAP_INTERVAL = 2;

/** What is kept of an SA's parameters: not its keys, which the caller wipes, nor what its record has. */
type Kept = Pick<
  SaParameters,
  | 'direction'
  | 'protocol'
  | 'mode'
  | 'spi'
  | 'local'
  | 'remote'
  | 'udpEncapsulation'
  | 'tfcDummies'
  | 'suite'
  | 'esn'
  | 'df'
  | 'copyDscp'
  | 'dscpMap'
  | 'name'
  | 'connection'
>;

interface Installed {
  readonly address: number;
  readonly parameters: Kept;
  pathMtu: number;
}

/** A removed SA, and each arena's epoch at that time. */
interface Retired {
  readonly address: number;
  readonly epochs: readonly number[];
}

export interface SadOptions {
  readonly memory: KernelMemory;
  /** The engine's own instance of the kernel, `initialiseCrypto` done. */
  readonly kernel: KernelExports;
  readonly plan: MemoryPlan;
  readonly heap: Heap;
  /** The device's MTU, where inner packets come from; TCP's MSS is clamped to it too. */
  readonly deviceMtu?: number;
  /** @returns the KEY_BACKEND of an SA; by default the gateway's */
  readonly backendOf?: (parameters: Pick<SaParameters, 'connection'>) => number;
  /** Told of each KEY that is about to be wiped, so that backends forget what they made of it. */
  readonly forget?: (key: number) => void;
}

export class Sad {
  readonly #memory: KernelMemory;
  readonly #signed: Int32Array;
  readonly #longs: BigUint64Array;
  readonly #floats: Float64Array;
  readonly #kernel: KernelExports;
  readonly #plan: MemoryPlan;
  readonly #heap: Heap;
  readonly #records: SaRecords;
  readonly #backendOf: NonNullable<SadOptions['backendOf']>;
  readonly #forget: (key: number) => void;
  readonly #installed = new Map<SaHandle, Installed>();
  /** What tells inbound SAs apart: protocol, SPI and, for multicast, the group (RFC 4301 §4.1). */
  readonly #inbound = new Set<string>();
  readonly #reserved = new Set<number>();
  readonly #freeRecords: number[] = [];
  #recordsUsed = 0;
  #retired: Retired[] = [];
  #reaper: NodeJS.Timeout | undefined;
  #nextHandle = 1;
  readonly #random = new Uint32Array(64);
  #randomLeft = 0;

  constructor({ memory, kernel, plan, heap, deviceMtu = Number.POSITIVE_INFINITY, backendOf, forget }: SadOptions) {
    this.#memory = memory;
    const { buffer } = memory.memory;
    this.#signed = new Int32Array(buffer);
    this.#longs = new BigUint64Array(buffer);
    this.#floats = new Float64Array(buffer);
    this.#kernel = kernel;
    this.#plan = plan;
    this.#heap = heap;
    this.#records = new SaRecords(memory, kernel, heap, deviceMtu);
    this.#backendOf = backendOf ?? (() => 0);
    this.#forget = forget ?? (() => {});
  }

  /** SAs installed, both directions together. */
  get size(): number {
    return this.#installed.size;
  }

  reserveSpi(): number {
    for (;;) {
      const spi = this.#randomWord();
      if (spi <= RESERVED_SPIS || this.#reserved.has(spi)) continue;
      if (this.#inbound.has(identity('esp', spi)) || this.#inbound.has(identity('ah', spi))) continue;
      this.#reserved.add(spi);
      return spi;
    }
  }

  releaseSpi(spi: number): void {
    this.#reserved.delete(spi);
  }

  /**
   * Copies the keys into shared memory and expands them.
   * @throws EspalierError `ERR_SAD_FULL`, `ERR_UNSUPPORTED_SUITE`, `ERR_SPI_IN_USE`, `ERR_SA_PARAMETERS`
   */
  install(parameters: SaParameters): SaHandle {
    const geometry = geometryOf(parameters);
    const stateLength = this.#checkSuite(parameters, geometry);
    const inbound = parameters.direction === 'in';
    this.#checkAddressing(parameters);
    const address = this.#takeRecord();
    const handle = this.#nextHandle;
    try {
      this.#records.write(address, handle, parameters, geometry);
      this.#records.writeKey(address, parameters, geometry, stateLength);
      this.#assignBackend(address, parameters);
    } catch (error) {
      this.#release(address);
      throw error;
    }
    this.#nextHandle++;
    this.#installed.set(handle, { address, parameters: kept(parameters), pathMtu: DEFAULT_PATH_MTU });
    Atomics.store(this.#signed, (address + R.SA_STATE) >>> 2, R.SA_STATE_LIVE);
    if (inbound) {
      this.#reserved.delete(parameters.spi);
      this.#inbound.add(identityOf(parameters));
      this.#link(address);
    }
    return handle;
  }

  /** Gives an SA new outer addresses; unknown handles are ignored. */
  move(handle: SaHandle, local: Endpoint, remote: Endpoint, udpEncapsulation: boolean): void {
    const sa = this.#installed.get(handle);
    if (sa === undefined) return;
    const parameters = kept({ ...sa.parameters, local, remote, udpEncapsulation });
    const geometry = geometryOf(parameters);
    this.#checkAddressing(parameters, sa.parameters);
    this.#records.writePath(sa.address, parameters, geometry, sa.pathMtu);
    Atomics.store(this.#signed, (sa.address + R.SA_MAPPED) >>> 2, 0);
    if (this.#inbound.delete(identityOf(sa.parameters))) this.#inbound.add(identityOf(parameters));
    this.#installed.set(handle, { ...sa, parameters });
  }

  /** Sets how long an outer packet to this SA's peer may be; unknown handles are ignored. */
  setPathMtu(handle: SaHandle, pathMtu: number): void {
    const sa = this.#installed.get(handle);
    if (sa === undefined) return;
    sa.pathMtu = Math.max(LEAST_PATH_MTU, pathMtu);
    this.#records.writeMtu(sa.address, geometryOf(sa.parameters), sa.pathMtu);
  }

  /** Gives every SA the backend that it shall have now. */
  assignBackends(): void {
    for (const { address, parameters } of this.#installed.values()) this.#assignBackend(address, parameters);
  }

  /**
   * Stops the SA now; its KEY is wiped as soon as no batch can still use it. The caller has taken it
   * out of every policy.
   */
  remove(handle: SaHandle): void {
    const sa = this.#installed.get(handle);
    if (sa === undefined) return;
    this.#installed.delete(handle);
    Atomics.store(this.#signed, (sa.address + R.SA_STATE) >>> 2, R.SA_STATE_DEAD);
    if (sa.parameters.direction === 'in') {
      this.#unlink(sa.address);
      this.#inbound.delete(identityOf(sa.parameters));
    }
    this.#retired.push({ address: sa.address, epochs: this.#epochs() });
    this.reap();
  }

  /** Wipes the removed SAs that no batch can use any more, and comes back for the others. */
  reap(): void {
    const now = this.#epochs();
    const waiting: Retired[] = [];
    for (const retired of this.#retired) {
      const over = retired.epochs.every((epoch, worker) => epoch % 2 === 0 || epoch !== now[worker]);
      if (over) this.#release(retired.address);
      else waiting.push(retired);
    }
    this.#retired = waiting;
    clearTimeout(this.#reaper);
    this.#reaper = undefined;
    if (waiting.length > 0) this.#reaper = setTimeout(() => this.reap(), REAP_INTERVAL).unref();
  }

  /** @returns the address of the SA's record, for policies; undefined if it is gone */
  address(handle: SaHandle): number | undefined {
    return this.#installed.get(handle)?.address;
  }

  /** @returns what an SA was installed (and moved) with */
  parameters(handle: SaHandle): Kept | undefined {
    return this.#installed.get(handle)?.parameters;
  }

  /** @returns the SPI of an SA that sends */
  outboundSpi(handle: SaHandle): number | undefined {
    const parameters = this.parameters(handle);
    return parameters?.direction === 'out' ? parameters.spi : undefined;
  }

  handles(): IterableIterator<SaHandle> {
    return this.#installed.keys();
  }

  counters(handle: SaHandle): SaCounters | undefined {
    const sa = this.#installed.get(handle);
    if (sa === undefined) return undefined;
    const long = (field: number) => Number(Atomics.load(this.#longs, (sa.address + field) >>> 3));
    const { direction, tfcDummies = 0 } = sa.parameters;
    return {
      packets: long(R.SA_PACKETS),
      bytes: long(R.SA_BYTES),
      lastUsed: this.#floats[(sa.address + R.SA_LAST_USED) >>> 3]!,
      sequence: long(R.SA_SEQUENCE),
      replayDrops: long(R.SA_REPLAY_DROPS),
      integrityDrops: long(R.SA_INTEGRITY_DROPS),
      // A dummy takes a number, but carries nothing.
      ...(direction === 'out' && tfcDummies > 0 && { dummies: long(R.SA_SEQUENCE) - long(R.SA_PACKETS) }),
    };
  }

  /** @returns address of the SA's record, and the last number that it has given out; undefined if it is gone */
  progress(handle: SaHandle): { readonly address: number; readonly sequence: number } | undefined {
    const address = this.address(handle);
    if (address === undefined) return undefined;
    return { address, sequence: Number(Atomics.load(this.#longs, (address + R.SA_SEQUENCE) >>> 3)) };
  }

  /** Wipes every KEY. The workers have stopped. */
  close(): void {
    clearTimeout(this.#reaper);
    for (const { address } of this.#retired) this.#release(address);
    for (const { address } of this.#installed.values()) this.#release(address);
    this.#retired = [];
    this.#installed.clear();
  }

  // ─── Checks ─────────────────────────────────────────────────────────────────────────────────

  /** @returns bytes of STATE the KEY needs */
  #checkSuite({ protocol, suite, keys }: SaParameters, lengths: Geometry): number {
    const refuse = (why: string): never => {
      throw new EspalierError('ERR_UNSUPPORTED_SUITE', `${suiteName(suite) || 'no algorithm'} for ${protocol}: ${why}`);
    };
    if ((protocol === 'ah') !== (suite.encr === undefined)) refuse('ESP has an encryption algorithm, AH has none');
    // Encryption without integrity is never accepted (RFC 8221 §4).
    if (lengths.icv === 0) refuse('there is no integrity protection');
    if (suite.encr === ENCR.NULL && suite.integ === INTEG.NONE) refuse('there is no integrity protection');
    const stateLength = this.#kernel.keyStateLength(suite.encr ?? 0, lengths.key, suite.integ) >>> 0;
    if (stateLength === UNKNOWN_SUITE) refuse('the kernel does not have it');
    const encryptionSalt = suite.encr === undefined ? 0 : lengths.salt;
    const integritySalt = lengths.salt - encryptionSalt;
    if (keys.encryption.length !== lengths.key + encryptionSalt) {
      refuse(`the encryption key and salt have ${lengths.key + encryptionSalt} bytes, not ${keys.encryption.length}`);
    }
    if (keys.integrity.length !== lengths.integKey + integritySalt) {
      refuse(`the integrity key and salt have ${lengths.integKey + integritySalt} bytes, not ${keys.integrity.length}`);
    }
    return stateLength;
  }

  #checkAddressing(parameters: Kept, before?: Kept): void {
    const { direction, protocol, spi, local, remote, udpEncapsulation } = parameters;
    const refuse = (code: string, why: string): never => {
      throw new EspalierError(code, `SA ${spi.toString(16)} (${parameters.name}): ${why}`);
    };
    if (addressBytes(local.address).length !== addressBytes(remote.address).length) {
      refuse('ERR_SA_PARAMETERS', `${local.address} and ${remote.address} are not of one family`);
    }
    if (udpEncapsulation && protocol === 'ah')
      refuse('ERR_SA_PARAMETERS', 'AH cannot be encapsulated in UDP (RFC 3948 §1)');
    if (before !== undefined) return;
    if (!Number.isInteger(spi) || spi <= RESERVED_SPIS || spi > MAX_U32) {
      refuse('ERR_SA_PARAMETERS', `an SPI lies between ${RESERVED_SPIS + 1} and ${MAX_U32} (RFC 4303 §2.1)`);
    }
    if (direction === 'in' && this.#inbound.has(identityOf(parameters)))
      refuse('ERR_SPI_IN_USE', 'another inbound SA has this SPI');
  }

  #assignBackend(address: number, parameters: Kept): void {
    const key = this.#memory.words[(address + R.SA_KEY) >>> 2]!;
    Atomics.store(this.#memory.words, (key + KEY_BACKEND) >>> 2, this.#backendOf(parameters));
  }

  // ─── Records ────────────────────────────────────────────────────────────────────────────────

  #takeRecord(): number {
    if (this.#freeRecords.length === 0 && this.#retired.length > 0) this.reap();
    const free = this.#freeRecords.pop();
    if (free !== undefined) return free;
    if (this.#recordsUsed === this.#plan.securityAssociations) {
      throw new EspalierError(
        'ERR_SAD_FULL',
        `the SAD holds ${this.#recordsUsed} SAs: raise limits.securityAssociations`,
      );
    }
    return this.#plan.saBase + this.#recordsUsed++ * R.SA_SIZE;
  }

  /** Wipes the record with all that hangs on it, and gives it back. */
  #release(address: number): void {
    const { words } = this.#memory;
    const key = words[(address + R.SA_KEY) >>> 2]!;
    if (key !== 0) this.#forget(key);
    for (const field of [R.SA_KEY, R.SA_WINDOW, R.SA_SELECTORS, R.SA_DSCP_MAP])
      this.#heap.free(words[(address + field) >>> 2]!);
    this.#records.clear(address);
    this.#freeRecords.push(address);
  }

  // ─── Chains ─────────────────────────────────────────────────────────────────────────────────

  #link(address: number): void {
    const { words } = this.#memory;
    let link = this.#head(address) >>> 2;
    // The most specific first: a group's SA comes before one that has the SPI alone.
    if (!(words[(address + R.SA_FLAGS) >>> 2]! & R.SA_FLAG_MULTICAST)) {
      while (words[link] !== 0) link = (words[link]! + R.SA_NEXT) >>> 2;
    }
    words[(address + R.SA_NEXT) >>> 2] = words[link]!;
    Atomics.store(words, link, address);
  }

  /** The record keeps its NEXT, so that a worker that stands on it finds its way on. */
  #unlink(address: number): void {
    const { words } = this.#memory;
    let link = this.#head(address) >>> 2;
    while (words[link] !== address) link = (words[link]! + R.SA_NEXT) >>> 2;
    Atomics.store(words, link, words[(address + R.SA_NEXT) >>> 2]!);
  }

  /** @returns the address of the head of the SA's chain; same as `findSa` of assembly/sad.ts */
  #head(address: number): number {
    const hash = Math.imul(this.#memory.words[(address + R.SA_SPI) >>> 2]!, R.SPI_HASH_FACTOR) >>> 0;
    return this.#plan.spiTable + ((hash ^ (hash >>> R.SPI_HASH_SHIFT)) & (this.#plan.spiBuckets - 1)) * 4;
  }

  #epochs(): number[] {
    const epoch = (worker: number) => (this.#plan.arenaBase + worker * ARENA_SIZE + ARENA_EPOCH) >>> 2;
    return Array.from({ length: this.#plan.workers }, (_, worker) => Atomics.load(this.#memory.words, epoch(worker)));
  }

  #randomWord(): number {
    if (this.#randomLeft === 0) {
      randomFillSync(this.#random);
      this.#randomLeft = this.#random.length;
    }
    return this.#random[--this.#randomLeft]!;
  }
}

const identity = (protocol: string, spi: number, group = ''): string => `${protocol} ${spi} ${group}`;

const identityOf = ({ protocol, spi, local }: Kept): string =>
  identity(protocol, spi, isMulticast(local.address) ? local.address : '');

/** Written out, so that all have one shape: an object made by copying has one of its own, which takes more than itself. */
const kept = (parameters: Kept): Kept => ({
  direction: parameters.direction,
  protocol: parameters.protocol,
  mode: parameters.mode,
  spi: parameters.spi,
  local: parameters.local,
  remote: parameters.remote,
  udpEncapsulation: parameters.udpEncapsulation,
  tfcDummies: parameters.tfcDummies,
  suite: parameters.suite,
  esn: parameters.esn,
  df: parameters.df,
  copyDscp: parameters.copyDscp,
  dscpMap: parameters.dscpMap,
  name: parameters.name,
  connection: parameters.connection,
});
