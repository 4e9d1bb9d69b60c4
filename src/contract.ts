/**
 * The one place where the control plane and the data plane meet (RFC 4301 §4.4).
 *
 * Down go SAs and policies with their key material; up come events. Addresses are text in their
 * canonical form (`192.0.2.1`, `2001:db8::1`), SPIs and ports are numbers in host order.
 */
import type { CipherSuite } from './algorithms.ts';
import type { EspalierError } from './errors.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** An inclusive range of addresses of one family. */
export interface AddressRange {
  readonly from: string;
  readonly to: string;
}

/**
 * One side of an RFC 4301 §4.4.1.1 selector. For ICMP, `ports` holds type × 256 + code
 * (RFC 7296 §3.13.1). ANY is 0–65535; OPAQUE is 65535–0.
 */
export interface SelectorSide {
  readonly addresses: AddressRange;
  readonly ports: { readonly from: number; readonly to: number };
}

/** Traffic seen from this host: `local` is the source outbound and the destination inbound. */
export interface TrafficSelector {
  /** IP protocol number; 0 is ANY. */
  readonly protocol: number;
  readonly local: SelectorSide;
  readonly remote: SelectorSide;
}

export type IpsecProtocol = 'esp' | 'ah';
export type IpsecMode = 'tunnel' | 'transport';
export type Direction = 'in' | 'out';

/** Keys as KEYMAT yields them (RFC 7296 §2.17); the data plane copies them and the caller wipes its own. */
export interface SaKeys {
  /** Encryption key followed by its salt; empty for NULL and AH. */
  readonly encryption: Uint8Array;
  /** Integrity key (and salt, for GMAC in AH); empty for combined modes. */
  readonly integrity: Uint8Array;
}

/** Limits of one SA; `undefined` is none. Times are the control plane's. */
export interface SaLifetime {
  readonly softBytes?: number;
  readonly hardBytes?: number;
  readonly softPackets?: number;
  readonly hardPackets?: number;
}

/** One SA in one direction, as installed in the SAD (RFC 4301 §4.4.2.1). */
export interface SaParameters {
  readonly direction: Direction;
  readonly protocol: IpsecProtocol;
  readonly mode: IpsecMode;
  /** Inbound: from `reserveSpi`, or a manual one. Outbound: the peer's. */
  readonly spi: number;
  /** Outer addresses; ports count with `udpEncapsulation` only. */
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** ESP in UDP (RFC 3948); else IP protocol 50 or 51. */
  readonly udpEncapsulation: boolean;
  readonly suite: CipherSuite;
  readonly keys: SaKeys;
  readonly esn: boolean;
  /** Packets; 0 switches anti-replay off. A multiple of 32 is used, 64 at least. */
  readonly replayWindow: number;
  /** Inbound packets are checked against these after decryption (RFC 4301 §5.2 step 4). */
  readonly selectors: readonly TrafficSelector[];
  readonly lifetime?: SaLifetime;
  /** Pads packets to this many bytes of ESP payload (RFC 4303 §2.7); 0 for none. */
  readonly tfcPadding?: number;
  /** ESP, outbound: packets a second at least; what traffic leaves of them is filled with dummies (RFC 4303 §2.6). */
  readonly tfcDummies?: number;
  /** RFC 4301 §8.1: what tunnel mode does with the inner DF bit; default `copy`. */
  readonly df?: 'copy' | 'set' | 'clear';
  /** Copy the inner DSCP to the outer header; default true. */
  readonly copyDscp?: boolean;
  /** Outer DSCP by inner DSCP, both 0 to 63, for those that are neither copied nor cleared. */
  readonly dscpMap?: Readonly<Record<number, number>>;
  /** For messages and counters: the child SA this belongs to. */
  readonly name: string;
  /** The connection it belongs to, which may have a crypto backend of its own (`BackendChoice`). */
  readonly connection?: string;
}

/** Stands for an installed SA; numbers are never used again while the engine lives. */
export type SaHandle = number;
export type PolicyHandle = number;

/** One entry of the SPD (RFC 4301 §4.4.1). Lower `priority` is looked up first. */
export interface PolicyParameters {
  readonly direction: Direction;
  readonly priority: number;
  readonly action: 'protect' | 'bypass' | 'discard';
  readonly selector: TrafficSelector;
  /** Outbound `protect`: the SA to use; without one, a packet raises `acquire` and is queued. */
  readonly sa?: SaHandle;
  readonly name: string;
}

/** A datagram for IKE, without the non-ESP marker (RFC 3948 §2.2). */
export interface IkeDatagram {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly data: Uint8Array;
}

/** What comes back. Handlers run on the engine's thread, outside of any packet's path. */
export interface DataPlaneEvents {
  /** Arrived on 500, or on 4500 behind the marker. */
  ike: [datagram: IkeDatagram];
  /** A packet met a `protect` policy that has no SA (RFC 4301 §4.4.1 / RFC 7296 §2.9 TSi[0]). */
  acquire: [policy: PolicyHandle, packet: TrafficSelector];
  /** A lifetime in bytes or packets was reached, or the sequence number is near its end. */
  expire: [sa: SaHandle, kind: 'soft' | 'hard', reason: 'bytes' | 'packets' | 'sequence'];
  /** An authentic packet came from elsewhere (RFC 7296 §2.23): the peer's new address. */
  mapping: [sa: SaHandle, remote: Endpoint];
  /** The data plane has failed. As with every EventEmitter, the process ends if nobody listens. */
  error: [error: EspalierError];
}

export interface SaCounters {
  readonly packets: number;
  readonly bytes: number;
  /** Milliseconds, 0 for never: by the clock of `src/clock.ts`; in a status, since the epoch. */
  readonly lastUsed: number;
  /** Highest sequence number sent or accepted. */
  readonly sequence: number;
  readonly replayDrops: number;
  readonly integrityDrops: number;
  /** Dummy packets sent; only of an SA that is to send some. */
  readonly dummies?: number;
}

/** What the data plane offers to the control plane. */
export interface DataPlane {
  /** @returns an SPI above 255 that no inbound SA uses; it stays reserved until installed or released */
  reserveSpi(): number;
  releaseSpi(spi: number): void;
  /** @throws EspalierError `ERR_SAD_FULL`, `ERR_UNSUPPORTED_SUITE`, `ERR_SPI_IN_USE` */
  installSa(parameters: SaParameters): SaHandle;
  /** Moves an SA to new outer addresses (MOBIKE, NAT rebinding) without touching its counters. */
  moveSa(sa: SaHandle, local: Endpoint, remote: Endpoint, udpEncapsulation: boolean): void;
  /** Stops the SA now, wipes its keys as soon as no worker is using it. Unknown handles are ignored. */
  removeSa(sa: SaHandle): void;
  counters(sa: SaHandle): SaCounters | undefined;
  installPolicy(parameters: PolicyParameters): PolicyHandle;
  /** Points a `protect` policy to another SA (or to none, which traps), without a gap. */
  setPolicySa(policy: PolicyHandle, sa: SaHandle | undefined): void;
  removePolicy(policy: PolicyHandle): void;
  /** Sends one IKE datagram; on port 4500 the non-ESP marker is put in front of all but a NAT keepalive's one byte. */
  sendIke(datagram: IkeDatagram): void;
  on<E extends keyof DataPlaneEvents>(event: E, listener: (...values: DataPlaneEvents[E]) => void): this;
  off<E extends keyof DataPlaneEvents>(event: E, listener: (...values: DataPlaneEvents[E]) => void): this;
}

/** Where plain packets come from and go to. */
export type DeviceOptions =
  | {
      readonly kind: 'tun';
      /** Interface name, `espalier0` by default; the kernel replaces a `%d` with a number. */
      readonly name?: string;
      /** Bytes of an inner packet; by default what fits the path after encapsulation. */
      readonly mtu?: number;
      /** Addresses with prefix length, `10.1.0.1/24`. */
      readonly addresses?: readonly string[];
    }
  /** Descriptors, one per worker, that read and write like a TUN with IFF_VNET_HDR: the in-process link. */
  | { readonly kind: 'descriptors'; readonly descriptors: readonly number[]; readonly mtu: number };

/** The crypto backends that Espalier brings along. */
export const BACKENDS = ['wasm', 'openssl', 'hybrid', 'node', 'noble'] as const;

/** Which crypto backends do the work: names, or paths of modules that export one. */
export interface BackendChoice {
  /** Of all SAs whose connection has none of its own. */
  readonly backend: string;
  /** Of single connections, by the connection's name. */
  readonly connections: ReadonlyMap<string, string>;
  /** Does a sample of every backend's packets over again, and counts disagreements. */
  readonly shadow?: string;
}

export interface DataPlaneOptions {
  /** Worker threads, each with a queue of the device and sockets of its own; default 1. */
  readonly workers?: number;
  /** Default: `wasm` for everything, and no shadow. */
  readonly backends?: Partial<BackendChoice>;
  readonly device: DeviceOptions;
  /** Local addresses to bind the UDP sockets to; default all of both families. */
  readonly listen?: readonly string[];
  /** UDP ports; default 500 and 4500. */
  readonly ports?: { readonly ike: number; readonly natTraversal: number };
  /** Open raw sockets for protocols 50 and 51; default: if the process may. */
  readonly raw?: boolean;
  /** SO_MARK of all outer packets, and the routing rule that keeps them out of the TUN; 0 for none. */
  readonly mark?: number;
  /** What becomes of packets that arrive in the clear and are to come protected (RFC 4301 §5.2); default `discard`. */
  readonly inboundClear?: 'discard' | 'accept';
  readonly limits?: { readonly securityAssociations?: number; readonly policies?: number };
  /** Is told what the operator should know, a sentence at a time; by default `process.emitWarning`. */
  readonly onWarning?: (sentence: string) => void;
}

/** One of the crypto backends in use. */
export interface BackendInfo {
  readonly name: string;
  /** The connections that have it for their own; the gateway's, which comes first, serves all others. */
  readonly connections: readonly string[];
  /**
   * What it has counted, all workers together, a second ago at most: `shadow_packets` that the shadow has
   * compared and `shadow_disagreements`; a user's backend may count other things.
   */
  readonly counters: Readonly<Record<string, number>>;
}

/** What a running data plane tells about itself. */
export interface DataPlaneInfo {
  readonly workers: number;
  /** The gateway's. */
  readonly backend: string;
  /** All that are in use. */
  readonly backends: readonly BackendInfo[];
  readonly shadow?: string;
  /** Build of the kernel: plain SIMD, relaxed SIMD or wide. */
  readonly kernel: string;
  readonly device: { readonly name: string; readonly mtu: number };
  readonly ports: { readonly ike: number; readonly natTraversal: number };
  /** Offloads and sockets that this system lacks, one sentence each. */
  readonly missing: readonly string[];
}

/** A data plane with its life cycle; `startDataPlane` of `src/dataplane/engine.ts` makes one. */
export interface RunningDataPlane extends DataPlane {
  readonly info: DataPlaneInfo;
  /**
   * Sends packets for a prefix (`10.2.0.0/16`) into the device, and stops doing so when no user of the route is
   * left: children and manual SAs may protect the same. Both may be repeated.
   */
  addRoute(prefix: string, source?: string, user?: string): void;
  removeRoute(prefix: string, user?: string): void;
  /** Has the system drop what these selectors name if it arrives in the clear, though no policy protects it yet. */
  guard(key: number, priority: number, selector: TrafficSelector): void;
  unguard(key: number): void;
  /** @returns which of this host's addresses outer packets to `remote` are sent from; undefined where there is no way */
  sourceAddress(remote: string): string | undefined;
  /**
   * Swaps crypto backends in every worker between two batches; no packet is lost.
   * @param change from what is in use to what shall be
   * @throws EspalierError `ERR_BACKEND`, and then nothing has changed
   */
  changeBackends(change: (now: BackendChoice) => BackendChoice): Promise<void>;
  /** Dropped packets by reason (`assembly/drops.ts`, and the system's full queues), those that are not 0. */
  drops(): Readonly<Record<string, number>>;
  /** All entries of the SPD, as they were installed. */
  policies(): Iterable<readonly [PolicyHandle, PolicyParameters]>;
  policyCounters(policy: PolicyHandle): { readonly packets: number; readonly bytes: number } | undefined;
  /** Stops workers, removes device, routes and rules; under a second. */
  close(): Promise<void>;
}
