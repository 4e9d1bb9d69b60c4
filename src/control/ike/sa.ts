/** One IKE SA: all that is known of it, and nothing that acts. */
import type { Endpoint } from '../../contract.ts';
import type { Certificate } from '../auth/certificate.ts';
import type { ChildSa } from '../child/child-sa.ts';
import type { TriggerPacket } from '../child/negotiation.ts';
import type { ChildConfig, ConnectionConfig, Identity } from '../config/model.ts';
import { type IkeAlgorithms, type IkeKeys, wipeIkeKeys } from '../crypto/keys.ts';
import type { IkeProtection } from '../crypto/protection.ts';
import type { KeyExchangeInitiator } from '../crypto/provider.ts';
import type { IkeSaState } from '../manage/status.ts';
import { NO_BYTES } from '../wire/bytes.ts';
import type { CertreqPayload } from '../wire/payloads/certreq.ts';
import type { Proposal, Transform } from '../wire/payloads/sa.ts';
import { ExchangeWindow } from './exchange-window.ts';
import type { Cause } from './failure.ts';
import type { Reassembly } from './fragment.ts';
import { NONE, SmallMap, SmallSet } from './small-map.ts';
import { checkIkeTransition } from './states.ts';
import type { Task } from './task.ts';
import type { Timer } from './timers.ts';

/** What the peer said it can do. */
export interface PeerFeatures {
  fragmentation: boolean;
  mobike: boolean;
  childless: boolean;
  intermediate: boolean;
  ppk: boolean;
  /** HASH numbers of SIGNATURE_HASH_ALGORITHMS; undefined if it sent none. */
  hashes: readonly number[] | undefined;
}

/** A child to be made, and the packet that asked for it. */
export interface WantedChild {
  readonly config: ChildConfig;
  readonly packet: TriggerPacket | undefined;
  /** Ask for the packet's own pair of addresses and nothing else (SINGLE_PAIR_REQUIRED). */
  readonly packetOnly?: boolean;
}

/** A CREATE_CHILD_SA of the peer's that goes on with additional key exchanges (RFC 9370 §2.2.4). */
export interface Followup {
  /** Those still to come, in order. */
  readonly methods: readonly number[];
  readonly secrets: readonly Uint8Array[];
  /** Is it the IKE SA itself that is being rekeyed? */
  readonly rekeysIke: boolean;
  /** All are done. @returns what to do once the last answer is on its way */
  finish(secrets: readonly Uint8Array[]): () => void;
  abandon(): void;
}

/** What the initial exchanges need until the SA is established; then it is wiped and dropped. */
export interface Handshake {
  /** When IKE_SA_INIT was first sent, or came. */
  begunAt: number;
  nonceI: Uint8Array;
  nonceR: Uint8Array;
  /** IKE_SA_INIT as it went over the wire: AUTH covers it. */
  initRequest: Uint8Array;
  initResponse: Uint8Array;
  /** Initiator: what was offered, and the half-done key exchange. */
  offered: readonly Proposal[];
  ke: KeyExchangeInitiator | undefined;
  /** Additional key exchanges still to be done (RFC 9370), in order. */
  additional: number[];
  /** Chains over the IKE_INTERMEDIATE messages of each side (RFC 9242). */
  intAuthI: Uint8Array | undefined;
  intAuthR: Uint8Array | undefined;
  /** Message ID of IKE_AUTH. */
  authMessageId: number;
  /** CERTREQ payloads of the peer. */
  certRequests: readonly CertreqPayload[];
}

/** What makes the old IKE SA's window, queue and children bounded: one of these for each SA. */
export class IkeSa {
  readonly id: number;
  /** Are we the initiator of this SA (the I flag)? A rekey's initiator is its new SA's. */
  readonly initiator: boolean;
  spiI: bigint;
  spiR: bigint;
  local: Endpoint;
  remote: Endpoint;
  connection: ConnectionConfig;
  /** Responder, before IKE_AUTH: every connection that the addresses and the proposal allow. */
  candidates: readonly ConnectionConfig[] = NONE;
  natLocal = false;
  natRemote = false;
  readonly peer: PeerFeatures = {
    fragmentation: false,
    mobike: false,
    childless: false,
    intermediate: false,
    ppk: false,
    hashes: undefined,
  };
  transforms: readonly Transform[] = NONE;
  algorithms: IkeAlgorithms | undefined;
  keys: IkeKeys | undefined;
  protection: IkeProtection | undefined;
  handshake: Handshake | undefined;
  localId: Identity | undefined;
  remoteId: Identity | undefined;
  /** The certificates by which the peer was trusted, its own first; undefined without any. */
  peerPath: readonly Certificate[] | undefined;

  readonly window: ExchangeWindow;
  /** Operations that wait for the window. */
  readonly queue: Task[] = [];
  /** Half-received messages: `request` or `response` and the message ID. */
  readonly reassemblies = new SmallMap<string, Reassembly>();
  /** By the link that the peer must send, in hexadecimal. */
  readonly followups = new SmallMap<string, Followup>();
  readonly children = new Map<number, ChildSa>();
  /** Children to make once the SA is there, the first one within IKE_AUTH. */
  readonly wanted: WantedChild[] = [];
  /** The same, unchanged, for another try. */
  wantedAtFirst: readonly WantedChild[] = NONE;
  /** Outbound SPIs of children that the peer deleted before we heard that they had been made. */
  readonly deletedEarly = new SmallSet<number>();
  /** Names of children that are asked for with CREATE_CHILD_SA right now. */
  readonly creating = new SmallSet<string>();
  /** Of those, what the user has taken down meanwhile. */
  readonly unwanted = new SmallSet<string>();
  /** By purpose; all are cancelled with the SA. */
  readonly timers = new SmallMap<string, Timer>();

  /** Milliseconds; 0 for not yet. */
  establishedAt = 0;
  /** When the peer last proved who it is: rekeying keeps it, reauthentication renews it. */
  authenticatedAt = 0;
  lastReceived = 0;
  /** The path of the message that is being looked at: its answer goes back there. */
  arrivedAt: { readonly local: Endpoint; readonly remote: Endpoint };
  lastSent = 0;
  rekeyAt: number | undefined;
  reauthAt: number | undefined;
  /** When the peer wanted to rekey it and was refused for the sake of a child. */
  refusedRekeyAt = -Infinity;
  /** The lower nonce of the rekeying that made it: decides between two at once (RFC 7296 §2.8.2). */
  lowestNonce: Uint8Array = NO_BYTES;
  /** The SA that this one would take over from, while it is PASSIVE. */
  predecessor: IkeSa | undefined;
  /** What the peer's rekeying made while ours was under way. */
  rivalSuccessor: IkeSa | undefined;
  /** Why it is being deleted, if it is. */
  deletion: { readonly cause: Cause; readonly reason: string } | undefined;
  /** The SA that took over the children. */
  replacedBy: IkeSa | undefined;
  /** Is this SA made to replace that one with fresh authentication (RFC 7296 §2.8.3)? */
  reauthenticates: IkeSa | undefined;
  /** Digest of the IKE_SA_INIT request that made it, for the table. */
  initDigest: string | undefined;
  /** MOBIKE: did we begin the first SA of the series of rekeyed ones? Then the path is ours to choose (RFC 4555 §2.2). */
  originator: boolean;
  /** MOBIKE: hash of our address as the peer last saw it. */
  natMapping: string | undefined;
  /** MOBIKE: the peer's other addresses. */
  peerAddresses: readonly string[] = NONE;

  private current: IkeSaState = 'CREATED';

  constructor(
    id: number,
    initiator: boolean,
    spis: { readonly spiI: bigint; readonly spiR: bigint },
    connection: ConnectionConfig,
    path: { readonly local: Endpoint; readonly remote: Endpoint },
    receiveWindow: number,
  ) {
    this.id = id;
    this.initiator = initiator;
    this.originator = initiator;
    this.spiI = spis.spiI;
    this.spiR = spis.spiR;
    this.connection = connection;
    this.local = path.local;
    this.remote = path.remote;
    this.arrivedAt = { local: path.local, remote: path.remote };
    this.window = new ExchangeWindow(receiveWindow);
  }

  get state(): IkeSaState {
    return this.current;
  }

  set state(next: IkeSaState) {
    checkIkeTransition(this.current, next);
    this.current = next;
  }

  /** The SPI by which we find this SA. */
  get spi(): bigint {
    return this.initiator ? this.spiI : this.spiR;
  }

  /** ESP goes in UDP: a NAT is in between, or one side asked for it by pretending (RFC 7296 §2.23). */
  get udpEncapsulation(): boolean {
    return this.natLocal || this.natRemote;
  }

  /**
   * A peer behind a NAT is where its last authentic packet came from; who is behind one itself does not
   * follow, for anybody could lead it astray (RFC 7296 §2.23). With `encap` we only pretend to be.
   */
  get followsPeer(): boolean {
    return this.natRemote && (!this.natLocal || this.connection.encap);
  }

  /** Overwrites every key; the SA can then only repeat its last answers. */
  wipe(): void {
    if (this.keys !== undefined) wipeIkeKeys(this.keys);
    this.protection?.outbound.destroy();
    this.protection?.inbound.destroy();
    this.keys = undefined;
    this.protection = undefined;
    this.handshake?.ke?.destroy();
    this.handshake = undefined;
    this.reassemblies.clear();
  }
}

/** @returns the SA that has taken over from this one, if it was rekeyed */
export function newest(sa: IkeSa): IkeSa {
  let last = sa;
  while (last.replacedBy !== undefined) last = last.replacedBy;
  return last;
}
