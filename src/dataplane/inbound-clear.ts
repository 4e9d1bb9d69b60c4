/**
 * RFC 4301 §5.2 for what never comes to a worker: the system forwards and delivers packets that arrive in the clear
 * past the tunnel, and those that the SPD wants protected are not to be taken. So the system gets rules, in a table
 * of nf_tables of our own: a packet that did not come out of the device is dropped and counted if a DISCARD entry
 * names it, or a PROTECT entry does and packets to its source go into the device, unless a BYPASS entry comes before
 * (inbound-clear-rules.ts).
 */
import type { PolicyParameters } from '../contract.ts';
import { clearRules, type Entry, refusal, type Surroundings } from './inbound-clear-rules.ts';
import { baseChain, chain, counter, flushChain, NfTable, removeSet } from './io/nftables.ts';

const CHAIN = 'inbound';
/** What happens to packets that a PROTECT or a DISCARD entry names, and what counts them. */
const REFUSALS = { protect: 'refusal', discard: 'discard' } as const;
const COUNTERS = { protect: 'clear', discard: 'discarded' } as const;
/** Behind destination NAT, as a packet's last destination is what the SPD knows. */
const PRIORITY = 0;
/**
 * Between two changes of the rules is a rest, so that thousands of tunnels that come up in a row do not keep the
 * thread busy with them: several times as long as the last change took, in milliseconds.
 */
const REST = { times: 5, most: 300 } as const;

export interface InboundClearOptions extends Surroundings {
  /** Name of the device. */
  readonly name: string;
  /** Is told when rules cannot be changed; they are then what they were before. */
  readonly onWarning: (sentence: string) => void;
}

export class InboundClear {
  readonly #table: NfTable;
  readonly #options: InboundClearOptions;
  /** What rules are made of, each once, and how many policies want it. */
  readonly #entries = new Map<string, { readonly entry: Entry; users: number }>();
  readonly #owners = new Map<string, string>();
  #sets: readonly string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #restUntil = 0;

  /** @throws SystemError where the system cannot do it */
  constructor(options: InboundClearOptions) {
    this.#options = options;
    this.#table = new NfTable(`espalier_${options.name}`, [
      ...(['protect', 'discard'] as const).flatMap((action) => [
        counter(COUNTERS[action]),
        chain(REFUSALS[action]),
        ...refusal(REFUSALS[action], COUNTERS[action], options.ports),
      ]),
      baseChain(CHAIN, PRIORITY),
    ]);
  }

  /** @param owner the policy's name among all owners */
  add(owner: string, { action, direction, priority, selector }: Omit<PolicyParameters, 'name' | 'sa'>): void {
    if (action !== 'protect' && direction !== 'in') return;
    const entry = { action, priority, selector };
    // The others are looked up one by one, in the order in which they came.
    const key = action === 'protect' ? keyOf(entry) : owner;
    this.#owners.set(owner, key);
    const known = this.#entries.get(key);
    if (known !== undefined) {
      known.users++;
      return;
    }
    this.#entries.set(key, { entry, users: 1 });
    this.#changed();
  }

  remove(owner: string): void {
    const key = this.#owners.get(owner);
    const known = key === undefined ? undefined : this.#entries.get(key);
    if (key === undefined || known === undefined) return;
    this.#owners.delete(owner);
    if (--known.users > 0) return;
    this.#entries.delete(key);
    this.#changed();
  }

  /** Packets dropped, by the action of the entry that names them. */
  get dropped(): Readonly<Record<'protect' | 'discard', number>> {
    return { protect: this.#table.packets(COUNTERS.protect), discard: this.#table.packets(COUNTERS.discard) };
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#table.close();
  }

  #changed(): void {
    this.#timer ??= setTimeout(() => this.#update(), Math.max(0, this.#restUntil - performance.now())).unref();
  }

  #update(): void {
    this.#timer = undefined;
    const start = performance.now();
    const entries = [...this.#entries.values()].map(({ entry }) => entry);
    const { sets, changes } = clearRules(entries, { chain: CHAIN, refusals: REFUSALS, ...this.#options });
    try {
      this.#table.commit([flushChain(CHAIN), ...this.#sets.map(removeSet), ...changes]);
      this.#sets = sets;
    } catch (error) {
      this.#options.onWarning(`what arrives in the clear is judged by policies of before: ${(error as Error).message}`);
    }
    const now = performance.now();
    this.#restUntil = now + Math.min(REST.most, REST.times * (now - start));
  }
}

/** Children differ in what is remote, which makes no difference to the rules: it is the routes that tell. */
function keyOf({ priority, selector: { protocol, local, remote } }: Entry): string {
  const { addresses, ports } = local;
  const here = [addresses.from, addresses.to, ports.from, ports.to];
  return [priority, protocol, ...here, remote.ports.from, remote.ports.to].join(' ');
}
