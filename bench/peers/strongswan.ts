/**
 * strongSwan's charon with kernel-libipsec (ESP in user space, always in UDP) in a namespace of the
 * bed, steered by swanctl.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bed, Place } from '../../src/demo/bed.ts';

const PLUGINS =
  'random nonce openssl pem pkcs1 pkcs7 pkcs8 x509 revocation constraints pubkey curve25519 hmac kdf gmp ' +
  'chapoly gcm ccm ctr aes sha1 sha2 mgf1 drbg kernel-libipsec kernel-netlink socket-default vici updown';

const START_TRIES = 300;

export interface StrongSwanOptions {
  /** More lines for the `charon` section of strongswan.conf, each on a line of its own. */
  readonly charon?: string;
}

export class StrongSwan {
  readonly directory: string;
  readonly #bed: Bed;
  readonly #place: Place;
  readonly #options: StrongSwanOptions;
  #child: ChildProcess | undefined;

  constructor(bed: Bed, place: Place, directory: string, options: StrongSwanOptions = {}) {
    this.#bed = bed;
    this.#place = place;
    this.directory = directory;
    this.#options = options;
    for (const folder of ['x509', 'x509ca', 'x509crl', 'private', 'conf.d']) {
      mkdirSync(join(directory, folder), { recursive: true });
    }
  }

  get log(): string {
    const file = join(this.directory, 'charon.log');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** @param connections contents of swanctl.conf, every key on a line of its own */
  async start(connections: string): Promise<void> {
    writeFileSync(join(this.directory, 'strongswan.conf'), this.#configuration());
    rmSync(this.#socket, { force: true });
    const output = openSync(join(this.directory, 'output.log'), 'a');
    this.#child = this.#bed.spawn(
      this.#place,
      'env',
      [`STRONGSWAN_CONF=${this.directory}/strongswan.conf`, '/usr/sbin/charon-systemd'],
      {
        stdio: ['ignore', output, output],
      },
    );
    for (let tries = 0; !existsSync(this.#socket); tries++) {
      if (tries === START_TRIES) throw new Error(`charon did not start: ${this.log}`);
      await sleep(100);
    }
    this.load(connections);
  }

  /** Replaces the connections and secrets. */
  load(connections: string): void {
    writeFileSync(join(this.directory, 'swanctl.conf'), connections);
    this.swanctl('--load-all', '--clear');
  }

  /** @returns what swanctl printed */
  swanctl(verb: string, ...args: readonly string[]): string {
    return this.#bed.run(this.#place, 'env', ...this.#swanctl(verb, args));
  }

  /** The same beside other work. @returns whether it succeeded */
  async swanctlBeside(verb: string, ...args: readonly string[]): Promise<boolean> {
    const child = this.#bed.spawn(this.#place, 'env', this.#swanctl(verb, args), { stdio: 'ignore' });
    const [code] = await once(child, 'exit');
    return code === 0;
  }

  /** Ends charon; `kill` without a word to its peers. */
  async stop(kill = false): Promise<void> {
    if (this.#child === undefined) return;
    if (kill) this.#child.kill('SIGKILL');
    await this.#bed.end(this.#child);
    this.#child = undefined;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  #swanctl(verb: string, args: readonly string[]): string[] {
    const environment = [`STRONGSWAN_CONF=${this.directory}/strongswan.conf`, `SWANCTL_DIR=${this.directory}`];
    return [...environment, 'swanctl', verb, ...args, '--uri', `unix://${this.#socket}`];
  }

  get #socket(): string {
    return join(this.directory, 'charon.vici');
  }

  #configuration(): string {
    return `
charon-systemd {
  load = ${PLUGINS}
  install_virtual_ip = no
  filelog {
    log {
      path = ${this.directory}/charon.log
      default = 1
      ike = 2
      cfg = 2
      enc = 1
      esp = 2
      flush_line = yes
    }
  }
  plugins {
    vici {
      socket = unix://${this.#socket}
    }
    kernel-libipsec {
      allow_peer_ts = yes
    }
  }
  ${this.#options.charon ?? ''}
}
`;
  }
}
