/** All IKE SAs by our SPI, and the half-open ones by the request that made them; counted and bounded. */
import type { IkeLimits } from '../config/model.ts';
import type { IkeSa } from './sa.ts';

export class SaTable {
  private readonly bySpi = new Map<bigint, IkeSa>();
  private readonly byInit = new Map<string, IkeSa>();
  private readonly halfOpenOf = new Map<string, number>();
  private readonly halfOpenSas = new Map<IkeSa, string>();

  get size(): number {
    return this.bySpi.size;
  }

  get halfOpen(): number {
    return this.halfOpenSas.size;
  }

  add(sa: IkeSa): void {
    this.bySpi.set(sa.spi, sa);
    if (sa.initDigest !== undefined) this.byInit.set(sa.initDigest, sa);
  }

  remove(sa: IkeSa): void {
    this.bySpi.delete(sa.spi);
    if (sa.initDigest !== undefined) this.byInit.delete(sa.initDigest);
    this.settle(sa);
  }

  /** Counts a responder's SA whose peer has not authenticated. */
  addHalfOpen(sa: IkeSa): void {
    const { address } = sa.remote;
    this.halfOpenSas.set(sa, address);
    this.halfOpenOf.set(address, (this.halfOpenOf.get(address) ?? 0) + 1);
  }

  /** The peer authenticated, or the SA is gone. */
  settle(sa: IkeSa): void {
    const address = this.halfOpenSas.get(sa);
    if (address === undefined) return;
    this.halfOpenSas.delete(sa);
    const left = this.halfOpenOf.get(address)! - 1;
    if (left > 0) this.halfOpenOf.set(address, left);
    else this.halfOpenOf.delete(address);
  }

  /** @returns why no further half-open SA of that address is made; undefined if one may be */
  refusal(limits: IkeLimits, address: string): string | undefined {
    if (this.halfOpen >= limits.halfOpen) return `${this.halfOpen} half-open IKE SAs`;
    const ofAddress = this.halfOpenOf.get(address) ?? 0;
    if (ofAddress >= limits.halfOpenPerAddress) return `${ofAddress} half-open IKE SAs of ${address}`;
    if (this.size >= limits.ikeSas) return `${this.size} IKE SAs`;
    return undefined;
  }

  find(spi: bigint): IkeSa | undefined {
    return this.bySpi.get(spi);
  }

  /** @param digest of an IKE_SA_INIT request, which may be a repetition */
  findInit(digest: string): IkeSa | undefined {
    return this.byInit.get(digest);
  }

  all(): IkeSa[] {
    return [...this.bySpi.values()];
  }
}
