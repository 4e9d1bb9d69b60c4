/** INITIAL_CONTACT (RFC 7296 §2.4): who says it, and what is forgotten for it. */
import { describe, expect, test } from 'vitest';
import { LATENCY, LEFT, Network, type Node, RIGHT } from './network.ts';

const [L, R] = ['left.example.org', 'right.example.org'];
/** The right gateway's other address. */
const RIGHT2 = '198.51.100.2';
const OTHER = '203.0.113.5';
const SECRET = 'a secret of the two';

/** A connection with a child of the same name, for 10.1.`net`.0/24 on the left and 10.2.`net`.0/24 on the right. */
function connection(name: string, from: string, to: string, net: number, more: object = {}) {
  const [own, peer, side, far] = from === RIGHT || from === RIGHT2 ? [R, L, 2, 1] : [L, R, 1, 2];
  return {
    local_addrs: [from],
    remote_addrs: to === '' ? [] : [to],
    mobike: false,
    proposals: ['aes128gcm16-prfsha256-x25519'],
    local: { auth: 'psk' as const, id: own, secret: SECRET },
    remote: { auth: 'psk' as const, id: peer, secret: SECRET },
    children: {
      [name]: {
        local_ts: [`10.${side}.${net}.0/24`],
        remote_ts: [`10.${far}.${net}.0/24`],
        esp_proposals: ['aes128gcm16'],
      },
    },
    ...more,
  };
}

const leftConnections = { one: connection('one', LEFT, RIGHT, 1), two: connection('two', LEFT, RIGHT2, 2) };
const rightConnections = (more: object = {}) => ({
  one: connection('one', RIGHT, LEFT, 1, more),
  two: connection('two', RIGHT2, LEFT, 2, more),
});

/** Two gateways with the connections `one` and `two` between the same identities. */
function twice(more: object = {}) {
  const network = new Network();
  const left = network.add('left', { connections: leftConnections });
  const right = network.add('right', { connections: rightConnections(more) });
  network.addresses.set(LEFT, left).set(RIGHT, right).set(RIGHT2, right);
  return { network, left, right };
}

const up = (network: Network, node: Node) =>
  node.core
    .status(network.now)
    .map(({ connection, state, children }) => `${connection} ${state} ${children.map(({ name }) => name)}`)
    .sort();
const said = ({ trace }: Node) =>
  trace
    .filter((line) => line.startsWith('sent IKE_AUTH') && line.includes('IDi'))
    .map((line) => line.includes('N(INITIAL_CONTACT)'));
const BOTH = ['one ESTABLISHED one', 'two ESTABLISHED two'];

describe('INITIAL_CONTACT is said', () => {
  test('once for two connections between the same identities, and both stay', () => {
    const { network, left, right } = twice();
    for (const name of ['one', 'two']) {
      network.command(left, 'initiate', name);
      network.settle();
    }
    expect(said(left)).toEqual([true, false]);
    expect(up(network, left)).toEqual(BOTH);
    expect(up(network, right)).toEqual(BOTH);
  });

  test('once if they are called at the same time, whoever gets through first', () => {
    for (const slow of [0, 1]) {
      const { network, left, right } = twice();
      let requests = 0;
      network.tamper = (datagram, from) => {
        if (from !== left || datagram.data[18] !== 35 || requests++ !== slow) return datagram;
        network.wire.push({ at: network.now + 900, from, datagram });
        return undefined;
      };
      for (const name of ['one', 'two']) network.command(left, 'initiate', name);
      network.pass(3_000);
      expect(said(left)).toEqual([true, false]);
      expect(up(network, left)).toEqual(BOTH);
      expect(up(network, right)).toEqual(BOTH);
    }
  });

  test('not if the other identity may turn out to be the same', () => {
    for (const id of [undefined, '*.example.org', 'RIGHT.example.org']) {
      const network = new Network();
      const remote = { auth: 'psk' as const, secret: SECRET, ...(id && { id }) };
      const { one, two } = leftConnections;
      const left = network.add('left', { connections: { one, two: { ...two, remote } } });
      const right = network.add('right', { connections: rightConnections() });
      network.addresses.set(LEFT, left).set(RIGHT, right).set(RIGHT2, right);
      for (const name of ['one', 'two', 'one']) {
        network.command(left, 'initiate', name);
        network.settle();
        if (name === 'two') network.command(left, 'terminate', 'one');
        network.settle();
      }
      expect(said(left)).toEqual([true, false, false]);
      expect(up(network, left)).toEqual(BOTH);
    }
  });

  test('to each of two peers', () => {
    const network = new Network();
    const two = connection('two', LEFT, OTHER, 2, { remote: { auth: 'psk', id: 'other.example.org', secret: SECRET } });
    const left = network.add('left', { connections: { one: connection('one', LEFT, RIGHT, 1), two } });
    network.addresses.set(LEFT, left).set(RIGHT, network.add('right', { connections: rightConnections() }));
    const local = { auth: 'psk' as const, id: 'other.example.org', secret: SECRET };
    const other = connection('two', RIGHT, LEFT, 2, { local, local_addrs: [OTHER] });
    network.addresses.set(OTHER, network.add('other', { connections: { two: other } }));
    for (const name of ['one', 'two']) network.command(left, 'initiate', name);
    network.settle();
    expect(said(left)).toEqual([true, true]);
    expect(up(network, left)).toEqual(BOTH);
  });
});

describe('what INITIAL_CONTACT makes the peer forget', () => {
  const cameBack = (more: object = {}) => {
    const made = twice(more);
    for (const name of ['one', 'two']) made.network.command(made.left, 'initiate', name);
    made.network.settle();
    made.network.pass(5_000);
    const left = made.network.restart(made.left);
    made.network.command(left, 'initiate', 'one');
    made.network.settle();
    return { ...made, left };
  };

  test('are the SAs of all connections between the two', () => {
    const { network, right } = cameBack();
    expect(up(network, right)).toEqual(['one ESTABLISHED one']);
  });

  test('are none of connections that are never unique', () => {
    const { network, right } = cameBack({ unique: 'never' });
    expect(up(network, right)).toEqual(['one ESTABLISHED one', ...BOTH]);
  });

  test('are none that were established since: the message is older than they are', () => {
    const { network, left, right } = twice();
    // Once lost, and sent again.
    let lost = 0;
    network.tamper = (datagram, from) =>
      from === left && datagram.data[18] === 35 && lost++ === 0 ? undefined : datagram;
    network.command(left, 'initiate', 'one');
    network.pass(4 * LATENCY);
    network.tamper = (datagram) => datagram;
    network.command(right, 'initiate', 'one');
    network.pass(1_000);
    expect(up(network, right)).toEqual(['one CONNECTING ', 'one ESTABLISHED one']);
    network.pass(5_000);
    expect(said(left)).toEqual([true]);
    for (const node of [left, right]) expect(up(network, node)).toEqual(['one ESTABLISHED one', 'one ESTABLISHED one']);
  });

  test('are none that another secret has established', () => {
    const network = new Network();
    const group = { auth: 'psk' as const, secret: 'a secret of many' };
    const gateway = {
      one: connection('one', RIGHT, LEFT, 1),
      many: connection('many', RIGHT, '', 3, { local: { ...group, id: R }, remote: group }),
    };
    const right = network.add('right', { connections: gateway });
    const left = network.add('left', { connections: { one: connection('one', LEFT, RIGHT, 1) } });
    const insider = connection('many', OTHER, RIGHT, 3, { local: { ...group, id: L }, remote: { ...group, id: R } });
    const mallory = network.add('mallory', { connections: { many: insider } });
    network.addresses.set(LEFT, left).set(RIGHT, right).set(OTHER, mallory);
    network.command(left, 'initiate', 'one');
    network.settle();
    network.command(mallory, 'initiate', 'many');
    network.settle();
    expect(said(mallory)).toEqual([true]);
    expect(up(network, right)).toEqual(['many ESTABLISHED many', 'one ESTABLISHED one']);
  });

  test.each(['no', 'replace', 'keep'])(
    'are none of others that prove nothing (RFC 7619 §2.3), with unique "%s"',
    (unique) => {
      const network = new Network();
      const local = { auth: 'null' as const };
      const open = connection('open', RIGHT, '', 1, { remote: { auth: 'null' }, unique });
      const right = network.add('right', { connections: { open } });
      network.addresses.set(RIGHT, right);
      for (const address of [LEFT, OTHER]) {
        const caller = network.add(address, {
          connections: { open: connection('open', address, RIGHT, 1, { local }) },
        });
        network.addresses.set(address, caller);
        network.command(caller, 'initiate', 'open');
        network.settle();
        expect(said(caller)).toEqual([true]);
      }
      expect(up(network, right).length).toBe(2);
    },
  );
});
