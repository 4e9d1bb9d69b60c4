import { afterEach, describe, expect, it } from 'vitest';
import type { ManualGatewayOptions } from '../../src/demo/manual-gateway.ts';
import { ManualBed } from './manual-gateways.ts';

const MEGABYTE = 1 << 20;

let bed: ManualBed | undefined;
afterEach(() => bed?.remove());

const SAS: readonly (readonly [name: string, options: Omit<ManualGatewayOptions, 'side'>])[] = [
  ['ESP in UDP over IPv4', {}],
  ['ESP in UDP over IPv6', { outer: 6 }],
  ['32-bit sequence numbers', { esn: false }],
  ['two workers and four SAs', { workers: 2, pairs: 4 }],
  ['two workers and one SA', { workers: 2 }],
  ['the node backend', { backend: 'node' }],
];

describe('two gateways with manual SAs', () => {
  it.each(SAS)('carry pings and TCP of either family: %s', async (_, options) => {
    bed = await ManualBed.create(options);
    for (const family of [4, 6] as const) {
      for (const bytes of [0, 56, 1300]) {
        const report = await bed.ping(family, bytes);
        expect(report, `${bytes} bytes over IPv${family}`).toMatchObject({ sent: 5, received: 5 });
      }
      expect(await bed.transfer(family, 20 * MEGABYTE)).toBe(true);
    }
    const { drops } = await bed.b.ask();
    expect(drops).not.toHaveProperty('XfrmInStateSeqError');
    expect(drops).not.toHaveProperty('XfrmInStateProtoError');
  });

  it('carry on while the backend is switched', async () => {
    bed = await ManualBed.create({});
    const transfer = bed.transfer(4, 100 * MEGABYTE);
    for (const backend of ['node', 'openssl', 'wasm'])
      await Promise.all([bed.a, bed.b].map((g) => g.ask(`backend ${backend}`)));
    expect(await transfer).toBe(true);
    expect((await bed.a.ask()).info).toMatchObject({ backend: 'wasm' });
  });

  it('end in under a second and leave nothing behind', async () => {
    bed = await ManualBed.create({});
    const started = performance.now();
    await bed.bed.end(bed.a.child);
    expect(performance.now() - started).toBeLessThan(1000);
    expect(bed.bed.run('gatewayA', 'ip', 'rule')).not.toContain('fwmark');
    expect(bed.bed.run('gatewayA', 'ip', 'link')).not.toContain('espalier0');
  });
});
