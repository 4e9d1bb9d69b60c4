/** The backends in use, and which of them an SA's packets go to. */
import type { BackendChoice, BackendInfo } from '../contract.ts';
import { EspalierError } from '../errors.ts';
import type { BackendCounters, WantedBackend } from './worker-backends.ts';

/** So many can be told apart in backends/split.ts. */
const MOST_BACKENDS = 256;

export class BackendTable {
  readonly choice: BackendChoice;
  /** By KEY_BACKEND: the gateway's, then those that connections have for their own. */
  readonly #names: readonly string[];

  /** @throws EspalierError `ERR_BACKEND` if there are too many */
  constructor(choice: BackendChoice) {
    this.choice = choice;
    this.#names = [...new Set([choice.backend, ...choice.connections.values()])];
    if (this.#names.length > MOST_BACKENDS) {
      throw new EspalierError(
        'ERR_BACKEND',
        `${this.#names.length} backends; ${MOST_BACKENDS} may be in use at a time`,
      );
    }
  }

  /** What every worker needs. */
  get wanted(): readonly WantedBackend[] {
    const { shadow } = this.choice;
    return this.#names.map((name) => ({ name, ...(shadow !== undefined && { shadow }) }));
  }

  /** @returns KEY_BACKEND of the SAs of a connection, or of those that have none */
  indexOf(connection: string | undefined): number {
    const own = connection === undefined ? undefined : this.choice.connections.get(connection);
    return own === undefined ? 0 : this.#names.indexOf(own);
  }

  /** @param counted what each worker has told last */
  info(counted: readonly (readonly BackendCounters[])[]): BackendInfo[] {
    return this.#names.map((name) => {
      const counters: Record<string, number> = {};
      for (const entry of counted.flat()) {
        if (entry.name !== name) continue;
        for (const [what, count] of Object.entries(entry.counters)) counters[what] = (counters[what] ?? 0) + count;
      }
      const connections = [...this.choice.connections]
        .filter(([, own]) => own === name)
        .map(([connection]) => connection);
      return { name, connections, counters };
    });
  }
}
