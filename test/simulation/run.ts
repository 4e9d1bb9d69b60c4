/** Runs schedules one after the other and says what came of them. */
import { drawSchedule } from './draw.ts';
import { World } from './world.ts';

export interface Failure {
  readonly seed: number;
  readonly rule: string;
  readonly message: string;
}

export interface Tally {
  schedules: number;
  messages: number;
  packets: number;
  readonly failures: Failure[];
}

/** @param stop asked after each schedule */
export function runSchedules(first: number, count: number, stop: (tally: Tally) => boolean = () => false): Tally {
  const tally: Tally = { schedules: 0, messages: 0, packets: 0, failures: [] };
  for (let seed = first; seed < first + count; seed++) {
    const { violation, messages, packets } = new World(drawSchedule(seed)).run();
    tally.schedules++;
    tally.messages += messages;
    tally.packets += packets;
    if (violation !== undefined) tally.failures.push({ seed, rule: violation.rule, message: violation.message });
    if (stop(tally)) break;
  }
  return tally;
}
