/** What is left of an SA's keys once it is removed: the whole of linear memory is searched for them. */
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import { HEADER_ARENA_BASE, HEADER_ARENA_COUNT, HEADER_BASE } from '../../assembly/layout/records.ts';
import * as L from '../../assembly/layout.ts';
import { type CipherSuite, suiteLengths, suiteName } from '../../src/algorithms.ts';
import { ALL_SUITES } from '../../src/dataplane/backends/suites.ts';
import { ANY, Gateway, saOf } from './engine-pair.ts';
import { udpPacket } from './ip.ts';

const ESP_SUITES = ALL_SUITES.filter(({ encr }) => encr !== undefined);
/** Of each SA: enough that workers keep tables of it, and more than they take at a time. */
const PACKETS = 40;
/** Bytes of a secret that would give it away. */
const WINDOW = 8;

/** Bytes before the tables that say whose they are, by addresses and serial numbers: no secrets, and they may stay. */
const KEPT_OWNERS = 512;

const gateways: Gateway[] = [];
afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.close()));
});

/** A gateway with its linear memory, which is noted as it is made: the engine gives it to nobody. */
async function start(address: string): Promise<{ gateway: Gateway; memory: Buffer }> {
  const made: WebAssembly.Memory[] = [];
  const { Memory } = WebAssembly;
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor: ConstructorParameters<typeof Memory>[0]) {
      super(descriptor);
      made.push(this);
    }
  };
  try {
    const limits = { securityAssociations: 2 * ESP_SUITES.length, policies: ESP_SUITES.length };
    const gateway = await Gateway.start(address, { workers: 2, limits });
    gateways.push(gateway);
    const [largest] = made.map(({ buffer }) => buffer).sort((a, b) => b.byteLength - a.byteLength);
    return { gateway, memory: Buffer.from(largest!) };
  } finally {
    WebAssembly.Memory = Memory;
  }
}

/** What must not be found, by what it is of. */
type Secrets = Map<string, readonly Uint8Array[]>;

/** Tables of few bits have such pieces, and so has the padding of ESP (RFC 4303 §2.4). */
const isCount = (piece: Uint8Array): boolean => piece.every((byte, at) => byte === ((piece[0]! + at) & 0xff));

/** Pieces of a secret, without those that any memory has (zeros, repeated bytes, 0 1 2 3 …). */
function windows(secret: Uint8Array, most = 64): Uint8Array[] {
  const stride = Math.max(WINDOW, Math.ceil(secret.length / most));
  const pieces: Uint8Array[] = [];
  for (let at = 0; at + WINDOW <= secret.length; at += stride) {
    const piece = secret.subarray(at, at + WINDOW);
    if (new Set(piece).size > 3 && !isCount(piece)) pieces.push(Uint8Array.from(piece));
  }
  return pieces;
}

/** @returns where pieces of each secret are: one pass, for memory is large and mostly zero */
function search(memory: Buffer, secrets: Secrets): Map<string, number[]> {
  const beginnings = new Uint8Array(65_536);
  const byBeginning = new Map<number, [string, Buffer][]>();
  for (const [name, pieces] of secrets) {
    for (const piece of pieces) {
      const beginning = piece[0]! | (piece[1]! << 8);
      beginnings[beginning] = 1;
      byBeginning.set(beginning, [...(byBeginning.get(beginning) ?? []), [name, Buffer.from(piece)]]);
    }
  }
  const found = new Map<string, number[]>();
  const words = new Uint32Array(memory.buffer);
  for (let index = 0; index < words.length; index++) {
    if (words[index] === 0) continue;
    // A piece that begins with zeros begins in the word before.
    for (let at = Math.max(0, index * 4 - 3); at < index * 4 + 4; at++) {
      const beginning = memory[at]! | (memory[at + 1]! << 8);
      if (beginnings[beginning] === 0) continue;
      for (const [name, piece] of byBeginning.get(beginning)!) {
        if (piece.compare(memory, at, at + WINDOW) === 0) found.set(name, [...(found.get(name) ?? []), at]);
      }
    }
  }
  return found;
}

/** @param places where pieces of the suite's keys are */
function keyBlock(memory: Buffer, { encr, integ }: CipherSuite, places: readonly number[]): number {
  const block = places
    .flatMap((at) => [at - L.KEY_KEY, at - L.KEY_INTEG_KEY])
    .find(
      (at) =>
        at % 64 === 0 &&
        memory.readUInt32LE(at + L.KEY_ENCR) === encr &&
        memory.readUInt32LE(at + L.KEY_INTEG) === integ,
    );
  expect(block).toBeDefined();
  return block!;
}

/** What has been derived from keys: STATE of every KEY block, and the tables that workers keep. */
function derived(memory: Buffer, keys: ReadonlyMap<string, number[]>): Secrets {
  const states: Secrets = new Map();
  for (const suite of ESP_SUITES) {
    const name = suiteName(suite);
    const block = keyBlock(memory, suite, keys.get(name)!);
    const length = memory.readUInt32LE(block + L.KEY_STATE_LENGTH);
    states.set(`${name}, STATE`, windows(memory.subarray(block + L.KEY_STATE, block + L.KEY_STATE + length)));
  }
  const arenas = memory.readUInt32LE(HEADER_BASE + HEADER_ARENA_BASE);
  for (let worker = 0; worker < memory.readUInt32LE(HEADER_BASE + HEADER_ARENA_COUNT); worker++) {
    const scratch = arenas + worker * A.ARENA_SIZE + A.ARENA_CRYPTO;
    const kept = memory.subarray(scratch + L.CRYPTO_WORK_SIZE + KEPT_OWNERS, scratch + L.CRYPTO_SCRATCH_SIZE);
    states.set(`tables of worker ${worker}`, windows(kept, 4096));
  }
  return states;
}

/** Has an SA of that suite carry packets from one to the other. @returns what removes it, and its keys */
async function carry(from: Gateway, to: Gateway, suite: CipherSuite, port: number) {
  const { key, salt, integKey } = suiteLengths(suite);
  const [encryption, integrity] = [randomBytes(key + salt), randomBytes(integKey)];
  const spi = to.dataPlane.reserveSpi();
  // What installs an SA wipes the keys that it was given.
  const own = () => ({ suite, keys: { encryption: encryption.slice(), integrity: integrity.slice() } });
  const inbound = to.dataPlane.installSa({ ...saOf(to, from, 'in', spi), ...own() });
  const outbound = from.dataPlane.installSa({ ...saOf(from, to, 'out', spi), ...own() });
  const local = { ...ANY.local, ports: { from: port, to: port } };
  const policy = from.dataPlane.installPolicy({
    direction: 'out',
    priority: 1,
    action: 'protect',
    selector: { ...ANY, protocol: 17, local },
    name: suiteName(suite),
    sa: outbound,
  });
  const ends = { source: '10.1.0.9', destination: '10.2.0.9', sourcePort: port, destinationPort: 53 };
  const packet = udpPacket({ ...ends, payload: randomBytes(1000) });
  for (let i = 0; i < PACKETS; i++) from.send(packet);
  await expect.poll(() => to.dataPlane.counters(inbound)?.packets, { interval: 5, timeout: 5000 }).toBe(PACKETS);
  while ((await to.receive(0)) !== undefined);
  return {
    secrets: [...windows(encryption), ...windows(integrity)],
    remove() {
      from.dataPlane.removePolicy(policy);
      from.dataPlane.removeSa(outbound);
      to.dataPlane.removeSa(inbound);
    },
  };
}

describe('once SAs of every suite of ESP are removed', () => {
  it('no byte of their keys, or of what was made of them, is left in linear memory', async () => {
    const [a, b] = await Promise.all([start('127.0.0.1'), start('127.0.0.2')]);
    const secrets: Secrets = new Map();
    const removals: (() => void)[] = [];
    for (const [index, suite] of ESP_SUITES.entries()) {
      const sa = await carry(a.gateway, b.gateway, suite, 4000 + index);
      secrets.set(suiteName(suite), sa.secrets);
      removals.push(sa.remove);
    }
    const sides = [a, b].map(({ memory }) => {
      const keys = search(memory, secrets);
      // They are seen where they are, or this would prove nothing.
      expect([...keys.keys()].sort()).toEqual(ESP_SUITES.map(suiteName).sort());
      const made = derived(memory, keys);
      expect([...made].some(([name, pieces]) => name.startsWith('tables') && pieces.length > 0)).toBe(true);
      return { memory, all: new Map([...secrets, ...made]) };
    });
    for (const remove of removals) remove();
    for (const { memory, all } of sides) {
      await expect.poll(() => [...search(memory, all)], { interval: 100, timeout: 10_000 }).toEqual([]);
    }
  });
});
