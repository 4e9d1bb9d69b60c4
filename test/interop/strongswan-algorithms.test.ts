/**
 * Every algorithm that both sides know, with Espalier as initiator and as responder: the initiator has
 * one connection (or child) for each, the responder one that accepts them all.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import {
  type Changes,
  ourConnection,
  ours,
  Pair,
  SECRETS,
  swanctlConf,
  type Tree,
  theirConnection,
  theirs,
} from './strongswan-pair.ts';

/** Of IKE: each key exchange, each cipher, each PRF. */
const IKE = [
  'aes128gcm16-prfsha256-modp2048',
  'aes128gcm16-prfsha256-modp3072',
  'aes128gcm16-prfsha256-modp4096',
  'aes128gcm16-prfsha256-ecp256',
  'aes128gcm16-prfsha384-ecp384',
  'aes128gcm16-prfsha512-ecp521',
  'aes128gcm16-prfsha256-x25519',
  'aes128gcm16-prfsha512-x448',
  'aes256gcm16-prfsha384-x25519',
  'chacha20poly1305-prfsha256-x25519',
  'aes128-sha256-prfsha256-x25519',
  'aes256-sha384-prfsha384-x25519',
  'aes256-sha512-prfsha512-x25519',
];

const ESP = [
  'aes128gcm16',
  'aes192gcm16',
  'aes256gcm16',
  'aes128gcm12',
  'aes128gcm8',
  'aes128ccm16',
  'aes256ccm16',
  'chacha20poly1305',
  'aes128-sha256',
  'aes192-sha384',
  'aes256-sha512',
  'aes128ctr-sha256',
  'aes256ctr-sha512',
  'null-sha256',
];

const name = (proposal: string): string => proposal.replaceAll('-', '_');

/** One connection for each proposal of IKE, or just one with them all. */
const connections = (make: (changes: Changes) => Tree, narrow: boolean): Tree =>
  narrow
    ? Object.fromEntries(
        IKE.map((proposals) => [
          name(proposals),
          make({ connection: { proposals: [proposals] }, children: { [`net_${name(proposals)}`]: {} } }),
        ]),
      )
    : { peer: make({ connection: { proposals: IKE } }) };

/** One child for each proposal of ESP, or just one with them all. */
const children = (narrow: boolean): Changes => ({
  children: narrow
    ? Object.fromEntries(ESP.map((proposal) => [name(proposal), { esp_proposals: [proposal] }]))
    : { net: { esp_proposals: ESP } },
});

describe('every algorithm that strongSwan knows too', () => {
  let pair: Pair;

  beforeAll(async () => {
    pair = new Pair();
    await pair.strongswan.start('');
    await pair.espalier.start('connections: {}');
  });

  afterAll(() => pair.remove());

  const configure = async (mine: string, peers: string) => {
    pair.strongswan.load(peers);
    pair.espalier.write(mine);
    await pair.espalier.client.reload();
  };

  describe('in IKE, as initiator', () => {
    beforeAll(() =>
      configure(
        stringify({ connections: connections(ourConnection, true) }),
        swanctlConf({ connections: connections(theirConnection, false), secrets: SECRETS }),
      ),
    );

    it.each(IKE)('%s', async (proposal) => {
      await pair.espalier.client.up(name(proposal));
      expect(await pair.established()).toMatchObject([{ initiator: true, proposal }]);
      await pair.carries();
      await pair.espalier.client.down(name(proposal));
    });
  });

  describe('in IKE, as responder', () => {
    beforeAll(() =>
      configure(
        stringify({ connections: connections(ourConnection, false) }),
        swanctlConf({ connections: connections(theirConnection, true), secrets: SECRETS }),
      ),
    );

    it.each(IKE)('%s', async (proposal) => {
      pair.strongswan.swanctl('--initiate', '--child', `net_${name(proposal)}`);
      expect(await pair.established()).toMatchObject([{ initiator: false, proposal }]);
      await pair.carries();
      pair.strongswan.swanctl('--terminate', '--ike', name(proposal));
    });
  });

  describe('in ESP, as initiator', () => {
    beforeAll(() => configure(ours(children(true)), theirs(children(false))));

    it.each(ESP)('%s', async (algorithm) => {
      await pair.espalier.client.up(name(algorithm));
      expect(await pair.children()).toMatchObject([{ algorithm, encapsulation: 'udp' }]);
      await pair.carries();
      await pair.espalier.client.down(name(algorithm));
    });
  });

  describe('in ESP, as responder', () => {
    beforeAll(() => configure(ours(children(false)), theirs(children(true))));

    it.each(ESP)('%s', async (algorithm) => {
      pair.strongswan.swanctl('--initiate', '--child', name(algorithm));
      expect(await pair.children()).toMatchObject([{ algorithm, encapsulation: 'udp' }]);
      await pair.carries();
      pair.strongswan.swanctl('--terminate', '--child', name(algorithm));
    });
  });

  it('without a packet that Espalier dropped for its cipher', async () => {
    const { drops } = await pair.espalier.client.status();
    expect(drops).toEqual({});
  });
});
