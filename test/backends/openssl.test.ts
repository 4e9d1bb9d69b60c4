/** The node backend against the reference, and against the kernel through the registry. */
import { describe, expect, it } from 'vitest';
import { STATUS_BAD_ICV, STATUS_OK } from '../../assembly/layout.ts';
import { type CipherSuite, ENCR, suiteLengths, suiteName } from '../../src/algorithms.ts';
import { createBackend } from '../../src/dataplane/backends/index.ts';
import { ALL_SUITES, isGmac } from '../../src/dataplane/backends/suites.ts';
import { Workbench } from '../../src/dataplane/backends/workbench.ts';
import { Random } from '../crypto/laboratory.ts';
import { referenceSeal } from '../crypto/reference.ts';

describe('openssl', async () => {
  const bench = new Workbench(1 << 20);
  const backend = await createBackend('openssl', bench.kernel, await bench.instantiate('plain'));

  const placed = (suite: CipherSuite, length: number, random: Random) => {
    const lengths = suiteLengths(suite);
    const keys = {
      key: random.bytes(lengths.key),
      salt: random.bytes(lengths.salt),
      integKey: random.bytes(lengths.integKey),
    };
    const spec = {
      key: bench.key(suite, keys),
      iv: random.bytes(lengths.iv),
      aad: random.bytes(8),
      payload: random.bytes(length - (suite.encr === ENCR.AES_CBC ? length % 16 : 0)),
    };
    return { keys, spec, view: bench.packets([spec])[0]! };
  };

  it.each(ALL_SUITES.filter(({ integ }) => !isGmac(integ)))('seals and opens as the standard says: %o', (suite) => {
    const random = new Random(7);
    for (const length of [0, 1, 16, 64, 1408]) {
      bench.clear();
      const { keys, spec, view } = placed(suite, length, random);
      const sealed = referenceSeal(suite, keys, spec);
      backend.seal(view.descriptor, 1);
      expect(Buffer.from(view.payload), suiteName(suite)).toEqual(Buffer.from(sealed.payload));
      expect(Buffer.from(view.icv)).toEqual(Buffer.from(sealed.icv));
      expect(view.intact()).toBe(true);
      backend.open(view.descriptor, 1);
      expect(view.status()).toBe(STATUS_OK);
      expect(Buffer.from(view.payload)).toEqual(Buffer.from(spec.payload));
    }
  });

  it.each(ALL_SUITES)('zeroes what does not authenticate: %o', (suite) => {
    bench.clear();
    const { view } = placed(suite, 64, new Random(9));
    backend.seal(view.descriptor, 1);
    view.icv[0]! ^= 1;
    backend.open(view.descriptor, 1);
    expect(view.status()).toBe(STATUS_BAD_ICV);
    expect(view.payload.every((byte) => byte === 0)).toBe(true);
    expect(view.intact()).toBe(true);
  });
});
