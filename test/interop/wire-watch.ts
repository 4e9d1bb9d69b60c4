/** An observer of what a gateway sends to the network. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Bed } from '../../src/demo/bed.ts';
import { packagePath } from '../../src/package-root.ts';

export interface Sightings {
  readonly ike: number;
  readonly esp: number;
  readonly keepalive: number;
  /** ARP, neighbour discovery, multicast listeners. */
  readonly neighbours: number;
  /** Everything else: `10.1.0.2 > 10.2.0.2 protocol 1`, and how often. */
  readonly clear: Readonly<Record<string, number>>;
}

export class WireWatch {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** Watches what leaves by the WAN device of gateway A from now on. */
  static async start(bed: Bed): Promise<WireWatch> {
    const script = packagePath('test', 'interop', 'wire-watch.py');
    const watch = new WireWatch(
      bed.spawn('gatewayA', 'python3', [script, 'wan'], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    await watch.#lines.next();
    return watch;
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  /** @returns what it saw */
  async stop(): Promise<Sightings> {
    this.#child.stdin!.end();
    const { value } = await this.#lines.next();
    return JSON.parse(value) as Sightings;
  }
}
