/** Which parts of a configuration are others than before. */
import type { Config } from './model.ts';

/** Compares values of the model, key material included. */
export const sameValue = (a: unknown, b: unknown): boolean => fingerprint(a) === fingerprint(b);

const fingerprint = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    part instanceof Uint8Array ? Buffer.from(part).toString('hex') : part,
  ) ?? '';

/** @returns names of connections that were added, changed or removed */
export function changedConnections(before: Config, after: Config): string[] {
  const byName = (config: Config) => new Map(config.connections.map((connection) => [connection.name, connection]));
  const [old, fresh] = [byName(before), byName(after)];
  const isSame = (name: string) =>
    sameValue(old.get(name), fresh.get(name)) && before.backends.get(name) === after.backends.get(name);
  return [...new Set([...old.keys(), ...fresh.keys()])].filter((name) => !isSame(name));
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
