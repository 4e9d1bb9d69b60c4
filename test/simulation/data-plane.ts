/**
 * A data plane without ciphers: packets carry the SPI, the key and the sequence number that would have
 * protected them, and are taken where an inbound SA has the same.
 */
import type { Endpoint, SaCounters, SaParameters } from '../../src/contract.ts';
import type { Effect, PolicyKey, SaKey } from '../../src/control/ike/effects.ts';
import { toHex } from '../../src/control/wire/bytes.ts';

export type EffectOf<T extends Effect['type']> = Extract<Effect, { type: T }>;

export interface InstalledSa {
  readonly key: SaKey;
  readonly direction: 'in' | 'out';
  readonly spi: number;
  /** Its key material, in hexadecimal. */
  readonly secret: string;
  readonly name: string;
  local: Endpoint;
  remote: Endpoint;
  encapsulated: boolean;
  packets: number;
  lastUsed: number;
  /** Outbound: the last number used. Inbound: those that came. */
  sequence: number;
  readonly seen: Set<number>;
}

export interface InstalledPolicy {
  readonly key: PolicyKey;
  readonly parameters: EffectOf<'install-policy'>['parameters'];
  sa: SaKey | undefined;
  acquiredAt: number;
}

/** A protected packet on its way. */
export interface Packet {
  readonly flow: string;
  readonly spi: number;
  readonly secret: string;
  readonly sequence: number;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly encapsulated: boolean;
}

export type Verdict = 'accepted' | 'replayed' | 'no SA' | 'wrong key';

export class DataPlane {
  readonly sas = new Map<SaKey, InstalledSa>();
  readonly policies = new Map<PolicyKey, InstalledPolicy>();
  readonly routes = new Set<string>();
  readonly guards = new Set<number>();
  /** SPIs given out that no SA has so far. */
  readonly reserved = new Set<number>();

  install(key: SaKey, parameters: SaParameters): InstalledSa {
    const { keys, direction, spi, name, local, remote, udpEncapsulation } = parameters;
    const secret = toHex(keys.encryption) + toHex(keys.integrity);
    if (direction === 'in') this.reserved.delete(spi);
    const sa: InstalledSa = {
      key,
      direction,
      spi,
      secret,
      name,
      local,
      remote,
      encapsulated: udpEncapsulation,
      packets: 0,
      lastUsed: 0,
      sequence: 0,
      seen: new Set(),
    };
    this.sas.set(key, sa);
    return sa;
  }

  counters(key: SaKey): SaCounters | undefined {
    const sa = this.sas.get(key);
    if (sa === undefined) return undefined;
    const { packets, lastUsed, sequence } = sa;
    return { packets, bytes: packets * 100, lastUsed, sequence, replayDrops: 0, integrityDrops: 0 };
  }

  inbound(spi: number): InstalledSa | undefined {
    for (const sa of this.sas.values()) if (sa.direction === 'in' && sa.spi === spi) return sa;
    return undefined;
  }

  /** @returns the policy that a packet of that child meets: all of its policies are for the same packets */
  policyOf(child: string): InstalledPolicy | undefined {
    let first: InstalledPolicy | undefined;
    for (const policy of this.policies.values()) {
      if (policy.parameters.name !== child) continue;
      if (first === undefined || policy.parameters.priority < first.parameters.priority) first = policy;
    }
    return first;
  }

  /** @returns the packet as it leaves; undefined if the policy's SA is not there */
  send(policy: InstalledPolicy, now: number): Packet | undefined {
    const sa = policy.sa === undefined ? undefined : this.sas.get(policy.sa);
    if (sa === undefined) return undefined;
    sa.lastUsed = now;
    sa.packets++;
    const { spi, secret, local, remote, encapsulated } = sa;
    return {
      flow: policy.parameters.name,
      spi,
      secret,
      sequence: ++sa.sequence,
      local,
      remote,
      encapsulated,
    };
  }

  receive(packet: Packet, now: number): { readonly verdict: Verdict; readonly sa?: InstalledSa } {
    const sa = this.inbound(packet.spi);
    if (sa === undefined) return { verdict: 'no SA' };
    // RFC 7296 §2.23: with UDP around it or without, whatever the SA itself sends.
    if (sa.secret !== packet.secret) return { verdict: 'wrong key', sa };
    if (sa.seen.has(packet.sequence)) return { verdict: 'replayed', sa };
    sa.seen.add(packet.sequence);
    sa.lastUsed = now;
    sa.packets++;
    sa.sequence = Math.max(sa.sequence, packet.sequence);
    return { verdict: 'accepted', sa };
  }
}
