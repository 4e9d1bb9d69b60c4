/**
 * From a YAML file, or an object with the same keys, to the configuration the control plane uses.
 *
 *   text ─source─► plain values ─schema─► typed values ─resolve─► Config
 *
 * Every step goes on where it can, so that one run tells everything that is wrong.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { isAddress } from '../wire/address.ts';
import { ResolveContext } from './context.ts';
import { ConfigError, type ConfigProblem, type KeyPath } from './error.ts';
import type { Config, ManualSaConfig } from './model.ts';
import { resolveConnection } from './resolve-connection.ts';
import { impliedPolicies, resolveManualSa, resolvePolicy } from './resolve-manual.ts';
import {
  type ConfigInput,
  type ConfigValues,
  check,
  connection,
  manualSa,
  policy,
  sections,
  unknownKeys,
} from './schema.ts';
import { type ConfigSource, objectSource, yamlSource } from './source.ts';

export interface LoadedConfig {
  readonly config: Config;
  /** What works but should be changed. */
  readonly warnings: readonly ConfigProblem[];
}

/** Bits of a file's mode that let others than its owner and group read it. */
const OTHERS = 0o007;
/** Names go into paths of the control API and into logs. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/**
 * @param file YAML; other files that it names are found relative to its folder
 * @throws ConfigError with every problem, each with line and key
 */
export function loadConfig(file: string): LoadedConfig {
  const path = resolve(file);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(file, [{ path: [], message: cannotRead(error as NodeJS.ErrnoException) }]);
  }
  const loaded = resolveSource(yamlSource(text, file), dirname(path));
  const hasSecrets = loaded.config.connections.some(({ local, remote }) => local.psk || remote.psk);
  const open = (statSync(path).mode & OTHERS) !== 0 && (hasSecrets || loaded.config.manual.length > 0);
  if (!open) return loaded;
  const message = 'holds secrets and can be read by every user; run chmod 600 on it';
  return { ...loaded, warnings: [{ path: [], message }, ...loaded.warnings] };
}

/** @param directory files are found relative to it */
export const configFromText = (text: string, file: string, directory = process.cwd()): LoadedConfig =>
  resolveSource(yamlSource(text, file), directory);

/** @param directory files are found relative to it */
export const configFromObject = (value: ConfigInput, directory = process.cwd()): LoadedConfig =>
  resolveSource(objectSource(value), directory);

function cannotRead(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return 'there is no such file';
  if (error.code === 'EACCES') return 'may not be read by this user';
  if (error.code === 'EISDIR') return 'is a folder; name a file';
  return `cannot be read: ${error.message}`;
}

function resolveSource(source: ConfigSource, directory: string): LoadedConfig {
  const context = new ResolveContext(directory);
  const placed = ({ path, message }: { path: KeyPath; message: string }): ConfigProblem => {
    const position = source.locate(path);
    return { path, message, ...(position && { position }) };
  };
  const config = resolveConfig(context, source.value ?? {});
  if (context.problems.length > 0) {
    const problems = context.problems.map(placed);
    throw new ConfigError(
      source.file,
      problems.sort((a, b) => (a.position?.line ?? 0) - (b.position?.line ?? 0)),
    );
  }
  return { config, warnings: context.warnings.map(placed) };
}

type Entries = Readonly<Record<string, unknown>>;

function resolveConfig(context: ResolveContext, value: unknown): Config {
  context.problems.push(...unknownKeys(value));
  /** @returns typed values, or undefined with its problems reported */
  const typed = <S extends z.ZodType>(expected: S, part: unknown, path: KeyPath): z.output<S> | undefined => {
    const result = check(expected, part, path);
    if (!Array.isArray(result)) return result as z.output<S>;
    context.problems.push(...result);
    return undefined;
  };
  /** Each entry of a map of names on its own, so that one that is wrong does not hide what is wrong with the others. */
  const entries = <S extends z.ZodType, T>(
    key: string,
    expected: S,
    convert: (name: string, values: z.output<S>) => T,
  ) =>
    Object.entries(mapOf(context, value, key)).flatMap(([name, part]) => {
      const values = typed(expected, part, [key, name]);
      return values === undefined ? [] : [convert(name, values)];
    });

  const top = isMap(value) ? value : {};
  if (!isMap(value)) context.report([], 'must be a map: gateway, control, connections, sas, policies');
  const gateway = typed(sections.gateway, top['gateway'], ['gateway']) ?? defaults.gateway;
  const control = typed(sections.control, top['control'], ['control']) ?? defaults.control;
  const backends = new Map<string, string>();
  const connections = entries('connections', connection, (name, values) => {
    if (values.backend !== 'default') backends.set(name, backendName(context, values.backend));
    return resolveConnection(context, name, values, gateway);
  });
  const manual = entries('sas', manualSa, (name, values) =>
    resolveManualSa(context, name, values, { portNatT: gateway.port_nat_t }),
  ).filter((sa) => sa !== undefined);
  const sas: ReadonlyMap<string, ManualSaConfig> = new Map(manual.map((sa) => [sa.name, sa]));
  const policies = entries('policies', policy, (name, values) => resolvePolicy(context, name, values, sas)).flat();

  checkNames(context, value);
  checkSpis(context, manual);
  if (gateway.port === gateway.port_nat_t) context.report(['gateway', 'port_nat_t'], 'must differ from port');
  return {
    gateway: gatewayConfig(context, gateway),
    control: controlConfig(context, control),
    connections,
    backends,
    manual,
    policies: [...policies, ...impliedPolicies(manual, policies)],
  };
}

const defaults = { gateway: sections.gateway.parse({}), control: sections.control.parse({}) };

const isMap = (value: unknown): value is Entries =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function mapOf(context: ResolveContext, value: unknown, key: string): Entries {
  const part = isMap(value) ? (value[key] ?? {}) : {};
  if (isMap(part)) return part;
  context.report([key], 'must be a map: names with keys below each');
  return {};
}

function gatewayConfig(context: ResolveContext, values: ConfigValues['gateway']): Config['gateway'] {
  const range = values.listen.find((each) => !isAddress(each));
  if (range !== undefined) context.report(['gateway', 'listen'], `"${range}" must be a single address of this host`);
  return {
    device: values.device,
    ...(values.mtu !== undefined && { mtu: values.mtu }),
    addresses: values.addresses,
    workers: values.workers,
    backend: backendName(context, values.backend),
    ...(values.shadow !== 'none' && { shadow: backendName(context, values.shadow) }),
    listen: values.listen,
    port: values.port,
    portNatT: values.port_nat_t,
    mark: values.mark,
    installRoutes: values.install_routes,
    inboundClear: values.inbound_clear,
  };
}

/** `wasm`, or `./mine.js`: modules are found relative to the configuration, as all files are. */
const backendName = (context: ResolveContext, text: string): string =>
  text.startsWith('.') ? resolve(context.directory, text) : text;

function controlConfig(context: ResolveContext, values: ConfigValues['control']): Config['control'] {
  return {
    crypto: values.crypto,
    socket: resolve(context.directory, values.socket),
    logLevel: values.log_level,
    limits: {
      cookieThreshold: values.cookie_threshold,
      halfOpenPerAddress: values.half_open_per_address,
      halfOpen: values.half_open,
      ikeSas: values.ike_sas,
      retransmitTimeout: values.retransmit_timeout,
      retransmitBase: values.retransmit_base,
      retransmitTries: values.retransmit_tries,
      windowSize: values.window_size,
      fragmentSize: values.fragment_size,
      keepalive: values.keep_alive,
    },
    ...(values.metrics && { metrics: values.metrics }),
    ...(values.key_log !== undefined && { keyLog: resolve(context.directory, values.key_log) }),
  };
}

/** `espalier up NAME` takes a connection or a child, so one name may not stand for two of them. */
function checkNames(context: ResolveContext, value: unknown): void {
  const owner = new Map<string, string>();
  const connections = isMap(value) && isMap(value['connections']) ? value['connections'] : {};
  const claim = (path: KeyPath, name: string, connection: string): void => {
    const other = owner.get(name);
    if (other !== undefined && other !== connection) {
      context.report(
        path,
        `"${name}" is already the name of connection "${other}" or of a child in it; choose another`,
      );
    }
    owner.set(name, other ?? connection);
  };
  for (const name of Object.keys(connections)) claim(['connections', name], name, name);
  for (const [name, part] of Object.entries(connections)) {
    const children = isMap(part) && isMap(part['children']) ? Object.keys(part['children']) : [];
    for (const child of children) claim(['connections', name, 'children', child], child, name);
    for (const child of children) checkName(context, ['connections', name, 'children', child]);
  }
  for (const section of ['connections', 'sas', 'policies']) {
    const part = isMap(value) ? value[section] : undefined;
    for (const name of isMap(part) ? Object.keys(part) : []) checkName(context, [section, name]);
  }
}

function checkName(context: ResolveContext, path: KeyPath): void {
  if (!NAME.test(String(path.at(-1)))) {
    context.report(
      path,
      'is no name; use up to 64 letters, digits, "_", "-" and ".", beginning with a letter or digit',
    );
  }
}

/** The SPI alone finds an inbound SA (RFC 4301 §4.1). */
function checkSpis(context: ResolveContext, manual: readonly ManualSaConfig[]): void {
  const owner = new Map<number, string>();
  for (const { name, parameters } of manual) {
    if (parameters.direction !== 'in') continue;
    const other = owner.get(parameters.spi);
    if (other !== undefined)
      context.report(['sas', name, 'spi'], `is already that of the inbound SA "${other}"; choose another`);
    owner.set(parameters.spi, name);
  }
}
