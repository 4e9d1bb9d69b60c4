/**
 * Host names in `remote_addrs`. They are looked up at start and at reload, and again for a connection
 * that is down. The core only ever sees addresses: a connection whose names have none is kept from it.
 */
import { lookup } from 'node:dns/promises';
import type { Config, ConnectionConfig } from '../config/model.ts';
import { isHostName } from '../config/values.ts';
import { canonicalAddress } from '../wire/address.ts';

/** Milliseconds after which a name server that does not answer is not waited for. */
const PATIENCE = 5000;

export const hasHostName = ({ remoteAddrs }: ConnectionConfig): boolean => remoteAddrs.some(isHostName);

type Lookup = (name: string) => Promise<readonly string[]>;

const systemLookup: Lookup = async (name) =>
  (await lookup(name, { all: true })).map(({ address }) => canonicalAddress(address.replace(/%.*$/, '')));

export class HostNames {
  readonly #known = new Map<string, readonly string[]>();
  readonly #lookup: Lookup;
  readonly #onProblem: (name: string, reason: string) => void;

  /** @param onProblem is told of names that cannot be looked up; what was known of them stands */
  constructor(onProblem: (name: string, reason: string) => void, look: Lookup = systemLookup) {
    this.#onProblem = onProblem;
    this.#lookup = look;
  }

  /** Looks up the names of these connections, all at once. */
  async refresh(connections: readonly ConnectionConfig[]): Promise<void> {
    const names = new Set(connections.flatMap(({ remoteAddrs }) => remoteAddrs.filter(isHostName)));
    await Promise.all([...names].map((name) => this.#refresh(name)));
  }

  /** @returns whether a connection has names and not one address: without one, "any" would be meant */
  isUnknown(connection: ConnectionConfig): boolean {
    return hasHostName(connection) && this.#addresses(connection).length === 0;
  }

  /** @returns the configuration with addresses for names, without the connections that have none */
  apply(config: Config): Config {
    const known = config.connections.filter((connection) => !this.isUnknown(connection));
    return {
      ...config,
      connections: known.map((connection) => ({ ...connection, remoteAddrs: this.#addresses(connection) })),
    };
  }

  #addresses({ remoteAddrs }: ConnectionConfig): string[] {
    return remoteAddrs.flatMap((entry) => (isHostName(entry) ? (this.#known.get(entry) ?? []) : [entry]));
  }

  async #refresh(name: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('the name server does not answer')), PATIENCE);
    });
    try {
      // Sorted, as name servers like to turn their answers round, and that is no change.
      this.#known.set(name, [...(await Promise.race([this.#lookup(name), late]))].sort());
    } catch (error) {
      this.#onProblem(name, (error as Error).message);
    } finally {
      clearTimeout(timer);
    }
  }
}
