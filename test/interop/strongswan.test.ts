/** Espalier at gateway A, strongSwan with kernel-libipsec at gateway B: setting up, carrying, taking down, refusing. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Espalier } from '../../bench/peers/espalier.ts';
import type { StrongSwan } from '../../bench/peers/strongswan.ts';
import type { Bed } from '../../src/demo/bed.ts';
import { datagrams, ping, transfer } from './hosts.ts';
import { HOST_A, HOST_B, ours as oursWith, Pair, theirs as theirsWith, until } from './strongswan-pair.ts';

interface Differences {
  readonly secret?: string;
  readonly proposals?: string;
  readonly espProposals?: string;
}

const ours = ({
  secret,
  proposals = 'aes128gcm16-prfsha256-x25519',
  espProposals = 'aes128gcm16',
}: Differences = {}): string =>
  oursWith({
    connection: { proposals: [proposals] },
    local: secret === undefined ? {} : { secret },
    child: { esp_proposals: [espProposals] },
  });

const theirs = theirsWith({
  connection: { proposals: ['aes128gcm16-prfsha256-x25519', 'aes128-sha256-ecp256', 'aes256-sha256-modp2048'] },
  child: { esp_proposals: ['aes128gcm16', 'aes256gcm16'] },
});

describe('with a strongSwan peer', () => {
  let pair: Pair;
  let bed: Bed;
  let espalier: Espalier;
  let strongswan: StrongSwan;

  beforeEach(() => {
    pair = new Pair();
    ({ bed, espalier, strongswan } = pair);
  });

  afterEach(() => pair.remove());

  const established = () => espalier.status().ikeSas.filter(({ state }) => state === 'ESTABLISHED');
  const children = () =>
    established()
      .flatMap((sa) => sa.children)
      .filter(({ state }) => state === 'INSTALLED');

  const carriesEverything = async () => {
    for (const bytes of [64, 1400, 4000]) {
      expect(await ping(bed, 'hostA', HOST_B, bytes)).toMatchObject({ sent: 5, received: 5 });
      expect(await ping(bed, 'hostB', HOST_A, bytes)).toMatchObject({ sent: 5, received: 5 });
    }
    for (const [from, to, address] of [
      ['hostA', 'hostB', HOST_B],
      ['hostB', 'hostA', HOST_A],
    ] as const) {
      const { sent, received } = await transfer(bed, from, to, address, 20_000_000);
      expect(received.bytes).toBe(20_000_000);
      expect(received.sha256).toBe(sent.sha256);
      const load = { count: 1000, bytes: 1000, perSecond: 500 };
      expect(await datagrams(bed, from, to, address, load)).toMatchObject({
        received: 1000,
        duplicates: 0,
        corrupted: 0,
        reordered: 0,
      });
    }
  };

  it.each([
    ['aes128gcm16-prfsha256-x25519', 'aes128gcm16'],
    ['aes128-sha256-ecp256', 'aes256gcm16'],
    ['aes256-sha256-modp2048', 'aes128gcm16'],
  ])('initiates with %s and carries ESP with %s', async (proposals, espProposals) => {
    await strongswan.start(theirs);
    await espalier.start(ours({ proposals, espProposals }));
    espalier.cli('up', 'net');
    expect(established()).toHaveLength(1);
    expect(children()).toMatchObject([{ algorithm: espProposals, mode: 'tunnel', encapsulation: 'udp' }]);
    await carriesEverything();
  });

  it('responds and carries everything', async () => {
    await espalier.start(ours());
    await strongswan.start(theirs);
    strongswan.swanctl('--initiate', '--child', 'net');
    expect(established()).toMatchObject([{ initiator: false, remote: { id: 'b.example' } }]);
    await carriesEverything();
  });

  it('removes everything when the peer deletes the child SA, and the IKE SA', async () => {
    await strongswan.start(theirs);
    await espalier.start(ours());
    espalier.cli('up', 'net');
    strongswan.swanctl('--terminate', '--child', 'net');
    await until(() => children().length === 0);
    expect(established()).toHaveLength(1);
    expect(children()).toHaveLength(0);
    strongswan.swanctl('--terminate', '--ike', 'peer');
    await until(() => espalier.status().ikeSas.length === 0);
    expect(espalier.status().ikeSas).toHaveLength(0);
    expect(await ping(bed, 'hostA', HOST_B, 56, 1)).toMatchObject({ received: 0 });
  });

  it('deletes at the peer what it takes down, and at its own end', async () => {
    await strongswan.start(theirs);
    await espalier.start(ours());
    espalier.cli('up', 'net');
    espalier.cli('down', 'peer');
    await until(() => strongswan.swanctl('--list-sas').trim() === '');
    expect(strongswan.swanctl('--list-sas').trim()).toBe('');
    espalier.cli('up', 'net');
    await espalier.stop();
    await until(() => strongswan.swanctl('--list-sas').trim() === '');
    expect(strongswan.swanctl('--list-sas').trim()).toBe('');
    expect(bed.run('gatewayA', 'ip', '-br', 'link')).not.toContain('espalier0');
  });

  it.each(['initiator', 'responder'])('refuses another secret as %s, says so and installs nothing', async (role) => {
    await strongswan.start(theirs);
    await espalier.start(ours({ secret: 'wrong' }));
    if (role === 'initiator') expect(() => espalier.cli('up', 'net')).toThrow(/AUTHENTICATION_FAILED[\s\S]*secret/);
    else expect(() => strongswan.swanctl('--initiate', '--child', 'net')).toThrow();
    await until(() => espalier.status().ikeSas.length === 0);
    expect(espalier.status().ikeSas).toHaveLength(0);
    expect(espalier.log).toMatch(/secret/);
    expect(espalier.log).not.toContain('correct horse');
  });

  it('says what the peer refused when there is no common proposal', async () => {
    await strongswan.start(theirs);
    await espalier.start(ours({ proposals: 'aes256gcm16-prfsha512-ecp521' }));
    expect(() => espalier.cli('up', 'net')).toThrow(/NO_PROPOSAL_CHOSEN[\s\S]*we offered aes256gcm16-prfsha512-ecp521/);
    expect(() => strongswan.swanctl('--initiate', '--child', 'net')).toThrow();
    await until(() => /aes128gcm16-prfsha256-x25519/.test(espalier.log));
    expect(espalier.log).toMatch(/NO_PROPOSAL_CHOSEN/);
    expect(established()).toHaveLength(0);
  });
});
