/** An observer of what a gateway sends to the network. */
import type { Bed } from '../../src/demo/bed.ts';
import { Speaker } from '../../src/demo/speaker.ts';
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
  readonly #watcher: Speaker;

  /** Watches what leaves by the WAN device of gateway A from now on. */
  static async start(bed: Bed): Promise<WireWatch> {
    const script = packagePath('test', 'interop', 'wire-watch.py');
    const watcher = new Speaker(
      bed.spawn('gatewayA', 'python3', [script, 'wan'], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    await watcher.line();
    return new WireWatch(watcher);
  }

  private constructor(watcher: Speaker) {
    this.#watcher = watcher;
  }

  /** @returns what it saw */
  async stop(): Promise<Sightings> {
    this.#watcher.child.stdin!.end();
    return JSON.parse(await this.#watcher.line()) as Sightings;
  }
}
