/** Schedules in which nothing happens that may take an SA down: then no packet may be lost either. */
import type { Fate, Schedule } from './schedule.ts';

export function isPeaceful(schedule: Schedule): boolean {
  const { faults, fates, links, events, nat } = schedule;
  const isLossy =
    fates === undefined
      ? faults.loss + faults.corrupt > 0
      : Object.values(fates).some(({ kind }) => kind === 'lose' || kind === 'corrupt');
  if (isLossy || nat) return false;
  // One side calls, once: with two IKE SAs between the same peers, one may be told to go.
  const first = events.findIndex(({ kind }) => kind === 'initiate');
  const isQuiet = events.every(
    (event, index) =>
      event.kind === 'rekey' || event.kind === 'replay' || index === first || (event.kind === 'expire' && !event.hard),
  );
  return (
    isQuiet &&
    links.every(({ sides, estranged }) => {
      const [left, right] = sides;
      const calls = left.startAction !== 'none' || right.startAction !== 'none';
      return !estranged && !calls && left.reauth === 0 && right.reauth === 0;
    })
  );
}

/** Two messages as late as that, and a child's lifetime is over before it could be rekeyed (`lifeTime` is 1.1 times as long). */
export const endsPeace = ({ links }: Schedule, fate: Fate): boolean =>
  fate.kind === 'late' &&
  links.some(({ sides }) => sides.some(({ childRekey }) => childRekey > 0 && 2 * fate.after >= 100 * childRekey));
