import { expect, test } from 'vitest';
import type { ChildSa } from '../../../src/control/child/child-sa.ts';
import type { Context } from '../../../src/control/ike/context.ts';
import { pauseOfChild, pauseOfIke } from '../../../src/control/ike/patience.ts';
import type { IkeSa } from '../../../src/control/ike/sa.ts';

const NOW = 100_000;
const context = (random: (below: number) => number) => ({ now: NOW, randomBelow: random }) as Context;
const luckiest = context(() => 0);
const unluckiest = context((below) => below - 1);

/** An IKE SA that has as long to live as its child, and has just refused to be rekeyed for the child's sake. */
const refused = (left: number) => {
  const sa = { refusedRekeyAt: NOW, timers: new Map([['overtime', { at: NOW + left }]]) } as unknown as IkeSa;
  return { sa, child: { expireAt: NOW + left } as ChildSa };
};

test('a child that gives way outlasts the pause of the IKE SA and its exchange, if their lives last long enough', () => {
  for (const left of [3_000, 8_000, 20_000, 60_000, 3_600_000]) {
    const { sa, child } = refused(left);
    expect(pauseOfChild(luckiest, sa, child)).toBeGreaterThan(pauseOfIke(unluckiest, sa) + Math.min(left / 8, 2_000));
  }
});

test('a child that gives way is rekeyed well before its life ends', () => {
  for (const left of [1_500, 3_000, 8_000, 20_000, 60_000]) {
    const { sa, child } = refused(left);
    expect(pauseOfChild(unluckiest, sa, child)).toBeLessThan(left * 0.7);
  }
});

test('a child that ends too soon for that asks again before the IKE SA does', () => {
  for (const left of [500, 1_500, 2_400]) {
    const { sa, child } = refused(left);
    expect(pauseOfChild(unluckiest, sa, child)).toBeLessThan(pauseOfIke(luckiest, sa) / 4);
  }
});
