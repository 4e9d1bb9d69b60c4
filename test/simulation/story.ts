/** Tells a run as a message sequence in RFC notation, each gateway in a column of its own. */
import type { Gateway } from './gateway.ts';
import type { Schedule } from './schedule.ts';
import { World } from './world.ts';

const COLUMN = 12;
/** Of what the core logs, this is told. */
const TOLD = /^(sent|received) |is up|is down|is gone|failed|was rekeyed|both sides rekeyed|is made anew|moved to/;

/** Liveness, which goes on all the time. */
const IDLE = /INFORMATIONAL \d+: (<-- )?HDR, SK \{\}( -->)?$/;

/** @returns one line for each thing that happened, and the violation last */
export function tell(schedule: Schedule): string[] {
  const lines: string[] = [];
  const note = (at: number, gateway: Gateway | undefined, text: string): void => {
    if (IDLE.test(text)) return;
    const isLog = /^[A-Z"]|^(sent|received) /.test(text) || gateway === undefined;
    if (isLog && gateway !== undefined && !TOLD.test(text)) return;
    const time = (at / 1000).toFixed(3).padStart(9);
    const column = gateway === undefined ? '--' : `${' '.repeat(COLUMN * gateway.index)}${gateway.name}`;
    lines.push(`${time}  ${column}  ${text.split('\n', 1)[0]}`);
  };
  const { violation } = new World(schedule, { note }).run();
  const { links, nat, latency, window, events, fates } = schedule;
  const head = [
    `seed ${schedule.seed}: ${events.length} events, ${Object.keys(fates ?? {}).length} faults, ${latency} ms one way` +
      `${nat ? ', g0 behind a NAT' : ''}${window > 1 ? `, window ${window}` : ''}`,
    ...links.map((link) => JSON.stringify(link)),
  ];
  return [...head, ...lines, violation === undefined ? 'no rule is broken' : `broken: ${violation.message}`];
}
