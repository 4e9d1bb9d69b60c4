/**
 * Has a second backend do a sample of the packets over again, elsewhere, and counts disagreements.
 * Whatever the second one says, the first one's result stands.
 *
 *     batch ─► copy every 64th packet ─► first backend ─► batch
 *                       └─► second backend, memory of its own ─► compare payload, ICV, STATUS
 */
import * as L from '../../../assembly/layout.ts';
import { type CipherSuite, suiteLengths, suiteName } from '../../algorithms.ts';
import type { CryptoBackend, Direction, KernelMemory } from './backend.ts';
import { KeyCache } from './key-cache.ts';
import { rawKeys, suiteOf } from './suites.ts';
import type { PacketView, SuiteKeys, Workbench } from './workbench.ts';

/** One packet in how many is checked. */
const STRIDE = 64;
/** Bytes of payload that the second backend's memory has room for; no IP packet is longer. */
const LONGEST = 65_536;

interface MirroredKey {
  readonly suite: CipherSuite;
  /** Copies, as the workbench is cleared for every batch. */
  readonly keys: SuiteKeys;
}

interface Sample {
  readonly packet: number;
  readonly copy: PacketView;
  readonly suite: CipherSuite;
  readonly key: number;
}

export class ShadowBackend implements CryptoBackend {
  readonly name: string;
  readonly #kernel: KernelMemory;
  readonly #first: CryptoBackend;
  readonly #second: CryptoBackend;
  readonly #bench: Workbench;
  readonly #log: (message: string) => void;
  readonly #keys: KeyCache<MirroredKey>;
  /** Packets to go by until the next sample. */
  #skip = 0;
  #checked = 0;
  #disagreements = 0;

  /** @param bench the memory of `second`, for nothing else */
  constructor(
    kernel: KernelMemory,
    first: CryptoBackend,
    second: CryptoBackend,
    bench: Workbench,
    log: (message: string) => void,
  ) {
    this.name = first.name;
    this.#kernel = kernel;
    this.#first = first;
    this.#second = second;
    this.#bench = bench;
    this.#log = log;
    this.#keys = new KeyCache(kernel, (key) => mirror(kernel, key), wipe);
  }

  supports(suite: CipherSuite): boolean {
    return this.#first.supports(suite);
  }

  seal(descriptors: number, count: number): void {
    this.#run('seal', descriptors, count);
  }

  open(descriptors: number, count: number): void {
    this.#run('open', descriptors, count);
  }

  forget(key: number): void {
    this.#keys.forget(key);
    this.#first.forget(key);
  }

  close(): void {
    this.#keys.clear();
    this.#first.close();
    this.#second.close();
  }

  counters(): Readonly<Record<string, number>> {
    return {
      ...this.#first.counters?.(),
      shadow_packets: this.#checked,
      shadow_disagreements: this.#disagreements,
    };
  }

  #run(direction: Direction, descriptors: number, count: number): void {
    if (this.#skip >= count) {
      this.#skip -= count;
      this.#first[direction](descriptors, count);
      return;
    }
    const sample = this.#copy(descriptors + this.#skip * L.PACKET_SIZE);
    // One sample a batch is enough: of a batch with more to check, the next one's first comes instead.
    this.#skip = Math.max(0, this.#skip + STRIDE - count);
    this.#first[direction](descriptors, count);
    if (sample !== undefined) this.#check(direction, sample);
  }

  #copy(packet: number): Sample | undefined {
    const { bytes, words } = this.#kernel;
    const word = (field: number) => words[(packet + field) >>> 2]!;
    const view = (from: number, length: number) => bytes.subarray(from, from + length);
    if (word(L.PACKET_LENGTH) > LONGEST) return undefined;
    const { suite, keys } = this.#keys.get(word(L.PACKET_KEY));
    const lengths = suiteLengths(suite);
    const key = this.#bench.key(suite, keys);
    const [copy] = this.#bench.packets([
      {
        key,
        iv: view(word(L.PACKET_IV), lengths.iv),
        aad: view(word(L.PACKET_AAD), word(L.PACKET_AAD_LENGTH)),
        payload: view(word(L.PACKET_PAYLOAD), word(L.PACKET_LENGTH)),
        icv: view(word(L.PACKET_ICV), lengths.icv),
        ...((word(L.PACKET_FLAGS) & L.PACKET_FLAG_ESN) !== 0 && { sequenceHigh: word(L.PACKET_SEQ_HI) }),
      },
    ]);
    return { packet, copy: copy!, suite, key };
  }

  #check(direction: Direction, { packet, copy, suite, key }: Sample): void {
    this.#checked++;
    let agree = true;
    try {
      this.#second[direction](copy.descriptor, 1);
    } catch {
      agree = false;
    }
    const { bytes, words } = this.#kernel;
    const same = (field: number, view: Uint8Array) => {
      const from = words[(packet + field) >>> 2]!;
      return Buffer.compare(bytes.subarray(from, from + view.length), view) === 0;
    };
    agree &&=
      words[(packet + L.PACKET_STATUS) >>> 2] === copy.status() &&
      same(L.PACKET_PAYLOAD, copy.payload) &&
      same(L.PACKET_ICV, copy.icv);
    // No copy of a key or of a packet stays behind.
    this.#second.forget(key);
    this.#bench.clear();
    if (agree) return;
    this.#disagreements++;
    // A broken cipher would fill the log: say it at 1, 2, 4, 8, …
    if ((this.#disagreements & (this.#disagreements - 1)) === 0) {
      this.#log(
        `backends '${this.#first.name}' and '${this.#second.name}' disagree: ${direction} of ` +
          `${copy.payload.length} bytes with ${suiteName(suite)}; ${this.#disagreements} of ${this.#checked} so far`,
      );
    }
  }
}

function mirror(kernel: KernelMemory, key: number): MirroredKey {
  const suite = suiteOf(kernel, key);
  const raw = rawKeys(kernel, key, suiteLengths(suite).salt);
  return { suite, keys: { key: raw.key.slice(), salt: raw.salt.slice(), integKey: raw.integKey.slice() } };
}

function wipe({ keys }: MirroredKey): void {
  for (const secret of Object.values(keys) as Uint8Array[]) secret.fill(0);
}
