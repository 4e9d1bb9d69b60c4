/** Which connection a peer is meant by: first by addresses (IKE_SA_INIT), then by identities (IKE_AUTH). */
import { acceptsIdentity, type IdentityBytes, matchIdentity } from '../auth/identity.ts';
import type { ChildConfig, ConnectionConfig, SelectorConfig } from '../config/model.ts';
import { addressBytes, addressText, compareAddresses, isAddress, parseRange } from '../wire/address.ts';
import { PROTOCOL } from '../wire/iana.ts';

/** How well an address fits a list: exactly, within a range, or because the list is empty. */
const EXACT = 3;
const RANGE = 2;
const ANY = 1;

interface Range {
  readonly first: Uint8Array;
  readonly last: Uint8Array;
}

/** A connection with its addresses, read once. */
interface Listed {
  readonly connection: ConnectionConfig;
  readonly index: number;
  readonly local: readonly Range[];
  readonly remote: readonly Range[];
}

/** Thousands of sites have an address each: whoever calls is found by it, and only the others are gone through. */
interface Directory {
  readonly byRemote: ReadonlyMap<string, readonly Listed[]>;
  /** Those whose remote addresses are not all single ones. */
  readonly others: readonly Listed[];
}

const directories = new WeakMap<readonly ConnectionConfig[], Directory>();

function directoryOf(connections: readonly ConnectionConfig[]): Directory {
  const known = directories.get(connections) ?? makeDirectory(connections);
  directories.set(connections, known);
  return known;
}

function makeDirectory(connections: readonly ConnectionConfig[]): Directory {
  const byRemote = new Map<string, Listed[]>();
  const others: Listed[] = [];
  for (const [index, connection] of connections.entries()) {
    const [local, remote] = [connection.localAddrs.map(readRange), connection.remoteAddrs.map(readRange)];
    const listed = { connection, index, local, remote };
    const plain = remote.length > 0 && remote.every(isSingle);
    if (!plain) others.push(listed);
    for (const address of plain ? new Set(remote.map(({ first }) => addressText(first))) : []) {
      const sites = byRemote.get(address) ?? [];
      sites.push(listed);
      byRemote.set(address, sites);
    }
  }
  return { byRemote, others };
}

function readRange(entry: string): Range {
  const { from, to } = parseRange(entry);
  return { first: addressBytes(from), last: addressBytes(to) };
}

const isSingle = ({ first, last }: Range): boolean => compareAddresses(first, last) === 0;

function closeness(address: Uint8Array, list: readonly Range[]): number {
  if (list.length === 0) return ANY;
  let best = 0;
  for (const range of list) {
    const { first, last } = range;
    if (first.length !== address.length) continue;
    if (compareAddresses(first, address) > 0 || compareAddresses(address, last) > 0) continue;
    best = Math.max(best, isSingle(range) ? EXACT : RANGE);
  }
  return best;
}

/** @returns the connections for that path, the closest fit first, else in the configuration's order */
export function byAddress(
  connections: readonly ConnectionConfig[],
  local: string,
  remote: string,
): readonly ConnectionConfig[] {
  const { byRemote, others } = directoryOf(connections);
  const [localBytes, remoteBytes] = [addressBytes(local), addressBytes(remote)];
  return [...(byRemote.get(addressText(remoteBytes)) ?? []), ...others]
    .map(({ connection, index, local: locals, remote: remotes }) => {
      const [here, there] = [closeness(localBytes, locals), closeness(remoteBytes, remotes)];
      return { connection, index, rank: here > 0 && there > 0 ? there * 4 + here : 0 };
    })
    .filter(({ rank }) => rank > 0)
    .sort((a, b) => b.rank - a.rank || a.index - b.index)
    .map(({ connection }) => connection);
}

/**
 * @param idR whom the initiator wants to talk to, if it said so
 * @returns the candidates that both identities allow, those that name the peer's first
 */
export function byIdentity(
  candidates: readonly ConnectionConfig[],
  idI: IdentityBytes,
  idR: IdentityBytes | undefined,
): readonly ConnectionConfig[] {
  const wanted = candidates.filter(
    ({ local }) => idR === undefined || local.id === undefined || matchIdentity(local.id, idR),
  );
  const rank = ({ remote }: ConnectionConfig) => (remote.ids.length > 0 ? 0 : 1);
  return wanted.filter(({ remote }) => acceptsIdentity(remote, idI)).sort((a, b) => rank(a) - rank(b));
}

/** @returns the address to initiate to */
export const peerAddress = ({ remoteAddrs }: ConnectionConfig): string | undefined => remoteAddrs.find(isAddress);

/** A peer that called from an address of its own has to call again itself. */
export const mayCall = ({ connection }: { readonly connection: ConnectionConfig }): boolean =>
  peerAddress(connection) !== undefined;

/** @returns the configured local address of the peer's family */
export function ownAddress({ localAddrs }: ConnectionConfig, peer: string): string | undefined {
  return localAddrs.find((address) => isAddress(address) && address.includes(':') === peer.includes(':'));
}

/** @returns whether any proposal of the connection has additional key exchanges (RFC 9370) */
export const wantsIntermediate = ({ proposals }: ConnectionConfig): boolean =>
  proposals.some(({ protocol, transforms }) => protocol === PROTOCOL.IKE && transforms.some(({ type }) => type >= 6));

/** Peers from anywhere, and selectors that follow their addresses, come and go: nobody would lift what they left. */
export const isSiteToSite = (connection: ConnectionConfig, { remoteTs }: ChildConfig): boolean =>
  peerAddress(connection) !== undefined && !followsAddress(remoteTs);

/** Are there `dynamic` selectors? */
export const followsAddress = (selectors: readonly SelectorConfig[]): boolean =>
  selectors.length === 0 || selectors.some(({ addresses }) => addresses === undefined);
