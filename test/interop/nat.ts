/**
 * A NAT between gateway A and gateway B of a bed, in a namespace of its own:
 *
 *     gateway A ──wan── NAT ──out── gateway B
 *     172.16.0.2   172.16.0.1  192.0.2.1   192.0.2.2
 */
import { ADDRESSES, type Bed, command } from '../../src/demo/bed.ts';

export const INSIDE = '172.16.0.2';
const INSIDE_ROUTER = '172.16.0.1';
/** Where UDP ports go after a change of the mapping. */
const OTHER_PORTS = '20000-29999';

export class Nat {
  readonly #namespace: string;

  constructor(bed: Bed, outside: string) {
    this.#namespace = `${bed.name}-nat`;
    const a = bed.namespace('gatewayA');
    const b = bed.namespace('gatewayB');
    command('ip', 'netns', 'add', this.#namespace);
    try {
      bed.run('gatewayB', 'ip', 'link', 'delete', 'wan');
      this.#wire(a, 'in');
      this.#wire(b, 'out');
      command('ip', '-n', a, 'address', 'add', `${INSIDE}/24`, 'dev', 'wan');
      command('ip', '-n', b, 'address', 'add', `${ADDRESSES.wanB[0]}/24`, 'dev', 'wan');
      command('ip', '-n', a, 'route', 'add', 'default', 'via', INSIDE_ROUTER);
      this.#ip('address', 'add', `${INSIDE_ROUTER}/24`, 'dev', 'in');
      this.#ip('address', 'add', `${outside}/24`, 'dev', 'out');
      this.#run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
      this.#masquerade();
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** Another address and other ports from now on; what came to the old ones is lost. */
  remap(before: string, after: string): void {
    this.#masquerade(`to :${OTHER_PORTS}`);
    // With an address go the mappings to it.
    this.#ip('address', 'delete', `${before}/24`, 'dev', 'out');
    this.#ip('address', 'add', `${after}/24`, 'dev', 'out');
  }

  remove(): void {
    command('ip', 'netns', 'delete', this.#namespace);
  }

  #masquerade(ports = ''): void {
    this.#run('nft', 'add table ip nat');
    this.#run('nft', 'flush table ip nat');
    this.#run('nft', 'add chain ip nat post { type nat hook postrouting priority 100; }');
    this.#run('nft', `add rule ip nat post oifname out meta l4proto udp masquerade ${ports}`);
  }

  /** Between gateway `other`, where it is called `wan`, and the NAT. */
  #wire(other: string, name: string): void {
    const ends = ['name', 'wan', 'netns', other, 'type', 'veth', 'peer', 'name', name, 'netns', this.#namespace];
    command('ip', 'link', 'add', ...ends);
    command('ip', '-n', other, 'link', 'set', 'wan', 'up');
    this.#ip('link', 'set', name, 'up');
  }

  #ip(...args: readonly string[]): void {
    command('ip', '-n', this.#namespace, ...args);
  }

  #run(...args: readonly string[]): void {
    command('ip', 'netns', 'exec', this.#namespace, ...args);
  }
}
