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
  return [...new Set([...old.keys(), ...fresh.keys()])].filter((name) => !sameValue(old.get(name), fresh.get(name)));
}

/** Keys that only a start reads; the others take effect at a reload. */
const AT_START = {
  gateway: ['device', 'mtu', 'addresses', 'workers', 'listen', 'port', 'portNatT', 'mark'],
  control: ['crypto', 'socket', 'metrics', 'keyLog', 'limits'],
} as const;

/** @returns changed keys that need a restart, `gateway.mtu` */
export const needsRestart = (before: Config, after: Config): string[] => [
  ...AT_START.gateway
    .filter((key) => !sameValue(before.gateway[key], after.gateway[key]))
    .map((key) => `gateway.${key}`),
  ...AT_START.control
    .filter((key) => !sameValue(before.control[key], after.control[key]))
    .map((key) => `control.${key}`),
];
