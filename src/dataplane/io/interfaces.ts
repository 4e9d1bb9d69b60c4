/** Which interface has an address. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

/** @returns the index of the interface that has the address; 0 if none has */
export function interfaceOf(address: string): number {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (!addresses?.some((own) => own.address === address)) continue;
    try {
      return Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
    } catch {
      return 0;
    }
  }
  return 0;
}
