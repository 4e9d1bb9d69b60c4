/** Examples that take part in something: the README's quick start with strongSwan, and the program that embeds. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Espalier } from '../../bench/peers/espalier.ts';
import { StrongSwan } from '../../bench/peers/strongswan.ts';
import { ADDRESSES, Bed, uniqueName } from '../../src/demo/bed.ts';
import { packagePath } from '../../src/package-root.ts';
import { ping } from './hosts.ts';

const example = (name: string): string => readFileSync(packagePath('examples', name), 'utf8');

describe('the examples', () => {
  let directory: string;
  let bed: Bed;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'espalier-'));
    bed = Bed.create(uniqueName('ex'));
  });
  afterEach(async () => {
    await bed.remove();
    rmSync(directory, { recursive: true });
  });

  it.each(['examples/strongswan/espalier.yaml', 'README.md'])(
    'bring up the tunnel to strongSwan of %s',
    async (file) => {
      const text = readFileSync(packagePath(file), 'utf8');
      const yaml = file.endsWith('.md') ? /```yaml\n(connections:[\s\S]*?)```/.exec(text)![1]! : text;
      const strongswan = new StrongSwan(bed, 'gatewayB', join(directory, 'b'));
      await strongswan.start(example('strongswan/swanctl.conf'));
      const espalier = new Espalier(bed, 'gatewayA', join(directory, 'a'));
      await espalier.start(yaml);
      await expect.poll(() => espalier.status().ikeSas[0]?.children[0]?.state, { timeout: 30_000 }).toBe('INSTALLED');
      expect(await ping(bed, 'hostA', ADDRESSES.hostB[0])).toMatchObject({ sent: 5, received: 5 });
      expect(await ping(bed, 'hostB', ADDRESSES.hostA[0])).toMatchObject({ sent: 5, received: 5 });
      await espalier.stop();
      await strongswan.stop();
    },
  );

  it('embed a gateway that talks to one of the command', async () => {
    const peer = new Espalier(bed, 'gatewayB', join(directory, 'b'));
    await peer.start(`
connections:
  branch:
    local_addrs: 192.0.2.2
    local: { id: b.example.org, secret: a secret for this example only }
    remote: { id: a.example.org }
    children:
      lan: { local_ts: 10.2.0.0/16, remote_ts: 10.1.0.0/16, esp_proposals: chacha20poly1305 }
`);
    // The socket is the only thing of the system that both namespaces share.
    const program = example('embed.mjs').replace('/run/embedded.sock', join(directory, 'embedded.sock'));
    const file = packagePath('examples', `.embed-${process.pid}.mjs`);
    writeFileSync(file, program);
    try {
      const embedded = bed.spawn('gatewayA', process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
      const lines: string[] = [];
      const reader = createInterface({ input: embedded.stdout! });
      reader.on('line', (line) => lines.push(line));
      await expect.poll(() => lines.join('\n'), { timeout: 30_000 }).toMatch(/branch ESTABLISHED \[ 'lan: 0 bytes' \]/);
      expect(await ping(bed, 'hostA', ADDRESSES.hostB[0])).toMatchObject({ received: 5 });
      embedded.kill('SIGINT');
      await once(embedded, 'exit');
      await expect.poll(() => peer.status().ikeSas).toEqual([]);
    } finally {
      rmSync(file);
    }
    await peer.stop();
  });
});
