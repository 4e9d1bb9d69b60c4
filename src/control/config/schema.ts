/**
 * The keys a configuration may have, with swanctl.conf's names, meanings and defaults where it has them.
 * What depends on more than one key is decided in `resolve.ts`.
 */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { HASH } from '../wire/iana.ts';
import type { KeyPath } from './error.ts';
import { nearest } from './nearest.ts';
import { parseSelector } from './selectors.ts';
import {
  address,
  addresses,
  backend,
  bool,
  decimal,
  df,
  dscpMap,
  duration,
  endpoint,
  hexBytes,
  integer,
  interfaceAddress,
  listOf,
  oneOf,
  parsed,
  parseInteger,
  peers,
  secret,
  size,
  text,
  valueError,
} from './values.ts';

type Shape = Readonly<Record<string, z.ZodType>>;

/** What is below a key: fixed keys, or names that the user chooses, each with the same below it. */
type Below = { readonly keys: Shape } | { readonly names: z.ZodType };
const below = new WeakMap<z.ZodType, Below>();

const notAMap = { error: 'must be a map: keys with values, indented below it' };
/** A schema of a map that may be left out, or have nothing below its key. */
type Lenient<S extends z.ZodType> = z.ZodType<z.output<S>, z.input<S> | null | undefined> & {
  _zod: { optin: 'optional' };
};

/** A map with these keys. `key:` with nothing below it is an empty one. */
function section<S extends Shape>(shape: S) {
  const map = z.object(shape, notAMap);
  const schema = z.preprocess((value) => value ?? {}, map) as unknown as Lenient<typeof map>;
  below.set(schema, { keys: shape });
  return schema;
}

/** A map from names to what `schema` describes. */
function named<S extends z.ZodType>(schema: S) {
  const map = z.record(z.string(), schema, notAMap);
  const whole = z.preprocess((value) => value ?? {}, map) as unknown as Lenient<typeof map>;
  below.set(whole, { names: schema });
  return whole;
}

const words = listOf((value) => value);
/** Identities and file names, which may have commas in them. */
const texts = listOf(
  (value) => {
    if (value === '') throw valueError('is empty');
    return value;
  },
  { split: false },
);
const selectors = listOf(parseSelector);
const port = integer(1, 65_535);
const hex = parsed((value) => hexBytes(value));
const closing = oneOf('none', 'clear', 'trap', 'start', 'restart');

const HASHES: Readonly<Record<string, number>> = {
  sha256: HASH.SHA2_256,
  sha384: HASH.SHA2_384,
  sha512: HASH.SHA2_512,
};

/** `psk`, `null`, `pubkey`, or `pubkey-sha256-sha384` to name the hashes of signatures (RFC 7427). */
const authentication = parsed((value) => {
  const [method = '', ...hashes] = value.toLowerCase().split('-');
  if (!['psk', 'pubkey', 'null', 'any'].includes(method)) {
    throw valueError(`"${value}" is no way to authenticate; write psk, pubkey or null`);
  }
  const unknown = hashes.find((hash) => HASHES[hash] === undefined);
  if (unknown !== undefined || (hashes.length > 0 && method !== 'pubkey')) {
    throw valueError(`"${value}" names hashes that do not fit; write e.g. pubkey-sha256-sha384`);
  }
  return { method: method as 'psk' | 'pubkey' | 'null' | 'any', hashes: hashes.map((hash) => HASHES[hash]!) };
});

const gateway = section({
  device: text.default('espalier0'),
  mtu: integer(576, 65_535).optional(),
  addresses: listOf(interfaceAddress).default([]),
  workers: parsed((value) => (value === 'auto' ? availableParallelism() : parseInteger(value, 1, 64))).default(1),
  backend: backend().default('wasm'),
  shadow: backend('none').default('none'),
  listen: addresses.default([]),
  port: port.default(500),
  port_nat_t: port.default(4500),
  mark: integer(0, 0xffff_ffff).default(0x4553),
  install_routes: bool.default(true),
  inbound_clear: oneOf('discard', 'accept').default('discard'),
});

const control = section({
  crypto: oneOf('noble', 'node').default('node'),
  socket: text.default('/run/espalier.sock'),
  log_level: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent').default('info'),
  metrics: endpoint.optional(),
  key_log: text.optional(),
  cookie_threshold: integer(0, 1_000_000).default(30),
  half_open_per_address: integer(1, 1_000_000).default(5),
  half_open: integer(1, 1_000_000).default(1000),
  ike_sas: integer(1, 1_000_000).default(20_000),
  retransmit_timeout: decimal(0.05, 60).default(4),
  retransmit_base: decimal(1, 10).default(1.8),
  retransmit_tries: integer(0, 20).default(5),
  window_size: integer(1, 32).default(1),
  fragment_size: integer(576, 65_535).default(1280),
  keep_alive: duration.default(20),
});

const local = section({
  auth: authentication.optional(),
  id: text.optional(),
  secret: secret.optional(),
  secret_file: text.optional(),
  certs: texts.default([]),
  key: text.optional(),
  key_secret: text.optional(),
});

const remote = section({
  auth: authentication.optional(),
  id: texts.default([]),
  secret: secret.optional(),
  secret_file: text.optional(),
  certs: texts.default([]),
  cacerts: texts.default([]),
  crls: texts.default([]),
});

const child = section({
  mode: oneOf('tunnel', 'transport').default('tunnel'),
  esp_proposals: words.optional(),
  ah_proposals: words.optional(),
  local_ts: selectors.optional(),
  remote_ts: selectors.optional(),
  start_action: oneOf('none', 'trap', 'start', 'trap|start').default('none'),
  close_action: closing.default('none'),
  dpd_action: closing.default('clear'),
  when_down: oneOf('drop', 'pass').default('drop'),
  rekey_time: duration.default(3600),
  life_time: duration.optional(),
  rand_time: duration.optional(),
  rekey_bytes: size.default(0),
  life_bytes: size.optional(),
  rand_bytes: size.optional(),
  rekey_packets: size.default(0),
  life_packets: size.optional(),
  rand_packets: size.optional(),
  replay_window: integer(0, 65_536).default(1024),
  tfc_padding: integer(0, 65_535).default(0),
  tfc_dummies: integer(0, 100_000).default(0),
  copy_df: df.default('copy'),
  copy_dscp: bool.default(true),
  dscp_map: dscpMap.optional(),
  priority: integer(0, 0x7fff_ffff).default(1000),
});

export const connection = section({
  version: oneOf('0', '2').optional(),
  backend: backend('default').default('default'),
  local_addrs: addresses.default([]),
  remote_addrs: peers.default([]),
  local_port: port.optional(),
  remote_port: port.default(500),
  proposals: words.default(['default']),
  encap: bool.default(false),
  mobike: bool.default(true),
  childless: oneOf('allow', 'prefer', 'force', 'never').default('allow'),
  fragmentation: oneOf('yes', 'accept', 'force', 'no').default('yes'),
  dpd_delay: duration.default(0),
  /** Read because swanctl.conf has it; of IKEv1 only, and so without effect here as there. */
  dpd_timeout: duration.optional(),
  keyingtries: integer(0, 1000).default(1),
  unique: oneOf('no', 'never', 'keep', 'replace').default('no'),
  reauth_time: duration.default(0),
  rekey_time: duration.default(4 * 3600),
  over_time: duration.optional(),
  rand_time: duration.optional(),
  send_cert: oneOf('always', 'ifasked', 'never').default('ifasked'),
  send_certreq: bool.default(true),
  ppk_id: text.optional(),
  ppk: secret.optional(),
  ppk_required: bool.default(false),
  local,
  remote,
  children: named(child),
});

/** An SA with keys, as `ip xfrm state add` takes them. */
export const manualSa = section({
  direction: oneOf('in', 'out'),
  protocol: oneOf('esp', 'ah').default('esp'),
  mode: oneOf('tunnel', 'transport').default('tunnel'),
  spi: integer(256, 0xffff_ffff),
  local: address,
  remote: address,
  encap: bool.default(false),
  local_port: port.optional(),
  remote_port: port.default(4500),
  algorithm: text,
  key: hex.optional(),
  auth_key: hex.optional(),
  esn: bool.default(false),
  replay_window: integer(0, 65_536).default(1024),
  local_ts: selectors.optional(),
  remote_ts: selectors.optional(),
  life_time: duration.default(0),
  life_bytes: size.default(0),
  life_packets: size.default(0),
  tfc_padding: integer(0, 65_535).default(0),
  tfc_dummies: integer(0, 100_000).default(0),
  copy_df: df.default('copy'),
  copy_dscp: bool.default(true),
  dscp_map: dscpMap.optional(),
});

export const policy = section({
  direction: oneOf('in', 'out', 'both').default('both'),
  action: oneOf('protect', 'bypass', 'discard'),
  priority: integer(0, 0x7fff_ffff).default(100),
  local_ts: selectors.optional(),
  remote_ts: selectors.optional(),
  sa: text.optional(),
});

/** The sections of which there is one. */
export const sections = { gateway, control };

const schema = section({
  ...sections,
  connections: named(connection),
  sas: named(manualSa),
  policies: named(policy),
});

/** What `Gateway.start` takes as an object: the configuration file's keys. */
export type ConfigInput = NonNullable<z.input<typeof schema>>;
export type ConfigValues = z.output<typeof schema>;
export type ConnectionValues = z.output<typeof connection>;
export type ChildValues = z.output<typeof child>;
export type ManualSaValues = z.output<typeof manualSa>;
export type PolicyValues = z.output<typeof policy>;
export type LocalValues = z.output<typeof local>;
export type RemoteValues = z.output<typeof remote>;

export interface Finding {
  readonly path: KeyPath;
  readonly message: string;
}

/** @returns every key in `value` that the schema does not know, with what may have been meant */
export function unknownKeys(value: unknown, expected: z.ZodType = schema, path: KeyPath = []): Finding[] {
  const rule = below.get(expected);
  if (!rule || typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([key, child]) => {
    const inner = 'names' in rule ? rule.names : rule.keys[key];
    if (inner) return unknownKeys(child, inner, [...path, key]);
    const known = Object.keys((rule as { keys: Shape }).keys);
    const close = nearest(key, known);
    const hint = close ? `did you mean "${close}"?` : `known here: ${known.join(', ')}`;
    return [{ path: [...path, key], message: `is an unknown key; ${hint}` }];
  });
}

/** @returns the values, or what is wrong with them; unknown keys are not looked for */
export function check<S extends z.ZodType>(expected: S, value: unknown, path: KeyPath): z.output<S> | Finding[] {
  const result = expected.safeParse(value);
  if (result.success) return result.data;
  return result.error.issues.map((issue) => ({ path: [...path, ...(issue.path as KeyPath)], message: issue.message }));
}

/** @returns every key that there is, `connections.NAME.children.NAME.mode` */
export function everyKey(expected: z.ZodType = schema, path = ''): string[] {
  const rule = below.get(expected);
  if (!rule) return [path];
  const inner = 'names' in rule ? { NAME: rule.names } : rule.keys;
  return Object.entries(inner).flatMap(([key, each]) => everyKey(each, path === '' ? key : `${path}.${key}`));
}
