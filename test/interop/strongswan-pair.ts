/**
 * Espalier at one gateway of the bed, strongSwan at the other, and the configurations of both from one
 * description of what a test wants different.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { stringify } from 'yaml';
import { Espalier, type Sections } from '../../bench/peers/espalier.ts';
import { StrongSwan, type StrongSwanOptions } from '../../bench/peers/strongswan.ts';
import type { ChildSaStatus, IkeSaStatus } from '../../src/control/manage/status.ts';
import { ADDRESSES, Bed, NETWORKS, type Place, uniqueName } from '../../src/demo/bed.ts';
import { ping } from './hosts.ts';

export const SECRET = 'correct horse battery staple';
export const [HOST_A] = ADDRESSES.hostA;
export const [HOST_B] = ADDRESSES.hostB;
export const [WAN_A] = ADDRESSES.wanA;
export const [WAN_B] = ADDRESSES.wanB;

/** Keys and values of a configuration; a map below a key is a section. */
export interface Tree {
  readonly [key: string]: string | number | readonly string[] | Tree;
}

/** What is to be different from a tunnel with pre-shared keys between the two networks. */
export interface Changes {
  /** Of the connection, of its two sides and of its child. */
  readonly connection?: Tree;
  readonly local?: Tree;
  readonly remote?: Tree;
  readonly child?: Tree;
  /** All children, in place of `net`; each has what `child` says too. */
  readonly children?: Readonly<Record<string, Tree>>;
}

/** Espalier's connection `peer`: gateway A, `a.example`, unless the changes say otherwise. */
export const ourConnection = (changes: Changes = {}): Tree => ({
  local_addrs: [WAN_A],
  remote_addrs: [WAN_B],
  // kernel-libipsec knows ESP in UDP only.
  encap: 'yes',
  ...changes.connection,
  local: { auth: 'psk', id: 'a.example', secret: SECRET, ...changes.local },
  remote: { auth: 'psk', id: 'b.example', ...changes.remote },
  children: mapValues(changes.children ?? { net: {} }, (child) => ({
    local_ts: [NETWORKS.A[0]],
    remote_ts: [NETWORKS.B[0]],
    ...changes.child,
    ...child,
  })),
});

export const ours = (changes: Changes = {}): string => stringify({ connections: { peer: ourConnection(changes) } });

/** strongSwan's connection `peer`: gateway B, `b.example`, unless the changes say otherwise. */
export const theirConnection = (changes: Changes = {}): Tree => ({
  version: 2,
  local_addrs: WAN_B,
  remote_addrs: WAN_A,
  ...changes.connection,
  local: { auth: 'psk', id: 'b.example', ...changes.local },
  remote: { auth: 'psk', id: 'a.example', ...changes.remote },
  children: mapValues(changes.children ?? { net: {} }, (child) => ({
    local_ts: NETWORKS.B[0],
    remote_ts: NETWORKS.A[0],
    ...changes.child,
    ...child,
  })),
});

export const SECRETS: Tree = { 'ike-1': { secret: SECRET } };

export const theirs = (changes: Changes = {}): string =>
  swanctlConf({ connections: { peer: theirConnection(changes) }, secrets: SECRETS });

/** @returns swanctl.conf, every key on a line of its own */
export function swanctlConf(tree: Tree, indent = ''): string {
  return Object.entries(tree)
    .map(([key, value]) =>
      typeof value === 'object' && !Array.isArray(value)
        ? `${indent}${key} {\n${swanctlConf(value as Tree, `${indent}  `)}${indent}}\n`
        : `${indent}${key} = ${Array.isArray(value) ? value.join(', ') : value}\n`,
    )
    .join('');
}

function mapValues<T, R>(record: Readonly<Record<string, T>>, change: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

/** Retransmits soon and forgets soon: what a test loses on purpose is not to cost it seconds. */
export const IMPATIENT: { readonly sections: Sections; readonly strongswan: StrongSwanOptions } = {
  sections: { control: '  retransmit_timeout: 0.5\n  retransmit_tries: 3' },
  strongswan: { charon: 'retransmit_timeout = 0.5\n  retransmit_tries = 3\n  delete_rekeyed_delay = 1' },
};

export interface PairOptions {
  readonly strongswan?: StrongSwanOptions;
  /** Where Espalier stands; strongSwan is at the other gateway. */
  readonly espalierAt?: 'gatewayA' | 'gatewayB';
}

export class Pair {
  readonly directory = mkdtempSync(join(tmpdir(), 'espalier-'));
  readonly bed: Bed;
  readonly espalier: Espalier;
  readonly strongswan: StrongSwan;
  readonly #peerAt: Place;

  constructor({ strongswan = {}, espalierAt = 'gatewayA' }: PairOptions = {}) {
    this.bed = Bed.create(uniqueName('st'));
    // A router reports the multicast groups it joins (RFC 3810) on the TUN too, where no policy lets that out.
    this.bed.sysctl(espalierAt, 'net.ipv6.conf.all.forwarding', '0');
    this.espalier = new Espalier(this.bed, espalierAt, join(this.directory, 'espalier'));
    this.#peerAt = espalierAt === 'gatewayA' ? 'gatewayB' : 'gatewayA';
    this.strongswan = new StrongSwan(this.bed, this.#peerAt, join(this.directory, 'strongswan'), strongswan);
  }

  async remove(): Promise<void> {
    await this.espalier.stop();
    await this.strongswan.stop();
    await this.bed.remove();
    rmSync(this.directory, { recursive: true });
  }

  /** IKE SAs of ours that are up. */
  async established(): Promise<IkeSaStatus[]> {
    const { ikeSas } = await this.espalier.client.status();
    return ikeSas.filter(({ state }) => state === 'ESTABLISHED');
  }

  /** Child SAs of ours that are up. */
  async children(): Promise<ChildSaStatus[]> {
    const sas = await this.established();
    return sas.flatMap((sa) => sa.children).filter(({ state }) => state === 'INSTALLED');
  }

  /** Both sides know one IKE SA, the same, with one child SA, the same; old ones are gone. */
  async agrees(): Promise<boolean> {
    const status = await this.espalier.client.status();
    // A passive one lost a collision that the peer did not notice: nobody knows of it, and it goes by itself.
    const ikeSas = status.ikeSas.filter(({ state }) => state !== 'PASSIVE');
    const [sa] = ikeSas;
    const [child] = sa?.children ?? [];
    if (ikeSas.length !== 1 || sa!.children.length !== 1 || child === undefined) return false;
    if (sa!.state !== 'ESTABLISHED' || child.state !== 'INSTALLED') return false;
    const theirSas = this.peersSas();
    const theirChildren = theirSas.flatMap((each) => each.children);
    if (theirSas.length !== 1 || theirChildren.length !== 1) return false;
    const [spiI, spiR] = [theirSas[0]!.spiI, theirSas[0]!.spiR];
    const { spiIn, spiOut } = theirChildren[0]!;
    return spiI === sa!.spiI && spiR === sa!.spiR && spiIn === child.spiOut && spiOut === child.spiIn;
  }

  /** What `swanctl --list-sas` shows. */
  peersSas(): PeerSa[] {
    const sas: PeerSa[] = [];
    for (const line of this.strongswan.swanctl('--list-sas').split('\n')) {
      const ike = /^(\S+): #\d+, (\w+), IKEv2, ([0-9a-f]+)_i\*? ([0-9a-f]+)_r\*?/.exec(line);
      if (ike) sas.push({ state: ike[2]!, spiI: ike[3]!, spiR: ike[4]!, children: [] });
      const child = /^ {2}\S+: #\d+, reqid \d+, (\w+),/.exec(line);
      if (child) sas.at(-1)!.children.push({ state: child[1]!, spiIn: '', spiOut: '', packetsIn: 0, packetsOut: 0 });
      const traffic = /^ {4}(in|out) +([0-9a-f]+),.* (\d+) packets/.exec(line);
      if (!traffic) continue;
      const last = sas.at(-1)!.children.at(-1)!;
      if (traffic[1] === 'in') Object.assign(last, { spiIn: traffic[2], packetsIn: Number(traffic[3]) });
      else Object.assign(last, { spiOut: traffic[2], packetsOut: Number(traffic[3]) });
    }
    return sas;
  }

  /** Packets that the peer has counted as lost: its system at the UDP socket or at charon's TUN, charon for want of an outbound SA. */
  peersDrops(): number {
    const read = (file: string) => this.bed.run(this.#peerAt, 'cat', file);
    const [names, values] = read('/proc/net/snmp')
      .split('\n')
      .filter((line) => line.startsWith('Udp:'))
      .map((line) => line.split(' '));
    const udp = Number(values![names!.indexOf('InErrors')]);
    const tun =
      read('/proc/net/dev')
        .match(/ipsec0:(.*)/)?.[1]
        ?.trim()
        .split(/\s+/)
        .map(Number) ?? [];
    const charon = this.strongswan.log.match(/no matching outbound IPsec policy|could not find an outbound IPsec SA/g);
    // Received and sent, each: bytes packets errs drop …
    return udp + [2, 3, 10, 11].reduce((sum, column) => sum + (tun[column] ?? 0), charon?.length ?? 0);
  }

  /** Both hosts reach each other, every time. */
  async carries(count = 3, bytes = 1000): Promise<void> {
    expect(await ping(this.bed, 'hostA', HOST_B, bytes, count)).toMatchObject({ sent: count, received: count });
    expect(await ping(this.bed, 'hostB', HOST_A, bytes, count)).toMatchObject({ sent: count, received: count });
  }
}

export interface PeerSa {
  readonly state: string;
  readonly spiI: string;
  readonly spiR: string;
  readonly children: PeerChild[];
}

export interface PeerChild {
  readonly state: string;
  readonly spiIn: string;
  readonly spiOut: string;
  readonly packetsIn: number;
  readonly packetsOut: number;
}

/** Waits until `condition` holds. @returns whether it did in time */
export async function until(condition: () => boolean | Promise<boolean>, seconds = 30): Promise<boolean> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) return false;
    await sleep(50);
  }
  return true;
}
