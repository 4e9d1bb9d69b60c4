/** Which connection a peer is meant by: first by addresses (IKE_SA_INIT), then by identities (IKE_AUTH). */
import { acceptsIdentity, type IdentityBytes, matchIdentity } from '../auth/identity.ts';
import type { ChildConfig, ConnectionConfig, SelectorConfig } from '../config/model.ts';
import { addressBytes, compareAddresses, isAddress, parseRange } from '../wire/address.ts';
import { PROTOCOL } from '../wire/iana.ts';

/** How well an address fits a list: exactly, within a range, or because the list is empty. */
const EXACT = 3;
const RANGE = 2;
const ANY = 1;

function closeness(address: string, list: readonly string[]): number {
  if (list.length === 0) return ANY;
  const bytes = addressBytes(address);
  let best = 0;
  for (const entry of list) {
    const { from, to } = parseRange(entry);
    const [first, last] = [addressBytes(from), addressBytes(to)];
    if (first.length !== bytes.length) continue;
    if (compareAddresses(first, bytes) > 0 || compareAddresses(bytes, last) > 0) continue;
    best = Math.max(best, isAddress(entry) ? EXACT : RANGE);
  }
  return best;
}

/** @returns the connections for that path, the closest fit first, else in the configuration's order */
export function byAddress(
  connections: readonly ConnectionConfig[],
  local: string,
  remote: string,
): readonly ConnectionConfig[] {
  return connections
    .map((connection, index) => {
      const [here, there] = [closeness(local, connection.localAddrs), closeness(remote, connection.remoteAddrs)];
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
