/** How a process ends that has a data plane and does not close it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { packagePath } from '../../src/package-root.ts';

const engine = packagePath('dist', 'src', 'dataplane', 'engine.js');
const io = packagePath('dist', 'src', 'dataplane', 'io');

/** Two workers, one of them with more packets than it can work off, and then `end`. */
const program = (end: string) => `
  import { startDataPlane } from '${engine}';
  import { createLink } from '${io}/link.js';
  import { addressOf, write } from '${io}/syscalls.js';
  const link = createLink(2);
  await startDataPlane({
    device: { kind: 'descriptors', descriptors: link.device, mtu: 1400 },
    listen: ['127.0.0.1'], ports: { ike: 0, natTraversal: 0 }, raw: false, workers: 2,
  });
  const packet = new Uint8Array(1400);
  setInterval(() => { while (write(link.host[0], addressOf(packet), packet.length) > 0); }, 1);
  setTimeout(() => { process.stdout.write('ending'); ${end} }, 50);
`;

describe.each([
  ['process.exit', 'process.exit(7)', 7],
  ['an exception', "throw new Error('of the program')", 1],
])('a process that ends by %s', (_, end, code) => {
  it('does so in under a second, while workers wait and while they work', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program(end)], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(child.stdout, 'data');
    const started = performance.now();
    expect(await once(child, 'exit')).toEqual([code, null]);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
