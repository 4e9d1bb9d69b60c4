import { describe, expect, test } from 'vitest';
import { BUGS } from './simulation/bugs.ts';
import { drawSchedule } from './simulation/draw.ts';
import { runSchedules } from './simulation/run.ts';
import { Shrinker } from './simulation/shrink.ts';
import { tell } from './simulation/story.ts';
import { World } from './simulation/world.ts';

describe('the simulator', () => {
  test('breaks no rule in the first schedules', () => {
    const { failures, messages, packets } = runSchedules(1, 60);
    expect(failures).toEqual([]);
    expect(messages).toBeGreaterThan(1000);
    expect(packets).toBeGreaterThan(1000);
  });

  test('has the same run from the same seed', () => {
    const run = () => tell(drawSchedule(7)).join('\n');
    expect(run()).toBe(run());
  });
});

describe('the simulator catches a core that', () => {
  const MOST = 3000;
  test.each(BUGS)('$name', { timeout: 120_000 }, ({ plant, rule }) => {
    const remove = plant();
    try {
      const { failures } = runSchedules(1, MOST, (tally) => tally.failures.at(-1)?.rule === rule);
      expect(failures.at(-1)?.rule).toBe(rule);
    } finally {
      remove();
    }
  });

  test('and makes the schedule smaller, and tells it in RFC notation', () => {
    const remove = BUGS[0]!.plant();
    try {
      const [failure] = runSchedules(1, MOST, (tally) => tally.failures.length > 0).failures;
      const drawn = drawSchedule(failure!.seed);
      const small = new Shrinker(drawn, failure!.rule, 60).shrink();
      expect(small.events.length).toBeLessThanOrEqual(drawn.events.length);
      expect(new World(small).run().violation?.rule).toBe(failure!.rule);
      const story = tell(small);
      expect(
        story.some((line) => line.includes('CREATE_CHILD_SA') && line.includes('HDR, SK {N(REKEY_SA), SA, Ni')),
      ).toBe(true);
      expect(story.at(-1)).toContain(`broken: ${failure!.rule}`);
    } finally {
      remove();
    }
  });
});
