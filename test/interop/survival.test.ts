/**
 * What is under way survives what administrators do to a running gateway. ESPALIER_SURVIVAL_MB says how much
 * each transfer moves, 1000 by default.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDRESSES } from '../../src/demo/bed.ts';
import { GatewayPair, until } from './gateway-pair.ts';
import { datagrams, transfer } from './hosts.ts';

const BYTES = Number(process.env.ESPALIER_SURVIVAL_MB ?? 1000) * 1_000_000;
/** Something is done to the gateways whenever so much of a transfer has gone by. */
const STRIDE = BYTES * 0.15;
const COUNT = 100_000;
const FLOWS = 4;
const HARMLESS = new Set(['InKeepalive', 'OutNoPolicy', 'OutQueueFull', 'InQueueFull']);
const GATEWAYS = ['gatewayA', 'gatewayB'] as const;

const WAYS = [
  ['IPv4, A to B', 'hostA', 'hostB', ADDRESSES.hostB[0]],
  ['IPv4, B to A', 'hostB', 'hostA', ADDRESSES.hostA[0]],
  ['IPv6, A to B', 'hostA', 'hostB', ADDRESSES.hostB[1]],
  ['IPv6, B to A', 'hostB', 'hostA', ADDRESSES.hostA[1]],
] as const;

describe('between two gateways', () => {
  let pair: GatewayPair;

  beforeAll(async () => {
    pair = await new GatewayPair().start();
    pair.a.cli('up', 'net');
    // A processor that others have for a while is not what is to be measured here.
    for (const gateway of GATEWAYS) pair.bed.run(gateway, 'ip', 'link', 'set', 'espalier0', 'txqueuelen', '10000');
  });
  afterAll(() => pair?.remove());

  const child = async () => {
    const { ikeSas } = await pair.a.client.status();
    return ikeSas[0]!.children.find(({ state }) => state === 'INSTALLED')!;
  };
  const carried = async () => {
    const { in: received, out } = await child();
    return received!.bytes + out!.bytes;
  };
  /**
   * Without keepalives, which are taken out of the stream as they should be; what the system says at the start,
   * which is no policy's; and full queues, which tell TCP how fast it may be, and are the flood's lot.
   */
  const drops = () =>
    Promise.all(
      pair.both.map(async ({ client }) => {
        const { drops } = await client.status();
        return Object.keys(drops).filter((reason) => !HARMLESS.has(reason));
      }),
    );

  /** Where else a packet may have gone, to tell our losses from the system's. */
  const systemDrops = () =>
    GATEWAYS.flatMap((gateway) => [
      ...pair.bed
        .run(gateway, 'cat', '/proc/net/dev')
        .split('\n')
        .filter((line) => line.includes(':')),
      ...pair.bed.run(gateway, 'grep', 'Udp:', '/proc/net/snmp').split('\n'),
    ]).join('\n');

  it.each(WAYS)('TCP is whole when backend and SA change under it: %s', async (_, from, to, address) => {
    const { spiOut: before } = await child();
    let over = false;
    const moved = transfer(pair.bed, from, to, address, BYTES).finally(() => {
      over = true;
    });
    const steps = [
      () => Promise.all(pair.both.map(({ client }) => client.setBackend('openssl'))),
      () => pair.a.client.rekey('net'),
      () => Promise.all(pair.both.map(({ client }) => client.setBackend('wasm', 'pair'))),
      () => Promise.all(pair.both.map(({ client }) => client.setBackend('wasm'))),
    ];
    for (const step of steps) {
      const target = (await carried()) + STRIDE;
      await until('another part of the transfer', async () => over || (await carried()) >= target);
      expect(over).toBe(false);
      await step();
    }
    const { sent, received } = await moved;
    expect(received.bytes).toBe(BYTES);
    expect(received.sha256).toBe(sent.sha256);
    expect((await child()).spiOut).not.toBe(before);
    expect(await drops()).toEqual([[], []]);
    await Promise.all(pair.both.map(({ client }) => client.setBackend('default', 'pair')));
  });

  it.each([
    ['IPv4', 64, ADDRESSES.hostB[0]],
    ['IPv4', 1350, ADDRESSES.hostB[0]],
    ['IPv6', 512, ADDRESSES.hostB[1]],
  ] as const)(
    '%s datagrams of %i bytes all arrive, once and in order, at half the highest rate',
    async (_, bytes, address) => {
      const flood = await datagrams(pair.bed, 'hostA', 'hostB', address, {
        count: COUNT,
        bytes,
        perSecond: 0,
        flows: FLOWS,
      });
      const highest = flood.received / flood.seconds;
      const load = { count: COUNT, bytes, perSecond: highest / 2, flows: FLOWS };
      const report = await datagrams(pair.bed, 'hostA', 'hostB', address, load);
      expect(report, systemDrops()).toMatchObject({ received: COUNT, duplicates: 0, corrupted: 0, reordered: 0 });
      expect(await drops()).toEqual([[], []]);
    },
  );
});
