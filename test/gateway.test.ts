import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressOf, write } from '../src/dataplane/io/syscalls.ts';
import { type ConfigInput, ControlClient, createLink, Gateway } from '../src/index.ts';
import { createLogger } from '../src/observe/log.ts';
import { ip, pattern, udp } from './dataplane/packets.ts';

/** Ports of loopback that this test has to itself, unless another run of it goes on. */
const PORT = 5_000 + (process.pid % 4_000);
const directory = mkdtempSync(join(tmpdir(), 'espalier-gateway-'));
const socket = join(directory, 'run', 'espalier.sock');
const file = join(directory, 'gateway.yaml');

const CONFIG = `
gateway: { listen: 127.0.0.1, port: ${PORT}, port_nat_t: ${PORT + 1} }
control: { socket: ${socket}, metrics: '127.0.0.1:${PORT + 9}' }
connections:
  home:
    local_addrs: 127.0.0.1
    remote_addrs: 127.0.0.2
    local: { id: a.example.org, secret: a secret of the required length }
    remote: { id: b.example.org }
    children:
      net: { local_ts: 10.1.0.0/24, remote_ts: 10.2.0.0/24 }
sas:
  to:
    direction: out
    spi: 0x1000
    local: 127.0.0.1
    remote: 127.0.0.2
    remote_port: ${PORT + 8}
    encap: yes
    algorithm: aes128gcm16
    key: 0x0011223344556677889900112233445566778899
    local_ts: 10.1.0.0/24
    remote_ts: 10.9.0.0/24
policies:
  ssh: { action: bypass, direction: out, priority: 1, remote_ts: '10.9.0.0/24[tcp/22]' }
`;

const lines: string[] = [];
const logger = createLogger({ stream: { write: (line: string) => lines.push(line) } });
const messages = (): string[] => lines.map((line) => JSON.parse(line).msg as string);

describe('a gateway', () => {
  const link = createLink();
  const client = new ControlClient(socket);
  let gateway: Gateway;
  /** A host behind the gateway sends a packet that the manual SA protects. */
  const send = () => {
    const frame = Buffer.concat([
      Buffer.alloc(10),
      ip(udp(pattern(100)), { source: '10.1.0.9', destination: '10.9.0.9' }),
    ]);
    write(link.host[0]!, addressOf(frame), frame.length);
  };
  const sequence = async () => (await client.status()).manualSas[0]?.counters?.sequence;

  beforeAll(async () => {
    writeFileSync(file, CONFIG, { mode: 0o600 });
    const device = { kind: 'descriptors', descriptors: link.device, mtu: 1400 } as const;
    gateway = await Gateway.start(file, { logger, device, raw: false });
  });
  afterAll(async () => {
    await gateway?.stop();
    link.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('serves its control API on a socket that only its owner can open', () => {
    expect(statSync(socket).mode & 0o777).toBe(0o600);
  });

  it('tells its status, the same to a program that embeds it and over the API', async () => {
    const status = await client.status();
    expect(status).toMatchObject({
      node: process.versions.node,
      pid: process.pid,
      dataPlane: { backend: 'wasm', workers: 1, ports: { ike: PORT, natTraversal: PORT + 1 } },
      manualSas: [{ name: 'to', direction: 'out', algorithm: 'aes128gcm16', spi: '00001000' }],
    });
    expect(status.policies.map(({ name, action }) => [name, action])).toEqual([
      ['ssh', 'bypass'],
      ['to', 'protect'],
    ]);
    expect(status.manualSas).toEqual(JSON.parse(JSON.stringify(gateway.status().manualSas)));
  });

  it('tells no secret in its status', async () => {
    const text = JSON.stringify(await client.status());
    expect(text).not.toContain('a secret of');
    expect(text).not.toContain('00112233445566');
  });

  it('swaps the crypto backend, and says which there are if it cannot', async () => {
    await client.setBackend('node');
    expect((await client.status()).dataPlane.backend).toBe('node');
    await expect(client.setBackend('nothing')).rejects.toMatchObject({ code: 'ERR_BACKEND' });
    expect((await client.status()).dataPlane.backend).toBe('node');
    await client.setBackend('wasm');
  });

  it('gives one connection another backend, and the gateway its shadow, by command and by configuration', async () => {
    const backends = async () => {
      const { dataPlane } = await client.status();
      return [dataPlane.shadow, ...dataPlane.backends.map(({ name, connections }) => [name, ...connections].join(' '))];
    };
    await client.setBackend('openssl', 'home');
    await client.setShadow('noble');
    expect(await backends()).toEqual(['noble', 'wasm', 'openssl home']);
    expect(await client.metrics()).toMatch(
      /^espalier_backend_events_total\{backend="openssl",event="shadow_disagreements"\} 0$/m,
    );
    // What the file does not change stays as it was set.
    writeFileSync(file, CONFIG.replace('gateway: {', 'gateway: { backend: hybrid,'));
    expect(await client.reload()).toEqual({ changed: [], renewed: [], restart: [] });
    expect(await backends()).toEqual(['noble', 'hybrid', 'openssl home']);
    writeFileSync(file, CONFIG.replace('  home:\n', '  home:\n    backend: node\n'));
    expect(await client.reload()).toEqual({ changed: ['home'], renewed: [], restart: [] });
    expect(await backends()).toEqual(['noble', 'wasm', 'node home']);
    await client.setBackend('default', 'home');
    await client.setShadow('none');
    expect(await backends()).toEqual([undefined, 'wasm']);
    writeFileSync(file, CONFIG);
    expect(await client.reload()).toEqual({ changed: ['home'], renewed: [], restart: [] });
    expect(await backends()).toEqual([undefined, 'wasm']);
  });

  it('changes nothing at a reload whose backend cannot be had', async () => {
    writeFileSync(file, CONFIG.replace('gateway: {', 'gateway: { backend: ./nothing.js,').replace('bypass', 'discard'));
    await expect(client.reload()).rejects.toMatchObject({ code: 'ERR_BACKEND' });
    expect((await client.status()).policies[0]).toMatchObject({ name: 'ssh', action: 'bypass' });
    writeFileSync(file, CONFIG);
  });

  it('refuses names that are not configured', async () => {
    await expect(client.setBackend('node', 'net')).rejects.toMatchObject({
      code: 'ERR_UNKNOWN_NAME',
      message: 'there is no connection "net"; there are home',
    });
    for (const ask of ['up', 'down', 'rekey'] as const) {
      await expect(client[ask]('hom')).rejects.toMatchObject({
        code: 'ERR_UNKNOWN_NAME',
        message: 'there is no connection and no child "hom"; there are home, net',
      });
    }
  });

  it('answers unknown paths and methods with a code, not with a crash', async () => {
    const ask = (method: string, path: string) =>
      new Promise<[number | undefined, string]>((resolve, reject) => {
        const call = request({ socketPath: socket, method, path }, (response) => {
          let body = '';
          response.on('data', (text) => {
            body += text;
          });
          response.on('end', () => resolve([response.statusCode, JSON.parse(body).code]));
        });
        call.on('error', reject);
        call.end();
      });
    expect(await ask('GET', '/nothing')).toEqual([404, 'ERR_NO_ROUTE']);
    expect(await ask('GET', '/up/home')).toEqual([405, 'ERR_METHOD']);
    expect(await ask('POST', '/up')).toEqual([404, 'ERR_NO_ROUTE']);
    expect(await ask('POST', '/up/%zz')).toEqual([404, 'ERR_NO_ROUTE']);
    expect(await ask('GET', '//')).toEqual([404, 'ERR_NO_ROUTE']);
  });

  it('gives Prometheus its SAs, drops and backend', async () => {
    const text = await client.metrics();
    expect(text).toMatch(/^espalier_info\{.*backend="wasm".*\} 1$/m);
    expect(text).toMatch(/^espalier_sa_packets_total\{connection="",child="to",direction="out",spi="00001000"\} 0$/m);
    expect(await client.metrics()).toMatch(/^espalier_info\{.*backend="wasm".*\} 1$/m);
  });

  it('serves metrics over TCP where the configuration asks for it, and nothing else there', async () => {
    const at = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${PORT + 9}${path}`, { method });
    const metrics = await at('/metrics');
    expect(metrics.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(await metrics.text()).toMatch(/^espalier_uptime_seconds \d+$/m);
    for (const [path, method] of [['/status'], ['/reload', 'POST'], ['/down/home', 'POST']] as const) {
      expect((await at(path, method)).status).toBe(404);
    }
  });

  it('reads its file again, and says what changed and what needs a restart', async () => {
    writeFileSync(
      file,
      CONFIG.replace('port_nat_t: ', 'mtu: 1300, port_nat_t: 1').replace('b.example.org', 'c.example.org'),
    );
    expect(await client.reload()).toEqual({
      changed: ['home'],
      renewed: [],
      restart: ['gateway.mtu', 'gateway.port_nat_t'],
    });
    writeFileSync(file, CONFIG);
    expect(await client.reload()).toEqual({ changed: ['home'], renewed: [], restart: [] });
    expect(await client.reload()).toEqual({ changed: [], renewed: [], restart: [] });
  });

  it('leaves manual SAs with their counters alone at a reload of something else', async () => {
    for (let count = 0; count < 20; count++) send();
    await expect.poll(sequence).toBe(20);
    writeFileSync(file, CONFIG.replace('policies:', 'policies:\n  no: { action: discard, remote_ts: 10.8.0.0/24 }'));
    await client.reload();
    expect(gateway.status().policies.map(({ name }) => name)).toEqual(['no', 'no', 'ssh', 'to']);
    expect(await sequence()).toBe(20);
    send();
    await expect.poll(sequence).toBe(21);
    expect(gateway.status().policies.at(-1)).toMatchObject({ name: 'to', packets: 21 });
  });

  it('moves a manual SA to other outer addresses with its sequence numbers', async () => {
    writeFileSync(file, CONFIG.replace('remote: 127.0.0.2', 'remote: 127.0.0.3'));
    await client.reload();
    send();
    await expect.poll(sequence).toBe(22);
  });

  it('sends NAT keepalives for a manual SA in UDP, from the port that it sends from', async () => {
    const peer = createSocket('udp4').bind(PORT + 8, '127.0.0.2');
    await once(peer, 'listening');
    writeFileSync(file, CONFIG.replace('control: {', 'control: { keep_alive: 100ms,'));
    await client.reload();
    const [data, { port }] = await once(peer, 'message');
    expect([data, port]).toEqual([Buffer.of(0xff), PORT + 1]);
    peer.close();
  });

  it('refuses a reload at which sequence numbers would begin again under the same key, as a whole', async () => {
    const other = CONFIG.replace('bypass', 'discard').replace('gateway: {', 'gateway: { backend: noble,');
    writeFileSync(file, other.replace('10.9.0.0/24\npolicies', '10.9.0.0/16\npolicies'));
    await expect(client.reload()).rejects.toMatchObject({
      code: 'ERR_KEY_REUSED',
      message: expect.stringMatching(/^sas\.to: .*give it a new SPI and a new key/),
    });
    const { dataPlane, policies } = await client.status();
    expect([dataPlane.backend, policies[0]!.action, await sequence()]).toEqual(['wasm', 'bypass', 22]);
    writeFileSync(file, CONFIG);
    await client.reload();
    expect(await sequence()).toBe(22);
  });

  it('ends a manual SA when its time is up, says so, and leaves it ended', async () => {
    const short = CONFIG.replace('spi: 0x1000', 'spi: 0x1001\n    life_time: 300ms');
    writeFileSync(file, short);
    await client.reload();
    expect((await client.status()).manualSas).toMatchObject([{ name: 'to', spi: '00001001' }]);
    send();
    await expect.poll(async () => (await client.status()).manualSas).toEqual([]);
    expect(messages()).toContain('manual SA "to" ended; give it a new SPI and a new key');
    writeFileSync(file, short.replace('bypass', 'discard'));
    await client.reload();
    expect(await client.status()).toMatchObject({ manualSas: [], policies: [{ action: 'discard' }, { name: 'to' }] });
    writeFileSync(file, CONFIG);
    await expect(client.reload()).rejects.toMatchObject({ code: 'ERR_KEY_REUSED' });
    writeFileSync(file, CONFIG.replace('0x1000', '0x1002'));
    await client.reload();
    expect((await client.status()).manualSas).toMatchObject([{ name: 'to', spi: '00001002' }]);
  });

  it('keeps what it has when the new configuration is wrong', async () => {
    writeFileSync(file, CONFIG.replace('bypass', 'bypas'));
    await expect(client.reload()).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringMatching(/gateway\.yaml:\d+:10: policies\.ssh\.action: .*did you mean "bypass"/),
    });
    writeFileSync(file, CONFIG);
    expect((await client.status()).policies).toHaveLength(2);
  });

  it('does not start twice on one socket', async () => {
    const other = createLink();
    const device = { kind: 'descriptors', descriptors: other.device, mtu: 1400 } as const;
    const config: ConfigInput = {
      gateway: { listen: '127.0.0.1', port: PORT + 2, port_nat_t: PORT + 3 },
      control: { socket },
    };
    await expect(Gateway.start(config, { logger, device, raw: false })).rejects.toMatchObject({
      code: 'ERR_ALREADY_RUNNING',
    });
    other.close();
  });

  it('stops when it is asked to, twice without harm, and leaves no socket behind', async () => {
    await Promise.all([gateway.stop(), gateway.stop()]);
    expect(() => statSync(socket)).toThrow(/ENOENT/);
    await expect(client.status()).rejects.toMatchObject({ code: 'ERR_NOT_RUNNING' });
    expect(messages().at(-1)).toBe('stopped');
  });
});
