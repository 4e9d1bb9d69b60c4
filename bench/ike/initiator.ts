/**
 * Brings up IKE SAs with a child each, so many at a time: some to warm up, after which it says so and
 * waits for a line, then those that count. Prints how that went as one line of JSON.
 *
 *     node initiator.js CONFIGURATION WARM_UP CONNECTIONS CONCURRENCY
 *
 * The configuration has one connection; it is multiplied, each with a local /32 of its own.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { configFromObject } from '../../src/control/config/load.ts';
import type { ConfigInput } from '../../src/control/config/schema.ts';
import { ControlPlane } from '../../src/control/control-plane.ts';
import { DatagramPlane } from './datagram-plane.ts';

export interface InitiatorReport {
  readonly established: number;
  readonly failed: number;
  readonly seconds: number;
  /** Why the first of those that failed did. */
  readonly reason?: string;
}

const none = () => {};
const silent = { trace: none, debug: none, info: none, warn: none, error: none };

async function run(file: string, warmUp: number, count: number, concurrency: number): Promise<InitiatorReport> {
  const input = parse(readFileSync(file, 'utf8')) as ConfigInput;
  const { config } = configFromObject(input);
  const [template] = config.connections;
  const [child] = template!.children;
  const connections = Array.from({ length: warmUp + count }, (_, index) => {
    const address = `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
    const selector = { ...child!.localTs[0]!, text: address, addresses: { from: address, to: address } };
    const name = `c${index}`;
    return { ...template!, name, children: [{ ...child!, name: `${name}-net`, localTs: [selector] }] };
  });
  const { port, portNatT } = config.gateway;
  const dataPlane = await DatagramPlane.open(template!.localAddrs[0]!, port, portNatT);
  const controlPlane = new ControlPlane({ dataPlane, config: { ...config, connections }, logger: silent });
  controlPlane.start();
  let [established, failed, next] = [0, 0, 0];
  let reason: string | undefined;
  const lane = async (end: number) => {
    while (next < end) {
      const name = connections[next++]!.name;
      try {
        await controlPlane.initiate(name);
        established++;
      } catch (error) {
        failed++;
        reason ??= String(error);
      }
    }
  };
  const until = (end: number) => Promise.all(Array.from({ length: concurrency }, () => lane(end)));
  await until(warmUp);
  process.stdout.write('warm\n');
  await once(process.stdin, 'data');
  [established, failed] = [0, 0];
  const started = performance.now();
  await until(warmUp + count);
  const seconds = (performance.now() - started) / 1000;
  return { established, failed, seconds, ...(reason !== undefined && { reason }) };
}

const [file = '', warmUp = '0', count = '1', concurrency = '1'] = process.argv.slice(2);
const report = await run(file, Number(warmUp), Number(count), Number(concurrency));
// Whoever started us looks at the responder now; its SAs stay until we are ended.
process.stdout.write(`${JSON.stringify(report)}\n`);
