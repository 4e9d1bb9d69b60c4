/**
 * A gateway: one data plane, the control plane that drives it, and the control API to ask it through.
 * The command line and programs that embed Espalier use this class alike.
 */
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { monotonic } from './clock.ts';
import type { BackendChoice, DataPlaneOptions, DeviceOptions, RunningDataPlane, SaHandle } from './contract.ts';
import { changedConnections, needsRestart, renewedConnections, withoutRestart } from './control/config/compare.ts';
import { problemText } from './control/config/error.ts';
import { configFromObject, type LoadedConfig, loadConfig } from './control/config/load.ts';
import type { Config, ConnectionConfig } from './control/config/model.ts';
import type { ConfigInput } from './control/config/schema.ts';
import { ControlPlane, type Logger } from './control/control-plane.ts';
import type { IkeEvent } from './control/ike/effects.ts';
import { AddressMonitor } from './control/manage/address-monitor.ts';
import type { Manageable, ReloadResult } from './control/manage/api.ts';
import { childPolicies } from './control/manage/child-policies.ts';
import { HostNames, hasHostName } from './control/manage/host-names.ts';
import { ManualEntries } from './control/manage/manual.ts';
import { ControlServer } from './control/manage/server.ts';
import type { GatewayStatus } from './control/manage/status.ts';
import { startDataPlane } from './dataplane/engine.ts';
import { EspalierError } from './errors.ts';
import { KeyLog } from './observe/key-log.ts';
import { createLogger } from './observe/log.ts';
import { createMetrics } from './observe/metrics.ts';
import { packagePath } from './package-root.ts';

export type { GatewayStatus } from './control/manage/status.ts';

export interface GatewayOptions {
  /** pino's logger or one like it; by default one on standard output at `control.log_level`. */
  readonly logger?: Logger & { level?: string };
  /** Serve the control API on `control.socket`; default true. */
  readonly controlApi?: boolean;
  /** In place of the TUN device that `gateway` describes. */
  readonly device?: DeviceOptions;
  /** In place of `gateway.backend`. */
  readonly backend?: string;
  /** In place of `gateway.shadow`. */
  readonly shadow?: string;
  /** Open raw sockets for protocols 50 and 51; default: if the process may. */
  readonly raw?: boolean;
  /** Room in the SAD and the SPD. */
  readonly limits?: DataPlaneOptions['limits'];
}

export interface GatewayEvents {
  /** IKE and child SAs come up, are replaced, go away or fail. */
  event: [event: IkeEvent];
  /** The data plane has failed: stop the gateway. As with every EventEmitter, the process ends if nobody listens. */
  error: [error: EspalierError];
}

/** Milliseconds between two looks at the host names of connections that are down. */
const NAME_INTERVAL = 60_000;
/** In place of a backend's name: the gateway's, for a connection; none, for the shadow. */
const DEFAULT = 'default';
const NONE = 'none';

interface Parts {
  readonly file: string | undefined;
  readonly config: Config;
  readonly logger: Logger & { level?: string };
  readonly dataPlane: RunningDataPlane;
  readonly keyLog: KeyLog | undefined;
  readonly names: HostNames;
}

const { version } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as { version: string };

export class Gateway extends EventEmitter<GatewayEvents> implements Manageable {
  readonly #file: string | undefined;
  readonly #logger: Logger & { level?: string };
  readonly #dataPlane: RunningDataPlane;
  readonly #controlPlane: ControlPlane;
  readonly #manual: ManualEntries;
  readonly #names: HostNames;
  readonly #started = monotonic();
  #config: Config;
  #metrics: (() => Promise<string>) | undefined;
  #server: ControlServer | undefined;
  #addresses: AddressMonitor | undefined;
  #nameTimer: NodeJS.Timeout | undefined;
  #stopped: Promise<void> | undefined;

  /**
   * @param config a YAML file, or an object with the same keys
   * @throws ConfigError, or EspalierError with what is missing: `ERR_NO_TUN`, `ERR_SYSTEM`, `ERR_BACKEND`, `ERR_SOCKET` …
   */
  static async start(config: string | ConfigInput, options: GatewayOptions = {}): Promise<Gateway> {
    const file = typeof config === 'string' ? resolve(config) : undefined;
    const loaded = typeof config === 'string' ? loadConfig(config) : configFromObject(config);
    const logger = options.logger ?? createLogger({ level: loaded.config.control.logLevel });
    logWarnings(logger, file ?? 'configuration', loaded);
    const keyLog = openKeyLog(logger, loaded.config);
    const names = new HostNames((name, reason) => logger.warn({ name }, `host name cannot be looked up: ${reason}`));
    await names.refresh(loaded.config.connections);
    const dataPlane = await startDataPlane(dataPlaneOptions(loaded.config, options, logger));
    try {
      const gateway = new Gateway({ file, config: loaded.config, logger, dataPlane, keyLog, names });
      await gateway.#start(options);
      return gateway;
    } catch (error) {
      await dataPlane.close();
      throw error;
    }
  }

  private constructor({ file, config, logger, dataPlane, keyLog, names }: Parts) {
    super();
    this.#file = file;
    this.#config = config;
    this.#logger = logger;
    this.#dataPlane = dataPlane;
    this.#manual = new ManualEntries(dataPlane, (sa) => this.#onExpire(sa, 'hard', 'time'));
    this.#names = names;
    this.#controlPlane = new ControlPlane({
      dataPlane,
      config: names.apply(config),
      logger,
      ...(keyLog && { onKeys: (keys) => keyLog.write(keys) }),
    });
    this.#controlPlane.on('event', (event) => this.emit('event', event));
    dataPlane.on('error', (error) => this.emit('error', error));
    dataPlane.on('expire', (sa, kind, reason) => this.#onExpire(sa, kind, reason));
  }

  async #start(options: GatewayOptions): Promise<void> {
    const { device, workers, backend, kernel, missing } = this.#dataPlane.info;
    this.#manual.apply(this.#config);
    if (options.controlApi ?? true) {
      const { socket, metrics } = this.#config.control;
      this.#server = await ControlServer.start({
        gateway: this,
        socket,
        ...(metrics && { metrics }),
        onError: (error) => this.#logger.error({ err: String(error) }, 'control API'),
      });
    }
    this.#addresses = new AddressMonitor(device.name, (addresses) => this.#onAddresses(addresses));
    this.#nameTimer = setInterval(() => void this.#refreshNames(), NAME_INTERVAL).unref();
    this.#controlPlane.start();
    for (const sentence of missing) this.#logger.warn({}, sentence);
    this.#logger.info({ device: device.name, mtu: device.mtu, workers, backend, kernel }, `espalier ${version} runs`);
  }

  /** Everything that is going on; plain data, no secrets. */
  status(): GatewayStatus {
    return {
      version,
      node: process.versions.node,
      pid: process.pid,
      uptimeSeconds: Math.round((monotonic() - this.#started) / 1000),
      dataPlane: this.#dataPlane.info,
      ikeSas: this.#controlPlane.status(),
      trapped: this.#controlPlane.trapped(),
      manualSas: this.#manual.sas(),
      policies: [
        ...this.#manual.policies(),
        ...childPolicies(this.#dataPlane, this.#config.connections, this.#manual.policyHandles()),
      ],
      drops: this.#dataPlane.drops(),
    };
  }

  /** @returns Prometheus text */
  metrics(): Promise<string> {
    // Not before somebody asks: measuring the event loop costs a little all the time.
    this.#metrics ??= createMetrics(() => this.status());
    return this.#metrics();
  }

  /**
   * Brings up a connection with its children, or one child.
   * @throws EspalierError with the peer's or our own reason
   */
  async up(name: string): Promise<void> {
    const connection = this.#mustKnow(name);
    await this.#refreshNames(connection.name);
    if (this.#names.isUnknown(connection)) {
      throw new EspalierError(
        'ERR_NO_ADDRESS',
        `${connection.remoteAddrs.join(', ')} cannot be looked up; is the name right?`,
      );
    }
    await this.#controlPlane.initiate(name);
  }

  /** Deletes the SAs of a connection, or of one child. */
  async down(name: string): Promise<void> {
    this.#mustKnow(name);
    await this.#controlPlane.terminate(name);
  }

  /** Replaces the SAs of a connection, or of one child, by new ones now. */
  async rekey(name: string): Promise<void> {
    this.#mustKnow(name);
    await this.#controlPlane.rekey(name);
  }

  /**
   * Takes a changed configuration: only connections that changed lose their SAs, and manual SAs that changed theirs.
   * @param config an object; by default the file is read again
   * @throws ConfigError, EspalierError `ERR_BACKEND`, `ERR_KEY_REUSED`, and then nothing has changed
   */
  async reload(config?: ConfigInput): Promise<ReloadResult> {
    const loaded = this.#read(config);
    logWarnings(this.#logger, this.#file ?? 'configuration', loaded);
    const before = this.#config;
    const after = withoutRestart(before, loaded.config);
    this.#manual.check(after);
    await this.#dataPlane.changeBackends((now) => reloadedBackends(now, before, after));
    await this.#names.refresh(this.#down(after.connections));
    // What one of the two no longer protects, the other may protect from now on.
    this.#manual.apply(after, () => this.#controlPlane.reload(this.#names.apply(after)));
    if (before.control.logLevel !== after.control.logLevel) this.#logger.level = after.control.logLevel;
    this.#config = after;
    const result = {
      changed: changedConnections(before, after),
      renewed: renewedConnections(before, after),
      restart: needsRestart(before, loaded.config),
    };
    this.#logger.info(result, 'configuration read again');
    return result;
  }

  #read(config: ConfigInput | undefined): LoadedConfig {
    if (config !== undefined) return configFromObject(config);
    if (this.#file !== undefined) return loadConfig(this.#file);
    throw new EspalierError(
      'ERR_NO_FILE',
      'this gateway was started without a file; give reload the new configuration',
    );
  }

  /**
   * Swaps the crypto backend under running traffic; no packet is lost.
   * @param name `wasm`, `node`, …, or the path of a module
   * @param connection the one whose SAs shall use it, from now on and after a rekeying; `default` gives it the
   *   gateway's again. Without it, the gateway's is swapped.
   */
  async setBackend(name: string, connection?: string): Promise<void> {
    if (connection === undefined) {
      await this.#dataPlane.changeBackends((now) => ({ ...now, backend: name }));
    } else {
      this.#mustKnowConnection(connection);
      await this.#dataPlane.changeBackends((now) => {
        const connections = new Map(now.connections);
        if (name === DEFAULT) connections.delete(connection);
        else connections.set(connection, name);
        return { ...now, connections };
      });
    }
    this.#logger.info({ backend: name, ...(connection !== undefined && { connection }) }, 'crypto backend changed');
  }

  /**
   * Has another backend do a sample of the packets over again; disagreements are counted and logged.
   * @param name `noble`, …, the path of a module, or `none`
   */
  async setShadow(name: string): Promise<void> {
    await this.#dataPlane.changeBackends(({ backend, connections }) => ({
      backend,
      connections,
      ...shadowed(name),
    }));
    this.#logger.info({ shadow: name }, 'shadow of the crypto backends changed');
  }

  /** Deletes all SAs, tells the peers, and removes device, routes, rules and sockets. May be called again. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#addresses?.close();
    clearInterval(this.#nameTimer);
    await this.#server?.close();
    await this.#controlPlane.stop();
    this.#manual.clear();
    await this.#dataPlane.close();
    this.#logger.info({}, 'stopped');
  }

  #onAddresses(addresses: readonly string[]): void {
    this.#logger.info({ addresses }, "this host's addresses changed");
    // SAs over loopback, in tests and demonstrations, stay where they are.
    const loopback = this.#controlPlane.status().map(({ local }) => local.address);
    const kept = loopback.filter((address) => address.startsWith('127.') || address === '::1');
    this.#controlPlane.addressesChanged([...addresses, ...kept]);
  }

  /** An SA with keys from the configuration has nobody who would replace it. */
  #onExpire(sa: SaHandle, kind: 'soft' | 'hard', reason: string): void {
    const name = this.#manual.expire(sa, kind);
    if (name === undefined) return;
    const outcome = kind === 'hard' ? 'ended; give it a new SPI and a new key' : 'is near its end';
    this.#logger.warn({ sa: name, reason }, `manual SA "${name}" ${outcome}`);
  }

  /** Looks host names up again where their connection is down; where it is up, it stays where it is. */
  async #refreshNames(only?: string): Promise<void> {
    const wanted = this.#config.connections.filter(({ name }) => (only ?? name) === name);
    const down = this.#down(wanted).filter(hasHostName);
    if (down.length === 0) return;
    await this.#names.refresh(down);
    if (this.#stopped === undefined) this.#controlPlane.reload(this.#names.apply(this.#config));
  }

  /** @returns the connections without an IKE SA, whose names may mean something else by now */
  #down(connections: readonly ConnectionConfig[]): ConnectionConfig[] {
    const up = new Set(this.#controlPlane.status().map(({ connection }) => connection));
    return connections.filter((connection) => !up.has(connection.name) || this.#names.isUnknown(connection));
  }

  #mustKnowConnection(name: string): void {
    const names = this.#config.connections.map((connection) => connection.name);
    if (names.includes(name)) return;
    const known = names.length > 0 ? `there are ${names.join(', ')}` : 'none is configured';
    throw new EspalierError('ERR_UNKNOWN_NAME', `there is no connection "${name}"; ${known}`);
  }

  /** @returns the connection, or that of the child, of that name */
  #mustKnow(name: string): ConnectionConfig {
    const namesOf = ({ name: own, children }: ConnectionConfig) => [own, ...children.map((child) => child.name)];
    const { connections } = this.#config;
    const connection =
      connections.find((each) => each.name === name) ?? connections.find((each) => namesOf(each).includes(name));
    if (connection) return connection;
    const names = connections.flatMap(namesOf);
    const known = names.length > 0 ? `there are ${names.join(', ')}` : 'none is configured';
    throw new EspalierError('ERR_UNKNOWN_NAME', `there is no connection and no child "${name}"; ${known}`);
  }
}

function dataPlaneOptions(config: Config, options: GatewayOptions, logger: Logger): DataPlaneOptions {
  const { gateway, backends } = config;
  const shadow = options.shadow ?? gateway.shadow;
  const tun: DeviceOptions = {
    kind: 'tun',
    name: gateway.device,
    addresses: gateway.addresses,
    ...(gateway.mtu !== undefined && { mtu: gateway.mtu }),
  };
  return {
    workers: gateway.workers,
    backends: {
      backend: options.backend ?? gateway.backend,
      connections: backends,
      ...shadowed(shadow),
    },
    device: options.device ?? tun,
    ports: { ike: gateway.port, natTraversal: gateway.portNatT },
    mark: gateway.mark,
    inboundClear: gateway.inboundClear,
    ...(gateway.listen.length > 0 && { listen: gateway.listen }),
    ...(options.raw !== undefined && { raw: options.raw }),
    ...(options.limits && { limits: options.limits }),
    onWarning: (sentence) => logger.warn({}, sentence),
  };
}

/** What is another in the configuration becomes another here; what was set by command stays otherwise. */
function reloadedBackends(now: BackendChoice, before: Config, after: Config): BackendChoice {
  const pick = <T>(current: T, old: T, fresh: T): T => (old === fresh ? current : fresh);
  const backend = pick(now.backend, before.gateway.backend, after.gateway.backend);
  const shadow = pick(now.shadow, before.gateway.shadow, after.gateway.shadow);
  const connections = new Map<string, string>();
  for (const { name } of after.connections) {
    const own = pick(now.connections.get(name), before.backends.get(name), after.backends.get(name));
    if (own !== undefined) connections.set(name, own);
  }
  return { backend, connections, ...shadowed(shadow) };
}

const shadowed = (name: string | undefined): Pick<BackendChoice, 'shadow'> =>
  name === undefined || name === NONE ? {} : { shadow: name };

function logWarnings(logger: Logger, file: string, { warnings }: LoadedConfig): void {
  for (const warning of warnings) logger.warn({}, problemText(file, warning));
}

function openKeyLog(logger: Logger, { control }: Config): KeyLog | undefined {
  if (control.keyLog === undefined) return undefined;
  logger.warn(
    { directory: control.keyLog },
    'KEYS ARE WRITTEN TO DISK: whoever reads control.key_log can decrypt all traffic; remove it when you are done',
  );
  return new KeyLog(control.keyLog);
}
