/** More than a gateway can seal: it drops and counts, holds on to nothing, and is itself again at once. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDRESSES } from '../../src/demo/bed.ts';
import { GatewayPair } from './gateway-pair.ts';
import { datagrams, ping } from './hosts.ts';

const [HOST_B] = ADDRESSES.hostB;
const FLOOD = { count: 150_000, bytes: 1200, perSecond: 0, flows: 4 };
const QUEUES = /^(Out|In)QueueFull$/;

describe('under overload', () => {
  let pair: GatewayPair;
  beforeAll(async () => {
    pair = await new GatewayPair().start();
    pair.a.cli('up', 'net');
    // A cipher in JavaScript: any machine can offer more than that seals.
    await pair.a.client.setBackend('noble');
  });
  afterAll(() => pair?.remove());

  const resident = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pair.a.pid}/status`, 'utf8'))![1]) / 1024;
  const dropped = async () => {
    const all = await Promise.all(pair.both.map(async ({ client }) => Object.entries((await client.status()).drops)));
    return all.flat().reduce((sum, [reason, count]) => sum + (QUEUES.test(reason) ? count : 0), 0);
  };

  it('a gateway drops and counts, memory stays flat, and what comes next is lossless', async () => {
    // Code is compiled, buffers are touched.
    await datagrams(pair.bed, 'hostA', 'hostB', HOST_B, FLOOD);
    const [memory, before] = [resident(), await dropped()];
    let most = 0;
    const sampler = setInterval(() => {
      most = Math.max(most, resident());
    }, 50);
    const { received, duplicates, corrupted, reordered } = await datagrams(pair.bed, 'hostA', 'hostB', HOST_B, FLOOD);
    clearInterval(sampler);
    const lost = FLOOD.count - received;
    expect({ duplicates, corrupted, reordered }).toEqual({ duplicates: 0, corrupted: 0, reordered: 0 });
    expect(lost).toBeGreaterThan(0);
    expect((await dropped()) - before).toBe(lost);
    // What was offered are 180 MB; a cipher in JavaScript leaves some for the collector.
    expect(most).toBeLessThan(memory + 20);

    expect(await ping(pair.bed, 'hostA', HOST_B)).toMatchObject({ received: 5 });
    const modest = { count: 2000, bytes: 1200, perSecond: 1000 };
    expect(await datagrams(pair.bed, 'hostA', 'hostB', HOST_B, modest)).toMatchObject({ received: 2000 });
  });

  it('recovers within a moment, not when the flood is forgotten', async () => {
    const drops = await dropped();
    await datagrams(pair.bed, 'hostA', 'hostB', HOST_B, FLOOD);
    expect(await dropped()).toBeGreaterThan(drops);
    expect((await ping(pair.bed, 'hostA', HOST_B, 56, 3)).received).toBe(3);
  });
});
