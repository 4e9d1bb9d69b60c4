/**
 * Whose name ICMP errors to the hosts behind us bear: an address of this gateway (RFC 1812 §4.3.2.4,
 * RFC 4443 §2.2), for traceroute and path MTU discovery to show where the path narrows. The device's
 * own if it has one, else one inside what is protected, else any that can be reached.
 */
import { networkInterfaces } from 'node:os';
import { HEADER_BASE, HEADER_ICMP4, HEADER_ICMP6 } from '../../assembly/layout/records.ts';
import type { TrafficSelector } from '../contract.ts';
import type { KernelMemory } from './backends/backend.ts';
import { addressBytes } from './selector.ts';

type Family = 4 | 16;

export class IcmpSource {
  readonly #memory: KernelMemory;
  readonly #found = new Set<Family>();
  readonly #hostAddresses: () => readonly string[];

  /** @param own addresses of the device, with or without prefix length */
  constructor(memory: KernelMemory, own: readonly string[], hostAddresses: () => readonly string[] = reachable) {
    this.#memory = memory;
    this.#hostAddresses = hostAddresses;
    for (const address of own.map(parse)) if (!this.#found.has(address.length as Family)) this.#use(address);
  }

  /** Settles it for the selector's family, if it is not yet. */
  learn({ local: { addresses } }: TrafficSelector): void {
    const from = addressBytes(addresses.from);
    if (this.#found.has(from.length as Family)) return;
    const to = addressBytes(addresses.to);
    const own = this.#hostAddresses()
      .map(parse)
      .filter(({ length }) => length === from.length);
    const inside = own.find((address) => Buffer.compare(from, address) <= 0 && Buffer.compare(address, to) <= 0);
    const chosen = inside ?? own[0];
    if (chosen === undefined) this.#found.add(from.length as Family);
    else this.#use(chosen);
  }

  #use(address: Uint8Array): void {
    this.#found.add(address.length as Family);
    this.#memory.bytes.set(address, HEADER_BASE + (address.length === 4 ? HEADER_ICMP4 : HEADER_ICMP6));
  }
}

const parse = (address: string): Uint8Array => addressBytes(address.replace(/[/%].*$/, ''));

/** This host's addresses but for those of loopback and of one link alone. */
function reachable(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !/^(fe[89ab]|169\.254\.)/i.test(address))
    .map(({ address }) => address);
}
