/** Notices that this host's addresses changed, so that IKE SAs can move (MOBIKE, RFC 4555). */
import { networkInterfaces } from 'node:os';
import { canonicalAddress } from '../wire/address.ts';

/** Milliseconds between two looks: a moved tunnel is silent for no longer than this. */
const INTERVAL = 1000;

export class AddressMonitor {
  readonly #device: string;
  readonly #onChange: (addresses: readonly string[]) => void;
  readonly #timer: NodeJS.Timeout;
  #known: string;

  /**
   * @param device whose addresses are inside the tunnel, and no place to send from
   * @param onChange is told all addresses that others may know: neither loopback nor link-local ones
   */
  constructor(device: string, onChange: (addresses: readonly string[]) => void) {
    this.#device = device;
    this.#onChange = onChange;
    this.#known = this.#addresses().join();
    this.#timer = setInterval(() => this.#look(), INTERVAL);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const addresses = this.#addresses();
    const text = addresses.join();
    if (text === this.#known) return;
    this.#known = text;
    this.#onChange(addresses);
  }

  #addresses(): string[] {
    return Object.entries(networkInterfaces())
      .filter(([name]) => name !== this.#device)
      .flatMap(([, addresses]) => addresses ?? [])
      .filter(({ address, internal }) => !internal && !address.startsWith('fe80:'))
      .map(({ address }) => canonicalAddress(address));
  }
}
