import { beforeAll, describe, expect, it } from 'vitest';
import { ARENA_EPOCH } from '../../assembly/layout/arena.ts';
import * as R from '../../assembly/layout/records.ts';
import { KEY_KEY, KEY_SALT } from '../../assembly/layout.ts';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import type { SaParameters } from '../../src/contract.ts';
import { compileKernel } from '../../src/dataplane/kernel.ts';
import { arenaAddress } from '../../src/dataplane/memory.ts';
import { readSockaddr } from '../../src/dataplane/sockaddr.ts';
import { layOut, SA_IN } from './bed.ts';

const SA: SaParameters = {
  ...SA_IN,
  spi: 0x1000,
  selectors: [
    {
      protocol: 0,
      local: { addresses: { from: '10.1.0.0', to: '10.1.255.255' }, ports: { from: 0, to: 65535 } },
      remote: { addresses: { from: '10.2.0.0', to: '10.2.255.255' }, ports: { from: 0, to: 65535 } },
    },
  ],
};

let module: WebAssembly.Module;
beforeAll(async () => {
  module = (await compileKernel()).module;
});

function makeSad(securityAssociations: number) {
  const forgotten: number[] = [];
  const forget = (key: number) => forgotten.push(key);
  const laid = layOut(module, { workers: 2, securityAssociations, policies: 16 }, { forget });
  const word = (address: number) => laid.memory.words[address >>> 2]!;
  return { ...laid, word, forgotten };
}

const raised = (code: string) => expect.objectContaining({ code });

describe('the SAD', () => {
  it('writes a record with its addresses, selectors and key', () => {
    const { sad, memory, word } = makeSad(16);
    const record = sad.address(sad.install(SA))!;
    expect(word(record + R.SA_STATE)).toBe(R.SA_STATE_LIVE);
    expect(word(record + R.SA_SPI)).toBe(0x00100000);
    expect(readSockaddr(memory.bytes, record + R.SA_REMOTE)).toEqual(SA.remote);
    expect(readSockaddr(memory.bytes, record + R.SA_LOCAL)).toEqual(SA.local);
    const key = word(record + R.SA_KEY);
    expect([...memory.bytes.subarray(key + KEY_KEY, key + KEY_KEY + 16)]).toEqual([...SA.keys.encryption.slice(0, 16)]);
    expect([...memory.bytes.subarray(key + KEY_SALT, key + KEY_SALT + 4)]).toEqual([17, 18, 19, 20]);
    const selector = word(record + R.SA_SELECTORS);
    expect(word(selector + R.SELECTOR_LOCAL_TO + 8)).toBe(0x0a01ffff);
    // 1500 - 20 - 8 - 8 - 8 - 16, down to a multiple of 4, less the trailer.
    expect(word(record + R.SA_INNER_MTU)).toBe(1438);
  });

  it('refuses keys of the wrong length, encryption without integrity and an SPI in use', () => {
    const { sad } = makeSad(16);
    sad.install(SA);
    expect(() => sad.install(SA)).toThrow(raised('ERR_SPI_IN_USE'));
    expect(() => sad.install({ ...SA, spi: 255 })).toThrow(raised('ERR_SA_PARAMETERS'));
    const short = { ...SA.keys, encryption: new Uint8Array(16) };
    expect(() => sad.install({ ...SA, spi: 256, keys: short })).toThrow(raised('ERR_UNSUPPORTED_SUITE'));
    const bare = { encr: ENCR.NULL, keyBits: 0, integ: INTEG.NONE };
    const none = { encryption: new Uint8Array(), integrity: new Uint8Array() };
    expect(() => sad.install({ ...SA, spi: 256, suite: bare, keys: none })).toThrow(raised('ERR_UNSUPPORTED_SUITE'));
    expect(sad.size).toBe(1);
  });

  it('refuses more SAs than it has records for, and takes new ones when old ones go', () => {
    const { sad } = makeSad(4);
    const handles = [1, 2, 3, 4].map((n) => sad.install({ ...SA, spi: 0x1000 + n }));
    expect(() => sad.install({ ...SA, spi: 0x2000 })).toThrow(raised('ERR_SAD_FULL'));
    sad.remove(handles[1]!);
    expect(sad.install({ ...SA, spi: 0x2000 })).toBeGreaterThan(handles[3]!);
  });

  it('wipes a removed SA only when the batches in flight are over', () => {
    const { sad, memory, plan, word, heap, forgotten } = makeSad(16);
    const before = heap.used;
    const handle = sad.install(SA);
    const record = sad.address(handle)!;
    const key = word(record + R.SA_KEY);
    const epoch = (arenaAddress(plan, 1) + ARENA_EPOCH) >>> 2;
    memory.words[epoch] = 7;
    sad.remove(handle);
    expect(word(record + R.SA_STATE)).toBe(R.SA_STATE_DEAD);
    expect(memory.bytes[key + KEY_KEY]).toBe(1);
    sad.reap();
    expect(memory.bytes[key + KEY_KEY]).toBe(1);
    memory.words[epoch] = 8;
    sad.reap();
    expect(memory.bytes[key + KEY_KEY]).toBe(0);
    expect(word(record + R.SA_STATE)).toBe(R.SA_STATE_FREE);
    expect(heap.used).toBe(before);
    expect(forgotten).toEqual([key]);
  });

  it('moves an SA to IPv6 and keeps its counters', () => {
    const { sad, memory, word } = makeSad(16);
    const handle = sad.install(SA);
    const record = sad.address(handle)!;
    memory.words[(record + R.SA_PACKETS) >>> 2] = 12;
    sad.move(handle, { address: '2001:db8::1', port: 4500 }, { address: '2001:db8::2', port: 4501 }, true);
    expect(readSockaddr(memory.bytes, record + R.SA_REMOTE)).toEqual({ address: '2001:db8::2', port: 4501 });
    expect(word(record + R.SA_FLAGS) & R.SA_FLAG_OUTER6).not.toBe(0);
    expect(sad.counters(handle)?.packets).toBe(12);
  });

  it('takes an SA out of UDP, and puts it back, as NATs come and go', () => {
    const { sad, memory, word } = makeSad(16);
    const handle = sad.install(SA);
    const record = sad.address(handle)!;
    for (const udp of [false, true]) {
      sad.move(handle, SA.local, SA.remote, udp);
      expect(word(record + R.SA_FLAGS) & R.SA_FLAG_UDP).toBe(udp ? R.SA_FLAG_UDP : 0);
      expect(readSockaddr(memory.bytes, record + R.SA_REMOTE).port).toBe(udp ? SA.remote.port : 0);
    }
  });

  it('reserves SPIs above 255 that nobody has', () => {
    const { sad } = makeSad(16);
    const spis = new Set(Array.from({ length: 1000 }, () => sad.reserveSpi()));
    expect(spis.size).toBe(1000);
    expect([...spis].every((spi) => spi > 255)).toBe(true);
  });

  it('installs 10,000 SAs at 5,000 a second at least, in 16 KiB each at most', () => {
    const { sad, heap } = makeSad(10_000);
    // Of a core of its own: other tests run at the same time.
    const start = process.cpuUsage();
    for (let n = 0; n < 10_000; n++) sad.install({ ...SA, spi: 0x1000 + n });
    const { user, system } = process.cpuUsage(start);
    const rate = 10_000 / ((user + system) / 1e6);
    expect(rate).toBeGreaterThan(5000);
    expect(heap.used / 10_000 + R.SA_SIZE).toBeLessThan(16_384);
  });
});
