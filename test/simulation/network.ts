/** The network between gateways: who has which address, a NAT, cut links, and each datagram's fate. */
import type { Endpoint } from '../../src/contract.ts';
import { homeAddress, isInside, NAT_ADDRESS } from './addresses.ts';
import { Random } from './random.ts';
import type { Fate, FaultRates, Schedule } from './schedule.ts';

/** So late, in milliseconds, may a datagram be. */
export const LATEST = 8_000;

/** Endpoint-independent mapping and filtering: inside ports have outside ports until it forgets them. */
class Nat {
  private readonly outside = new Map<number, number>();
  private readonly inside = new Map<number, number>();
  private lastPort = 40_000;

  out(port: number): number {
    const known = this.outside.get(port);
    if (known !== undefined) return known;
    const fresh = ++this.lastPort;
    this.outside.set(port, fresh);
    this.inside.set(fresh, port);
    return fresh;
  }

  back(port: number): number | undefined {
    return this.inside.get(port);
  }

  forget(): void {
    this.outside.clear();
    this.inside.clear();
  }
}

/** How a datagram arrives. */
export interface Arrival {
  readonly gateway: number;
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

export class Network {
  readonly nat = new Nat();
  /** Links that are cut, by `from/to`, with how often. */
  private readonly cuts = new Map<string, number>();
  /** What happened to datagrams so far, as a schedule's `fates`. */
  readonly fates: Record<string, Fate> = {};
  private readonly schedule: Schedule;
  /** What each gateway has at this moment. */
  private readonly addresses: (readonly string[])[];
  private readonly counts: number[];
  private readonly random: Random;
  private calm = false;

  constructor(schedule: Schedule) {
    this.schedule = schedule;
    this.addresses = Array.from({ length: schedule.gateways }, (_, index) => [homeAddress(schedule, index)]);
    this.counts = this.addresses.map(() => 0);
    this.random = new Random('network', schedule.seed);
  }

  addressesOf(gateway: number): readonly string[] {
    return this.addresses[gateway]!;
  }

  setAddresses(gateway: number, addresses: readonly string[]): void {
    this.addresses[gateway] = addresses;
  }

  /** Has that gateway that address now? */
  isAt(gateway: number, { address }: Endpoint): boolean {
    return this.addresses[gateway]!.includes(address);
  }

  /** From now on nothing goes wrong. */
  heal(): void {
    this.calm = true;
    this.cuts.clear();
  }

  cut(from: number, to: number, by: 1 | -1): void {
    if (this.calm) return;
    const key = `${from}/${to}`;
    this.cuts.set(key, Math.max(0, (this.cuts.get(key) ?? 0) + by));
  }

  isCut(from: number, to: number): boolean {
    return (this.cuts.get(`${from}/${to}`) ?? 0) > 0;
  }

  /**
   * @param udp does it have ports? What has none does not get through the NAT
   * @returns where something sent by `from` arrives, and from where it seems to come; undefined for nowhere
   */
  route(from: number, local: Endpoint, remote: Endpoint, udp = true): Arrival | undefined {
    if (!this.isAt(from, local)) return undefined;
    const isTranslated = isInside(this.schedule, from) && local.address === homeAddress(this.schedule, from);
    if (isTranslated && !udp) return undefined;
    const source = isTranslated ? { address: NAT_ADDRESS, port: this.nat.out(local.port) } : { ...local };
    if (remote.address === NAT_ADDRESS) return udp ? this.inwards(remote.port, source) : undefined;
    const gateway = this.addresses.findIndex((addresses) => addresses.includes(remote.address));
    const isHidden = isInside(this.schedule, gateway) && remote.address === homeAddress(this.schedule, gateway);
    return gateway < 0 || isHidden ? undefined : { gateway, local: { ...remote }, remote: source };
  }

  private inwards(outside: number, remote: Endpoint): Arrival | undefined {
    const port = this.nat.back(outside);
    const local = { address: homeAddress(this.schedule, 0), port: port ?? 0 };
    return port === undefined || !this.isAt(0, local) ? undefined : { gateway: 0, local, remote };
  }

  /** @returns what happens to the next datagram of that gateway's; undefined for nothing */
  fate(from: number, length: number): Fate | undefined {
    const count = this.counts[from]!++;
    if (this.calm) return undefined;
    const { fates, faults } = this.schedule;
    const fate = fates === undefined ? this.draw(faults, length) : fates[`${from}/${count}`];
    if (fate !== undefined) this.fates[`${from}/${count}`] = fate;
    return fate;
  }

  /** @returns whether a packet of the data plane gets lost */
  losesPacket(): boolean {
    const { fates, faults } = this.schedule;
    return !this.calm && fates === undefined && this.random.below(1000) < faults.loss;
  }

  /** @returns milliseconds by which a packet of the data plane comes late: less than an old SA waits for it */
  packetDelay(): number {
    const { fates, faults } = this.schedule;
    if (this.calm || fates !== undefined || this.random.below(1000) >= faults.late) return 0;
    return this.random.between(1, 3000);
  }

  private draw({ loss, duplicate, corrupt, late }: FaultRates, length: number): Fate | undefined {
    const { random } = this;
    const roll = random.below(1000);
    const after = random.chance(0.1) ? random.between(1000, LATEST) : random.between(1, 400);
    if (roll < loss) return { kind: 'lose' };
    if (roll < loss + duplicate) return { kind: 'duplicate', after };
    if (roll < loss + duplicate + corrupt) return { kind: 'corrupt', at: random.below(length * 8) };
    if (roll < loss + duplicate + corrupt + late) return { kind: 'late', after };
    return undefined;
  }
}
