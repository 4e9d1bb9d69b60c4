/**
 * Two routers between the gateways of a bed, each in a namespace of its own, and a link between them that
 * takes shorter packets than those at the gateways:
 *
 *     gateway A ──wan── router a ══narrow══ router b ──wan── gateway B
 *     192.0.2.1                                              192.0.2.2
 *     2001:db8::1                                            2001:db8::2
 */
import { ADDRESSES, type Bed, command } from '../../src/demo/bed.ts';

const SIDES = ['a', 'b'] as const;
type Side = (typeof SIDES)[number];

const GATEWAY = { a: 'gatewayA', b: 'gatewayB' } as const;
const WAN = { a: ADDRESSES.wanA, b: ADDRESSES.wanB } as const;
/** What routers call themselves on each of their links. */
const ROUTER = { a: ['198.51.100.1', 'fe80::a'], b: ['198.51.100.2', 'fe80::b'] } as const;
/** A packet of theirs to anywhere has an address that may be answered. */
const GLOBAL = { a: '2001:db8:a::1', b: '2001:db8:b::1' } as const;

export class NarrowPath {
  readonly #bed: Bed;

  /** Takes the place of the link between the gateways. @param mtu of the link between the routers */
  constructor(bed: Bed, mtu: number) {
    this.#bed = bed;
    for (const side of SIDES) command('ip', 'netns', 'add', this.#namespace(side));
    try {
      bed.run('gatewayA', 'ip', 'link', 'delete', 'wan');
      this.#wire(this.#namespace('a'), 'narrow', this.#namespace('b'), 'narrow');
      for (const side of SIDES) {
        this.#wire(bed.namespace(GATEWAY[side]), 'wan', this.#namespace(side), 'wan');
        this.#connectGateway(side);
        this.#connectRouter(side);
      }
      this.narrow(mtu);
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** Bytes that a packet on the link between the routers may have from now on. */
  narrow(mtu: number): void {
    for (const side of SIDES) this.#ip(side, 'link', 'set', 'narrow', 'mtu', String(mtu));
  }

  remove(): void {
    for (const side of SIDES) command('ip', 'netns', 'delete', this.#namespace(side));
  }

  #namespace(side: Side): string {
    return `${this.#bed.name}-r${side}`;
  }

  #wire(left: string, device: string, right: string, otherDevice: string): void {
    const ends = ['name', device, 'netns', left, 'type', 'veth', 'peer', 'name', otherDevice, 'netns', right];
    command('ip', 'link', 'add', ...ends);
    command('ip', '-n', left, 'link', 'set', device, 'up');
    command('ip', '-n', right, 'link', 'set', otherDevice, 'up');
  }

  #connectGateway(side: Side): void {
    const gateway = this.#bed.namespace(GATEWAY[side]);
    const other = WAN[side === 'a' ? 'b' : 'a'];
    WAN[side].forEach((address, family) => {
      const ip = (...args: readonly string[]) => command('ip', '-n', gateway, family === 0 ? '-4' : '-6', ...args);
      ip('address', 'add', address, 'dev', 'wan', ...(family === 0 ? [] : ['nodad']));
      ip('route', 'add', other[family]!, 'via', ROUTER[side][family]!, 'dev', 'wan', 'onlink');
    });
  }

  #connectRouter(side: Side): void {
    const other = side === 'a' ? 'b' : 'a';
    const on = '/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding';
    command('ip', 'netns', 'exec', this.#namespace(side), 'sh', '-c', `for file in ${on}; do echo 1 > $file; done`);
    this.#ip(side, 'link', 'set', 'lo', 'up');
    this.#ip(side, 'address', 'add', GLOBAL[side], 'dev', 'lo', 'nodad');
    for (const device of ['wan', 'narrow']) {
      this.#ip(side, 'address', 'add', `${ROUTER[side][0]}/32`, 'dev', device);
      this.#ip(side, 'address', 'add', `${ROUTER[side][1]}/64`, 'dev', device, 'nodad');
    }
    for (const family of [0, 1]) {
      const add = (address: string, ...to: readonly string[]) =>
        this.#ip(side, family === 0 ? '-4' : '-6', 'route', 'add', address, ...to);
      add(WAN[side][family]!, 'dev', 'wan');
      add(WAN[other][family]!, 'via', ROUTER[other][family]!, 'dev', 'narrow', 'onlink');
    }
  }

  #ip(side: Side, ...args: readonly string[]): void {
    command('ip', '-n', this.#namespace(side), ...args);
  }
}
