import { afterEach, describe, expect, it } from 'vitest';
import { monotonic } from '../../src/clock.ts';
import type { IkeDatagram, TrafficSelector } from '../../src/contract.ts';
import { close } from '../../src/dataplane/io/syscalls.ts';
import { packagePath } from '../../src/package-root.ts';
import { ANY, Gateway, join, saOf } from './engine-pair.ts';
import { udpPacket } from './ip.ts';

/** A backend that counts the packets it seals. */
const COUNTING = packagePath('test', 'dataplane', 'counting-backend.js');

const gateways: Gateway[] = [];
afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.close()));
});

async function start(...values: Parameters<typeof Gateway.start>): Promise<Gateway> {
  const gateway = await Gateway.start(...values);
  gateways.push(gateway);
  return gateway;
}

const pair = () => Promise.all([start('127.0.0.1'), start('127.0.0.2')]);
const packet = (text: string, sourcePort = 4000) =>
  udpPacket({
    source: '10.1.0.9',
    destination: '10.2.0.9',
    sourcePort,
    destinationPort: 53,
    payload: Buffer.from(text),
  });
const policy = { direction: 'out', priority: 1, action: 'protect', selector: ANY, name: 'test' } as const;
const once = <T>(register: (resolve: (value: T) => void) => void): Promise<T> => new Promise(register);

describe('the data plane', () => {
  it('carries packets of a host through an SA to the host at its other end', async () => {
    const [a, b] = await pair();
    const sa = join(a, b);
    const handle = a.dataPlane.installPolicy({ ...policy, sa: sa.out });
    for (const text of ['one', 'two', 'three']) {
      a.send(packet(text));
      const received = await b.receive();
      expect(received?.subarray(28).toString()).toBe(text);
      expect(received?.subarray(12, 20)).toEqual(Buffer.from([10, 1, 0, 9, 10, 2, 0, 9]));
    }
    expect(a.dataPlane.counters(sa.out)).toMatchObject({ packets: 3, sequence: 3 });
    expect(b.dataPlane.counters(sa.in)).toMatchObject({ packets: 3, sequence: 3, replayDrops: 0 });
    expect(a.dataPlane.policyCounters(handle)).toMatchObject({ packets: 3 });
    expect(b.dataPlane.counters(sa.in)?.lastUsed).toBeGreaterThan(monotonic() - 5000);
  });

  it('spreads the SAs of one peer over its workers', async () => {
    const a = await start('127.0.0.1');
    const b = await start('127.0.0.2', { workers: 2 });
    for (let port = 4000; port < 4006; port++) {
      const sa = join(a, b);
      const ports = { from: port, to: port };
      const selector: TrafficSelector = { ...ANY, protocol: 17, local: { ...ANY.local, ports } };
      a.dataPlane.installPolicy({ ...policy, selector, sa: sa.out });
      a.send(packet(`from ${port}`, port));
      expect((await b.receive())?.subarray(28).toString()).toBe(`from ${port}`);
    }
    expect(b.dataPlane.info.workers).toBe(2);
  });

  it('asks for an SA, keeps the packet, and sends it when the SA is there', async () => {
    const [a, b] = await pair();
    const asked = once<[number, TrafficSelector]>((resolve) => {
      a.dataPlane.on('acquire', (...values) => resolve(values));
    });
    const handle = a.dataPlane.installPolicy(policy);
    a.send(packet('first of its flow'));
    const [asking, selector] = await asked;
    expect(asking).toBe(handle);
    expect(selector).toEqual({
      protocol: 17,
      local: { addresses: { from: '10.1.0.9', to: '10.1.0.9' }, ports: { from: 4000, to: 4000 } },
      remote: { addresses: { from: '10.2.0.9', to: '10.2.0.9' }, ports: { from: 53, to: 53 } },
    });
    a.dataPlane.setPolicySa(handle, join(a, b).out);
    expect((await b.receive())?.subarray(28).toString()).toBe('first of its flow');
  });

  it('tells when an SA has carried what it may, and stops at the hard limit', async () => {
    const [a, b] = await pair();
    const expired: string[] = [];
    const sa = join(a, b, { lifetime: { softPackets: 2, hardPackets: 3 } });
    a.dataPlane.on('expire', (handle, kind, reason) => expired.push(`${handle === sa.out} ${kind} ${reason}`));
    a.dataPlane.installPolicy({ ...policy, sa: sa.out });
    for (let count = 0; count < 5; count++) a.send(packet(`${count}`));
    for (let count = 0; count < 3; count++) expect(await b.receive()).toBeDefined();
    expect(await b.receive(100)).toBeUndefined();
    expect(expired).toContain('true soft packets');
    expect(expired).toContain('true hard packets');
    expect(a.dataPlane.drops()).toMatchObject({ XfrmOutStateExpired: 2 });
  });

  it('discards what no policy matches, and names the reason', async () => {
    const a = await start('127.0.0.1');
    a.send(packet('nobody wants this'));
    await expect.poll(() => a.dataPlane.drops()).toEqual({ OutNoPolicy: 1 });
  });

  it('stops an SA that is removed', async () => {
    const [a, b] = await pair();
    const sa = join(a, b);
    a.dataPlane.installPolicy({ ...policy, sa: sa.out });
    b.dataPlane.removeSa(sa.in);
    a.send(packet('too late'));
    await expect.poll(() => b.dataPlane.drops()).toEqual({ XfrmInNoStates: 1 });
    expect(b.dataPlane.counters(sa.in)).toBeUndefined();
    a.dataPlane.removeSa(sa.out);
    const asked = once((resolve) => a.dataPlane.on('acquire', resolve));
    a.send(packet('traps again'));
    await asked;
  });

  it('moves an SA to a peer that has moved, and says where an authentic packet came from', async () => {
    const [a, b] = await pair();
    const c = await start('127.0.0.3');
    const sa = join(a, b);
    a.dataPlane.installPolicy({ ...policy, sa: sa.out });
    a.send(packet('before'));
    expect(await b.receive()).toBeDefined();
    const mapped = once<unknown[]>((resolve) => b.dataPlane.on('mapping', (...values) => resolve(values)));
    b.dataPlane.moveSa(sa.in, b.endpoint, c.endpoint, true);
    a.send(packet('from elsewhere'));
    expect(await mapped).toEqual([sa.in, a.endpoint]);
  });
});

describe('packets that the system refuses', () => {
  it('are counted one by one, however many a message has', async () => {
    const [a] = await pair();
    // Sockets may not send to a broadcast address unless they say so.
    const remote = { address: '255.255.255.255', port: 4500 };
    const spi = a.dataPlane.reserveSpi();
    const sa = a.dataPlane.installSa({ ...saOf(a, a, 'out', spi), remote });
    a.dataPlane.installPolicy({ ...policy, sa });
    const segments = 20;
    const frame = udpPacket({
      source: '10.1.0.9',
      destination: '10.2.0.9',
      sourcePort: 4000,
      destinationPort: 53,
      payload: new Uint8Array(segments * 1000),
    });
    // struct virtio_net_hdr: NEEDS_CSUM, UDP_L4, header's length, segments' length, where the checksum goes.
    a.send(frame, Uint8Array.of(1, 5, 28, 0, 1000 & 255, 1000 >> 8, 20, 0, 6, 0));
    await expect.poll(() => a.dataPlane.drops()).toEqual({ OutSendError: segments });
    expect(a.dataPlane.counters(sa)?.packets).toBe(segments);
  });
});

describe('datagrams of IKE', () => {
  it('arrive from either port, without the marker, with both addresses', async () => {
    const [a, b] = await pair();
    const received: IkeDatagram[] = [];
    b.dataPlane.on('ike', (datagram) => received.push(datagram));
    const ike = (gateway: Gateway) => ({ address: gateway.address, port: gateway.dataPlane.info.ports.ike });
    const data = Uint8Array.from({ length: 300 }, (_, index) => index);
    a.dataPlane.sendIke({ local: ike(a), remote: ike(b), data });
    await expect.poll(() => received).toEqual([{ local: ike(b), remote: ike(a), data }]);
    a.dataPlane.sendIke({ local: a.endpoint, remote: b.endpoint, data });
    await expect.poll(() => received[1]).toEqual({ local: b.endpoint, remote: a.endpoint, data });
  });

  it('are taken in any number, and beyond a bound are dropped and counted', async () => {
    const [a, b] = await pair();
    let received = 0;
    b.dataPlane.on('ike', () => received++);
    const sent = 3000;
    const data = new Uint8Array(64);
    // This thread sends without a pause, so that nothing is taken meanwhile.
    for (let count = 0; count < sent; count++) {
      a.dataPlane.sendIke({ local: a.endpoint, remote: b.endpoint, data });
      if (count % 50 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
    await expect.poll(() => received + (b.dataPlane.drops().XfrmInBufferError ?? 0), { timeout: 5000 }).toBe(sent);
    expect(received).toBeGreaterThanOrEqual(1024);
    expect(b.dataPlane.drops().XfrmInBufferError).toBeGreaterThan(0);
  });
});

describe('the life of a data plane', () => {
  it('switches backends between batches, and refuses one that it does not know', async () => {
    const [a, b] = await pair();
    a.dataPlane.installPolicy({ ...policy, sa: join(a, b).out });
    for (const backend of ['node', 'noble', 'wasm']) {
      await Promise.all([a, b].map(({ dataPlane }) => dataPlane.changeBackends((now) => ({ ...now, backend }))));
      expect(a.dataPlane.info.backend).toBe(backend);
      a.send(packet(backend));
      expect((await b.receive())?.subarray(28).toString()).toBe(backend);
    }
    const unknown = a.dataPlane.changeBackends((now) => ({ ...now, backend: 'rot13' }));
    await expect(unknown).rejects.toMatchObject({ code: 'ERR_BACKEND' });
    expect(a.dataPlane.info.backend).toBe('wasm');
  });

  it('uses a backend for the SAs of one connection, and another for the rest, as they are chosen', async () => {
    const warnings: string[] = [];
    const backends = { shadow: 'noble', connections: new Map([['home', COUNTING]]) };
    const onWarning = (sentence: string) => warnings.push(sentence);
    const [a, b] = await Promise.all([start('127.0.0.1', { backends, onWarning }), start('127.0.0.2')]);
    const sa = { home: join(a, b, { connection: 'home' }).out, office: join(a, b, { connection: 'office' }).out };
    const handle = a.dataPlane.installPolicy({ ...policy, sa: sa.home });
    const carry = async (connection: 'home' | 'office') => {
      a.dataPlane.setPolicySa(handle, sa[connection]);
      a.send(packet(connection));
      expect((await b.receive())?.subarray(28).toString()).toBe(connection);
    };
    const counted = () =>
      Object.fromEntries(a.dataPlane.info.backends.map(({ name, counters }) => [name, counters['sealed']]));
    await carry('home');
    await carry('office');
    await carry('home');
    await expect.poll(counted, { timeout: 3000 }).toEqual({ wasm: undefined, [COUNTING]: 2 });
    expect(a.dataPlane.info).toMatchObject({
      backend: 'wasm',
      shadow: 'noble',
      backends: [
        { name: 'wasm', connections: [], counters: { shadow_packets: 1, shadow_disagreements: 0 } },
        { name: COUNTING, connections: ['home'], counters: { shadow_packets: 1, shadow_disagreements: 0 } },
      ],
    });
    // The other way round, for SAs that are there and for one that comes.
    await a.dataPlane.changeBackends(() => ({ backend: COUNTING, connections: new Map([['home', 'wasm']]) }));
    sa.office = join(a, b, { connection: 'office' }).out;
    for (const connection of ['home', 'office', 'office', 'home', 'office'] as const) await carry(connection);
    await expect.poll(counted, { timeout: 3000 }).toEqual({ [COUNTING]: 3, wasm: undefined });
    expect(a.dataPlane.info).not.toHaveProperty('shadow');
    expect(warnings).toEqual([]);
  });

  it('keeps the backends it has if one of those asked for cannot be had', async () => {
    const [a, b] = await pair();
    a.dataPlane.installPolicy({ ...policy, sa: join(a, b, { connection: 'home' }).out });
    const connections = new Map([['home', './nothing.js']]);
    const change = a.dataPlane.changeBackends(() => ({ backend: 'node', connections }));
    await expect(change).rejects.toMatchObject({ code: 'ERR_BACKEND' });
    expect(a.dataPlane.info.backends.map(({ name }) => name)).toEqual(['wasm']);
    a.send(packet('still there'));
    expect((await b.receive())?.subarray(28).toString()).toBe('still there');
  });

  it("goes on when a user's backend throws: a batch is lost and counted, wasm does the rest, and it is told", async () => {
    const warnings: string[] = [];
    const [a, b] = await Promise.all([
      start('127.0.0.1', { onWarning: (sentence) => warnings.push(sentence) }),
      start('127.0.0.2'),
    ]);
    const sa = join(a, b);
    a.dataPlane.installPolicy({ ...policy, sa: sa.out });
    const backend = packagePath('test', 'backends', 'throwing.js');
    await a.dataPlane.changeBackends((now) => ({ ...now, backend }));
    a.send(packet('lost'));
    await expect.poll(() => a.dataPlane.drops()).toEqual({ XfrmOutStateProtoError: 1 });
    a.send(packet('not lost'));
    expect((await b.receive())?.subarray(28).toString()).toBe('not lost');
    expect(warnings).toEqual(["backend 'throwing' fails, 'wasm' takes its place; seal: out of order"]);
    await expect.poll(() => a.dataPlane.info.backends[0]?.counters, { timeout: 3000 }).toEqual({ failures: 1 });
  });

  it('does not take a backend that lacks what removing an SA needs', async () => {
    const a = await start('127.0.0.1');
    const backend = packagePath('test', 'backends', 'incomplete.js');
    await expect(a.dataPlane.changeBackends((now) => ({ ...now, backend }))).rejects.toMatchObject({
      code: 'ERR_BACKEND',
      message: expect.stringMatching(/'incomplete' needs functions forget/),
    });
    expect(a.dataPlane.info.backend).toBe('wasm');
  });

  it('tells what a shadow finds, and which backends disagree', async () => {
    const warnings: string[] = [];
    const onWarning = (sentence: string) => warnings.push(sentence);
    const backends = { shadow: packagePath('test', 'backends', 'wrong.js') };
    const [a, b] = await Promise.all([start('127.0.0.1', { backends, onWarning }), start('127.0.0.2')]);
    a.dataPlane.installPolicy({ ...policy, sa: join(a, b).out });
    a.send(packet('right all the same'));
    expect((await b.receive())?.subarray(28).toString()).toBe('right all the same');
    const counters = { shadow_packets: 1, shadow_disagreements: 1 };
    await expect.poll(() => a.dataPlane.info.backends[0]?.counters, { timeout: 3000 }).toEqual(counters);
    expect(warnings).toEqual([expect.stringMatching(/^backends 'wasm' and 'wrong' disagree: seal of \d+ bytes/)]);
  });

  it('ends in under a second, and once', async () => {
    const a = await start('127.0.0.1', { workers: 2 });
    const started = performance.now();
    await Promise.all([a.dataPlane.close(), a.dataPlane.close()]);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it('gives its ports back when it ends, and when it cannot start', async () => {
    const a = await start('127.0.0.1');
    const { ports } = a.dataPlane.info;
    await expect(start('127.0.0.1', { ports })).rejects.toMatchObject({ code: 'ERR_SYSTEM' });
    await a.dataPlane.close();
    const again = await start('127.0.0.1', { ports });
    expect(again.dataPlane.info.ports).toEqual(ports);
    await again.dataPlane.close();
    await expect(start('127.0.0.1', { ports, backends: { backend: 'rot13' } })).rejects.toMatchObject({
      code: 'ERR_BACKEND',
    });
    expect((await start('127.0.0.1', { ports })).dataPlane.info.ports).toEqual(ports);
  });

  it('says what is wrong with the number of workers', async () => {
    const a = await start('127.0.0.1');
    const device = { kind: 'descriptors', descriptors: a.link.device, mtu: 1400 } as const;
    await expect(start('127.0.0.1', { device, workers: 2 })).rejects.toMatchObject({ code: 'ERR_OPTIONS' });
  });

  it('says so when its device goes away', async () => {
    const a = await start('127.0.0.1');
    for (const fd of a.link.host) close(fd);
    await expect.poll(() => a.dataPlane.info.missing.join()).toContain('device has been removed');
  });
});
