/**
 * Several backends in one worker: each packet goes to the one that its SA has been given (KEY_BACKEND).
 *
 *     batch     | a B a a B a |        of the SAs of two backends
 *     GATHER    | a a a a |            copies of descriptors, one call a backend
 *               | B B |
 *     batch     | STATUS …    |        comes back from the copies
 *
 * Descriptors are gathered rather than cut into runs, because flows of many SAs are mixed in a batch and
 * a backend is fast with many packets a call. With one backend there is no SplitBackend at all.
 */
import { GATHER_MAX } from '../../../assembly/layout/arena.ts';
import * as L from '../../../assembly/layout.ts';
import type { CipherSuite } from '../../algorithms.ts';
import type { CryptoBackend, Direction, KernelMemory } from './backend.ts';

const PACKET_WORDS = L.PACKET_SIZE / 4;

export class SplitBackend implements CryptoBackend {
  readonly name: string;
  readonly #words: Uint32Array;
  readonly #backends: readonly CryptoBackend[];
  readonly #gather: number;
  /** Of each packet, the index of its backend. */
  readonly #chosen = new Uint8Array(GATHER_MAX);

  /**
   * @param backends by KEY_BACKEND, two to 256, each of which supports every suite
   * @param gather address of GATHER_MAX descriptors
   */
  constructor({ words }: KernelMemory, backends: readonly CryptoBackend[], gather: number) {
    this.name = backends.map(({ name }) => name).join(' and ');
    this.#words = words;
    this.#backends = backends;
    this.#gather = gather;
  }

  supports(suite: CipherSuite): boolean {
    return this.#backends.every((backend) => backend.supports(suite));
  }

  seal(descriptors: number, count: number): void {
    this.#run('seal', descriptors, count);
  }

  open(descriptors: number, count: number): void {
    this.#run('open', descriptors, count);
  }

  forget(key: number): void {
    for (const backend of this.#backends) backend.forget(key);
  }

  close(): void {
    for (const backend of this.#backends) backend.close();
  }

  #run(direction: Direction, descriptors: number, count: number): void {
    for (let done = 0; done < count; done += GATHER_MAX) {
      const taken = Math.min(GATHER_MAX, count - done);
      const batch = descriptors + done * L.PACKET_SIZE;
      if (this.#choose(batch, taken)) this.#backends[this.#chosen[0]!]![direction](batch, taken);
      else for (let index = 0; index < this.#backends.length; index++) this.#share(direction, index, batch, taken);
    }
  }

  /**
   * Notes each packet's backend, once: the engine's thread may give its SA another one at any time, and a
   * packet that two backends take would be encrypted twice, which for a stream cipher is not at all.
   * @returns whether one backend takes them all
   */
  #choose(batch: number, count: number): boolean {
    const words = this.#words;
    const chosen = this.#chosen;
    let same = true;
    for (let i = 0, at = batch; i < count; i++, at += L.PACKET_SIZE) {
      const wanted = words[(words[(at + L.PACKET_KEY) >>> 2]! + L.KEY_BACKEND) >>> 2]!;
      chosen[i] = wanted < this.#backends.length ? wanted : 0;
      same &&= chosen[i] === chosen[0];
    }
    return same;
  }

  /** Has one backend do its share of the batch. */
  #share(direction: Direction, index: number, batch: number, count: number): void {
    const words = this.#words;
    const first = this.#gather >>> 2;
    let copy = first;
    for (let i = 0; i < count; i++) {
      if (this.#chosen[i] !== index) continue;
      const at = (batch + i * L.PACKET_SIZE) >>> 2;
      words.copyWithin(copy, at, at + PACKET_WORDS);
      copy += PACKET_WORDS;
    }
    if (copy === first) return;
    this.#backends[index]![direction](this.#gather, (copy - first) / PACKET_WORDS);
    copy = first;
    for (let i = 0; i < count; i++) {
      if (this.#chosen[i] !== index) continue;
      words[(batch + i * L.PACKET_SIZE + L.PACKET_STATUS) >>> 2] = words[copy + (L.PACKET_STATUS >>> 2)]!;
      copy += PACKET_WORDS;
    }
  }
}
