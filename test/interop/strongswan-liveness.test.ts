/**
 * What lasts and what does not: peers that are killed and come back, with every dpd_action; several connections with
 * one of them; cookies that either side asks for; configurations that either side reads again.
 */

import { afterEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { ping } from './hosts.ts';
import {
  type Changes,
  HOST_B,
  IMPATIENT,
  ourConnection,
  ours,
  Pair,
  type PairOptions,
  SECRETS,
  swanctlConf,
  theirConnection,
  theirs,
  until,
} from './strongswan-pair.ts';

let pair: Pair;

afterEach(() => pair.remove());

/** Starts both. */
async function start(mine: string, peers: string, control = '', strongswan: PairOptions['strongswan'] = {}) {
  const charon = [IMPATIENT.strongswan.charon, strongswan.charon ?? ''].join('\n  ');
  pair = new Pair({ strongswan: { charon } });
  await pair.strongswan.start(peers);
  await pair.espalier.start(mine, { control: [IMPATIENT.sections.control, control].join('\n') });
}

const reachable = async () => (await ping(pair.bed, 'hostA', HOST_B, 56, 1)).received === 1;

describe('a strongSwan peer that is killed and comes back', () => {
  const watching = (action: string): Changes => ({ connection: { dpd_delay: '1s' }, child: { dpd_action: action } });

  const upAndKilled = async (action: string, initiator: 'espalier' | 'strongswan') => {
    await start(ours(watching(action)), theirs());
    if (initiator === 'espalier') await pair.espalier.client.up('net');
    else pair.strongswan.swanctl('--initiate', '--child', 'net');
    await pair.carries();
    await pair.strongswan.stop(true);
  };

  const gone = () => until(async () => (await pair.espalier.client.status()).ikeSas.length === 0, 30);

  it.each(['espalier', 'strongswan'] as const)(
    'is forgotten with dpd_action clear; %s initiates',
    async (initiator) => {
      await upAndKilled('clear', initiator);
      expect(await gone()).toBe(true);
      expect((await pair.espalier.client.status()).trapped).toEqual([]);
      expect(pair.espalier.log).toMatch(/did not answer/);
      await pair.strongswan.start(theirs());
      expect(await reachable()).toBe(false);
      await pair.espalier.client.up('net');
      await pair.carries();
    },
  );

  it('is called by the first packet with dpd_action trap', async () => {
    await upAndKilled('trap', 'espalier');
    expect(await gone()).toBe(true);
    expect((await pair.espalier.client.status()).trapped).toMatchObject([{ name: 'net' }]);
    await pair.strongswan.start(theirs());
    expect(await until(reachable)).toBe(true);
    await pair.carries();
    expect(await pair.agrees()).toBe(true);
  });

  it.each(['espalier', 'strongswan'] as const)(
    'is called again with dpd_action restart; %s initiates',
    async (first) => {
      await upAndKilled('restart', first);
      const old = (await pair.espalier.client.status()).ikeSas[0]!.spiI;
      expect(await until(async () => (await pair.espalier.client.status()).ikeSas[0]?.spiI !== old, 30)).toBe(true);
      await pair.strongswan.start(theirs());
      expect(await until(() => pair.agrees(), 30)).toBe(true);
      await pair.carries();
    },
  );

  it('finds Espalier again when that was killed', async () => {
    const dpd = { connection: { dpd_delay: '1s' }, child: { dpd_action: 'restart' } };
    await start(ours(), theirs(dpd));
    await pair.espalier.client.up('net');
    await pair.espalier.stop(true);
    await pair.espalier.start(ours(), IMPATIENT.sections);
    expect(await until(() => pair.agrees(), 30)).toBe(true);
    await pair.carries();
  });
});

describe('two connections with one strongSwan', () => {
  it('stay up beside each other', async () => {
    const second = ourConnection({ children: {} });
    await start(stringify({ connections: { peer: ourConnection(), second } }), theirs());
    await pair.espalier.client.up('net');
    await pair.espalier.client.up('second');
    await pair.carries();
    const ofPeer = pair.peersSas().map(({ spiI }) => spiI);
    expect(ofPeer.length).toBe(2);
    expect(ofPeer.sort()).toEqual((await pair.established()).map(({ spiI }) => spiI).sort());
  });
});

describe('cookies', () => {
  it('are brought back to a strongSwan that asks for them', async () => {
    // Two IKE SAs with one peer, the second without a child. Only the first would say INITIAL_CONTACT, but it comes
    // last, and strongSwan then forgets what it has made since.
    const connection = { unique: 'never' };
    const second = ourConnection({ connection, children: {} });
    await start(
      stringify({ connections: { peer: ourConnection({ connection }), second } }),
      theirs({ connection }),
      '',
      { charon: 'cookie_threshold = 1' },
    );
    const nft = (...args: readonly string[]) => pair.bed.run('gatewayB', 'nft', ...args);
    // The first one stays half open: its IKE_AUTH does not arrive.
    nft('add table ip lossy');
    nft('add chain ip lossy in { type filter hook prerouting priority -300; }');
    nft('add rule ip lossy in udp dport 4500 drop');
    const first = pair.espalier.client.up('net');
    expect(await until(() => /generating IKE_SA_INIT response/.test(pair.strongswan.log))).toBe(true);
    const other = pair.espalier.client.up('second');
    expect(await until(() => /parsed IKE_SA_INIT request 0 \[ N\(COOKIE\)/.test(pair.strongswan.log))).toBe(true);
    nft('delete table ip lossy');
    await Promise.all([first, other]);
    await pair.carries();
  });

  it('are asked of a strongSwan, which may also have guessed the wrong group', async () => {
    const proposals = ['aes128gcm16-prfsha256-x25519'];
    const guess = ['aes128gcm16-prfsha256-ecp384-x25519'];
    await start(
      ours({ connection: { proposals } }),
      theirs({ connection: { proposals: guess } }),
      '  cookie_threshold: 0',
    );
    pair.strongswan.swanctl('--initiate', '--child', 'net');
    expect(pair.strongswan.log).toMatch(/parsed IKE_SA_INIT response 0 \[ N\(COOKIE\) \]/);
    expect(pair.strongswan.log).toMatch(/parsed IKE_SA_INIT response 0 \[ N\(INVAL_KE\) \]/);
    expect(await pair.established()).toMatchObject([{ initiator: false, proposal: proposals[0] }]);
    await pair.carries();
  });
});

describe('a configuration that is read again', () => {
  const spis = async () => (await pair.established()).flatMap((sa) => [sa.spiI, ...sa.children.map((c) => c.spiIn)]);

  it('keeps the SAs of a connection that did not change, whoever reads it', async () => {
    await start(ours(), theirs());
    await pair.espalier.client.up('net');
    const before = await spis();
    const flood = ping(pair.bed, 'hostA', HOST_B, 56, 200, 5);

    const more = { remote_addrs: '192.0.2.99', children: { more: {} } };
    pair.strongswan.load(
      swanctlConf({
        connections: { peer: theirConnection(), more: theirConnection({ connection: more }) },
        secrets: SECRETS,
      }),
    );
    pair.espalier.write(
      stringify({
        connections: {
          other: ourConnection({ connection: { remote_addrs: ['192.0.2.99'] }, children: { more: {} } }),
          peer: ourConnection(),
        },
      }),
      IMPATIENT.sections,
    );
    expect(await pair.espalier.client.reload()).toMatchObject({ changed: ['other'] });

    expect(await flood).toMatchObject({ sent: 200, received: 200 });
    expect(await spis()).toEqual(before);
    expect(await pair.agrees()).toBe(true);
  });

  it('closes the SAs of a connection that changed, on both sides, and begins anew', async () => {
    await start(ours(), theirs());
    await pair.espalier.client.up('net');
    const before = await spis();
    pair.espalier.write(ours({ child: { esp_proposals: ['aes256gcm16'], start_action: 'start' } }), IMPATIENT.sections);
    expect(await pair.espalier.client.reload()).toMatchObject({ changed: ['peer'] });
    expect(await until(() => pair.agrees())).toBe(true);
    expect((await spis()).filter((spi) => before.includes(spi))).toEqual([]);
    expect(await pair.children()).toMatchObject([{ algorithm: 'aes256gcm16' }]);
    await pair.carries();
  });
});
