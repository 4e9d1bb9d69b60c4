/**
 * How long an outer packet to each peer may be (RFC 4301 §8.2), as the system knows it: the MTU of
 * the device on the way, and what ICMP "too big" has taught. The system checks that such a message
 * answers a packet of ours, bounds what it says, and forgets it after ten minutes. Where it does not
 * listen, for raw ESP and AH over IPv6, we do the same by the SPI.
 */
import { monotonic } from '../clock.ts';
import type { Endpoint, SaHandle } from '../contract.ts';
import { pathMtu } from './io/path.ts';
import { type TooBig, TooBigListener } from './io/too-big.ts';

/** Milliseconds that the system has to take in what we have heard as well. */
const SETTLE = 5;
/** Milliseconds between looks, and peers looked at each time, in turn. */
const INTERVAL = 1000;
const PEERS = 500;

/** As the system does it: no IPv6 path is narrower (RFC 8200 §5), and what a router said holds for so long. */
const LEAST_MTU6 = 1280;
const HOLDS = 600_000;

interface Peer {
  readonly remote: Endpoint;
  readonly sas: Set<SaHandle>;
  mtu: number;
  /** What a router said that the system does not keep, and until when it holds. */
  said?: { readonly mtu: number; readonly until: number };
}

export class PathMtus {
  readonly #mark: number;
  readonly #changed: (sa: SaHandle, mtu: number) => void;
  /** By address. */
  readonly #peers = new Map<string, Peer>();
  readonly #peerOf = new Map<SaHandle, Peer>();
  readonly #timer: NodeJS.Timeout;
  readonly #spiOf: (sa: SaHandle) => number | undefined;
  readonly #listener = new TooBigListener((what) => this.#heard(what));
  readonly #news = new Set<string>();
  #turn: Iterator<Peer> | undefined;

  /**
   * @param changed is told of an SA whose peer has another path MTU than it was told last
   * @param spiOf gives the SPI of an outbound SA
   */
  constructor(mark: number, changed: (sa: SaHandle, mtu: number) => void, spiOf: (sa: SaHandle) => number | undefined) {
    this.#mark = mark;
    this.#spiOf = spiOf;
    this.#changed = changed;
    this.#timer = setInterval(() => this.#refresh(), INTERVAL).unref();
  }

  /** @param sa new or moved; one that receives has its answers' MTU, for TCP's MSS */
  set(sa: SaHandle, remote: Endpoint): void {
    this.delete(sa);
    let peer = this.#peers.get(remote.address);
    if (peer === undefined) {
      peer = { remote, sas: new Set(), mtu: 0 };
      this.#peers.set(remote.address, peer);
      peer.mtu = pathMtu(remote, this.#mark);
    }
    peer.sas.add(sa);
    this.#peerOf.set(sa, peer);
    if (peer.mtu > 0) this.#changed(sa, peer.mtu);
  }

  delete(sa: SaHandle): void {
    const peer = this.#peerOf.get(sa);
    if (peer === undefined) return;
    this.#peerOf.delete(sa);
    peer.sas.delete(sa);
    if (peer.sas.size === 0) this.#peers.delete(peer.remote.address);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#listener.close();
    this.#news.clear();
  }

  /** Of a peer whose packets are too big, nobody need wait for its turn. */
  #heard({ remote, raw6 }: TooBig): void {
    const peer = this.#peers.get(remote);
    if (peer === undefined) return;
    if (raw6 !== undefined && raw6.mtu < peer.mtu && this.#sends(peer, raw6.spi)) {
      peer.said = { mtu: Math.max(LEAST_MTU6, raw6.mtu), until: monotonic() + HOLDS };
    }
    if (this.#news.size === 0) setTimeout(() => this.#lookAtNews(), SETTLE).unref();
    this.#news.add(remote);
  }

  /** Has one of the SAs to the peer this SPI? */
  #sends(peer: Peer, spi: number): boolean {
    for (const sa of peer.sas) if (this.#spiOf(sa) === spi) return true;
    return false;
  }

  #lookAtNews(): void {
    for (const address of this.#news) {
      const peer = this.#peers.get(address);
      if (peer !== undefined) this.#look(peer);
    }
    this.#news.clear();
  }

  #refresh(): void {
    this.#turn ??= this.#peers.values();
    for (let count = 0; count < PEERS; count++) {
      const { value: peer, done } = this.#turn.next();
      if (done) {
        this.#turn = undefined;
        return;
      }
      this.#look(peer);
    }
  }

  #look(peer: Peer): void {
    const known = pathMtu(peer.remote, this.#mark);
    if (peer.said !== undefined && peer.said.until < monotonic()) peer.said = undefined;
    const mtu = Math.min(known, peer.said?.mtu ?? known);
    if (mtu === 0 || mtu === peer.mtu) return;
    peer.mtu = mtu;
    for (const sa of peer.sas) this.#changed(sa, mtu);
  }
}
