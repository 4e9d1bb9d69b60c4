/** Published vectors by every backend and all three builds of the kernel. */
import { describe, expect, it } from 'vitest';
import { STATUS_OK } from '../../assembly/layout.ts';
import { suiteLengths } from '../../src/algorithms.ts';
import { BACKENDS } from '../../src/contract.ts';
import type { CryptoBackend } from '../../src/dataplane/backends/backend.ts';
import { loadBackend } from '../../src/dataplane/backends/index.ts';
import { KNOWN_ANSWERS, knownAnswerFailure } from '../../src/dataplane/backends/known-answers.ts';
import { Workbench } from '../../src/dataplane/backends/workbench.ts';
import { BUILDS, hex } from '../crypto/laboratory.ts';
import { referenceSeal } from '../crypto/reference.ts';
import { ESP_VECTORS, type EspVector } from '../vectors/esp.ts';

const CANDIDATES = BACKENDS.flatMap((name) =>
  (name === 'wasm' ? BUILDS : BUILDS.slice(1)).map((build) => ({ name, build })),
);

describe.each(CANDIDATES)('$name, $build build', async ({ name, build }) => {
  const bench = new Workbench(1 << 20);
  const backend = await loadBackend(name, bench.kernel, await bench.instantiate(build));
  const able = <T extends Pick<EspVector, 'suite'>>(vectors: readonly T[]) =>
    vectors.filter(({ suite }) => backend.supports(suite));

  it.each(able(ESP_VECTORS))('$source', (vector) => expect(tried(bench, backend, vector)).toEqual(wanted(vector)));

  it('its own known answers', () => {
    expect(able(KNOWN_ANSWERS).filter((answer) => knownAnswerFailure(backend, bench, answer))).toEqual([]);
  });
});

/** Seals twenty copies in one call, so that lanes are full and one is left over, and opens them again. */
function tried(bench: Workbench, backend: CryptoBackend, vector: EspVector) {
  bench.clear();
  const { suite, iv, aad, plain } = vector;
  const keys = {
    key: hex(vector.key),
    salt: hex(vector.salt ?? ''),
    integKey: new Uint8Array(suiteLengths(suite).integKey).fill(0x0b),
  };
  const key = bench.key(suite, keys);
  const spec = { key, iv: hex(iv), aad: hex(aad ?? `0000432100000001${iv}`), payload: hex(plain) };
  const { icv } = referenceSeal(suite, keys, spec);
  const packets = bench.packets(Array.from({ length: 20 }, () => spec));
  backend.seal(packets[0]!.descriptor, packets.length);
  const sealed = packets.map((packet) => Buffer.from(packet.payload).toString('hex'));
  const icvs = packets.map((packet) => Buffer.from(packet.icv).toString('hex'));
  backend.open(packets[0]!.descriptor, packets.length);
  const opened = packets.map((packet) => Buffer.from(packet.payload).toString('hex'));
  return {
    sealed: [...new Set(sealed)],
    icv: [...new Set(icvs)],
    reference: Buffer.from(icv).toString('hex') === (vector.icv ?? icvs[0]),
    opened: [...new Set(opened)],
    statuses: [...new Set(packets.map((packet) => packet.status()))],
  };
}

const wanted = ({ plain, sealed, icv }: EspVector) => ({
  sealed: [sealed],
  icv: [icv ?? expect.any(String)],
  reference: true,
  opened: [plain],
  statuses: [STATUS_OK],
});
