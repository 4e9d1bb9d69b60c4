/** The command as an administrator uses it, on real devices: signals, reload, what it leaves behind. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Espalier } from '../../bench/peers/espalier.ts';
import { ADDRESSES, Bed, uniqueName } from '../../src/demo/bed.ts';
import { ping } from './hosts.ts';

const side = (own: 1 | 2, more = '') => `
connections:
  peer:
    local_addrs: 192.0.2.${own}
    remote_addrs: 192.0.2.${3 - own}
    proposals: aes128gcm16-prfsha256-x25519
    local: { id: ${own}.example.org, secret: a secret of the required length }
    remote: { id: ${3 - own}.example.org }
${more}    children:
      net: { local_ts: 10.${own}.0.0/24, remote_ts: 10.${3 - own}.0.0/24, esp_proposals: aes128gcm16 }
`;

describe('espalier run', () => {
  let directory: string;
  let bed: Bed;
  let a: Espalier;
  let b: Espalier;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'espalier-'));
    bed = Bed.create(uniqueName('cm'));
    a = new Espalier(bed, 'gatewayA', join(directory, 'a'));
    b = new Espalier(bed, 'gatewayB', join(directory, 'b'));
    await Promise.all([a.start(side(1)), b.start(side(2))]);
  });
  afterEach(async () => {
    await Promise.all([a.stop(), b.stop()]);
    await bed.remove();
    rmSync(directory, { recursive: true });
  });

  const socket = (): string => join(a.directory, 'control.sock');
  const hup = (): void => {
    process.kill(a.pid, 'SIGHUP');
  };
  const system = (): string =>
    ['link', 'rule', '-6 rule', 'route show table all', '-6 route show table all']
      .map((words) => bed.run('gatewayA', 'ip', ...words.split(' ')))
      .join('\n');

  it('carries traffic over raw ESP, and shows it', async () => {
    expect(a.cli('up', 'peer')).toBe('peer is up\n');
    expect(await ping(bed, 'hostA', ADDRESSES.hostB[0], 1000)).toMatchObject({ sent: 5, received: 5 });
    expect(a.cli('status')).toMatch(/net: #\d+ INSTALLED, TUNNEL, ESP, aes128gcm16, ESN\n.*\n {4}in .* 5 packets/);
    expect(a.cli('metrics')).toMatch(/^espalier_sa_packets_total\{.*direction="out".*\} 5$/m);
    expect(a.cli('down', 'net')).toBe('net is down\n');
    expect(await ping(bed, 'hostA', ADDRESSES.hostB[0], 100)).toMatchObject({ received: 0 });
  });

  it('swaps backends and keys under traffic without losing a ping', async () => {
    a.cli('up', 'net');
    const pings = ping(bed, 'hostA', ADDRESSES.hostB[0], 200, 120, 50);
    for (const backend of ['node', 'openssl', 'hybrid', 'wasm']) a.cli('backend', 'set', backend);
    for (const backend of ['openssl', 'node', 'default', 'noble']) a.cli('backend', 'set', backend, 'peer');
    a.cli('backend', 'shadow', 'node');
    a.cli('rekey', 'net');
    a.cli('rekey', 'peer');
    expect(await pings).toMatchObject({ sent: 120, received: 120 });
    // Whoever is fast may have been done before the last backend came.
    expect(await ping(bed, 'hostA', ADDRESSES.hostB[0], 200)).toMatchObject({ sent: 5, received: 5 });
    expect(a.status().drops).not.toHaveProperty('XfrmInNoStates');
    await expect
      .poll(() => a.cli('backend', 'show'), { timeout: 30_000 })
      .toMatch(/gateway;.*\nbackend noble of peer; node checks it, shadow packets [1-9]\d*, shadow disagreements 0$/m);
  });

  it('reads its configuration again at SIGHUP, and goes on with the old one if it is wrong', async () => {
    a.cli('up', 'net');
    const { spiI } = a.status().ikeSas[0]!;
    a.write(side(1, '    dpd_dealy: 10s\n'));
    hup();
    await expect
      .poll(() => a.log, { timeout: 30_000 })
      .toMatch(/not reloaded: .*dpd_dealy.*did you mean \\"dpd_delay\\"/);
    a.write(side(1));
    hup();
    await expect.poll(() => a.log, { timeout: 30_000 }).toMatch(/configuration read again/);
    expect(a.status().ikeSas.map((sa) => [sa.spiI, sa.state])).toEqual([[spiI, 'ESTABLISHED']]);
  });

  it('leaves no device, route, rule or socket behind', async () => {
    a.cli('up', 'net');
    expect(statSync(socket()).mode & 0o777).toBe(0o600);
    expect(system()).toContain('espalier0');
    const started = Date.now();
    await a.stop();
    expect(Date.now() - started).toBeLessThan(1000);
    expect(system()).not.toMatch(/espalier0|fwmark/);
    expect(existsSync(socket())).toBe(false);
    await expect.poll(() => b.status().ikeSas).toEqual([]);
  });

  it('starts again after it was killed, whose socket and rules are still there', async () => {
    const runs = (times: number) =>
      expect.poll(() => a.log.match(/espalier \S+ runs/g), { timeout: 30_000 }).toHaveLength(times);
    await runs(1);
    await a.stop(true);
    expect(existsSync(socket())).toBe(true);
    await a.start(side(1));
    await runs(2);
    expect(a.cli('up', 'net')).toBe('net is up\n');
    expect(system().match(/fwmark/g)).toHaveLength(2);
  });

  it('refuses to run twice on one device, with a sentence', () => {
    const file = join(a.directory, 'espalier.yaml');
    const again = spawnSync(
      'ip',
      ['netns', 'exec', bed.namespace('gatewayA'), process.execPath, 'dist/src/main.js', 'run', '-c', file],
      { encoding: 'utf8' },
    );
    expect(again.status).toBe(1);
    expect(again.stderr).toMatch(/^espalier: .*(espalier0|500).*\n$/);
  });
});
