/** Backends that users bring along: what is refused at the door, and what becomes of one that fails later. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as L from '../../assembly/layout.ts';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import type { CryptoBackend } from '../../src/dataplane/backends/backend.ts';
import { createBackend, runConformance } from '../../src/dataplane/backends/index.ts';
import { GuardedBackend } from '../../src/dataplane/backends/module.ts';
import { createWasmBackend } from '../../src/dataplane/backends/wasm.ts';
import { Workbench } from '../../src/dataplane/backends/workbench.ts';
import { packagePath } from '../../src/package-root.ts';
import { folder } from '../cli/command.ts';

const GCM = { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE };
const EXAMPLE = pathToFileURL(packagePath('examples', 'backend-aes-gcm.js')).href;

/** @returns the path of a module that exports this `createBackend` */
const moduleOf = (createBackend: string) =>
  join(
    folder({ 'backend.mjs': `import { createBackend as example } from '${EXAMPLE}';\n${createBackend}` }),
    'backend.mjs',
  );

const whole = "name: 'mine', supports: () => true, seal() {}, open() {}, forget() {}, close() {}";

/** Modules, and what has to be changed. */
const WRONG = [
  ['exports no function', 'export const createBackend = 5;', /exports no createBackend function/],
  ['throws', "export function createBackend() { throw new TypeError('boom'); }", /createBackend throws boom/],
  ['throws what is no error', "export function createBackend() { throw 'boom'; }", /createBackend throws boom/],
  ['fails later', "export async function createBackend() { throw new Error('boom'); }", /createBackend throws boom/],
  [
    'returns nothing',
    'export function createBackend() {}',
    /returns nothing; it must return an object with name, supp/,
  ],
  ['returns a number', 'export const createBackend = () => 5;', /returns 5; it must return an object/],
  ['has no name', `export const createBackend = () => ({ ${whole}, name: 5 });`, /needs a name, which is a string/],
  [
    'lacks functions',
    "export const createBackend = () => ({ name: 'mine', supports: () => true, seal() {}, open() {} });",
    /the backend 'mine' needs functions forget, close/,
  ],
  [
    'has counters that are no function',
    `export const createBackend = () => ({ ${whole}, counters: {} });`,
    /counters, if there, must be a function/,
  ],
  [
    'cannot say what it supports',
    `export const createBackend = () => ({ ${whole}, supports() { throw new Error('boom'); } });`,
    /supports throws boom when it is asked for \w+; it must answer/,
  ],
] as const;

async function workbench() {
  const bench = new Workbench(1 << 20);
  return { bench, exports: await bench.instantiate() };
}

describe("a user's module", () => {
  it.each(WRONG)('is refused if it %s, with what to change', async (_, source, message) => {
    const { bench, exports } = await workbench();
    await expect(createBackend(moduleOf(source), bench.kernel, exports)).rejects.toMatchObject({
      code: 'ERR_BACKEND',
      message: expect.stringMatching(message),
    });
  });

  it.each(WRONG)('fails the conformance suite, in one line, if it %s', async (_, source, message) => {
    const results = [];
    for await (const result of runConformance(moduleOf(source))) results.push(result);
    expect(results).toEqual([{ name: 'can be made', ok: false, detail: expect.stringMatching(message) }]);
  });

  it('fails the conformance suite if packets are not done when it returns', async () => {
    const path = moduleOf(`export function createBackend(kernel) {
      const backend = example(kernel);
      return { ...backend, async open() { throw new Error('unheard'); } };
    }`);
    const failed: string[] = [];
    for await (const { ok, detail } of runConformance(path)) if (!ok) failed.push(detail);
    expect(failed[0]).toMatch(/a promise is returned, but packets must be done by then/);
  });

  it('may be an instance of a class', async () => {
    const { bench, exports } = await workbench();
    const path = moduleOf(`class Mine {
      name = 'mine';
      #sealed = 0;
      supports() { return true; }
      seal() { this.#sealed++; }
      open() {}
      forget() {}
      close() {}
      counters() { return { sealed: this.#sealed }; }
    }
    export default () => new Mine();`);
    const backend = await createBackend(path, bench.kernel, exports);
    backend.seal(bench.allocate(64), 1);
    expect(backend.counters?.()).toEqual({ sealed: 1 });
  });

  it('has no name that every object has', async () => {
    const { bench, exports } = await workbench();
    await expect(createBackend('constructor', bench.kernel, exports)).rejects.toMatchObject({ code: 'ERR_BACKEND' });
  });
});

describe('a backend that fails while it works', () => {
  const boom = () => {
    throw new Error('boom');
  };

  async function guarded(broken: Partial<CryptoBackend>) {
    const { bench, exports } = await workbench();
    const log: string[] = [];
    const wasm = createWasmBackend(exports);
    const closed: string[] = [];
    const own: CryptoBackend = { ...wasm, name: 'mine', close: () => closed.push('mine'), ...broken };
    const backend = new GuardedBackend(own, wasm, bench.kernel, (line) => log.push(line));
    const key = bench.key(GCM, { key: new Uint8Array(16), salt: new Uint8Array(4), integKey: new Uint8Array() });
    const spec = { key, iv: new Uint8Array(8), aad: new Uint8Array(8), payload: new Uint8Array(64).fill(5) };
    const packets = () => bench.packets([spec, spec, spec]);
    return { backend, packets, log, closed, words: bench.kernel.words };
  }

  it('loses the batch that it was to seal, none of which counts as sealed, and wasm does the next', async () => {
    const { backend, packets, log, closed } = await guarded({ seal: boom });
    const [lost, next] = [packets(), packets()];
    for (const batch of [lost, next]) backend.seal(batch[0]!.descriptor, batch.length);
    expect(lost.map((packet) => packet.status())).toEqual([L.STATUS_PENDING, L.STATUS_PENDING, L.STATUS_PENDING]);
    expect(next.map((packet) => packet.status())).toEqual([L.STATUS_OK, L.STATUS_OK, L.STATUS_OK]);
    expect(log).toEqual(["backend 'mine' fails, 'wasm' takes its place; seal: boom"]);
    expect(backend.counters()).toEqual({ failures: 1 });
    expect(closed).toEqual(['mine']);
  });

  it('leaves nothing of a batch decrypted, or said to be authentic', async () => {
    const bed = await guarded({
      open(descriptors) {
        bed.words[(descriptors + L.PACKET_STATUS) >>> 2] = L.STATUS_OK;
        boom();
      },
    });
    const batch = bed.packets();
    bed.backend.open(batch[0]!.descriptor, batch.length);
    for (const packet of batch) {
      expect(packet.status()).toBe(L.STATUS_BAD_ICV);
      expect(packet.payload.every((byte) => byte === 0)).toBe(true);
    }
  });

  it.each(['forget', 'counters', 'close'] as const)('is given up as well when %s throws', async (method) => {
    const { backend, log } = await guarded({ [method]: boom });
    backend.counters();
    backend.forget(1024);
    backend.close();
    expect(log).toEqual([`backend 'mine' fails, 'wasm' takes its place; ${method}: boom`]);
  });
});
