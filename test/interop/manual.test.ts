import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { ADDRESSES } from '../../src/demo/bed.ts';
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
  ['raw ESP over IPv4', { encapsulation: false }],
  ['raw ESP over IPv6, two workers', { encapsulation: false, outer: 6, workers: 2, pairs: 2 }],
  ['AH over IPv4', { protocol: 'ah', suite: 'sha256', encapsulation: false }],
  ['AH over IPv6', { protocol: 'ah', suite: 'sha256', encapsulation: false, outer: 6 }],
  ['ESP in transport mode, in UDP', { mode: 'transport' }],
  ['ESP in transport mode, raw over IPv6', { mode: 'transport', encapsulation: false, outer: 6 }],
  ['AH in transport mode', { mode: 'transport', protocol: 'ah', suite: 'sha256', encapsulation: false }],
];

describe('two gateways with manual SAs', () => {
  it.each(SAS)('carry pings and TCP: %s', async (_, options) => {
    bed = await ManualBed.create(options);
    for (const family of bed.families) {
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

  it('carry on while both SAs are replaced, as in rekeying', async () => {
    bed = await ManualBed.create({});
    const gateways = [bed.a, bed.b];
    const transfer = bed.transfer(4, 200 * MEGABYTE);
    for (let pair = 1; pair <= 5; pair++) {
      for (const command of ['receive', 'send']) await Promise.all(gateways.map((g) => g.ask(`${command} ${pair}`)));
      await sleep(100);
      await Promise.all(gateways.map((g) => g.ask(`drop ${pair - 1}`)));
    }
    expect(await transfer).toBe(true);
    for (const { out, drops } of await Promise.all(gateways.map((g) => g.ask()))) {
      expect(out).toHaveLength(1);
      expect(drops).not.toHaveProperty('XfrmInStateProtoError');
      expect(drops).not.toHaveProperty('XfrmOutNoStates');
    }
  });

  it.each([4, 6] as const)('keep datagrams whole, single and in order over IPv%i', async (family) => {
    bed = await ManualBed.create({ workers: 2 });
    const count = 50_000;
    expect(await bed.datagrams(family, count, 500, 10_000)).toMatchObject({
      received: count,
      duplicates: 0,
      corrupted: 0,
      reordered: 0,
    });
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

describe('host to host in transport mode', () => {
  it.each<readonly [string, Omit<ManualGatewayOptions, 'side' | 'mode'>]>([
    ['ESP in UDP over IPv4', {}],
    ['ESP in UDP over IPv6', { outer: 6 }],
    ['raw ESP over IPv4', { encapsulation: false }],
    ['raw ESP over IPv6, two workers', { encapsulation: false, outer: 6, workers: 2 }],
    ['AH over IPv4', { protocol: 'ah', suite: 'sha256', encapsulation: false }],
    ['AH over IPv6', { protocol: 'ah', suite: 'sha256', encapsulation: false, outer: 6 }],
  ])('datagrams that the hosts fragment arrive, and TCP is none the worse: %s', async (_, options) => {
    bed = await ManualBed.create({ ...options, mode: 'transport' });
    const { outer = 4 } = options;
    for (const bytes of [1400, 1472, 4000, 60_000]) {
      expect(await bed.ping(outer, bytes), `${bytes} bytes`).toMatchObject({ sent: 5, received: 5 });
    }
    expect(await bed.datagrams(outer, 500, 4000, 1000)).toMatchObject({ received: 500, duplicates: 0, corrupted: 0 });
    expect(await bed.transfer(outer, 20 * MEGABYTE)).toBe(true);
    for (const { drops } of await Promise.all([bed.a.ask(), bed.b.ask()])) {
      expect(Object.keys(drops).filter((reason) => /Reassembly|Mode|Send|TooBig/.test(reason))).toEqual([]);
    }
  });
});

describe('the path MTU', () => {
  it('is that of the way to the peer, and changes with it; hosts are told', async () => {
    bed = await ManualBed.create({}, { wanMtu: 1300 });
    expect(await bed.ping(4, 1172)).toMatchObject({ received: 5 });
    expect(await bed.transfer(4, 20 * MEGABYTE)).toBe(true);
    const refusals = ADDRESSES.hostB.map((address) =>
      bed!.bed.run('hostA', 'sh', '-c', `ping -c 2 -i 0.3 -W 1 -M do -s 1240 ${address} || true`),
    );
    expect(refusals).toEqual([expect.stringContaining('mtu = 1238'), expect.stringContaining('From fd01::1')]);
    for (const gateway of ['gatewayA', 'gatewayB'] as const)
      bed.bed.run(gateway, 'ip', 'link', 'set', 'wan', 'mtu', '1280');
    await sleep(1500);
    expect(await bed.transfer(4, 20 * MEGABYTE)).toBe(true);
    expect(await bed.transfer(6, 5 * MEGABYTE)).toBe(true);
    expect((await bed.a.ask()).drops).not.toHaveProperty('OutSendError');
  });
});
