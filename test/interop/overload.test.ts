/** More than a gateway or its network can carry: bounded, dropped and counted, and over when it is over. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { ADDRESSES } from '../../src/demo/bed.ts';
import { ManualBed } from './manual-gateways.ts';

const MEGABYTE = 1 << 20;

let bed: ManualBed | undefined;
afterEach(() => bed?.remove());

/** A shell line that writes datagrams as fast as one process can, for so many seconds. */
const flood = (address: string, port: number, seconds: number, bytes: number) => [
  '-e',
  `const socket = require('node:dgram').createSocket('udp4');
   const data = Buffer.alloc(${bytes}, 7);
   const end = Date.now() + ${seconds * 1000};
   const burst = () => {
     for (let i = 0; i < 500; i++) socket.send(data, ${port}, '${address}', () => {});
     if (Date.now() < end) setImmediate(burst); else socket.close();
   };
   burst();`,
];

async function flooded(from: 'hostA' | 'gatewayA', address: string, port: number, bytes: number): Promise<void> {
  const child = bed!.bed.spawn(from, process.execPath, flood(address, port, 3, bytes), { stdio: 'ignore' });
  await new Promise((resolve) => child.once('exit', resolve));
}

describe('a gateway under overload', () => {
  it('keeps its memory, and works on when a flood of small packets is over', async () => {
    bed = await ManualBed.create({});
    await flooded('hostA', ADDRESSES.hostB[0], 9, 18);
    const before = await bed.a.ask();
    await flooded('hostA', ADDRESSES.hostB[0], 9, 18);
    const after = await bed.a.ask();
    expect(after.residentBytes).toBeLessThan(before.residentBytes + 20 * MEGABYTE);
    expect(await bed.ping(4, 56)).toMatchObject({ received: 5 });
  });

  it('counts a flood of nonsense from the network, and answers hosts meanwhile', async () => {
    bed = await ManualBed.create({});
    const flooding = flooded('gatewayA', ADDRESSES.wanB[0], 4500, 200);
    await sleep(1000);
    expect((await bed.ping(4, 56)).received).toBeGreaterThan(0);
    await flooding;
    expect((await bed.b.ask()).drops.XfrmInNoStates).toBeGreaterThan(10_000);
    expect(await bed.ping(4, 56)).toMatchObject({ received: 5 });
  });

  it('waits for a network that is slower than the hosts, in either direction', async () => {
    bed = await ManualBed.create({});
    for (const gateway of ['gatewayA', 'gatewayB'] as const) {
      // More than a socket's buffer, so that it is the socket that fills up.
      bed.bed.run(gateway, 'tc', ...'qdisc add dev wan root tbf rate 200mbit burst 256k limit 100m'.split(' '));
    }
    expect(await bed.transfer(4, 60 * MEGABYTE)).toBe(true);
    await flooded('hostA', ADDRESSES.hostB[0], 9, 1300);
    await sleep(1000);
    expect(await bed.ping(4, 56)).toMatchObject({ received: 5 });
    expect((await bed.a.ask()).drops).not.toHaveProperty('OutSendError');
  });
});
