/** Holds off addresses whose peers keep failing to authenticate; bounded whatever is spoofed. */

/** So many failures within the window are let pass, as wrong secrets get typed. */
const FREE_FAILURES = 5;
const WINDOW = 60_000;
const MAX_ADDRESSES = 4_096;

interface Record {
  failures: number;
  since: number;
}

export class Throttle {
  private readonly records = new Map<string, Record>();

  /** A peer at that address had our keys, and yet did not authenticate. */
  failed(address: string, now: number): void {
    const record = this.live(address, now) ?? { failures: 0, since: now };
    record.failures++;
    this.records.delete(address);
    this.records.set(address, record);
    if (this.records.size > MAX_ADDRESSES) this.records.delete(this.records.keys().next().value!);
  }

  succeeded(address: string): void {
    this.records.delete(address);
  }

  /** @returns whether a new attempt from there is not looked at for now */
  isHeld(address: string, now: number): boolean {
    return (this.live(address, now)?.failures ?? 0) >= FREE_FAILURES;
  }

  private live(address: string, now: number): Record | undefined {
    const record = this.records.get(address);
    if (record === undefined || now - record.since < WINDOW) return record;
    this.records.delete(address);
    return undefined;
  }
}
