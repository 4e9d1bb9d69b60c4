/** IKE SAs that both sides made at once, beside each other. */
import { describe, expect, test } from 'vitest';
import { expectOneChild } from './established.ts';
import { pair, type Sides } from './network.ts';

describe('two IKE SAs between the same peers, with the same children,', () => {
  const called = (left: Sides['left'], right: Sides['right']) => {
    const made = pair({ left, right });
    made.network.startTraffic();
    // Both call at once.
    made.network.command(made.left, 'initiate', 'right');
    made.network.command(made.right, 'initiate', 'left');
    made.network.pass(1_000);
    expect(made.left.core.status(made.network.now).length).toBe(2);
    made.network.lost.length = 0;
    return made;
  };

  test('become one when one is to be reauthenticated, without a packet lost', () => {
    for (let round = 0; round < 4; round++) {
      const { network, left, right } = called({ reauth_time: 10, rand_time: 0, dpd_delay: 2 }, { dpd_delay: 2 });
      network.pass(17_000);
      expect(network.lost).toEqual([]);
      expectOneChild(network, left, right);
      expect(left.events.filter(({ type }) => type === 'child-down')).toEqual([]);
    }
  });

  test('do not become more if both sides reauthenticate them at the same time', () => {
    const times = { reauth_time: 10, rand_time: 0, dpd_delay: 2 };
    const { network, left, right } = called(times, times);
    network.pass(85_000);
    for (const node of [left, right]) {
      const { length } = node.core.status(network.now);
      expect(length).toBeGreaterThan(0);
      expect(length).toBeLessThanOrEqual(2);
    }
    expect(network.lost).toEqual([]);
  });
});
