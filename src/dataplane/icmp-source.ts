/**
 * Whose name ICMPv6 errors to the hosts behind us bear: an address of this gateway (RFC 4443 §2.2), for
 * path MTU discovery and traceroute to show where the path narrows. The device's own if it has one, else
 * one inside what is protected, else any that can be reached.
 *
 * IPv4 errors bear the destination of the packet they answer (HEADER_ICMP4 stays 0): Linux takes no IPv4
 * packet from a device that bears an address of its own.
 */
import { networkInterfaces } from 'node:os';
import { HEADER_BASE, HEADER_ICMP6 } from '../../assembly/layout/records.ts';
import type { TrafficSelector } from '../contract.ts';
import type { KernelMemory } from './backends/backend.ts';
import { addressBytes } from './selector.ts';

const IPV6_LENGTH = 16;

export class IcmpSource {
  readonly #memory: KernelMemory;
  readonly #hostAddresses: () => readonly string[];
  #settled = false;

  /** @param own addresses of the device, with or without prefix length */
  constructor(memory: KernelMemory, own: readonly string[], hostAddresses: () => readonly string[] = reachable) {
    this.#memory = memory;
    this.#hostAddresses = hostAddresses;
    const [first] = own.map(parse).filter(isIpv6);
    if (first !== undefined) this.#settle(first);
  }

  /** Settles it by the first IPv6 selector, if it is not yet. */
  learn({ local: { addresses } }: TrafficSelector): void {
    const from = addressBytes(addresses.from);
    if (this.#settled || !isIpv6(from)) return;
    const to = addressBytes(addresses.to);
    const host = this.#hostAddresses().map(parse).filter(isIpv6);
    const inside = host.find((address) => Buffer.compare(from, address) <= 0 && Buffer.compare(address, to) <= 0);
    this.#settle(inside ?? host[0]);
  }

  /** @param address undefined on a host that has none: errors bear the destination, as those of IPv4 do */
  #settle(address: Uint8Array | undefined): void {
    this.#settled = true;
    if (address !== undefined) this.#memory.bytes.set(address, HEADER_BASE + HEADER_ICMP6);
  }
}

const isIpv6 = ({ length }: Uint8Array): boolean => length === IPV6_LENGTH;

const parse = (address: string): Uint8Array => addressBytes(address.replace(/[/%].*$/, ''));

/** This host's addresses but for those of loopback and of one link alone. */
function reachable(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !/^fe[89ab]/i.test(address))
    .map(({ address }) => address);
}
