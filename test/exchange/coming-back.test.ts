import { describe, expect, test } from 'vitest';
import { roaming } from './established.ts';
import { LEFT, pair, RIGHT, type Sides } from './network.ts';

const traps = (node: { policies: Map<number, { sa: number | undefined }> }) =>
  [...node.policies.values()].filter(({ sa }) => sa === undefined).length;

describe('a child that is to come back', () => {
  test('is trapped while it is away, so that nothing leaves in the clear', () => {
    const { network, left } = pair({
      left: { dpd_delay: 10 },
      leftChild: { start_action: 'start', dpd_action: 'restart' },
    });
    network.feed(left, { type: 'start' });
    network.settle();
    expect([...left.policies.values()].length).toBe(1);
    const removed: number[] = [];
    const { policies } = left;
    const remove = policies.delete.bind(policies);
    policies.delete = (key) => {
      const result = remove(key);
      removed.push(policies.size);
      return result;
    };
    network.addresses.delete(RIGHT);
    network.pass(250_000);
    expect(left.sas.size).toBe(0);
    expect(traps(left)).toBe(1);
    expect(removed).toEqual([]);
    network.addresses.set(RIGHT, network.nodes[1]!);
    network.pass(250_000);
    expect(left.sas.size).toBeGreaterThanOrEqual(2);
    expect(traps(left)).toBe(0);
  });

  test('is trapped no more when the user takes it down', () => {
    const { network, left } = pair({ leftChild: { start_action: 'start', close_action: 'restart' } });
    network.feed(left, { type: 'start' });
    network.settle();
    network.command(network.nodes[1]!, 'terminate', 'net');
    network.settle();
    network.pass(1_000);
    network.command(left, 'terminate', 'net');
    network.settle();
    network.pass(10_000);
    expect(left.policies.size).toBe(0);
    expect(left.routes.size).toBe(0);
  });
});

describe('a child that is to stay up', () => {
  test('is brought up, too, where another one is asked for while it waits to be tried again', () => {
    const more = (own: number) => ({
      more: { local_ts: [`172.16.${own}.0/24`], remote_ts: [`172.16.${3 - own}.0/24`] },
    });
    const sides = { leftChild: { start_action: 'start' as const }, leftChildren: more(1), rightChildren: more(2) };
    const { network, left, right } = pair(sides);
    network.addresses.delete(RIGHT);
    network.feed(left, { type: 'start' });
    network.pass(167_000);
    expect(left.core.status(network.now)).toEqual([]);
    network.addresses.set(RIGHT, right);
    network.command(left, 'initiate', 'more');
    network.pass(10_000);
    const names = left.core.status(network.now).map(({ children }) => children.map(({ name }) => name).sort());
    expect(names).toEqual([['more', 'net']]);
  });
});

describe('a gateway without any address', () => {
  test('traps what is to be trapped all the same, and calls as soon as it has one', () => {
    let address: string | undefined;
    const { network, left, right } = pair({
      left: { local_addrs: [], mobike: true },
      right: { mobike: true },
      leftChild: { start_action: 'trap|start' },
      options: { sourceAddress: () => address },
    });
    network.feed(left, { type: 'start' });
    expect(traps(left)).toBe(1);
    network.pass(60_000);
    expect(right.sas.size).toBe(0);
    address = LEFT;
    network.feed(left, { type: 'addresses', addresses: [LEFT] });
    network.pass(100);
    expect(right.sas.size).toBe(2);
  });

  test('begins anew from its new address what it was calling from the old one', () => {
    const { network, left, right, moved, move } = roaming();
    const request = network.command(left, 'initiate', 'right');
    network.pass(15);
    move();
    expect(left.completed.has(request)).toBe(true);
    expect(left.completed.get(request)).toBeUndefined();
    expect(right.core.status(network.now).at(-1)).toMatchObject({
      remote: { address: moved },
      children: [{ name: 'net' }],
    });
  });
});

describe('a child that is lost', () => {
  function lost(more: Sides = {}) {
    const made = pair({ left: { dpd_delay: 10 }, ...more });
    made.network.command(made.left, 'initiate', 'net');
    made.network.settle();
    made.network.addresses.delete(RIGHT);
    made.network.pass(250_000);
    expect(made.left.sas.size).toBe(0);
    return made;
  }

  test('leaves its policy and its route, so that nothing leaves in the clear', () => {
    const { network, left, right } = lost();
    expect(traps(left)).toBe(1);
    expect([...left.routes]).toEqual(['10.2.0.0/16']);
    expect(left.core.trapped()).toEqual([]);
    const [policy] = left.policies.keys();
    network.addresses.set(RIGHT, right);
    network.pass(600_000);
    expect(left.sas.size).toBe(0);
    expect([...left.policies.keys()]).toEqual([policy]);
  });

  test('takes its policy up again when it is up again', () => {
    const { network, left, right } = lost();
    network.addresses.set(RIGHT, right);
    network.command(left, 'initiate', 'net');
    network.settle();
    expect(traps(left)).toBe(0);
    expect(left.policies.size).toBe(1);
    network.command(left, 'terminate', 'net');
    network.settle();
    expect(left.policies.size + left.routes.size).toBe(0);
  });

  test('leaves nothing when the user takes it down, before or after', () => {
    const { network, left } = lost();
    network.command(left, 'terminate', 'net');
    network.settle();
    expect(left.policies.size + left.routes.size).toBe(0);

    const other = pair();
    other.network.command(other.left, 'initiate', 'net');
    other.network.settle();
    other.network.addresses.delete(RIGHT);
    other.network.command(other.left, 'terminate', 'right');
    other.network.pass(250_000);
    expect(other.left.sas.size + other.left.policies.size + other.left.routes.size).toBe(0);
  });

  test('leaves nothing when the gateway stops', () => {
    const { network, left } = lost();
    network.feed(left, { type: 'stop', request: left.nextRequest() });
    network.settle();
    expect(left.policies.size + left.routes.size).toBe(0);
  });
});

describe('an IKE SA that is lost while it is reauthenticated', () => {
  test('is not called for ever with dpd_action clear, wherever this host goes', () => {
    const { network, left } = pair({ left: { keyingtries: 0, reauth_time: 10, rand_time: 0, dpd_delay: 2 } });
    network.command(left, 'initiate', 'right');
    network.pass(6_000);
    network.addresses.delete(RIGHT);
    network.pass(167_500);
    expect(left.core.status(network.now)).toMatchObject([{ state: 'CONNECTING' }]);
    const moved = '192.0.2.77';
    network.addresses.delete(LEFT);
    network.addresses.set(moved, left);
    network.feed(left, { type: 'addresses', addresses: [moved] });
    network.pass(1_000);
    expect(left.core.status(network.now)).toEqual([]);
  });
});

describe('whoever waits for a child is told', () => {
  test('when the IKE SA dies while the child is made', () => {
    const { network, left } = pair({ leftChildren: { other: { remote_ts: ['10.3.0.0/16'] } } });
    network.command(left, 'initiate', 'net');
    network.settle();
    network.addresses.delete(RIGHT);
    const request = network.command(left, 'initiate', 'other');
    network.pass(250_000);
    expect(left.core.status(network.now)).toEqual([]);
    expect(left.completed.get(request)?.code).toBe('ERR_NO_ANSWER');
  });

  test('after the first round of tries, though it is tried for ever', () => {
    const { network, left, right } = pair({ left: { keyingtries: 0 } });
    network.addresses.delete(RIGHT);
    const request = network.command(left, 'initiate', 'right');
    network.pass(300_000);
    expect(left.completed.get(request)).toMatchObject({ code: 'ERR_NO_ANSWER' });
    expect(left.completed.get(request)!.message).toContain('it is tried again meanwhile');
    network.addresses.set(RIGHT, right);
    network.pass(60_000);
    expect(right.sas.size).toBe(2);
  });

  test('when the gateway stops', () => {
    const { network, left } = pair();
    network.addresses.delete(LEFT);
    const request = network.command(left, 'initiate', 'net');
    network.feed(left, { type: 'stop', request: left.nextRequest() });
    expect(left.completed.get(request)?.code).toBe('ERR_STOPPED');
  });
});
