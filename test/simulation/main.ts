/** `npm run simulate -- …`: looks for schedules that make the protocol core break a rule. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Command, InvalidArgumentError } from 'commander';
import { drawSchedule } from './draw.ts';
import { flood } from './flood.ts';
import { heapInUse } from './heap.ts';
import { HostileRun } from './hostile.ts';
import type { Failure, Tally } from './run.ts';
import { Shrinker } from './shrink.ts';
import { tell } from './story.ts';
import { World } from './world.ts';

const CHUNK = 50;
const PROGRESS_EVERY = 10_000;
/** So many failing schedules are told; the others are only named. */
const MOST_TOLD = 3;
const MOST_LINES = 120;
/** Milliseconds that the flood lasts, and in which the honest initiator has to be through. */
const FLOOD_LIMIT = 8_000;
const HONEST_WITHIN = 3_000;

const wholeNumber = (value: string): number => {
  if (!/^\d{1,15}$/.test(value)) throw new InvalidArgumentError('use a whole number');
  return Number(value);
};

/** @returns whether no rule was broken */
async function simulate(first: number, schedules: number, threads: number): Promise<boolean> {
  const started = performance.now();
  const total: Tally = { schedules: 0, messages: 0, packets: 0, failures: [] };
  let next = first;
  let toldAt = started;
  const seconds = () => (performance.now() - started) / 1000;
  const rate = () => `${(total.schedules / seconds()).toFixed(1)} a second`;
  const add = (part: Tally): void => {
    total.schedules += part.schedules;
    total.messages += part.messages;
    total.packets += part.packets;
    total.failures.push(...part.failures);
    for (const { seed, message } of part.failures) console.log(`seed ${seed}: ${message}`);
    if (performance.now() - toldAt < PROGRESS_EVERY) return;
    toldAt = performance.now();
    console.log(`${total.schedules} of ${schedules}, ${total.failures.length} violations, ${rate()}`);
  };
  const thread = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./worker.js', import.meta.url));
      const give = (): void => {
        const size = Math.min(CHUNK, first + schedules - next);
        if (size <= 0) {
          resolve(worker.terminate().then(() => undefined));
          return;
        }
        worker.postMessage({ first: next, count: size });
        next += size;
      };
      worker.on('message', (part: Tally) => {
        add(part);
        give();
      });
      worker.on('error', reject);
      give();
    });
  await Promise.all(Array.from({ length: threads }, thread));
  const took = `${seconds().toFixed(1)} s, ${rate()}`;
  tellFailures(total.failures);
  nameFailures(total.failures);
  const memory = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(`${total.messages} messages, ${total.packets} packets, ${took}, ${memory} MiB`);
  console.log(
    `${total.schedules} schedules, ${total.failures.length} violations, seeds ${first} to ${first + schedules - 1}`,
  );
  return total.failures.length === 0;
}

/** Every failing seed, by the rule that it breaks. */
function nameFailures(failures: readonly Failure[]): void {
  const seeds = new Map<string, number[]>();
  for (const { rule, seed } of failures) seeds.set(rule, [...(seeds.get(rule) ?? []), seed]);
  for (const [rule, of] of seeds) console.log(`broken by ${of.sort((a, b) => a - b).join(' ')}: ${rule}`);
}

/** One of each rule, made smaller. */
function tellFailures(failures: readonly Failure[]): void {
  const distinct = new Map(failures.map((failure) => [failure.rule, failure]));
  for (const { seed } of [...distinct.values()].slice(0, MOST_TOLD)) tellOne(seed);
}

/** @returns whether no rule was broken */
function tellOne(seed: number): boolean {
  const drawn = drawSchedule(seed);
  const { violation } = new World(drawn).run();
  const shrinker = violation && new Shrinker(drawn, violation.rule);
  const lines = tell(shrinker?.shrink() ?? drawn);
  const middle = lines.length > MOST_LINES ? [`… ${lines.length - MOST_LINES} lines …`] : [];
  console.log(
    [
      ...lines.slice(0, MOST_LINES / 2),
      ...middle,
      ...lines.slice(middle.length ? -MOST_LINES / 2 : MOST_LINES / 2),
    ].join('\n'),
  );
  return violation === undefined;
}

/** @returns whether nothing gave way */
function runHostile(seed: number, messages: number): boolean {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const progress = (done: number): void => {
    const memory = Math.round(process.memoryUsage().rss / 1024 / 1024);
    console.log(`${done} of ${messages}, ${Math.round(done / seconds())} a second, ${memory} MiB`);
  };
  const report = new HostileRun(seed).run(messages, heapInUse, progress);
  const peak = Math.round(process.resourceUsage().maxRSS / 1024);
  const mib = (bytes: number) => (bytes / 1024 / 1024).toFixed(1);
  console.log(
    `${report.answered} answered, ${report.sessions} insider's SAs, at most ${report.mostHalfOpen} half-open; ` +
      `heap ${mib(report.heapAtFirst)} MiB after a tenth, ${mib(report.heapAtLast)} MiB at the end, ${peak} MiB resident at most; ${seconds().toFixed(1)} s`,
  );
  console.log(`${report.messages} hostile messages, 0 violations, seed ${seed}`);
  return true;
}

/** @returns whether the honest initiator got through in time */
function runFlood(perSecond: number, isTargeted: boolean): boolean {
  const report = flood(perSecond, FLOOD_LIMIT, isTargeted);
  const after = report.establishedAfter;
  console.log(
    `${perSecond} spoofed IKE_SA_INITs a second: ${report.cost.toFixed(1)} µs of processor time each, ` +
      `load ${Math.round(report.load * 100)} %, ${report.dropped} dropped, at most ${report.mostHalfOpen} half-open`,
  );
  console.log(`the honest initiator ${after === undefined ? 'did not get through' : `was through after ${after} ms`}`);
  return after !== undefined && after <= HONEST_WITHIN;
}

interface Options {
  readonly seed: number;
  readonly schedules: number;
  readonly threads: number;
  readonly tell?: number;
  readonly hostile?: number;
  readonly flood?: number;
  readonly targeted: boolean;
}

const program = new Command('simulate')
  .description('Looks for schedules that make the protocol core break a rule; exit code 1 if one did')
  .option('--seed <n>', 'seed of the first schedule', wholeNumber, 1)
  .option('--schedules <n>', 'schedules, one a seed', wholeNumber, 1000)
  .option('--threads <n>', 'threads', wholeNumber, availableParallelism())
  .option('--tell <seed>', 'one schedule as a message sequence; a failing one is made smaller first', wholeNumber)
  .option('--hostile <n>', 'instead: so many mutated messages at a responder', wholeNumber)
  .option('--flood <n>', 'instead: so many spoofed IKE_SA_INITs a second, and an honest initiator', wholeNumber)
  .option('--targeted', "all of the flood bears the honest initiator's address", false)
  .addHelpText(
    'after',
    `
Examples:
  npm run simulate -- --schedules 20000
  npm run simulate -- --tell 4013447
  npm run simulate -- --hostile 1000000 --seed 7
  npm run simulate -- --flood 20000
  npm run simulate -- --flood 20000 --targeted`,
  )
  .showHelpAfterError()
  .parse();

async function main({ seed, schedules, threads, tell, hostile, flood, targeted }: Options): Promise<boolean> {
  if (tell !== undefined) return tellOne(tell);
  if (hostile !== undefined) return runHostile(seed, hostile);
  if (flood !== undefined) return runFlood(flood, targeted);
  return simulate(seed, schedules, Math.max(1, threads));
}

process.exitCode = (await main(program.opts<Options>())) ? 0 : 1;
