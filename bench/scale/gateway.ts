/**
 * A gateway of the bed with many manual SAs, one way: A sends, B receives. A process in its namespace.
 *
 *     node gateway.js '{"side": "A", "count": 10000, "backend": "wasm"}'
 *
 * Prints a line when it forwards. Then every line on stdin is answered with a line of JSON: `report`,
 * or `install N`, which installs so many SAs with their policies and says how fast. Ends with stdin.
 */
import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import type { RunningDataPlane, SaHandle, TrafficSelector } from '../../src/contract.ts';
import { startDataPlane } from '../../src/dataplane/engine.ts';
import { ADDRESSES } from '../../src/demo/bed.ts';
import { NETWORK, peerAddress } from './spread.ts';

export interface GatewayOptions {
  readonly side: 'A' | 'B';
  /** SAs, and as many policies; one for the whole network, or else one for each address. */
  readonly count: number;
  readonly backend: string;
  /** SAs that may come on top. */
  readonly more: number;
}

export interface GatewayReport {
  /** Carried by all SAs. */
  readonly packets: number;
  readonly drops: Readonly<Record<string, number>>;
  readonly cpuSeconds: number;
  /** Of the answer to `install`: SAs with their policies a second. */
  readonly installsPerSecond?: number;
}

const FIRST_SPI = 0x1000;
const PORT = 4500;
/** SAs between two turns of the event loop, as a busy control plane would. */
const TURN = 64;
const ANY_PORTS = { from: 0, to: 65_535 };

class ScaleGateway {
  readonly #options: GatewayOptions;
  readonly #plane: RunningDataPlane;
  readonly #sas: SaHandle[] = [];

  constructor(options: GatewayOptions, plane: RunningDataPlane) {
    this.#options = options;
    this.#plane = plane;
  }

  async start(): Promise<void> {
    await this.#install(this.#options.count);
    if (this.#options.side === 'A') this.#plane.addRoute(`${NETWORK.from}/16`);
  }

  async obey(line: string): Promise<GatewayReport> {
    const [command, argument] = line.split(' ');
    const rate = command === 'install' ? await this.#install(Number(argument)) : undefined;
    const { user, system } = process.cpuUsage();
    const packets = this.#sas.reduce((sum, sa) => sum + (this.#plane.counters(sa)?.packets ?? 0), 0);
    const report = { packets, drops: this.#plane.drops(), cpuSeconds: (user + system) / 1e6 };
    return rate === undefined ? report : { ...report, installsPerSecond: rate };
  }

  close(): Promise<void> {
    return this.#plane.close();
  }

  /** @returns SAs a second */
  async #install(count: number): Promise<number> {
    const start = performance.now();
    for (let done = 0; done < count; done++) {
      this.#installOne(this.#sas.length);
      if (done % TURN === TURN - 1) await turn();
    }
    return (count * 1000) / (performance.now() - start);
  }

  #installOne(number: number): void {
    const { side, count } = this.#options;
    const out = side === 'A';
    const [own, peer] = out ? [ADDRESSES.wanA, ADDRESSES.wanB] : [ADDRESSES.wanB, ADDRESSES.wanA];
    const selector = selectorOf(out, count === 1 && number === 0 ? undefined : number);
    const name = `peer ${number}`;
    const sa = this.#plane.installSa({
      direction: out ? 'out' : 'in',
      protocol: 'esp',
      mode: 'tunnel',
      spi: FIRST_SPI + number,
      local: { address: own[0], port: PORT },
      remote: { address: peer[0], port: PORT },
      udpEncapsulation: true,
      suite: { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
      keys: { encryption: Uint8Array.from({ length: 20 }, (_, i) => (number + i) & 255), integrity: new Uint8Array() },
      esn: true,
      replayWindow: 1024,
      selectors: [selector],
      name,
    });
    this.#sas.push(sa);
    if (out) this.#plane.installPolicy({ direction: 'out', priority: 10, action: 'protect', selector, sa, name });
  }
}

/** @param number of one address of the network; undefined for all of them */
function selectorOf(out: boolean, number: number | undefined): TrafficSelector {
  const address = number === undefined ? undefined : peerAddress(number).join('.');
  const a = { addresses: { from: '10.1.0.0', to: '10.1.255.255' }, ports: ANY_PORTS };
  const b = { addresses: address === undefined ? NETWORK : { from: address, to: address }, ports: ANY_PORTS };
  return { protocol: 0, local: out ? a : b, remote: out ? b : a };
}

const options = JSON.parse(process.argv[2]!) as GatewayOptions;
const most = options.count + options.more + 8;
const plane = await startDataPlane({
  device: { kind: 'tun', name: 'espalier0' },
  backends: { backend: options.backend },
  limits: { securityAssociations: most, policies: most },
});
const gateway = new ScaleGateway(options, plane);
await gateway.start();
const commands = createInterface({ input: process.stdin });
commands.once('close', () => void gateway.close().then(() => process.exit(0)));
commands.on('line', async (line) => process.stdout.write(`${JSON.stringify(await gateway.obey(line))}\n`));
process.stdout.write('ready\n');
