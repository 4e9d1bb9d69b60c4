/**
 * A test bed of network namespaces, made for one run and removed by it:
 *
 *     host A ──lan── gateway A ──wan── gateway B ──lan── host B
 *     10.1.0.2    10.1.0.1 192.0.2.1  192.0.2.2 10.2.0.1   10.2.0.2
 *     fd01::2      fd01::1 2001:db8::1 2001:db8::2 fd02::1   fd02::2
 *
 * Needs root, or a user namespace with a network and a mount namespace of its own.
 */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { EspalierError } from '../errors.ts';

export type Place = 'hostA' | 'gatewayA' | 'gatewayB' | 'hostB';

export const ADDRESSES = {
  hostA: ['10.1.0.2', 'fd01::2'],
  lanA: ['10.1.0.1', 'fd01::1'],
  wanA: ['192.0.2.1', '2001:db8::1'],
  wanB: ['192.0.2.2', '2001:db8::2'],
  lanB: ['10.2.0.1', 'fd02::1'],
  hostB: ['10.2.0.2', 'fd02::2'],
} as const;

export const NETWORKS = { A: ['10.1.0.0/24', 'fd01::/64'], B: ['10.2.0.0/24', 'fd02::/64'] } as const;

/** How long a process may take to end by itself, in milliseconds. */
const GRACE = 3000;

const SUFFIX: Readonly<Record<Place, string>> = { hostA: 'ha', gatewayA: 'ga', gatewayB: 'gb', hostB: 'hb' };
const PLACES = Object.keys(SUFFIX) as Place[];

export interface BedOptions {
  /** Bytes of an outer packet; default 1500. */
  readonly wanMtu?: number;
}

/** @returns a name that no other run on this machine has */
export const uniqueName = (prefix: string): string => `${prefix}${process.pid.toString(36)}`;

/** @throws EspalierError `ERR_COMMAND` with what the command said, if it fails */
export function command(file: string, ...args: readonly string[]): string {
  const { status, error, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8' });
  if (error === undefined && status === 0) return stdout;
  const said = error?.message ?? stderr.trim();
  throw new EspalierError('ERR_COMMAND', `${[file, ...args].join(' ')}: ${said || `exit ${status}`}`);
}

/**
 * Waits for a process with pipes for output to end.
 * @returns what it printed
 * @throws EspalierError `ERR_COMMAND` with what it said on standard error, or printed, if it fails
 */
export async function outputOf(child: ChildProcess, what: string): Promise<string> {
  let output = '';
  let errors = '';
  child.stdout!.on('data', (data) => {
    output += data;
  });
  child.stderr!.on('data', (data) => {
    errors += data;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new EspalierError('ERR_COMMAND', `${what}: ${(errors || output).trim()}`);
  return output;
}

export class Bed {
  readonly name: string;
  readonly #children = new Set<ChildProcess>();
  #removed = false;

  /** Builds the bed; what was made of it is removed again if a step fails. */
  static create(name: string, options: BedOptions = {}): Bed {
    const bed = new Bed(name);
    try {
      bed.#build(options.wanMtu ?? 1500);
    } catch (error) {
      bed.#removeNamespaces();
      throw error;
    }
    return bed;
  }

  private constructor(name: string) {
    this.name = name;
  }

  namespace(place: Place): string {
    return `${this.name}-${SUFFIX[place]}`;
  }

  /** Runs a command in a namespace to its end. @returns its standard output */
  run(place: Place, file: string, ...args: readonly string[]): string {
    return command('ip', 'netns', 'exec', this.namespace(place), file, ...args);
  }

  /** Starts a command in a namespace; `remove` ends it. */
  spawn(place: Place, file: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.namespace(place), file, ...args], options);
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Ends one process: asks, then insists. */
  async end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), GRACE);
    await gone;
    clearTimeout(timer);
  }

  /** Ends what was started and removes every namespace; may be called again. */
  async remove(): Promise<void> {
    await Promise.all([...this.#children].map((child) => this.end(child)));
    this.#removeNamespaces();
  }

  #build(wanMtu: number): void {
    for (const place of PLACES) {
      const namespace = this.namespace(place);
      command('ip', 'netns', 'add', namespace);
      this.#ip(place, 'link', 'set', 'lo', 'up');
      // Otherwise neighbours are not heard until a second after the links are up.
      this.sysctl(place, 'net.ipv6.conf.default.accept_dad', '0');
    }
    this.#wire('hostA', 'lan', 'gatewayA', 'lan', 1500);
    this.#wire('gatewayA', 'wan', 'gatewayB', 'wan', wanMtu);
    this.#wire('hostB', 'lan', 'gatewayB', 'lan', 1500);
    this.#address('hostA', 'lan', ADDRESSES.hostA);
    this.#address('gatewayA', 'lan', ADDRESSES.lanA);
    this.#address('gatewayA', 'wan', ADDRESSES.wanA);
    this.#address('gatewayB', 'wan', ADDRESSES.wanB);
    this.#address('gatewayB', 'lan', ADDRESSES.lanB);
    this.#address('hostB', 'lan', ADDRESSES.hostB);
    this.#defaultRoute('hostA', ADDRESSES.lanA);
    this.#defaultRoute('hostB', ADDRESSES.lanB);
    for (const place of ['gatewayA', 'gatewayB'] as const) {
      this.sysctl(place, 'net.ipv4.ip_forward', '1');
      this.sysctl(place, 'net.ipv6.conf.all.forwarding', '1');
    }
  }

  sysctl(place: Place, name: string, value: string): void {
    const file = `/proc/sys/${name.replaceAll('.', '/')}`;
    this.run(place, 'sh', '-c', `echo ${value} > ${file}`);
  }

  #ip(place: Place, ...args: readonly string[]): void {
    command('ip', '-n', this.namespace(place), ...args);
  }

  #wire(a: Place, deviceA: string, b: Place, deviceB: string, mtu: number): void {
    const [left, right] = [this.namespace(a), this.namespace(b)];
    const ends = ['name', deviceA, 'netns', left, 'type', 'veth', 'peer', 'name', deviceB, 'netns', right];
    command('ip', 'link', 'add', ...ends);
    this.#ip(a, 'link', 'set', deviceA, 'mtu', String(mtu), 'up');
    this.#ip(b, 'link', 'set', deviceB, 'mtu', String(mtu), 'up');
  }

  #address(place: Place, device: string, [v4, v6]: readonly [string, string]): void {
    this.#ip(place, 'address', 'add', `${v4}/24`, 'dev', device);
    this.#ip(place, 'address', 'add', `${v6}/64`, 'dev', device, 'nodad');
  }

  #defaultRoute(place: Place, [v4, v6]: readonly [string, string]): void {
    this.#ip(place, 'route', 'add', 'default', 'via', v4);
    this.#ip(place, '-6', 'route', 'add', 'default', 'via', v6);
  }

  #removeNamespaces(): void {
    if (this.#removed) return;
    this.#removed = true;
    for (const place of PLACES) spawnSync('ip', ['netns', 'delete', this.namespace(place)], { stdio: 'ignore' });
  }
}
