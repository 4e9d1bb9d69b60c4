/** Espalier's own command in a namespace of the bed, as an administrator runs it. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient } from '../../src/control/manage/client.ts';
import type { Bed, Place } from '../../src/demo/bed.ts';
import type { GatewayStatus } from '../../src/gateway.ts';
import { packagePath } from '../../src/package-root.ts';

const MAIN = packagePath('dist', 'src', 'main.js');
const START_TRIES = 300;

/** More lines of the two sections, indented by two. */
export interface Sections {
  readonly gateway?: string;
  readonly control?: string;
}

export class Espalier {
  readonly directory: string;
  readonly #bed: Bed;
  readonly #place: Place;
  #child: ChildProcess | undefined;

  constructor(bed: Bed, place: Place, directory: string) {
    this.#bed = bed;
    this.#place = place;
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  get log(): string {
    const file = join(this.directory, 'espalier.log');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** @param connections YAML, from column 0 on: everything but the sections `gateway` and `control` */
  async start(connections: string, sections: Sections = {}): Promise<void> {
    this.write(connections, sections);
    rmSync(this.#socket, { force: true });
    const output = openSync(join(this.directory, 'espalier.log'), 'a');
    const args = [MAIN, 'run', '-c', this.#file];
    this.#child = this.#bed.spawn(this.#place, process.execPath, args, { stdio: ['ignore', output, output] });
    for (let tries = 0; !existsSync(this.#socket); tries++) {
      if (tries === START_TRIES || this.#child.exitCode !== null)
        throw new Error(`espalier did not start: ${this.log}`);
      await sleep(100);
    }
  }

  /** Writes the configuration anew; `reload` of the command reads it. */
  write(connections: string, { gateway = '', control = '' }: Sections = {}): void {
    const text = `gateway:\n  device: espalier0\n${gateway}\ncontrol:\n  socket: ${this.#socket}\n${control}\n${connections}`;
    writeFileSync(this.#file, text, { mode: 0o600 });
  }

  /** @returns what the command printed @throws with what it said, if it fails */
  cli(...args: readonly string[]): string {
    return this.#bed.run(this.#place, process.execPath, MAIN, ...args, '--socket', this.#socket);
  }

  /** Asks it without a command's start-up. */
  get client(): ControlClient {
    return new ControlClient(this.#socket);
  }

  status(): GatewayStatus {
    return JSON.parse(this.cli('status', '--json')) as GatewayStatus;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  async stop(kill = false): Promise<void> {
    if (this.#child === undefined) return;
    if (kill) this.#child.kill('SIGKILL');
    await this.#bed.end(this.#child);
    this.#child = undefined;
  }

  get #socket(): string {
    return join(this.directory, 'control.sock');
  }

  get #file(): string {
    return join(this.directory, 'espalier.yaml');
  }
}
