/** Policies while SAs come and go: what is protected is neither dropped for nothing nor sent in the clear. */
import { describe, expect, test } from 'vitest';
import type { TrafficSelector } from '../../src/contract.ts';
import { configFromObject } from '../../src/control/config/load.ts';
import type { Effect } from '../../src/control/ike/effects.ts';
import { EXCHANGE, NOTIFY } from '../../src/control/wire/iana.ts';
import { notification } from '../../src/control/wire/payloads/notify.ts';
import { established } from './established.ts';
import { Forger } from './forge.ts';
import { LEFT, Network, type Node, pair, RIGHT, type Sides } from './network.ts';

const packet = (to: string): TrafficSelector => ({
  protocol: 6,
  local: { addresses: { from: '10.1.0.5', to: '10.1.0.5' }, ports: { from: 40_000, to: 40_000 } },
  remote: { addresses: { from: to, to }, ports: { from: 80, to: 80 } },
});

/** @returns what the configuration is after a reload */
const config = (sides: Sides) => configFromObject(pair(sides).left.input).config;

function started(sides: Sides = {}) {
  const made = pair(sides);
  for (const node of [made.left, made.right]) made.network.feed(node, { type: 'start' });
  made.network.settle();
  return made;
}

const remoteTs = (node: Node): string[] =>
  [...node.policies.values()].map(({ parameters }) => parameters.selector.remote.addresses.from);

/** A packet to that address meets a policy without an SA. */
function send(network: Network, from: Node, to: string, policy = 0): void {
  const traps = [...from.policies].filter(([, { sa }]) => sa === undefined);
  network.feed(from, { type: 'acquire', policy: traps[policy]![0], packet: packet(to) });
  network.settle();
}

const children = (network: Network, node: Node): string[] =>
  node.core
    .status(network.now)
    .flatMap((sa) => sa.children)
    .map(({ remoteTs: ts }) => ts.join(' '));

describe('a configuration that is read again', () => {
  const trap = { start_action: 'trap' } as const;

  test('takes no policy and no route away that the changed connection has again', () => {
    const { network, left } = started({ leftChild: trap });
    const seen: Effect['type'][] = [];
    network.observe = (_, { type }) => seen.push(type);
    network.feed(left, { type: 'reload', config: config({ leftChild: { ...trap, replay_window: 128 } }) });
    expect(seen.filter((type) => /policy|route/.test(type))).toEqual([]);
    expect(left.core.trapped()).toMatchObject([{ name: 'net' }]);
  });

  test('sets no trap as it was before, for what the peer deletes while its IKE SA is on its way out', () => {
    const { network, left, right } = established({ leftChild: { close_action: 'trap' } });
    network.feed(left, { type: 'reload', config: config({}) });
    network.command(right, 'terminate', 'net');
    network.pass(60_000);
    expect(left.core.trapped()).toEqual([]);
    expect([left.sas.size, left.policies.size]).toEqual([0, 0]);
  });

  test('sets no trap as it was before, when an IKE SA falls silent whose time was up already', () => {
    const times = { rekey_time: 20, over_time: 5, rand_time: 0, dpd_delay: 60 };
    const { network, left } = established({ left: times, leftChild: { dpd_action: 'trap', close_action: 'trap' } });
    network.tamper = () => undefined;
    network.pass(30_000);
    expect(left.core.status(network.now)).toMatchObject([{ state: 'DELETING' }]);
    network.feed(left, { type: 'reload', config: { ...config({}), connections: [] } });
    network.pass(600_000);
    expect(left.core.trapped()).toEqual([]);
    expect([left.sas.size, left.policies.size, left.routes.size]).toEqual([0, 0, 0]);
  });

  test('begins what a user asks for anew, though an IKE SA as it was before is only being made', () => {
    const { network, left } = pair();
    network.command(left, 'initiate', 'net');
    // The peer has the IKE_AUTH request, so it is not known what it believes.
    network.pass(25);
    expect(left.core.status(network.now)).toMatchObject([{ state: 'CONNECTING' }]);
    network.feed(left, { type: 'reload', config: config({ left: { dpd_delay: 99 } }) });
    const request = network.command(left, 'initiate', 'net');
    network.pass(2_000);
    expect(left.completed.get(request)).toBeUndefined();
    expect(left.completed.has(request)).toBe(true);
    expect(children(network, left)).toEqual(['10.2.0.0/16']);
  });

  test('lets nobody in by a connection that is gone, who had only begun to call', () => {
    const { network, left, right } = pair();
    const others = configFromObject({
      connections: {
        anybody: {
          local_addrs: [RIGHT],
          remote_addrs: [LEFT],
          local: { auth: 'psk', id: 'right.example.org', secret: 'another secret' },
          remote: { auth: 'psk', id: 'nobody.example.org', secret: 'another secret' },
          children: { net: { local_ts: ['10.2.0.0/16'], remote_ts: ['10.1.0.0/16'] } },
        },
      },
    }).config.connections;
    const both = { ...right.config, connections: [...others, ...right.config.connections] };
    network.feed(right, { type: 'reload', config: both });
    network.command(left, 'initiate', 'right');
    network.pass(15);
    network.feed(right, { type: 'reload', config: { ...both, connections: others } });
    network.pass(1_000);
    expect(right.sas.size).toBe(0);
    expect(right.core.status(network.now).filter(({ state }) => state === 'ESTABLISHED')).toEqual([]);
  });
});

describe('what the user took down', () => {
  test('stays down, though the peer deleted it at the same time and close_action is start', () => {
    for (const action of ['start', 'trap'] as const) {
      const { network, left, right } = established({ leftChild: { close_action: action } });
      network.command(left, 'terminate', 'net');
      network.command(right, 'terminate', 'net');
      network.pass(30_000);
      expect([left.sas.size, left.policies.size, left.routes.size]).toEqual([0, 0, 0]);
    }
  });

  test('stays down, though the peer fell silent in the middle of it and dpd_action is restart', () => {
    const { network, left } = established({ leftChild: { dpd_action: 'restart' } });
    network.tamper = () => undefined;
    network.command(left, 'terminate', 'net');
    network.pass(600_000);
    network.tamper = (datagram) => datagram;
    network.pass(200_000);
    expect([left.sas.size, left.policies.size]).toEqual([0, 0]);
  });

  test('has no trap any more that only close_action had set', () => {
    const { network, left, right } = established({ leftChild: { close_action: 'trap' } });
    network.command(right, 'terminate', 'net');
    network.settle();
    expect(left.core.trapped()).toMatchObject([{ name: 'net' }]);
    network.command(left, 'terminate', 'net');
    expect(left.core.trapped()).toEqual([]);
    expect(left.policies.size).toBe(0);
  });
});

describe('a trap that the peer narrows (RFC 7296 §2.9)', () => {
  const narrow = (net: string) => ({ local_ts: [net], remote_ts: ['10.1.0.0/16'], esp_proposals: ['aes128gcm16'] });
  const trapped = (sides: Sides = {}) =>
    started({
      leftChild: { start_action: 'trap', remote_ts: ['10.2.0.0/16'] },
      rightChild: { local_ts: ['10.2.1.0/24'] },
      ...sides,
    });

  test('asks for another child where a packet is for more than what is up', () => {
    const { network, left, right } = trapped({ rightChildren: { more: narrow('10.2.2.0/24') } });
    send(network, left, '10.2.2.9');
    expect(children(network, left)).toEqual(['10.2.2.0/24']);
    expect(right.installed('in')[0]!.name).toBe('more');
    send(network, left, '10.2.1.9');
    expect(children(network, left)).toEqual(['10.2.2.0/24', '10.2.1.0/24']);
    expect(left.sas.size).toBe(4);
    expect(remoteTs(left).sort()).toEqual(['10.2.0.0', '10.2.1.0', '10.2.2.0']);
  });

  test('asks ever more seldom where the peer has nothing else to give, and keeps one child', () => {
    const { network, left } = trapped();
    send(network, left, '10.2.1.9');
    network.startTraffic(({ sa }) => sa !== undefined);
    for (let second = 0; second < 400; second++) {
      send(network, left, '10.2.9.9');
      network.pass(1_000);
    }
    const asked = left.trace.filter((line) => /^sent CREATE_CHILD_SA .*TSi/.test(line));
    expect(asked.length).toBe(4);
    expect(children(network, left)).toEqual(['10.2.1.0/24']);
    expect(network.lost).toEqual([]);
    expect([left.sas.size, left.policies.size]).toEqual([2, 2]);
  });

  test('asks at once for what the peer has, though it was asked in vain for something else', () => {
    const { network, left } = trapped({ rightChildren: { more: narrow('10.2.2.0/24') } });
    send(network, left, '10.2.1.9');
    for (let second = 0; second < 60; second++) {
      send(network, left, '10.2.9.9');
      network.pass(1_000);
    }
    send(network, left, '10.2.2.9');
    expect(children(network, left)).toEqual(['10.2.1.0/24', '10.2.2.0/24']);
  });

  test('brings it up again after it was lost, with what it was narrowed to', () => {
    const { network, left } = trapped({ left: { dpd_delay: 5 } });
    send(network, left, '10.2.1.9');
    network.addresses.delete(RIGHT);
    network.pass(600_000);
    expect(left.sas.size).toBe(0);
    expect(remoteTs(left)).toEqual(['10.2.0.0']);
    network.addresses.set(RIGHT, network.nodes[1]!);
    send(network, left, '10.2.1.9');
    expect(children(network, left)).toEqual(['10.2.1.0/24']);
  });
});

describe('a trap that stands in for a child that is to be up', () => {
  test('goes when that is up again', () => {
    const { network, left, right } = started({ leftChild: { start_action: 'start' } });
    network.command(right, 'terminate', 'net');
    network.settle();
    network.pass(1_000);
    expect(children(network, left)).toEqual(['10.2.0.0/16']);
    expect(left.core.trapped()).toEqual([]);
  });
});

describe('two peers with the same selectors', () => {
  test('protect them for each other, and the trap of one outlives that of the other', () => {
    const second = '198.51.100.2';
    const connection = (remote: string, own: string) => ({
      local_addrs: [LEFT],
      remote_addrs: [remote],
      mobike: false,
      proposals: ['aes128gcm16-prfsha256-x25519'],
      local: { auth: 'psk' as const, id: 'left.example.org', secret: 'a secret of the two' },
      remote: { auth: 'psk' as const, id: 'right.example.org', secret: 'a secret of the two' },
      children: { [own]: { local_ts: ['10.1.0.0/16'], remote_ts: ['10.2.0.0/16'], start_action: 'trap' as const } },
    });
    const network = new Network();
    const both = { connections: { a: connection(RIGHT, 'a-net'), b: connection(second, 'b-net') } };
    const left = network.add('left', both);
    network.addresses.set(LEFT, left);
    for (const address of [RIGHT, second]) {
      const peer = pair().right.input;
      const own = { ...peer.connections!['left']!, local_addrs: [address] };
      network.addresses.set(address, network.add(address, { connections: { left: own } }));
    }
    network.feed(left, { type: 'start' });
    expect(left.policies.size).toBe(1);
    network.command(left, 'initiate', 'a');
    network.command(left, 'initiate', 'b');
    network.settle();
    const carrier = () => left.sas.get([...left.policies.values()][0]!.sa!)?.remote.address;
    expect(left.policies.size).toBe(1);
    network.command(left, 'terminate', carrier() === RIGHT ? 'a' : 'b');
    network.settle();
    expect(carrier()).toBeDefined();
    network.feed(left, { type: 'reload', config: configFromObject({ connections: { a: both.connections.a } }).config });
    network.command(left, 'terminate', 'a');
    network.pass(10_000);
    expect(left.core.trapped()).toMatchObject([{ connection: 'a' }]);
    expect([...left.policies.values()]).toMatchObject([{ sa: undefined }]);
    send(network, left, '10.2.0.1');
    expect(carrier()).toBe(RIGHT);
  });
});

describe('what was lost is dropped until it is up again', () => {
  test('where the peer has started afresh and brings up only some of it', () => {
    const extra = { when_down: 'pass' as const, esp_proposals: ['aes128gcm16'] };
    const { network, left, right } = started({
      rightChild: { when_down: 'pass' },
      leftChildren: { more: { ...extra, local_ts: ['10.8.0.0/16'], remote_ts: ['10.9.0.0/16'] } },
      rightChildren: { more: { ...extra, local_ts: ['10.9.0.0/16'], remote_ts: ['10.8.0.0/16'] } },
    });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(right.sas.size).toBe(4);
    const again = network.restart(left);
    network.command(again, 'initiate', 'net');
    network.pass(10_000);
    const met = () => [...right.policies.values()].map(({ parameters, sa }) => [parameters.name, sa !== undefined]);
    expect(met().sort()).toEqual([
      ['more', false],
      ['net', true],
    ]);
    network.command(again, 'initiate', 'more');
    network.pass(10_000);
    expect(met().sort()).toEqual([
      ['more', true],
      ['net', true],
    ]);
    network.command(again, 'terminate', 'right');
    network.pass(10_000);
    expect(met()).toEqual([]);
  });
});

describe('a child that the peer does not know any more (RFC 7296 §2.25)', () => {
  test('is made anew, and its policy is there all the time', () => {
    const { network, left, right } = established({ leftChild: { when_down: 'pass' } });
    const forger = new Forger(left, 'r');
    network.tamper = (datagram, from) => (from === right ? undefined : datagram);
    network.command(left, 'rekey', 'net');
    network.settle();
    network.tamper = (datagram) => datagram;
    const what = { exchange: EXCHANGE.CREATE_CHILD_SA, messageId: 2, response: true };
    network.deliver(forger.message(what, [notification(NOTIFY.CHILD_SA_NOT_FOUND)]));
    expect([...left.policies.values()]).toMatchObject([{ sa: undefined }]);
    network.pass(1_000);
    expect(left.log).toContainEqual(expect.stringContaining('unknown to the peer'));
    const [policy] = [...left.policies.values()];
    expect([left.sas.get(policy!.sa!)?.direction, left.policies.size]).toEqual(['out', 1]);
    network.command(left, 'terminate', 'net');
    network.pass(10_000);
    expect(left.policies.size).toBe(0);
  });
});

describe('a trap for packets from this host’s own address', () => {
  test('goes where that goes', () => {
    let address = LEFT;
    const { network, left } = started({
      left: { local_addrs: [] },
      leftChild: { start_action: 'trap', local_ts: undefined },
      leftOptions: { sourceAddress: () => address },
    });
    const localTs = () => [...left.policies.values()].map(({ parameters }) => parameters.selector.local.addresses.from);
    expect(localTs()).toEqual([LEFT]);
    address = '192.0.2.77';
    network.feed(left, { type: 'addresses', addresses: [address] });
    expect(localTs()).toEqual([address]);
  });
});
