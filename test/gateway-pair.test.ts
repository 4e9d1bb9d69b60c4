/** Two gateways in this process, IKE between them over loopback, links in place of devices. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConfigInput, createLink, Gateway, type IkeEvent, type Link } from '../src/index.ts';
import { createLogger } from '../src/observe/log.ts';

/** Both bind the same ports, on loopback addresses of their own. */
const PORT = 32_000 + (process.pid % 10_000) * 2;
const directory = mkdtempSync(join(tmpdir(), 'espalier-pair-'));
const logger = createLogger({ level: 'silent' });
const SIDES = {
  a: { address: '127.0.0.11', network: '10.1.0.0/24' },
  b: { address: '127.0.0.12', network: '10.2.0.0/24' },
} as const;
type Side = keyof typeof SIDES;

interface Choices {
  readonly secret?: string;
  readonly proposals?: string;
  readonly espProposals?: string;
  readonly extra?: boolean;
}

function config(side: Side, { secret, proposals, espProposals, extra }: Choices = {}): ConfigInput {
  const [local, remote] = side === 'a' ? [SIDES.a, SIDES.b] : [SIDES.b, SIDES.a];
  const id = (letter: string) => `${letter}.example.org`;
  const connection = {
    local_addrs: local.address,
    remote_addrs: remote.address,
    // Away from 500, NAT traversal's form is spoken from the first message on.
    local_port: PORT + 1,
    remote_port: PORT + 1,
    proposals: proposals ?? 'aes128gcm16-prfsha256-x25519',
    encap: true,
    local: { id: id(side), secret: secret ?? 'the secret of the two gateways' },
    remote: { id: id(side === 'a' ? 'b' : 'a') },
  };
  const children = {
    net: { local_ts: local.network, remote_ts: remote.network, esp_proposals: espProposals ?? 'aes128gcm16' },
  };
  return {
    gateway: { listen: local.address, port: PORT, port_nat_t: PORT + 1 },
    control: {
      retransmit_timeout: 0.3,
      retransmit_tries: 2,
      ...(side === 'a' && { key_log: join(directory, 'keys') }),
    },
    connections: {
      home: { ...connection, children },
      ...(extra && { other: { ...connection, remote_addrs: '127.0.0.13', children: { lan: {} } } }),
    },
  };
}

describe('two gateways', () => {
  const links: Link[] = [];
  const events: IkeEvent[] = [];
  let a: Gateway;
  let b: Gateway;

  const start = (side: Side): Promise<Gateway> => {
    const link = createLink();
    links.push(link);
    const device = { kind: 'descriptors', descriptors: link.device, mtu: 1400 } as const;
    return Gateway.start(config(side), { logger, device, raw: false, controlApi: false });
  };

  beforeAll(async () => {
    [a, b] = [await start('a'), await start('b')];
    a.on('event', (event) => events.push(event));
  });
  afterAll(async () => {
    await Promise.all([a?.stop(), b?.stop()]);
    for (const link of links) link.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('bring a child up, and agree on what it is', async () => {
    await a.up('net');
    const [ike] = a.status().ikeSas;
    const [peer] = b.status().ikeSas;
    expect(ike).toMatchObject({
      connection: 'home',
      state: 'ESTABLISHED',
      initiator: true,
      proposal: 'aes128gcm16-prfsha256-x25519',
    });
    expect(peer).toMatchObject({ state: 'ESTABLISHED', initiator: false, spiI: ike!.spiI, spiR: ike!.spiR });
    const [child] = ike!.children;
    expect(child).toMatchObject({
      name: 'net',
      state: 'INSTALLED',
      mode: 'tunnel',
      encapsulation: 'udp',
      algorithm: 'aes128gcm16',
      localTs: ['10.1.0.0/24'],
      remoteTs: ['10.2.0.0/24'],
    });
    expect(peer!.children[0]).toMatchObject({ spiIn: child!.spiOut, spiOut: child!.spiIn, state: 'INSTALLED' });
    expect(a.status().policies).toEqual([
      {
        name: 'home/net',
        direction: 'out',
        action: 'protect',
        selector: '10.1.0.0/24 <> 10.2.0.0/24',
        packets: 0,
        bytes: 0,
      },
    ]);
    expect(events.map(({ type }) => type)).toEqual(['ike-up', 'child-up']);
  });

  it('write key tables only where they are asked for, for their owner alone', () => {
    const [ike] = a.status().ikeSas;
    const table = join(directory, 'keys', 'ikev2_decryption_table');
    expect(statSync(table).mode & 0o777).toBe(0o600);
    expect(readFileSync(table, 'utf8')).toMatch(
      new RegExp(`^${ike!.spiI},${ike!.spiR},[0-9a-f]{40},[0-9a-f]{40},"AES-GCM-128 with 16 octet ICV \\[RFC5282\\]",`),
    );
    const sas = readFileSync(join(directory, 'keys', 'esp_sa'), 'utf8')
      .trimEnd()
      .split('\n');
    const { spiIn, spiOut } = ike!.children[0]!;
    expect(sas.map((line) => line.split(',')[3])).toEqual(expect.arrayContaining([`"0x${spiIn}"`, `"0x${spiOut}"`]));
  });

  it('keep their SAs through a reload that changes something else', async () => {
    const before = a.status().ikeSas[0]!.spiI;
    expect(await a.reload(config('a', { extra: true }))).toEqual({ changed: ['other'], renewed: [], restart: [] });
    expect(a.status().ikeSas.map(({ spiI, state }) => [spiI, state])).toEqual([[before, 'ESTABLISHED']]);
    expect(await a.reload(config('a'))).toEqual({ changed: ['other'], renewed: [], restart: [] });
    expect(a.status().ikeSas[0]!.spiI).toBe(before);
  });

  it('replace a child and the IKE SA when they are told to, and agree on the new ones', async () => {
    const before = a.status().ikeSas[0]!;
    await a.rekey('net');
    const spiOf = (gateway: Gateway) =>
      gateway.status().ikeSas[0]!.children.map(({ spiIn, spiOut, state }) => [spiIn, spiOut, state]);
    for (const gateway of [a, b]) await expect.poll(() => spiOf(gateway)).toHaveLength(1);
    const [[spiIn, spiOut]] = spiOf(a) as [[string, string]];
    expect(spiIn).not.toBe(before.children[0]!.spiIn);
    expect(spiOf(b)).toEqual([[spiOut, spiIn, 'INSTALLED']]);
    await b.rekey('home');
    for (const gateway of [a, b]) {
      await expect.poll(() => gateway.status().ikeSas.map(({ state }) => state)).toEqual(['ESTABLISHED']);
    }
    const [after] = a.status().ikeSas;
    expect(after!.spiI).not.toBe(before.spiI);
    expect(after).toMatchObject({ initiator: false, children: [{ spiIn, state: 'INSTALLED' }] });
  });

  it('take it down again, on both sides', async () => {
    await a.down('home');
    expect([a.status().ikeSas, a.status().policies]).toEqual([[], []]);
    await expect.poll(() => b.status().ikeSas).toEqual([]);
    await expect(a.rekey('net')).rejects.toMatchObject({ code: 'ERR_NOT_UP' });
    expect(events.map(({ type }) => type).slice(-2)).toEqual(['child-down', 'ike-down']);
  });

  it.each([
    ['a wrong secret', { secret: 'quite another secret altogether' }, 'home', /AUTHENTICATION_FAILED.*secret/],
    ['no common IKE proposal', { proposals: 'aes256gcm16-prfsha512-x448' }, 'home', /NO_PROPOSAL_CHOSEN.*proposals/],
    ['no common ESP proposal', { espProposals: 'chacha20poly1305' }, 'net', /NO_PROPOSAL_CHOSEN.*chacha20poly1305/],
  ] as const)('say what to change where there is %s, and install nothing', async (_, choices, name, reason) => {
    await a.reload(config('a', choices));
    await expect(a.up(name)).rejects.toThrowError(reason);
    expect(a.status().ikeSas.flatMap(({ children }) => children)).toEqual([]);
    expect(b.status().ikeSas.flatMap(({ children }) => children)).toEqual([]);
    await a.reload(config('a'));
    for (const gateway of [a, b]) await expect.poll(() => gateway.status().ikeSas).toEqual([]);
  });

  it('find each other again after all that', async () => {
    await b.up('net');
    expect(a.status().ikeSas[0]).toMatchObject({ state: 'ESTABLISHED', initiator: false });
  });

  it('bring up what is taken down on the other side at that moment', async () => {
    for (let round = 0; round < 10; round++) {
      const down = b.down('home');
      await a.up('net');
      await down;
      await a.up('net');
      expect(a.status().ikeSas.flatMap(({ children }) => children.map(({ state }) => state))).toContain('INSTALLED');
    }
  });

  it('tell the peer when they stop', async () => {
    await b.stop();
    await expect.poll(() => a.status().ikeSas).toEqual([]);
  });
});
