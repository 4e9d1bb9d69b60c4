/**
 * A gateway of the bed without IKE: one process in its namespace, one pair of SAs with keys that
 * anybody can compute. For tests and benchmarks of the data plane alone, never for traffic that matters.
 *
 *     node manual-gateway.js '{"side": "A", "suite": "aes128gcm16", …}'
 *
 * Prints READY once it forwards. Then it takes a line on stdin at a time and answers each with a
 * line of JSON: `report`, `backend NAME`, and to replace an SA while it carries traffic `receive PAIR`,
 * `send PAIR`, `drop PAIR`. Ends on SIGTERM or at the end of stdin.
 */
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { type CipherSuite, suiteLengths, suiteName } from '../algorithms.ts';
import type {
  Direction,
  Endpoint,
  IpsecMode,
  IpsecProtocol,
  PolicyHandle,
  RunningDataPlane,
  SaHandle,
  TrafficSelector,
} from '../contract.ts';
import { ALL_SUITES } from '../dataplane/backends/suites.ts';
import { startDataPlane } from '../dataplane/engine.ts';
import { parsePrefix } from '../dataplane/io/rtnetlink.ts';
import { addressText } from '../dataplane/selector.ts';
import { EspalierError } from '../errors.ts';
import { ADDRESSES, NETWORKS } from './bed.ts';

export interface ManualGatewayOptions {
  readonly side: 'A' | 'B';
  /** swanctl's keyword: `aes128gcm16`, `aes256-sha256`; for AH `sha256`. */
  readonly suite?: string;
  readonly protocol?: IpsecProtocol;
  /** In transport mode the gateways themselves are the ends of the traffic. */
  readonly mode?: IpsecMode;
  /** Family of the outer addresses. */
  readonly outer?: 4 | 6;
  /** UDP encapsulation; default true. */
  readonly encapsulation?: boolean;
  readonly esn?: boolean;
  readonly replayWindow?: number;
  readonly workers?: number;
  readonly backend?: string;
  readonly mtu?: number;
  /** SAs side by side, for flows from different ports; default 1. */
  readonly pairs?: number;
}

export interface ManualGatewayReport {
  readonly info: unknown;
  readonly out: unknown;
  readonly in: unknown;
  readonly drops: Readonly<Record<string, number>>;
  readonly residentBytes: number;
  /** Of all threads. */
  readonly cpuSeconds: number;
}

/** Printed once the gateway forwards. */
const READY = 'ready';
const PORT = 4500;
const FIRST_SPI = 0x1000;
const ANY_PORTS = { from: 0, to: 65_535 };

function findSuite(name: string, protocol: IpsecProtocol): CipherSuite {
  const suite = ALL_SUITES.find((one) => suiteName(one) === name && (one.encr === undefined) === (protocol === 'ah'));
  if (suite === undefined) throw new EspalierError('ERR_OPTIONS', `no suite '${name}' for ${protocol}`);
  return suite;
}

/** @returns bytes that both gateways know */
function derive(label: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0, block = 0; at < length; at += 32, block++) {
    bytes.set(
      createHash('sha256')
        .update(`${label} ${block}`)
        .digest()
        .subarray(0, length - at),
      at,
    );
  }
  return bytes;
}

function rangeOf(prefix: string): { from: string; to: string } {
  const { address, length } = parsePrefix(prefix);
  const last = address.map((byte, index) => byte | (0xff >> Math.min(8, Math.max(0, length - index * 8))));
  return { from: addressText(address), to: addressText(last) };
}

function selectorsOf(options: ManualGatewayOptions): TrafficSelector[] {
  const [local, remote] = endsOf(options);
  return local.map((prefix, family) => ({
    protocol: 0,
    local: { addresses: rangeOf(prefix), ports: ANY_PORTS },
    remote: { addresses: rangeOf(remote[family]!), ports: ANY_PORTS },
  }));
}

/** @returns the prefixes on either side, IPv4 first */
function endsOf({ side, mode = 'tunnel', outer = 4 }: ManualGatewayOptions): [readonly string[], readonly string[]] {
  const gateways = (wan: readonly string[]) => [outer === 4 ? `${wan[0]}/32` : `${wan[1]}/128`];
  const a = mode === 'tunnel' ? NETWORKS.A : gateways(ADDRESSES.wanA);
  const b = mode === 'tunnel' ? NETWORKS.B : gateways(ADDRESSES.wanB);
  return side === 'A' ? [a, b] : [b, a];
}

class ManualGateway {
  static async start(options: ManualGatewayOptions): Promise<ManualGateway> {
    const { workers = 1, backend = 'wasm', mtu } = options;
    const device = { kind: 'tun', name: 'espalier0', ...(mtu === undefined ? {} : { mtu }) } as const;
    const gateway = new ManualGateway(options, await startDataPlane({ workers, backends: { backend }, device }));
    gateway.#install();
    return gateway;
  }

  readonly #options: ManualGatewayOptions;
  readonly #dataPlane: RunningDataPlane;
  readonly #ends: Readonly<Record<'A' | 'B', Endpoint>>;
  /** By number of the pair. */
  readonly #inbound = new Map<number, SaHandle>();
  readonly #outbound = new Map<number, SaHandle>();
  /** By number of the pair, those of both families. */
  readonly #policies = new Map<number, PolicyHandle[]>();

  private constructor(options: ManualGatewayOptions, dataPlane: RunningDataPlane) {
    this.#options = options;
    this.#dataPlane = dataPlane;
    const endpoint = (wan: readonly string[]): Endpoint => ({ address: wan[options.outer === 6 ? 1 : 0]!, port: PORT });
    this.#ends = { A: endpoint(ADDRESSES.wanA), B: endpoint(ADDRESSES.wanB) };
  }

  /** @returns the answer to one line */
  async obey(line: string): Promise<ManualGatewayReport> {
    const [command, argument = ''] = line.split(' ');
    if (command === 'backend') await this.#dataPlane.changeBackends((now) => ({ ...now, backend: argument }));
    if (command === 'receive') this.#installSa('in', Number(argument));
    if (command === 'send') this.#replace(Number(argument));
    if (command === 'drop') this.#drop(Number(argument));
    return this.#report();
  }

  close(): Promise<void> {
    return this.#dataPlane.close();
  }

  #install(): void {
    const { pairs = 1, mode, side } = this.#options;
    for (let pair = 0; pair < pairs; pair++) this.#installSa('in', pair);
    for (let pair = 0; pair < pairs; pair++) {
      const sa = this.#installSa('out', pair);
      const policies: PolicyHandle[] = [];
      for (const selector of selectorsOf(this.#options)) {
        const policy = { direction: 'out', action: 'protect', sa, name: 'manual' } as const;
        // TCP flows spread over the pairs by source port; everything else takes the first.
        const some = { ...selector, protocol: 6, local: { ...selector.local, ports: slice(pair, pairs) } };
        if (pairs > 1) policies.push(this.#dataPlane.installPolicy({ ...policy, priority: 1, selector: some }));
        if (pair === 0) policies.push(this.#dataPlane.installPolicy({ ...policy, priority: 2, selector }));
      }
      this.#policies.set(pair, policies);
    }
    const [, remote] = endsOf(this.#options);
    const source = mode === 'transport' ? this.#ends[side].address : undefined;
    for (const prefix of remote) this.#dataPlane.addRoute(prefix, source);
  }

  #installSa(direction: Direction, pair: number): SaHandle {
    const { side, protocol = 'esp', mode = 'tunnel', encapsulation = true } = this.#options;
    const fromA = (side === 'A') === (direction === 'out');
    const way = fromA ? 'A to B' : 'B to A';
    const suite = findSuite(this.#options.suite ?? 'aes128gcm16', protocol);
    const lengths = suiteLengths(suite);
    const ah = protocol === 'ah';
    const sa = this.#dataPlane.installSa({
      direction,
      protocol,
      mode,
      spi: FIRST_SPI + pair * 2 + (fromA ? 0 : 1),
      local: this.#ends[side],
      remote: this.#ends[side === 'A' ? 'B' : 'A'],
      udpEncapsulation: encapsulation && !ah,
      suite,
      keys: {
        encryption: derive(`encryption ${way} ${pair}`, lengths.key + (ah ? 0 : lengths.salt)),
        integrity: derive(`integrity ${way} ${pair}`, lengths.integKey + (ah ? lengths.salt : 0)),
      },
      esn: this.#options.esn ?? true,
      replayWindow: this.#options.replayWindow ?? 1024,
      selectors: selectorsOf(this.#options),
      name: `manual ${way}`,
    });
    (direction === 'in' ? this.#inbound : this.#outbound).set(pair, sa);
    return sa;
  }

  /** From now on the first pair's traffic takes another one. */
  #replace(pair: number): void {
    const sa = this.#installSa('out', pair);
    for (const policy of this.#policies.get(0) ?? []) this.#dataPlane.setPolicySa(policy, sa);
  }

  #drop(pair: number): void {
    for (const sas of [this.#outbound, this.#inbound]) {
      const sa = sas.get(pair);
      if (sa !== undefined) this.#dataPlane.removeSa(sa);
      sas.delete(pair);
    }
  }

  #report(): ManualGatewayReport {
    const { user, system } = process.cpuUsage();
    const counters = (sas: ReadonlyMap<number, SaHandle>) =>
      [...sas.values()].map((sa) => this.#dataPlane.counters(sa));
    return {
      info: this.#dataPlane.info,
      out: counters(this.#outbound),
      in: counters(this.#inbound),
      drops: this.#dataPlane.drops(),
      residentBytes: process.memoryUsage.rss(),
      cpuSeconds: (user + system) / 1e6,
    };
  }
}

/** @returns the ports whose flows take that pair */
function slice(pair: number, pairs: number): { from: number; to: number } {
  const width = Math.floor(65_536 / pairs);
  return { from: pair * width, to: pair === pairs - 1 ? 65_535 : (pair + 1) * width - 1 };
}

const gateway = await ManualGateway.start(JSON.parse(process.argv[2] ?? '{"side": "A"}'));
const stop = () => void gateway.close().then(() => process.exit(0));
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
const commands = createInterface({ input: process.stdin });
commands.once('close', stop);
commands.on('line', async (line) => process.stdout.write(`${JSON.stringify(await gateway.obey(line))}\n`));
process.stdout.write(`${READY}\n`);
