/**
 * A gateway of the ladder's lowest rungs: the device, sockets and loop of a gateway, with nothing of ESP
 * in between, or its framing alone. A process in the gateway's namespace.
 *
 *     node rung.js forward|frame PEER NETWORK
 *
 * Prints a line when it forwards, and does so until it is ended.
 */
import { Arena } from '../../src/dataplane/arena.ts';
import type { CryptoBackend } from '../../src/dataplane/backends/backend.ts';
import { openDescriptors } from '../../src/dataplane/descriptors.ts';
import { compileKernel } from '../../src/dataplane/kernel.ts';
import { PacketLoop } from '../../src/dataplane/packet-loop.ts';
import { Plane } from '../scale/plane.ts';
import { type RungName, rungKernel } from './rung-kernel.ts';

const PATIENCE = 500;
const [name, address, network] = process.argv.slice(2) as [RungName, string, string];
/** There are no packets, just datagrams that are counted. */
const idle: CryptoBackend = { name, supports: () => true, seal() {}, open() {}, forget() {}, close() {} };
const missing = new Set<string>();
const fail = (sentence: string): never => {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
};

const { memory, kernel, arena } = new Plane((await compileKernel()).module, 1);
const { workers, routes } = openDescriptors({ device: { kind: 'tun', name: 'espalier0' }, raw: false }, missing);
if (missing.size > 0) fail([...missing].join('\n'));
routes?.add(network);
const loop = new PacketLoop({
  ...workers[0]!,
  arena: new Arena(memory, arena),
  kernel: rungKernel(name, kernel, memory, arena, { address, port: 4500 }),
  backend: { current: idle },
  postIke: () => {},
  postEvents: () => {},
  unsegmented: () => fail('the network device takes no trains of datagrams'),
  deviceLost: () => fail('the device is gone'),
});
process.stdout.write('ready\n');
for (;;) loop.step(PATIENCE);
