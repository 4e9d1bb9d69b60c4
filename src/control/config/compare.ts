/** Which parts of a configuration are others than before. */
import type { Config, ConnectionConfig } from './model.ts';

/** Compares values of the model, key material included. */
export const sameValue = (a: unknown, b: unknown): boolean => fingerprint(a) === fingerprint(b);

/** What is renewed while a connection is up: a revocation list each day, a certificate each year. */
type Renewable = Pick<ConnectionConfig, 'local' | 'remote'>;

/** @returns what is the same for two connections whose SAs have no reason to go: certificates, keys and lists aside */
export function connectionFingerprint(connection: ConnectionConfig): string {
  const { certs: _certs, privateKey: _key, ...local } = connection.local;
  const { certs: _pinned, cacerts: _cas, crls: _lists, ...remote } = connection.remote;
  return fingerprint({ ...connection, local, remote });
}

/** @returns whether the certificates, the key and the revocation lists are the same as well */
export const sameCredentials = (a: Renewable, b: Renewable): boolean =>
  sameValue([a.local, a.remote], [b.local, b.remote]);

const fingerprint = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    part instanceof Uint8Array ? Buffer.from(part).toString('hex') : part,
  ) ?? '';

const byName = ({ connections }: Config) => new Map(connections.map((connection) => [connection.name, connection]));

/** @returns names of connections that were added, changed or removed; not of those with new credentials only */
export function changedConnections(before: Config, after: Config): string[] {
  const [old, fresh] = [byName(before), byName(after)];
  const isSame = (name: string) => {
    const [a, b] = [old.get(name), fresh.get(name)];
    if (a === undefined || b === undefined) return false;
    return (
      connectionFingerprint(a) === connectionFingerprint(b) && before.backends.get(name) === after.backends.get(name)
    );
  };
  return [...new Set([...old.keys(), ...fresh.keys()])].filter((name) => !isSame(name));
}

/** @returns names of connections that stay, and have new certificates, keys or revocation lists */
export function renewedConnections(before: Config, after: Config): string[] {
  const [old, changed] = [byName(before), new Set(changedConnections(before, after))];
  return after.connections
    .filter((connection) => !changed.has(connection.name) && !sameCredentials(old.get(connection.name)!, connection))
    .map(({ name }) => name);
}

/** Keys that only a start reads; the others take effect at a reload. */
const AT_START = {
  gateway: ['device', 'mtu', 'addresses', 'workers', 'listen', 'port', 'portNatT', 'mark', 'inboundClear'],
  control: ['crypto', 'socket', 'metrics', 'keyLog'],
} as const;

/** @returns changed keys that need a restart, as the file has them: `gateway.port_nat_t` */
export const needsRestart = (before: Config, after: Config): string[] => [
  ...AT_START.gateway.filter((key) => !sameValue(before.gateway[key], after.gateway[key])).map(keyText('gateway')),
  ...AT_START.control.filter((key) => !sameValue(before.control[key], after.control[key])).map(keyText('control')),
];

/** @returns `after` as far as it takes effect without a restart: sockets and device stay what they are */
export function withoutRestart(before: Config, after: Config): Config {
  const kept = <T extends object>(from: T, keys: readonly (keyof T)[]) =>
    Object.fromEntries(keys.map((key) => [key, from[key]])) as Partial<T>;
  return {
    ...after,
    gateway: { ...after.gateway, ...kept(before.gateway, AT_START.gateway) },
    control: { ...after.control, ...kept(before.control, AT_START.control) },
  };
}

const keyText =
  (section: string) =>
  (key: string): string =>
    `${section}.${key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
