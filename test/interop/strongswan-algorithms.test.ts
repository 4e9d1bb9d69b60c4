/**
 * Every algorithm that both sides know, with Espalier as initiator and as responder: the initiator has
 * one connection (or child) for each, the responder one that accepts them all.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { ENCRYPTION, type EncryptionAlgorithm, encryption, INTEG, INTEGRITY } from '../../src/algorithms.ts';
import { IKE_ENCRYPTION, IKE_INTEGRITY, KEY_EXCHANGES } from '../../src/control/crypto/registry.ts';
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

const keywordsOf = (algorithms: readonly EncryptionAlgorithm[], takes: (each: EncryptionAlgorithm) => boolean) =>
  algorithms.filter(takes).flatMap(({ keywords }) => Object.values(keywords));
const isCombined = ({ icvLength }: EncryptionAlgorithm) => icvLength > 0;
const isPlain = ({ icvLength }: EncryptionAlgorithm) => icvLength === 0;

/** Of IKE, all that our tables have but what is additional only: each key exchange, each cipher, integrity and PRF. */
const IKE = [
  ...KEY_EXCHANGES.filter(({ family }) => family !== 'kem').map(({ keyword }) => `aes128gcm16-prfsha256-${keyword}`),
  ...keywordsOf(
    IKE_ENCRYPTION.map(({ id }) => encryption(id)!),
    isCombined,
  )
    .filter((keyword) => keyword !== 'aes128gcm16')
    .map((keyword) => `${keyword}-prfsha384-x25519`),
  ...keywordsOf(
    IKE_ENCRYPTION.map(({ id }) => encryption(id)!),
    isPlain,
  ).map((keyword) => `${keyword}-sha256-prfsha256-x25519`),
  ...IKE_INTEGRITY.filter(({ keyword }) => keyword !== 'sha256').map(
    ({ keyword }) => `aes256-${keyword}-prf${keyword}-x25519`,
  ),
];

/** Integrity without encryption, combined: strongSwan has it in the kernel's tables only, kernel-libipsec has not. */
const NOT_THEIRS = (keyword: string): boolean => keyword.endsWith('gmac');

/** Of ESP, the same. */
const ESP = [
  ...keywordsOf(ENCRYPTION, isCombined).filter((keyword) => !NOT_THEIRS(keyword)),
  ...keywordsOf(ENCRYPTION, isPlain).map((keyword) => `${keyword}-sha256`),
  ...INTEGRITY.filter(({ id, saltLength }) => saltLength === 0 && id !== INTEG.HMAC_SHA2_256_128).map(
    ({ keyword }) => `aes128-${keyword}`,
  ),
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
