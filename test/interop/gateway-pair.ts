/** Two of our own gateways in the bed, which negotiate the SAs of both address families by IKEv2. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Espalier } from '../../bench/peers/espalier.ts';
import { ADDRESSES, Bed, type BedOptions, NETWORKS, uniqueName } from '../../src/demo/bed.ts';

export interface PairOptions extends BedOptions {
  /** What `net` protects: by default the networks behind the gateways in a tunnel, else the gateways' own traffic. */
  readonly between?: 'networks' | 'gateways';
  /** Everything is remote for gateway A, and local for gateway B. */
  readonly everything?: boolean;
  /** Which of the gateways' addresses IKE is spoken between; default 4. */
  readonly family?: 4 | 6;
  /** More keys of the connection, of its child `net`, and sections: YAML with an indentation of its own. */
  readonly connection?: readonly string[];
  readonly child?: readonly string[];
  /** Of gateway A. */
  readonly sections?: string;
  /** More keys of the section `gateway`, by gateway. */
  readonly gateway?: Readonly<Partial<Record<'A' | 'B', readonly string[]>>>;
  readonly control?: readonly string[];
}

/** Waits until `condition` holds. @throws if it does not in time */
export async function until(what: string, condition: () => boolean | Promise<boolean>, seconds = 30): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await sleep(50);
  }
}

export class GatewayPair {
  readonly bed: Bed;
  readonly a: Espalier;
  readonly b: Espalier;
  readonly #directory = mkdtempSync(join(tmpdir(), 'espalier-'));
  readonly #options: PairOptions;

  /** Gateways and hosts are there; nothing runs yet. */
  constructor(options: PairOptions = {}) {
    this.#options = options;
    this.bed = Bed.create(uniqueName('gp'), options);
    this.a = new Espalier(this.bed, 'gatewayA', join(this.#directory, 'a'));
    this.b = new Espalier(this.bed, 'gatewayB', join(this.#directory, 'b'));
  }

  get both(): readonly [Espalier, Espalier] {
    return [this.a, this.b];
  }

  async start(): Promise<this> {
    const lines = (keys: readonly string[] = []) => keys.map((line) => `  ${line}\n`).join('');
    const control = lines(this.#options.control);
    const { sections = '', gateway } = this.#options;
    await this.b.start(this.#connections('B', 'A'), { gateway: lines(gateway?.B), control });
    await this.a.start(`${this.#connections('A', 'B')}${sections}`, { gateway: lines(gateway?.A), control });
    return this;
  }

  async remove(): Promise<void> {
    await Promise.all(this.both.map((gateway) => gateway.stop()));
    await this.bed.remove();
    rmSync(this.#directory, { recursive: true });
  }

  #connections(own: 'A' | 'B', peer: 'A' | 'B'): string {
    const indented = (lines: readonly string[] = [], width: number) =>
      lines.map((line) => `${' '.repeat(width)}${line}\n`).join('');
    const { between = 'networks', everything = false, family = 4 } = this.#options;
    const [wanA, wanB] = [ADDRESSES.wanA, ADDRESSES.wanB].map((addresses) => addresses[family === 4 ? 0 : 1]);
    const wan = { A: wanA, B: wanB };
    const selectors = (side: 'A' | 'B') => {
      if (everything && side === 'B') return '["0.0.0.0/0", "::/0"]';
      return between === 'networks' ? `[${NETWORKS[side].map((network) => `"${network}"`).join(', ')}]` : 'dynamic';
    };
    return `
connections:
  pair:
    local_addrs: ["${wan[own]}"]
    remote_addrs: ["${wan[peer]}"]
    proposals: [aes128gcm16-prfsha256-x25519]
    encap: ${between === 'networks'}
${indented(this.#options.connection, 4)}
    local: {auth: psk, id: ${own}.example, secret: correct horse}
    remote: {auth: psk, id: ${peer}.example}
    children:
      net:
        local_ts: ${selectors(own)}
        remote_ts: ${selectors(peer)}
        esp_proposals: [aes128gcm16]
${indented(this.#options.child, 8)}
`;
  }
}
