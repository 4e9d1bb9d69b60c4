/** All IKE SAs by our SPI, by connection and by ends, the half-open ones by the request that made them; bounded. */
import { acceptsIdentity, identityKey, namedIdentities } from '../auth/identity.ts';
import type { Identity, IkeLimits } from '../config/model.ts';
import type { IkeSa } from './sa.ts';

interface Namesakes {
  readonly name: string;
  readonly sas: Set<IkeSa>;
}

/** SAs under a name; a name without SAs takes no memory. */
class Index {
  private readonly byName = new Map<string, Namesakes>();
  private readonly bySa = new Map<IkeSa, Namesakes>();

  put(sa: IkeSa, name: string): void {
    this.drop(sa);
    const namesakes = this.byName.get(name) ?? { name, sas: new Set() };
    namesakes.sas.add(sa);
    this.byName.set(name, namesakes);
    this.bySa.set(sa, namesakes);
  }

  drop(sa: IkeSa): void {
    const namesakes = this.bySa.get(sa);
    if (namesakes === undefined) return;
    this.bySa.delete(sa);
    namesakes.sas.delete(sa);
    if (namesakes.sas.size === 0) this.byName.delete(namesakes.name);
  }

  /** In the order in which they came. */
  of(name: string): IkeSa[] {
    return [...(this.byName.get(name)?.sas ?? [])];
  }
}

/** Two sides of an IKE SA; the peer may not have said yet who it is. */
const endsName = (own: Identity, peer: Identity | undefined): string =>
  `${identityKey(own)} ${peer === undefined ? '' : identityKey(peer)}`;

/** Who the peer is, or has to be if it is anybody. */
function peerOf({ remoteId, connection }: IkeSa): Identity | undefined {
  const named = namedIdentities(connection.remote);
  return remoteId ?? (named?.length === 1 ? named[0] : undefined);
}

export class SaTable {
  private readonly bySpi = new Map<bigint, IkeSa>();
  private readonly byInit = new Map<string, IkeSa>();
  private readonly byConnection = new Index();
  private readonly byEnds = new Index();
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
    this.byConnection.drop(sa);
    this.byEnds.drop(sa);
    this.settle(sa);
  }

  /** Files an SA under its connection, and under its ends, as far as they are known. */
  file(sa: IkeSa): void {
    this.byConnection.put(sa, sa.connection.name);
    this.fileEnds(sa);
  }

  /** Files an SA under its ends, once it has been said who we are. */
  fileEnds(sa: IkeSa): void {
    if (sa.localId !== undefined) this.byEnds.put(sa, endsName(sa.localId, peerOf(sa)));
  }

  /** @returns the SAs of a connection, the oldest first; of the peer's own only those that have authenticated */
  ofConnection(name: string): IkeSa[] {
    return this.byConnection.of(name);
  }

  /** @returns the SAs between the same two identities as this one, itself included, whatever their connections */
  ofSameEnds(sa: IkeSa): IkeSa[] {
    return this.byEnds.of(endsName(sa.localId!, sa.remoteId));
  }

  /** @returns the SAs in which we have said to be the same, and whose peer may be whom this one calls, itself included */
  ofLikeEnds({ localId, connection: { remote } }: IkeSa): IkeSa[] {
    const named = namedIdentities(remote);
    if (named !== undefined) return [undefined, ...named].flatMap((peer) => this.byEnds.of(endsName(localId!, peer)));
    const own = identityKey(localId!);
    return this.all().filter((sa) => {
      if (sa.localId === undefined || identityKey(sa.localId) !== own) return false;
      const peer = peerOf(sa);
      return peer === undefined || acceptsIdentity(remote, peer);
    });
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

  /**
   * RFC 7296 §2.6: under load a peer has to show first that it is where it says. So it is, too, where half of an
   * address' places are taken: the others are out of reach for who only writes that address on its packets.
   */
  asksCookie(limits: IkeLimits, address: string): boolean {
    if (this.halfOpen >= limits.cookieThreshold) return true;
    return (this.halfOpenOf.get(address) ?? 0) >= Math.floor(limits.halfOpenPerAddress / 2);
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
