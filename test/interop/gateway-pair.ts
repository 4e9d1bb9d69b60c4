/** Two of our own gateways in the bed, which negotiate the SAs of both address families by IKEv2. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Espalier } from '../../bench/peers/espalier.ts';
import { Bed, type BedOptions, NETWORKS, uniqueName } from '../../src/demo/bed.ts';

export interface PairOptions extends BedOptions {
  /** More keys of the connection, of its child `net`, and sections: YAML with an indentation of its own. */
  readonly connection?: readonly string[];
  readonly child?: readonly string[];
  /** Of gateway A. */
  readonly sections?: string;
  readonly control?: readonly string[];
}

/** Waits until `condition` holds. @throws if it does not in time */
export async function until(what: string, condition: () => boolean | Promise<boolean>, seconds = 15): Promise<void> {
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
    const control = (this.#options.control ?? []).map((line) => `  ${line}\n`).join('');
    await this.b.start(this.#connections('B', 'A'), { control });
    await this.a.start(`${this.#connections('A', 'B')}${this.#options.sections ?? ''}`, { control });
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
    const wan = { A: '192.0.2.1', B: '192.0.2.2' };
    return `
connections:
  pair:
    local_addrs: [${wan[own]}]
    remote_addrs: [${wan[peer]}]
    proposals: [aes128gcm16-prfsha256-x25519]
    encap: true
${indented(this.#options.connection, 4)}
    local: {auth: psk, id: ${own}.example, secret: correct horse}
    remote: {auth: psk, id: ${peer}.example}
    children:
      net:
        local_ts: [${NETWORKS[own].map((network) => `"${network}"`).join(', ')}]
        remote_ts: [${NETWORKS[peer].map((network) => `"${network}"`).join(', ')}]
        esp_proposals: [aes128gcm16]
${indented(this.#options.child, 8)}
`;
  }
}
