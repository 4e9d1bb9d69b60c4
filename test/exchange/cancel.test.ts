import { describe, expect, test } from 'vitest';
import { roaming } from './established.ts';
import { pair } from './network.ts';

describe('what is taken down before it is up', () => {
  const second = (own: number) => ({
    more: { local_ts: [`172.16.${own}.0/24`], remote_ts: [`172.16.${3 - own}.0/24`] },
  });

  test.each([5, 15, 25, 35, 45, 55])('does not come up, at whatever moment (%i ms)', (after) => {
    const { network, left, right } = pair({ leftChildren: second(1), rightChildren: second(2) });
    network.command(left, 'initiate', 'right');
    network.pass(after);
    network.command(left, 'terminate', 'more');
    network.settle();
    network.pass(10_000);
    for (const node of [left, right]) {
      expect(node.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED', children: [{ name: 'net' }] }]);
      expect(node.sas.size).toBe(2);
    }
    network.command(left, 'initiate', 'more');
    network.settle();
    expect(right.sas.size).toBe(4);
  });

  test('but wanted again comes up, though this host moves before the IKE SA is there', () => {
    const { network, left, right, move } = roaming();
    network.command(left, 'initiate', 'net');
    network.pass(25);
    network.command(left, 'terminate', 'net');
    const request = network.command(left, 'initiate', 'net');
    move();
    expect(left.completed.has(request)).toBe(true);
    expect(left.completed.get(request)).toBeUndefined();
    expect(right.core.status(network.now).at(-1)).toMatchObject({ children: [{ name: 'net' }] });
  });

  test.each([5, 15, 25, 35])('with its IKE SA leaves nothing behind (%i ms)', (after) => {
    const { network, left, right } = pair({ leftChildren: second(1), rightChildren: second(2) });
    network.command(left, 'initiate', 'right');
    network.pass(after);
    network.command(left, 'terminate', 'right');
    network.settle();
    network.pass(40_000);
    for (const node of [left, right]) expect(node.sas.size + node.policies.size).toBe(0);
  });

  test.each([15, 25, 1_000])('stays down though the peer never answers again (%i ms)', (after) => {
    const child = { dpd_action: 'restart' as const, close_action: 'start' as const };
    const { network, left } = pair({ left: { keyingtries: 0 }, leftChild: child });
    network.command(left, 'initiate', 'right');
    network.pass(after);
    network.tamper = () => undefined;
    network.command(left, 'terminate', 'right');
    network.pass(600_000);
    expect(left.core.status(network.now)).toEqual([]);
    expect(left.sas.size + left.policies.size).toBe(0);
  });
});
