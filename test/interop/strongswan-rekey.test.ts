/**
 * Rekeying with strongSwan under a running ping flood: by either side and by both at once, of the child
 * SA and of the IKE SA. No ping is lost unless strongSwan's system counted it, and what remains is one SA of each kind on either side.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PingReport } from '../../src/demo/ping.ts';
import { ping } from './hosts.ts';
import { HOST_A, HOST_B, IMPATIENT, ours, Pair, theirs, until } from './strongswan-pair.ts';

const PINGS = 600;
const INTERVAL = 5;

/** What nftables is to drop: IKE is what has four zeros behind the UDP header (RFC 3948 §2.2). */
const MESSAGES = 'udp dport 4500 @th,64,32 0 drop';
/** Those of them with the Response flag in their header (RFC 7296 §3.1). */
const RESPONSES = 'udp dport 4500 @th,64,32 0 @th,248,8 & 0x20 == 0x20 drop';

type Subject = 'child' | 'ike';

/** A key exchange in a child's proposal: each rekeying of it has one, too. */
const PFS = { child: { esp_proposals: ['aes128gcm16-x25519'] } };

describe.each([
  { peer: 'a strongSwan that is called', changes: {}, call: ({ espalier }: Pair) => espalier.client.up('net') },
  {
    peer: 'a strongSwan that calls, with perfect forward secrecy',
    changes: PFS,
    call: async ({ strongswan }: Pair) => strongswan.swanctl('--initiate', '--child', 'net'),
  },
])('rekeying with $peer', ({ changes, call }) => {
  let pair: Pair;

  beforeAll(async () => {
    pair = new Pair({ strongswan: IMPATIENT.strongswan });
    await pair.strongswan.start(theirs(changes));
    await pair.espalier.start(ours(changes), IMPATIENT.sections);
    await call(pair);
  });

  afterEach(() => losing(''));

  afterAll(() => pair.remove());

  const byUs = (subject: Subject) => pair.espalier.client.rekey(subject === 'child' ? 'net' : 'peer');

  const byThem = async (subject: Subject) => {
    pair.strongswan.swanctl('--rekey', ...(subject === 'child' ? ['--child', 'net'] : ['--ike', 'peer']));
  };

  /** Has the bed lose that from now on, in both directions; nothing for ''. */
  const losing = (what: string): void => {
    const nft = (...args: readonly string[]) => pair.bed.run('gatewayB', 'nft', ...args);
    nft('add table ip lossy');
    nft('flush table ip lossy');
    nft('add chain ip lossy in { type filter hook prerouting priority -300; }');
    nft('add chain ip lossy out { type filter hook output priority 0; }');
    for (const chain of ['in', 'out']) if (what !== '') nft(`add rule ip lossy ${chain} ${what}`);
  };

  /** Both have asked before either hears the other: who is answered first need not notice. */
  const byBoth = async (subject: Subject) => {
    losing(MESSAGES);
    const rekeyed = byUs(subject);
    await byThem(subject);
    losing('');
    await rekeyed;
  };

  /** Both hear the other before they are answered. */
  const byBothWhoNotice = async (subject: Subject) => {
    losing(MESSAGES);
    const rekeyed = byUs(subject);
    await byThem(subject);
    const seen = pair.strongswan.log.length;
    losing(RESPONSES);
    const marks = [/parsed CREATE_CHILD_SA request/, /retransmit \d+ of request/];
    await until(() => marks.every((mark) => mark.test(pair.strongswan.log.slice(seen))));
    losing('');
    await rekeyed;
  };

  /** Espalier has made the new one when it is asked to replace it, but its answer is lost. */
  const byUsAfterThem = async (subject: Subject) => {
    losing(RESPONSES);
    await byThem(subject);
    await until(async () => (await pair.espalier.client.status()).ikeSas[0]!.children.length === 2);
    const rekeyed = byUs(subject);
    losing('');
    await rekeyed;
  };

  const spis = async (subject: Subject) => {
    const [sa] = await pair.established();
    return subject === 'child' ? sa?.children[0]?.spiIn : sa?.spiI;
  };

  it.each<[string, Subject, (subject: Subject) => Promise<void>]>([
    ['the child SA by Espalier', 'child', byUs],
    ['the child SA by strongSwan', 'child', byThem],
    ['the child SA by both at once', 'child', byBoth],
    ['the child SA by both at once, who notice', 'child', byBothWhoNotice],
    ['the child SA by strongSwan and right after that by Espalier', 'child', byUsAfterThem],
    ['the IKE SA by Espalier', 'ike', byUs],
    ['the IKE SA by strongSwan', 'ike', byThem],
    ['the IKE SA by both at once', 'ike', byBoth],
    ['the IKE SA by both at once, who notice', 'ike', byBothWhoNotice],
  ])('loses no packet: %s', async (_, subject, rekey) => {
    const before = await spis(subject);
    const peersDrops = pair.peersDrops();
    let flooding = true;
    const floods = Promise.all([
      ping(pair.bed, 'hostA', HOST_B, 56, PINGS, INTERVAL),
      ping(pair.bed, 'hostB', HOST_A, 56, PINGS, INTERVAL),
    ]).finally(() => {
      flooding = false;
    });
    // In the middle of the flood: it has begun when the first packets are counted.
    const packets = async () => (await pair.children())[0]?.in?.packets ?? 0;
    const start = await packets();
    await until(async () => (await packets()) > start + 100);
    await rekey(subject);
    expect(flooding).toBe(true);
    const reports: readonly PingReport[] = await floods;
    expect(await until(() => pair.agrees())).toBe(true);
    expect(await spis(subject)).not.toBe(before);
    expect((await pair.espalier.client.status()).drops).toEqual({});
    const lost = reports.reduce((sum, { sent, received }) => sum + sent - received, 0);
    expect(lost).toBeLessThanOrEqual(pair.peersDrops() - peersDrops);
  });
});
