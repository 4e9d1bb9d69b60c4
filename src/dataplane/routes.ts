/**
 * Routing into the TUN. Protected prefixes stand in a table of their own, which every packet looks
 * up before the main one unless it bears the mark of outer packets:
 *
 *     rule  PRIORITY  not fwmark MARK lookup TABLE         10.2.0.0/16 dev espalier0
 *     rule  32766     lookup main                          default via …
 *
 * So an outer packet never enters the TUN, even where the peer's own address is protected (transport
 * mode between hosts). Within a protected prefix, more specific routes of the main table still win,
 * as if all stood in one: each has a `throw` route here.
 */
import {
  type Prefix,
  parsePrefix,
  type RouteChange,
  RouteMonitor,
  Rtnetlink,
  type RuleChange,
  TABLE_MAIN,
} from './io/rtnetlink.ts';
import { addressText } from './selector.ts';
import { AF_INET, AF_INET6 } from './sockaddr.ts';

/** The mark of outer packets unless the options say otherwise; also the number of the table. */
export const DEFAULT_MARK = 0x4553;
/** Before the main table's rule, 32766, and behind what an administrator usually adds by hand. */
const RULE_PRIORITY = 5210;
/** After a change of the main table it is looked at this much later. */
const SETTLE_MILLIS = 50;

/** There are as many routes as tunnels, and hardly ever a way back. */
const NO_THROWS: readonly Prefix[] = [];

export class Routes {
  readonly #netlink = new Rtnetlink();
  readonly #device: number;
  readonly #table: number;
  readonly #rules: RuleChange[] = [];
  /** The ways back that each route needs, by its destination. */
  readonly #routes = new Map<string, readonly Prefix[]>();
  /** Who needs each route, by its destination. */
  readonly #users = new Map<string, Set<string>>();
  /** How many routes need a way back to the main table, by its destination. */
  readonly #throws = new Map<string, number>();
  /** What the main table has, by family, as long as it is not known to have changed. */
  readonly #main = new Map<number, readonly Prefix[]>();
  #monitor: RouteMonitor | undefined;
  #settling: NodeJS.Timeout | undefined;

  /**
   * @param device its index
   * @param mark of outer packets; 0 puts routes into the main table
   */
  constructor(device: number, mark: number) {
    this.#device = device;
    this.#table = mark === 0 ? TABLE_MAIN : mark;
    if (mark === 0) return;
    for (const family of [AF_INET, AF_INET6]) {
      const rule = { family, priority: RULE_PRIORITY, table: this.#table, unlessMark: mark };
      try {
        this.#netlink.addRule(rule);
        this.#rules.push(rule);
      } catch (error) {
        // A system without IPv6 has no rules for it either.
        if (family === AF_INET6) continue;
        this.close();
        throw error;
      }
    }
    this.#monitor = new RouteMonitor(() => this.#mainChanged());
  }

  /** A route that is there already is so all the time. */
  add(prefix: string, source?: string, user = ''): void {
    const destination = maskPrefix(parsePrefix(prefix));
    const key = keyOf(destination);
    const before = this.#routes.get(key) ?? NO_THROWS;
    const route = {
      prefix: destination,
      table: this.#table,
      device: this.#device,
      ...(source === undefined ? {} : { source }),
    };
    const throws =
      this.#table === TABLE_MAIN ? NO_THROWS : moreSpecific(destination, this.#mainDestinations(familyOf(destination)));
    for (const back of throws) this.#addThrow(back);
    this.#netlink.addRoute(route);
    this.#routes.set(key, throws);
    for (const back of before) this.#removeThrow(back);
    const users = this.#users.get(key);
    if (users === undefined) this.#users.set(key, new Set([user]));
    else users.add(user);
  }

  /** It stays for those that need it still. */
  remove(prefix: string, user = ''): void {
    const destination = maskPrefix(parsePrefix(prefix));
    const users = this.#users.get(keyOf(destination));
    users?.delete(user);
    if (users?.size === 0) this.#remove(destination);
  }

  #remove(destination: Prefix): void {
    const key = keyOf(destination);
    this.#users.delete(key);
    const throws = this.#routes.get(key);
    if (throws === undefined) return;
    this.#routes.delete(key);
    this.#netlink.removeRoute({ prefix: destination, table: this.#table, device: this.#device });
    if (this.#throws.has(key)) this.#netlink.addRoute(this.#throwOf(destination));
    for (const back of throws) this.#removeThrow(back);
  }

  /** Removes routes and rules. */
  close(): void {
    clearTimeout(this.#settling);
    this.#monitor?.close();
    this.#monitor = undefined;
    for (const key of [...this.#routes.keys()]) this.#remove(parsePrefix(key));
    for (const rule of this.#rules) this.#netlink.removeRule(rule);
    this.#rules.length = 0;
    this.#netlink.close();
  }

  #addThrow(prefix: Prefix): void {
    const key = keyOf(prefix);
    const count = this.#throws.get(key) ?? 0;
    this.#throws.set(key, count + 1);
    if (count === 0 && !this.#routes.has(key)) this.#netlink.addRoute(this.#throwOf(prefix));
  }

  #removeThrow(prefix: Prefix): void {
    const key = keyOf(prefix);
    const count = this.#throws.get(key) ?? 0;
    if (count > 1) {
      this.#throws.set(key, count - 1);
      return;
    }
    this.#throws.delete(key);
    if (!this.#routes.has(key)) this.#netlink.removeRoute(this.#throwOf(prefix));
  }

  #throwOf(prefix: Prefix): RouteChange {
    return { prefix, table: this.#table };
  }

  /** Thousands of tunnels come up in a row, and the main table hardly ever changes. */
  #mainDestinations(family: number): readonly Prefix[] {
    this.#monitor?.poll();
    const known = this.#main.get(family) ?? this.#netlink.mainDestinations(family);
    this.#main.set(family, known);
    return known;
  }

  /** Changes come in bursts: all are looked at together. */
  #mainChanged(): void {
    this.#main.clear();
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      const main = [AF_INET, AF_INET6].flatMap((family) => this.#mainDestinations(family));
      for (const [key, before] of this.#routes) {
        const throws = moreSpecific(parsePrefix(key), main);
        this.#routes.set(key, throws);
        for (const back of throws) this.#addThrow(back);
        for (const back of before) this.#removeThrow(back);
      }
    }, SETTLE_MILLIS);
  }
}

const familyOf = ({ address }: Prefix): number => (address.length === 4 ? AF_INET : AF_INET6);

const keyOf = ({ address, length }: Prefix): string => `${addressText(address)}/${length}`;

function moreSpecific(prefix: Prefix, others: readonly Prefix[]): readonly Prefix[] {
  const found = others.filter(
    ({ address, length }) =>
      address.length === prefix.address.length && length > prefix.length && contains(prefix, address),
  );
  return found.length === 0 ? NO_THROWS : found;
}

function contains(prefix: Prefix, address: Uint8Array): boolean {
  const masked = maskPrefix({ address, length: prefix.length });
  return masked.address.every((byte, index) => byte === prefix.address[index]);
}

/** @returns the prefix with the bits of the host cleared */
function maskPrefix({ address, length }: Prefix): Prefix {
  const bits = (index: number) => Math.min(8, Math.max(0, length - index * 8));
  return { address: address.map((byte, index) => byte & (0xff00 >> bits(index))), length };
}
