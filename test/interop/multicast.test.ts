/** SAs whose destination is a multicast group (RFC 4301 §4.1): gateways join it, and leave it with the last SA. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Espalier } from '../../bench/peers/espalier.ts';
import { ADDRESSES, Bed, uniqueName } from '../../src/demo/bed.ts';
import { until } from './gateway-pair.ts';
import { ping } from './hosts.ts';

const GROUPS = {
  4: { A: '239.192.7.1', B: '239.192.7.2', all: '239.0.0.0/8' },
  6: { A: 'ff08::7:1', B: 'ff08::7:2', all: 'ff08::/16' },
} as const;

interface Way {
  readonly family: 4 | 6;
  readonly protocol: 'esp' | 'ah';
  readonly encap: boolean;
}

const other = { A: 'B', B: 'A' } as const;

/** Each gateway sends to a group of its own, which the other one listens to. */
function sas(side: 'A' | 'B', { family, protocol, encap }: Way): string {
  const own = (where: 'A' | 'B') => ADDRESSES[`wan${where}`][family === 4 ? 0 : 1];
  const net = (where: 'A' | 'B') => (where === 'A' ? '10.1.0.0/24' : '10.2.0.0/24');
  const keys =
    protocol === 'ah'
      ? 'algorithm: sha256, auth_key: "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"'
      : 'algorithm: aes128gcm16, key: "0x000102030405060708090a0b0c0d0e0f10111213"';
  const sa = (direction: 'in' | 'out', from: 'A' | 'B', ends: string) =>
    `{direction: ${direction}, protocol: ${protocol}, spi: 0x${from}001, ${ends}, encap: ${encap}, ${keys}, ` +
    `replay_window: 0, local_ts: ${net(side)}, remote_ts: ${net(other[side])}}`;
  const there = other[side];
  const out = `local: "${own(side)}", remote: "${GROUPS[family][side]}"`;
  const into = `local: "${GROUPS[family][there]}", remote: "${own(there)}"`;
  return `sas:\n  to: ${sa('out', side, out)}\n  from: ${sa('in', there, into)}\n`;
}

describe('multicast SAs', () => {
  let directory: string;
  let bed: Bed;
  let gateways: readonly Espalier[];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'espalier-'));
    bed = Bed.create(uniqueName('mc'));
    for (const place of ['gatewayA', 'gatewayB'] as const) {
      bed.run(place, 'ip', 'route', 'add', GROUPS[4].all, 'dev', 'wan');
      bed.run(place, 'ip', '-6', 'route', 'add', 'multicast', GROUPS[6].all, 'dev', 'wan', 'table', 'local');
    }
    gateways = (['A', 'B'] as const).map((side) => new Espalier(bed, `gateway${side}`, join(directory, side)));
  });
  afterEach(async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await bed.remove();
    rmSync(directory, { recursive: true });
  });

  const groups = () => bed.run('gatewayB', 'ip', 'maddress', 'show', 'dev', 'wan');

  it.each<Way>([
    { family: 4, protocol: 'esp', encap: false },
    { family: 4, protocol: 'esp', encap: true },
    { family: 4, protocol: 'ah', encap: false },
    { family: 6, protocol: 'esp', encap: false },
    { family: 6, protocol: 'esp', encap: true },
  ])('carry traffic as long as they are there: IPv$family, $protocol, in UDP: $encap', async (way) => {
    await Promise.all(gateways.map((gateway, index) => gateway.start(sas(index === 0 ? 'A' : 'B', way))));
    expect(groups()).toContain(GROUPS[way.family].A);
    expect(await ping(bed, 'hostA', ADDRESSES.hostB[0], 500)).toMatchObject({ sent: 5, received: 5 });
    const b = gateways[1]!;
    b.write('');
    b.cli('reload');
    await until('the group is left', () => !groups().includes(GROUPS[way.family].A));
    expect(await ping(bed, 'hostA', ADDRESSES.hostB[0], 500, 1)).toMatchObject({ received: 0 });
  });
});
