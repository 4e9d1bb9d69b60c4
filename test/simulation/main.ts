import { drawSchedule } from './draw.ts';
import { World } from './world.ts';

const [from, count] = process.argv.slice(2).map(Number);
const started = performance.now();
const tally = new Map<string, number[]>();
let messages = 0;
let packets = 0;
for (let seed = from!; seed < from! + count!; seed++) {
  const outcome = new World(drawSchedule(seed)).run();
  messages += outcome.messages;
  packets += outcome.packets;
  if (outcome.violation) {
    const key =
      outcome.violation.rule === 'the core does not throw' ? outcome.violation.message : outcome.violation.rule;
    tally.set(key, [...(tally.get(key) ?? []), seed]);
  }
}
const s = (performance.now() - started) / 1000;
console.log(`${count} in ${s.toFixed(1)} s, ${(count! / s).toFixed(1)}/s, ${messages} messages, ${packets} packets`);
for (const [rule, seeds] of tally) console.log(seeds.length, rule, seeds.slice(0, 8).join(' '));
