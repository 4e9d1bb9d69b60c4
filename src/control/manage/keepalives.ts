/**
 * NAT keepalives for manual SAs in UDP (RFC 3948 §4). Without IKE nothing tells whether there is a NAT on the way, so
 * they are sent wherever SAs send in UDP, but only when nothing else was sent for that long.
 */
import { monotonic } from '../../clock.ts';
import type { DataPlane, Endpoint, SaHandle } from '../../contract.ts';

/** RFC 3948 §2.3. */
const KEEPALIVE = Uint8Array.of(0xff);
/** What a timer takes. */
const MAX_TIMEOUT = 2 ** 31 - 1;

/** An SA, from where and to where. */
export interface UdpSender {
  readonly sa: SaHandle;
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

/** From where to where, and who sends there. */
interface Path extends Omit<UdpSender, 'sa'> {
  readonly sas: SaHandle[];
  /** When the last keepalive was sent, or the path came up. */
  sent: number;
  timer: NodeJS.Timeout | undefined;
}

export class Keepalives {
  readonly #plane: Pick<DataPlane, 'counters' | 'sendIke'>;
  #paths = new Map<string, Path>();
  #pause = 0;

  constructor(plane: Pick<DataPlane, 'counters' | 'sendIke'>) {
    this.#plane = plane;
  }

  /**
   * @param senders takes the place of those of before
   * @param port ours, whatever the SAs say: ESP in UDP is sent from there
   * @param pause milliseconds; 0 for no keepalives
   */
  watch(senders: readonly UdpSender[], port: number, pause: number): void {
    const before = this.#paths;
    this.close();
    this.#pause = pause;
    if (pause === 0) return;
    for (const { sa, local, remote } of senders) {
      const key = `${local.address} ${remote.address} ${remote.port}`;
      const known = this.#paths.get(key);
      if (known !== undefined) {
        known.sas.push(sa);
        continue;
      }
      const sent = before.get(key)?.sent ?? monotonic();
      this.#paths.set(key, { local: { ...local, port }, remote, sas: [sa], sent, timer: undefined });
    }
    for (const path of this.#paths.values()) this.#schedule(path);
  }

  close(): void {
    for (const { timer } of this.#paths.values()) clearTimeout(timer);
    this.#paths = new Map();
  }

  #schedule(path: Path): void {
    const wait = this.#lastSent(path) + this.#pause - monotonic();
    path.timer = setTimeout(() => this.#due(path), Math.min(Math.max(wait, 1), MAX_TIMEOUT)).unref();
  }

  #due(path: Path): void {
    const { local, remote, sas } = path;
    // Of SAs that have all ended, no mapping is to be kept.
    if (sas.every((sa) => this.#plane.counters(sa) === undefined)) return;
    if (monotonic() - this.#lastSent(path) >= this.#pause) {
      path.sent = monotonic();
      this.#plane.sendIke({ local, remote, data: KEEPALIVE });
    }
    this.#schedule(path);
  }

  #lastSent({ sas, sent }: Path): number {
    return sas.reduce((last, sa) => Math.max(last, this.#plane.counters(sa)?.lastUsed ?? 0), sent);
  }
}
