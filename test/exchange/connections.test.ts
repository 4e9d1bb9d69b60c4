import { describe, expect, test } from 'vitest';
import type { TrafficSelector } from '../../src/contract.ts';
import { configFromObject } from '../../src/control/config/load.ts';
import type { ConfigInput } from '../../src/control/config/schema.ts';
import { LEFT, Network, type Node, pair, RIGHT, type Sides } from './network.ts';

function established(sides?: Sides) {
  const made = pair(sides);
  made.network.command(made.left, 'initiate', 'right');
  made.network.settle();
  return made;
}

const packet = (from: string, to: string): TrafficSelector => ({
  protocol: 6,
  local: { addresses: { from, to: from }, ports: { from: 40_000, to: 40_000 } },
  remote: { addresses: { from: to, to }, ports: { from: 80, to: 80 } },
});

/** The left gateway crashed and came back without any memory. */
function restarted(network: Network, config: ConfigInput): Node {
  const node = network.add('left', config);
  network.nodes.pop();
  network.nodes[0] = node;
  network.addresses.set(LEFT, node);
  return node;
}

function start(network: Network, node: Node): void {
  network.feed(node, { type: 'start' });
}

describe('start_action', () => {
  test('start brings the child up by itself, and again after the peer deleted it', () => {
    const { network, left, right } = pair({ leftChild: { start_action: 'start' } });
    start(network, left);
    network.settle();
    expect(left.core.status(network.now)).toMatchObject([{ children: [{ name: 'net' }] }]);
    network.command(right, 'terminate', 'left');
    network.pass(1_000);
    expect(left.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED', children: [{ name: 'net' }] }]);
  });

  test('start goes on trying while the peer is away, and stops when the user says so', () => {
    const { network, left } = pair({ leftChild: { start_action: 'start' } });
    network.tamper = () => undefined;
    start(network, left);
    network.pass(600_000);
    network.tamper = (datagram) => datagram;
    network.pass(130_000);
    expect(left.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED' }]);
    network.command(left, 'terminate', 'right');
    network.pass(300_000);
    expect(left.core.status(network.now)).toEqual([]);
  });

  test('trap waits for a packet, which then stands first in TSi and TSr (RFC 7296 §2.9)', () => {
    const { network, left, right } = pair({ leftChild: { start_action: 'trap' } });
    start(network, left);
    network.pass(1_000);
    expect(network.sent).toEqual([]);
    const [[policy, { parameters, sa }]] = [...left.policies] as never as [
      [number, { parameters: object; sa: unknown }],
    ];
    expect(parameters).toMatchObject({ action: 'protect', direction: 'out' });
    expect(sa).toBeUndefined();
    for (let copy = 0; copy < 3; copy++) {
      network.feed(left, { type: 'acquire', policy, packet: packet('10.1.0.5', '10.2.0.9') });
    }
    network.settle();
    expect(left.core.status(network.now)).toMatchObject([{ children: [{ localTs: ['10.1.0.0/16'] }] }]);
    expect(right.core.status(network.now).length).toBe(1);
    expect(left.policies.get(policy)!.sa).toBeDefined();
    network.command(right, 'terminate', 'left');
    network.settle();
    expect(left.policies.get(policy)!.sa).toBeUndefined();
  });

  test('both: a packet while the peer is being called makes no second IKE SA', () => {
    const { network, left, right } = pair({ leftChild: { start_action: 'trap|start' } });
    start(network, left);
    const [policy] = [...left.policies.keys()];
    network.feed(left, { type: 'acquire', policy: policy!, packet: packet('10.1.0.5', '10.2.0.9') });
    network.settle();
    expect(right.core.status(network.now)).toMatchObject([{ children: [{ name: 'net' }] }]);
    expect(right.core.status(network.now)[0]!.children.length).toBe(1);
  });
});

describe('both gateways begin at once', () => {
  test('and the children that come of it both work', () => {
    const { network, left, right } = pair({
      leftChild: { start_action: 'start' },
      rightChild: { start_action: 'start' },
    });
    start(network, left);
    start(network, right);
    network.startTraffic();
    network.pass(50);
    network.lost.length = 0;
    network.pass(10_000);
    expect(network.lost).toEqual([]);
    expect(left.core.status(network.now).length).toBe(right.core.status(network.now).length);
  });
});

describe('the peer starts afresh', () => {
  test('with INITIAL_CONTACT: what was there before is forgotten', () => {
    const { network, right } = established();
    const before = right.core.status(network.now)[0]!.id;
    const again = restarted(network, leftConfig(undefined));
    network.command(again, 'initiate', 'right');
    network.settle();
    expect(again.trace[2]).toContain('N(INITIAL_CONTACT)');
    expect(right.core.status(network.now).map(({ id }) => id)).not.toContain(before);
    expect(right.core.status(network.now).length).toBe(1);
    network.pass(6_000);
    expect(right.sas.size).toBe(2);
    expect(right.policies.size).toBe(1);
  });

  test('unique replace deletes the older IKE SA, keep refuses the newer one', () => {
    for (const [unique, left] of [
      ['replace', 1],
      ['keep', 1],
      ['no', 2],
    ] as const) {
      const { network, right } = established({ right: { unique }, left: { unique: 'never' } });
      const before = right.core.status(network.now)[0]!.id;
      const second = restarted(network, leftConfig('never'));
      network.command(second, 'initiate', 'right');
      network.settle();
      const after = right.core.status(network.now).filter(({ state }) => state === 'ESTABLISHED');
      expect(after.length).toBe(left);
      expect(after.some(({ id }) => id === before)).toBe(unique !== 'replace');
    }
  });
});

describe('INITIAL_CONTACT', () => {
  test('counts where unique is keep, too: what would be kept is lost', () => {
    const { network, right } = established({ right: { unique: 'keep' } });
    const before = right.core.status(network.now)[0]!.id;
    const second = restarted(network, leftConfig(undefined));
    network.command(second, 'initiate', 'right');
    network.settle();
    expect(right.core.status(network.now).map(({ id, state }) => [id === before, state])).toEqual([
      [false, 'ESTABLISHED'],
    ]);
  });
});

const leftConfig = (unique: 'never' | undefined) => ({
  connections: {
    right: {
      local_addrs: [LEFT],
      remote_addrs: [RIGHT],
      ...(unique && { unique }),
      mobike: false,
      local: { auth: 'psk' as const, id: 'left.example.org', secret: 'a secret of the two' },
      remote: { auth: 'psk' as const, id: 'right.example.org', secret: 'a secret of the two' },
      proposals: ['aes128gcm16-prfsha256-x25519'],
      children: { net: { local_ts: ['10.1.0.0/16'], remote_ts: ['10.2.0.0/16'], esp_proposals: ['aes128gcm16'] } },
    },
  },
});

describe('connections of one gateway', () => {
  /** A gateway that knows two peers at any address, by identity, each with its own secret and selectors. */
  const server = {
    connections: Object.fromEntries(
      ['alice', 'bob'].map((name, index) => [
        name,
        {
          local_addrs: [RIGHT],
          local: { auth: 'psk' as const, id: 'gw.example.org', secret: `secret of ${name}` },
          remote: { auth: 'psk' as const, id: `${name}@example.org`, secret: `secret of ${name}` },
          children: { [`${name}-net`]: { local_ts: ['10.9.0.0/16'], remote_ts: [`10.${index + 1}.0.0/16`] } },
        },
      ]),
    ),
  };

  const client = (name: string, address: string, net: string, secret = `secret of ${name}`) => ({
    connections: {
      gw: {
        local_addrs: [address],
        remote_addrs: [RIGHT],
        local: { auth: 'psk' as const, id: `${name}@example.org`, secret },
        remote: { auth: 'psk' as const, id: 'gw.example.org', secret },
        children: { net: { local_ts: [net], remote_ts: ['10.9.0.0/16'] } },
      },
    },
  });

  test('are chosen by the identity of the peer', () => {
    const network = new Network();
    const gateway = network.add('gateway', server);
    const bob = network.add('bob', client('bob', LEFT, '10.2.0.0/16'));
    const alice = network.add('alice', client('alice', '192.0.2.9', '10.1.0.0/16'));
    network.addresses.set(RIGHT, gateway).set(LEFT, bob).set('192.0.2.9', alice);
    for (const peer of [bob, alice]) network.command(peer, 'initiate', 'gw');
    network.settle();
    expect(gateway.core.status(network.now).map(({ connection }) => connection)).toEqual(['bob', 'alice']);
    expect(gateway.sas.size).toBe(4);
  });

  test('do not lend each other their secrets or selectors', () => {
    const network = new Network();
    const gateway = network.add('gateway', server);
    const mallory = network.add('mallory', client('bob', LEFT, '10.2.0.0/16', 'secret of alice'));
    const greedy = network.add('alice', client('alice', '192.0.2.9', '10.2.0.0/16'));
    network.addresses.set(RIGHT, gateway).set(LEFT, mallory).set('192.0.2.9', greedy);
    for (const peer of [mallory, greedy]) network.command(peer, 'initiate', 'gw');
    network.settle();
    expect(gateway.core.status(network.now)).toMatchObject([{ connection: 'alice', children: [] }]);
    expect(gateway.sas.size).toBe(0);
  });

  test('a reload keeps the SAs of those that stay the same', () => {
    const network = new Network();
    const gateway = network.add('gateway', server);
    const bob = network.add('bob', client('bob', LEFT, '10.2.0.0/16'));
    const alice = network.add('alice', client('alice', '192.0.2.9', '10.1.0.0/16'));
    network.addresses.set(RIGHT, gateway).set(LEFT, bob).set('192.0.2.9', alice);
    for (const peer of [bob, alice]) network.command(peer, 'initiate', 'gw');
    network.settle();
    const [{ id }] = gateway.core.status(network.now) as [{ id: number }, ...unknown[]];
    const changed = {
      connections: { ...server.connections, alice: { ...server.connections['alice']!, dpd_delay: 99 } },
    };
    network.feed(gateway, { type: 'reload', config: configFromObject(changed).config });
    network.settle();
    expect(gateway.core.status(network.now)).toMatchObject([{ id, connection: 'bob', state: 'ESTABLISHED' }]);
    expect(alice.core.status(network.now)).toEqual([]);
  });

  test('a reload begins anew, and as it is written now, what is to be up and changed', () => {
    const network = new Network();
    const gateway = network.add('gateway', server);
    const before = client('bob', LEFT, '10.2.0.0/16');
    const bob = network.add('bob', before);
    network.addresses.set(RIGHT, gateway).set(LEFT, bob);
    network.command(bob, 'initiate', 'gw');
    network.settle();
    const { gw } = before.connections;
    const net = { ...gw.children.net, start_action: 'start' as const, life_time: 7200, rekey_time: 7000 };
    const changed = { connections: { gw: { ...gw, children: { net } } } };
    network.feed(bob, { type: 'reload', config: configFromObject(changed).config });
    network.pass(1_000);
    const [sa, ...others] = bob.core.status(network.now);
    expect(others).toEqual([]);
    expect(sa).toMatchObject({ state: 'ESTABLISHED', children: [{ state: 'INSTALLED' }] });
    expect(sa!.children[0]!.lifeSeconds).toBeGreaterThan(7000);
    expect(bob.trace.filter((line) => line.startsWith('sent IKE_AUTH') && line.includes('SAi2')).length).toBe(2);
  });
});

describe('transport mode', () => {
  const transport = { mode: 'transport' as const, local_ts: undefined, remote_ts: undefined };

  test('protects the two hosts themselves', () => {
    const { left } = established({ leftChild: transport, rightChild: transport });
    expect(left.trace[2]).toMatch(/N\(USE_TRANSPORT_MODE\), SAi2, TSi, TSr/);
    expect(left.installed('out')[0]).toMatchObject({
      mode: 'transport',
      selectors: [
        { local: { addresses: { from: LEFT, to: LEFT } }, remote: { addresses: { from: RIGHT, to: RIGHT } } },
      ],
    });
  });

  test('is not downgraded to: a peer that answers with tunnel mode is refused', () => {
    const host = (address: string) => [`${address}/32`];
    const { network, left, right } = established({
      leftChild: transport,
      rightChild: { local_ts: host(RIGHT), remote_ts: host(LEFT) },
    });
    network.settle();
    expect(left.log).toContainEqual(expect.stringContaining('the peer insists on tunnel mode'));
    expect(left.sas.size + right.sas.size).toBe(0);
    expect(left.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED', children: [] }]);
  });

  test('behind a NAT each side sees the address that packets have there (RFC 7296 §2.23.1)', () => {
    const { network, left, right } = pair({ leftChild: transport, rightChild: transport, right: { remote_addrs: [] } });
    const outside = '203.0.113.7';
    network.addresses.set(outside, left);
    network.tamper = (datagram, from) =>
      from === left
        ? { ...datagram, local: { ...datagram.local, address: outside } }
        : { ...datagram, remote: { ...datagram.remote, address: LEFT } };
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(right.installed('in')[0]!.selectors[0]!.remote.addresses.from).toBe(outside);
    expect(left.installed('in')[0]!.selectors[0]!.local.addresses.from).toBe(LEFT);
  });
});

describe('the window', () => {
  test('lets several requests out at once where the peer takes them', () => {
    const names = ['a', 'b', 'c', 'd'];
    const children = (own: number) =>
      Object.fromEntries(
        names.map((name, index) => [
          name,
          { local_ts: [`172.${16 + index}.${own}.0/24`], remote_ts: [`172.${16 + index}.${3 - own}.0/24`] },
        ]),
      );
    const { network, left, right } = established({
      leftChildren: children(1),
      rightChildren: children(2),
      control: { window_size: 4 },
    });
    expect(left.trace[3]).toContain('N(SET_WINDOW_SIZE)');
    expect(left.trace.slice(4, 8).every((line) => line.startsWith('sent CREATE_CHILD_SA'))).toBe(true);
    expect(right.core.status(network.now)[0]!.children.length).toBe(5);
  });

  test('is told again over a rekeyed IKE SA, where it begins with 1 (RFC 7296 §2.18)', () => {
    const { network, left, right } = established({
      leftChildren: { more: { local_ts: ['172.16.1.0/24'], remote_ts: ['172.16.2.0/24'] } },
      rightChildren: { more: { local_ts: ['172.16.2.0/24'], remote_ts: ['172.16.1.0/24'] } },
      control: { window_size: 4 },
    });
    network.command(left, 'rekey', 'right');
    network.pass(2_000);
    network.command(left, 'rekey', 'more');
    network.command(right, 'rekey', 'net');
    network.pass(2_000);
    const said = (node: typeof left) => node.trace.filter((line) => /^sent .*N\(SET_WINDOW_SIZE\)/.test(line)).length;
    expect([said(left), said(right)]).toEqual([2, 2]);
    const second = left.trace.length;
    network.command(left, 'rekey', 'more');
    network.command(left, 'rekey', 'net');
    expect(left.trace.slice(second).map((line) => line.split(' ', 2).join(' '))).toEqual([
      'sent CREATE_CHILD_SA',
      'sent CREATE_CHILD_SA',
    ]);
    network.pass(8_000);
    for (const node of [left, right]) expect(node.sas.size).toBe(4);
  });

  test('takes requests out of their order, and answers each once', () => {
    const { network, left, right } = established({
      control: { window_size: 4 },
      leftChildren: {
        more: { local_ts: ['172.16.1.0/24'], remote_ts: ['172.16.2.0/24'] },
        third: { local_ts: ['172.17.1.0/24'], remote_ts: ['172.17.2.0/24'] },
      },
      rightChildren: {
        more: { local_ts: ['172.16.2.0/24'], remote_ts: ['172.16.1.0/24'] },
        third: { local_ts: ['172.17.2.0/24'], remote_ts: ['172.17.1.0/24'] },
      },
    });
    network.command(left, 'rekey', 'more');
    network.command(left, 'rekey', 'third');
    network.wire.reverse();
    network.pass(8_000);
    for (const node of [left, right]) expect(node.sas.size).toBe(6);
  });
});

describe('a peer that offers more than one child takes', () => {
  test('is told that it may ask for the rest (RFC 7296 §2.9)', () => {
    const { left, right } = established({
      leftChild: { local_ts: ['0.0.0.0/0'], remote_ts: ['0.0.0.0/0'] },
      rightChildren: { more: { local_ts: ['172.16.0.0/12'], remote_ts: ['10.1.0.0/16'] } },
    });
    expect(left.trace[3]).toMatch(/TSr, N\(ADDITIONAL_TS_POSSIBLE\)\}$/);
    expect(right.installed('in')[0]!.name).toBe('net');
  });
});

describe('limits in bytes and packets', () => {
  test('go to the data plane with jitter taken off, and hard ones as they are', () => {
    const limits = {
      rekey_bytes: 1_000_000,
      rand_bytes: 1_000,
      life_bytes: 2_000_000,
      rekey_packets: 500,
      rand_packets: 0,
    };
    const { left } = established({ leftChild: limits });
    const { lifetime } = left.installed('out')[0]!;
    expect(lifetime!.softBytes).toBeGreaterThanOrEqual(999_000);
    expect(lifetime!.softBytes).toBeLessThanOrEqual(1_000_000);
    expect(lifetime).toMatchObject({ hardBytes: 2_000_000, softPackets: 500 });
  });

  test('that are hard end the child on both sides', () => {
    const { network, left, right } = established({ leftChild: { life_packets: 100 } });
    const [key] = [...left.sas].find(([, { direction }]) => direction === 'out')!;
    network.feed(left, { type: 'expire', sa: key, kind: 'hard', reason: 'packets' });
    network.settle();
    expect(left.sas.size + right.sas.size).toBe(0);
    expect(left.log).toContainEqual(expect.stringContaining('its limit of packets is reached'));
  });
});
