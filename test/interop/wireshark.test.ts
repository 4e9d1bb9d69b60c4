/** Wireshark opens what two gateways say to each other, with the key tables of `control.key_log`. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Espalier } from '../../bench/peers/espalier.ts';
import { ADDRESSES, Bed, uniqueName } from '../../src/demo/bed.ts';
import { ping } from './hosts.ts';

const side = (own: 'a' | 'b', proposals: string, espProposals: string) => {
  const [local, remote] = own === 'a' ? [1, 2] : [2, 1];
  const peer = own === 'a' ? 'b' : 'a';
  return `
connections:
  peer:
    local_addrs: 192.0.2.${local}
    remote_addrs: 192.0.2.${remote}
    proposals: ${proposals}
    encap: yes
    local: { id: ${own}.example.org, secret: a secret of the required length }
    remote: { id: ${peer}.example.org }
    children:
      net: { local_ts: 10.${local}.0.0/24, remote_ts: 10.${remote}.0.0/24, esp_proposals: ${espProposals} }
`;
};

describe.each([
  ['aes128gcm16-prfsha256-x25519', 'aes256gcm16-noesn'],
  ['aes256-sha384-ecp256', 'aes128-sha256-noesn'],
])('IKE with %s and ESP with %s', (proposals, espProposals) => {
  let directory: string;
  let bed: Bed;
  let capture: string;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'espalier-'));
    capture = join(directory, 'wan.pcap');
    bed = Bed.create(uniqueName('ws'));
    const tcpdump = bed.spawn('gatewayA', 'tcpdump', ['-i', 'wan', '--immediate-mode', '-U', '-w', capture, 'udp'], {
      stdio: 'pipe',
    });
    await once(tcpdump.stderr!, 'data');
    const a = new Espalier(bed, 'gatewayA', join(directory, 'a'));
    const b = new Espalier(bed, 'gatewayB', join(directory, 'b'));
    await a.start(side('a', proposals, espProposals), {
      control: `  key_log: ${join(directory, 'profile', 'wireshark')}`,
    });
    await b.start(side('b', proposals, espProposals));
    a.cli('up', 'net');
    await ping(bed, 'hostA', ADDRESSES.hostB[0], 100);
    await Promise.all([a.stop(), b.stop()]);
    await bed.end(tcpdump);
  });
  afterAll(async () => {
    await bed.remove();
    rmSync(directory, { recursive: true });
  });

  /** @returns a line for each packet that `filter` takes, with these fields */
  function tshark(filter: string, ...fields: readonly string[]): string[] {
    expect(existsSync(capture)).toBe(true);
    const options = ['-o', 'esp.enable_encryption_decode:TRUE', '-o', 'esp.enable_authentication_check:TRUE'];
    const { stdout, stderr } = spawnSync(
      'tshark',
      ['-r', capture, ...options, '-Y', filter, '-T', 'fields', ...fields.flatMap((field) => ['-e', field])],
      { encoding: 'utf8', env: { ...process.env, XDG_CONFIG_HOME: join(directory, 'profile') } },
    );
    expect(stderr).not.toMatch(/error|invalid/i);
    return stdout.trimEnd().split('\n');
  }

  it('shows the identities inside IKE_AUTH', () => {
    expect(tshark('isakmp.exchangetype == 35', 'isakmp.id.data.fqdn')).toEqual([
      expect.stringMatching(/^a\.example\.org/),
      expect.stringMatching(/^b\.example\.org/),
    ]);
  });

  it('shows the pings inside ESP', () => {
    const pings = tshark('esp && icmp', 'icmp.type', 'ip.dst');
    expect(pings).toHaveLength(10);
    expect(pings[0]).toMatch(/^8\t.*10\.2\.0\.2$/);
    expect(pings[1]).toMatch(/^0\t.*10\.1\.0\.2$/);
  });
});
