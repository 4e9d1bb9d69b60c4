/** What leaves a gateway, and how, as an observer on the way to its peer sees it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ADDRESSES } from '../../src/demo/bed.ts';
import { GatewayPair, type PairOptions, until } from './gateway-pair.ts';
import { datagrams, ping, transfer } from './hosts.ts';
import { WireWatch } from './wire-watch.ts';

const [HOST_B, HOST_B6] = ADDRESSES.hostB;
const IMPATIENT = ['retransmit_timeout: 0.2', 'retransmit_base: 1', 'retransmit_tries: 3'];

let pair: GatewayPair | undefined;
afterEach(() => pair?.remove());

/** Gateways that would route everything to each other, if nothing kept them from it. */
async function start(options: PairOptions = {}): Promise<GatewayPair> {
  pair = new GatewayPair({ control: IMPATIENT, ...options });
  for (const [gateway, side] of [
    ['gatewayA', 'wanB'],
    ['gatewayB', 'wanA'],
  ] as const) {
    pair.bed.run(gateway, 'ip', 'route', 'add', 'default', 'via', ADDRESSES[side][0]);
    pair.bed.run(gateway, 'ip', '-6', 'route', 'add', 'default', 'via', ADDRESSES[side][1]);
  }
  return pair.start();
}

const pings = async ({ bed }: GatewayPair, count = 3) => {
  const answered = async (address: string) => (await ping(bed, 'hostA', address, 56, count, 10)).received;
  return [await answered(HOST_B), await answered(HOST_B6)];
};

describe('when an SA is lost, nothing leaves in the clear', () => {
  it.each([
    ['and it is not to come back', []],
    ['while it is trapped', ['dpd_action: trap']],
    ['while it is brought up again', ['dpd_action: restart']],
  ])('%s', async (_, child) => {
    const { a, b, bed } = await start({ connection: ['dpd_delay: 1'], child });
    a.cli('up', 'net');
    const watch = await WireWatch.start(bed);
    expect(await pings(pair!)).toEqual([3, 3]);
    await b.stop(true);
    expect(await pings(pair!, 1)).toEqual([0, 0]);
    await until('the SA is lost', () => a.status().ikeSas.every(({ children }) => children.length === 0));
    expect(await pings(pair!, 2)).toEqual([0, 0]);
    const { clear, esp } = await watch.stop();
    expect(clear).toEqual({});
    expect(esp).toBeGreaterThanOrEqual(6);
    expect(a.log).toMatch(/did not answer/);
  });

  it('until the user takes it down', async () => {
    const { a, b, bed } = await start({ connection: ['dpd_delay: 1'] });
    a.cli('up', 'net');
    await b.stop(true);
    await until('the SA is lost', () => a.status().ikeSas.length === 0);
    a.cli('down', 'net');
    const watch = await WireWatch.start(bed);
    await pings(pair!, 1);
    expect(Object.keys((await watch.stop()).clear)).toContain('10.1.0.2 > 10.2.0.2 protocol 1');
  });
});

describe('while a child is not up, nothing leaves in the clear', () => {
  it('before it was ever up', async () => {
    const { bed } = await start();
    const watch = await WireWatch.start(bed);
    expect(await pings(pair!, 2)).toEqual([0, 0]);
    expect((await watch.stop()).clear).toEqual({});
    expect(pair!.a.status().drops).toMatchObject({ OutNoPolicy: expect.any(Number) });
  });

  it('when the peer has closed it', async () => {
    const { a, b, bed } = await start();
    a.cli('up', 'net');
    b.cli('down', 'net');
    await until('the SA is gone', () => a.status().ikeSas.every(({ children }) => children.length === 0));
    const watch = await WireWatch.start(bed);
    expect(await pings(pair!, 2)).toEqual([0, 0]);
    expect(Object.keys((await watch.stop()).clear).filter((flow) => flow.startsWith('10.1.'))).toEqual([]);
  });

  it('unless when_down says that it may', async () => {
    const { bed } = await start({ child: ['when_down: pass'] });
    const watch = await WireWatch.start(bed);
    await pings(pair!, 1);
    expect(Object.keys((await watch.stop()).clear)).toContain('10.1.0.2 > 10.2.0.2 protocol 1');
  });
});

describe('policies of the configuration', () => {
  it('discard what they name, before children protect the rest', async () => {
    const sections =
      'policies:\n  quiet: {direction: out, action: discard, local_ts: "10.1.0.0/24[icmp]", remote_ts: "0.0.0.0/0[icmp]"}\n';
    const { a, bed } = await start({ sections });
    a.cli('up', 'net');
    const watch = await WireWatch.start(bed);
    expect(await pings(pair!)).toEqual([0, 3]);
    const { sent, received } = await transfer(bed, 'hostA', 'hostB', HOST_B, 1_000_000);
    expect(received.sha256).toBe(sent.sha256);
    expect((await watch.stop()).clear).toEqual({});
    const { policies, drops } = a.status();
    const families = [
      { name: 'pair/net', action: 'protect' },
      { name: 'pair/net', action: 'protect' },
    ];
    expect(policies).toMatchObject([{ name: 'quiet', action: 'discard', packets: 3 }, ...families]);
    expect(drops).toMatchObject({ XfrmOutPolBlock: 3 });
  });

  it('let pass what they name, and nothing else', async () => {
    const sections =
      'policies:\n  open: {action: bypass, local_ts: "10.1.0.0/24[icmp]", remote_ts: "10.2.0.0/24[icmp]"}\n';
    const { a, bed } = await start({ sections, gateway: { B: ['inbound_clear: accept'] } });
    a.cli('up', 'net');
    const watch = await WireWatch.start(bed);
    expect(await pings(pair!)).toEqual([3, 3]);
    const { sent, received } = await transfer(bed, 'hostA', 'hostB', HOST_B, 1_000_000);
    expect(received.sha256).toBe(sent.sha256);
    const { clear } = await watch.stop();
    // The answers come through the tunnel: the peer has no such policy.
    expect(clear).toEqual({ '10.1.0.2 > 10.2.0.2 protocol 1': 3 });
    expect(a.status().policies).toContainEqual(expect.objectContaining({ name: 'open', direction: 'out', packets: 3 }));
  });
});

describe('a reload under traffic', () => {
  const MANUAL = `
sas:
  out: {direction: out, spi: 0x1001, local: 192.0.2.1, remote: 192.0.2.2, algorithm: aes128gcm16,
    key: 0x000102030405060708090a0b0c0d0e0f10111213, local_ts: 10.1.0.0/24, remote_ts: 10.2.0.0/24}
`;

  it('lets nothing leave in the clear where a manual SA takes over from a child, and a child from that', async () => {
    const { a, bed } = await start();
    const file = join(a.directory, 'espalier.yaml');
    const negotiated = readFileSync(file, 'utf8');
    const byHand = negotiated.slice(0, negotiated.indexOf('connections:')) + MANUAL;
    const reload = (text: string) => {
      writeFileSync(file, text, { mode: 0o600 });
      a.cli('reload');
    };
    a.cli('up', 'net');
    const watch = await WireWatch.start(bed);
    const traffic = datagrams(bed, 'hostA', 'hostB', HOST_B, { count: 60_000, bytes: 100, perSecond: 5000 });
    await until('it flows', () => a.status().policies.some(({ packets }) => packets > 1000));
    reload(byHand);
    expect(a.status()).toMatchObject({ ikeSas: [], policies: [{ name: 'out' }] });
    reload(byHand.replace('0x1001', '0x1002'));
    reload(negotiated);
    expect(a.status()).toMatchObject({ manualSas: [], policies: [] });
    reload(byHand.replace('0x1001', '0x1003'));
    await traffic;
    expect(a.status().manualSas[0]?.counters?.packets).toBeGreaterThan(0);
    expect((await watch.stop()).clear).toEqual({});
  });
});

describe('a trapped child', () => {
  it('lets go of a packet that waits for it in vain, though no other comes', async () => {
    const { a, b, bed } = await start({ child: ['start_action: trap'] });
    await b.stop(true);
    await ping(bed, 'hostA', HOST_B, 56, 1);
    expect(a.status().drops).not.toHaveProperty('XfrmAcquireError');
    await until('it is dropped', () => a.status().drops['XfrmAcquireError'] === 1, 40);
  });

  it.each([
    ['IPv4', HOST_B],
    ['IPv6', HOST_B6],
  ])('is brought up by its first packet, which arrives: %s', async (_, address) => {
    const { a, bed } = await start({ child: ['start_action: trap'] });
    expect(a.status()).toMatchObject({ ikeSas: [], trapped: [{ name: 'net' }] });
    const watch = await WireWatch.start(bed);
    expect(await ping(bed, 'hostA', address, 56, 1)).toMatchObject({ sent: 1, received: 1 });
    expect(await ping(bed, 'hostA', address, 1300, 5)).toMatchObject({ received: 5 });
    expect((await watch.stop()).clear).toEqual({});
    expect(a.status().ikeSas).toMatchObject([{ state: 'ESTABLISHED', children: [{ name: 'net' }] }]);
  });
});
