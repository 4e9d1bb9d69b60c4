/** A core with next to nothing around it: what it sends is kept, what it installs is counted. */
import type { Endpoint, IkeDatagram } from '../../src/contract.ts';
import { configFromObject } from '../../src/control/config/load.ts';
import type { Config } from '../../src/control/config/model.ts';
import type { ConfigInput } from '../../src/control/config/schema.ts';
import type { CryptoProvider } from '../../src/control/crypto/provider.ts';
import { IkeCore } from '../../src/control/ike/core.ts';
import type { Input, KeyExport } from '../../src/control/ike/effects.ts';

export type IkeKeyExport = Extract<KeyExport, { kind: 'ike' }>;

/** The time of day, in milliseconds since the epoch: certificates are of about that time. */
const WALL_CLOCK = 1_000_000;

export class Host {
  readonly core: IkeCore;
  /** Sent since it was last emptied. */
  readonly outbox: IkeDatagram[] = [];
  /** Installed SAs, by key, with the child's name. */
  readonly installed = new Map<number, string>();
  readonly reserved = new Set<number>();
  keys: IkeKeyExport | undefined;
  timerAt: number | undefined;
  private lastSpi = 0x1000;
  private lastRequest = 0;

  /** @param address to send from, where the configuration names none */
  constructor(config: Config, crypto: CryptoProvider, address?: string, exportKeys = false) {
    this.core = new IkeCore({
      config,
      exportKeys,
      debug: () => false,
      environment: {
        crypto,
        wallClock: () => WALL_CLOCK,
        reserveSpi: () => {
          this.reserved.add(++this.lastSpi);
          return this.lastSpi;
        },
        releaseSpi: (spi) => this.reserved.delete(spi),
        counters: () => undefined,
        sourceAddress: () => address,
      },
    });
  }

  feed(input: Input, now: number): void {
    for (const effect of this.core.handle(input, now)) {
      if (effect.type === 'send') this.outbox.push(effect.datagram);
      else if (effect.type === 'timer') this.timerAt = effect.at;
      else if (effect.type === 'remove-sa') this.installed.delete(effect.key);
      else if (effect.type === 'keys' && effect.keys.kind === 'ike') this.keys = effect.keys;
      else if (effect.type === 'install-sa') {
        this.installed.set(effect.key, effect.parameters.name);
        this.reserved.delete(effect.parameters.spi);
      }
    }
  }

  command(type: 'initiate' | 'rekey' | 'terminate', name: string, now: number): void {
    this.feed({ type, request: ++this.lastRequest, name }, now);
  }

  /** Wakes the core if it wants to be. */
  wake(now: number): void {
    if (this.timerAt !== undefined && this.timerAt <= now) this.feed({ type: 'timer' }, now);
  }

  /** What was sent since the last call, as its receivers see it. */
  take(): IkeDatagram[] {
    return this.outbox.splice(0).map(({ local, remote, data }) => ({ local: remote, remote: local, data }));
  }
}

type Connection = NonNullable<NonNullable<ConfigInput['connections']>[string]>;

export const configOf = (connections: Readonly<Record<string, Connection>>): Config =>
  configFromObject({ connections }).config;

/** @returns a connection with one child; an empty list takes any address */
export function connection(
  own: string,
  peer: string,
  here: readonly Endpoint['address'][],
  there: readonly Endpoint['address'][],
): Connection {
  const secret = `the secret of ${[own, peer].sort().join(' and ')}`;
  return {
    local_addrs: [...here],
    remote_addrs: [...there],
    proposals: ['aes128gcm16-prfsha256-x25519'],
    rekey_time: 0,
    local: { auth: 'psk', id: own, secret },
    remote: { auth: 'psk', id: peer, secret },
    children: {
      [`net-${own}-${peer}`]: {
        local_ts: [`10.${own.length}.0.0/16`],
        remote_ts: [`10.${peer.length}.0.0/16`],
        esp_proposals: ['aes128gcm16', 'aes128gcm16-x25519'],
        rekey_time: 0,
      },
    },
  };
}
