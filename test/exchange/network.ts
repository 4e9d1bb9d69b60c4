/** Two or more protocol cores over an in-memory network with a clock of its own: no sockets, no waiting. */
import type { SaCounters, SaParameters, TrafficSelector } from '../../src/contract.ts';
import { configFromObject } from '../../src/control/config/load.ts';
import type { Config } from '../../src/control/config/model.ts';
import type { ConfigInput } from '../../src/control/config/schema.ts';
import { createProvider } from '../../src/control/crypto/index.ts';
import type { CryptoProvider, CryptoProviderName, RandomSource } from '../../src/control/crypto/provider.ts';
import { IkeCore } from '../../src/control/ike/core.ts';
import type { Effect, IkeEvent, Input, KeyExport, PolicyKey, SaKey } from '../../src/control/ike/effects.ts';

type EffectOf<T extends Effect['type']> = Extract<Effect, { type: T }>;
export type Datagram = EffectOf<'send'>['datagram'];

interface Policy {
  readonly parameters: EffectOf<'install-policy'>['parameters'];
  sa: SaKey | undefined;
}

export interface NodeOptions {
  /** Makes every key, nonce and SPI come again the same way. */
  readonly random?: RandomSource;
  readonly crypto?: CryptoProviderName | CryptoProvider;
  /** The address that it has, where the configuration names none. */
  readonly sourceAddress?: () => string | undefined;
  /** By default the network's clock. */
  readonly wallClock?: () => number;
}

/** What the network's clock shows at first. */
const START = 1_000_000;

const provider = ({ crypto = 'node', random }: NodeOptions): CryptoProvider =>
  typeof crypto === 'string' ? createProvider(crypto, random) : crypto;

/** One gateway: a core, and what it has had its data plane do. */
export class Node {
  readonly core: IkeCore;
  readonly name: string;
  /** As it is written. */
  readonly input: ConfigInput;
  readonly config: Config;
  readonly options: NodeOptions;
  readonly events: IkeEvent[] = [];
  /** Keys of every SA, for tests that forge what only the peer could send. */
  readonly keys: KeyExport[] = [];
  readonly log: string[] = [];
  readonly sas = new Map<SaKey, SaParameters>();
  readonly policies = new Map<PolicyKey, Policy>();
  readonly routes = new Set<string>();
  readonly guards = new Map<number, TrafficSelector>();
  readonly reserved = new Set<number>();
  readonly counters = new Map<SaKey, SaCounters>();
  readonly completed = new Map<number, EffectOf<'completed'>['error'] | undefined>();
  timerAt: number | undefined;
  private lastSpi = 0x1000;
  private lastRequest = 0;

  constructor(name: string, input: ConfigInput, options: NodeOptions = {}) {
    const { config } = configFromObject(input);
    this.name = name;
    this.input = input;
    this.config = config;
    this.options = options;
    this.core = new IkeCore({
      config,
      exportKeys: true,
      environment: {
        crypto: provider(options),
        reserveSpi: () => {
          this.reserved.add(++this.lastSpi);
          return this.lastSpi;
        },
        releaseSpi: (spi) => this.reserved.delete(spi),
        wallClock: options.wallClock ?? (() => START),
        counters: (sa) => this.counters.get(sa),
        sourceAddress: options.sourceAddress ?? (() => undefined),
      },
    });
  }

  nextRequest(): number {
    return ++this.lastRequest;
  }

  /** Lines of the exchange trace: `sent IKE_AUTH 1: HDR, SK {…} -->`. */
  get trace(): string[] {
    return this.log.filter((line) => /^(sent|received) /.test(line));
  }

  /** The SA of a direction that a packet would use now. */
  installed(direction: 'in' | 'out'): SaParameters[] {
    return [...this.sas.values()].filter((parameters) => parameters.direction === direction);
  }
}

/** Milliseconds one way. */
export const LATENCY = 10;

export class Network {
  now = START;
  /** How much later than its clock the time of day is. */
  timeOfDay = 0;
  readonly nodes: Node[] = [];
  /** Datagrams on their way, in the order of their arrival. */
  readonly wire: { readonly at: number; readonly from: Node; readonly datagram: Datagram }[] = [];
  /** Sees every datagram that is sent: returns what arrives instead, undefined to lose it. */
  tamper: (datagram: Datagram, from: Node) => Datagram | undefined = (datagram) => datagram;
  /** Every datagram ever sent. */
  readonly sent: Datagram[] = [];

  add(name: string, config: ConfigInput, options?: NodeOptions): Node {
    const node = new Node(name, config, { wallClock: () => this.now + this.timeOfDay, ...options });
    this.nodes.push(node);
    return node;
  }

  /** Told of every effect once it has taken place. */
  observe: (node: Node, effect: Effect) => void = () => undefined;

  feed(node: Node, input: Input): void {
    for (const effect of node.core.handle(input, this.now)) {
      this.perform(node, effect);
      this.observe(node, effect);
    }
  }

  /** A gateway loses all it knew, and begins again at the same addresses. */
  restart(before: Node): Node {
    const node = new Node(before.name, before.input, before.options);
    this.nodes.splice(this.nodes.indexOf(before), 1, node);
    for (const [address, owner] of this.addresses) if (owner === before) this.addresses.set(address, node);
    return node;
  }

  /** A command; its outcome is in `node.completed` once it is over. */
  command(node: Node, type: 'initiate' | 'terminate' | 'rekey', name: string): number {
    const request = node.nextRequest();
    this.feed(node, { type, request, name });
    return request;
  }

  /** Packets both ways every millisecond from now on: each is sealed by what the sender's policy points to. */
  startTraffic(takesTraffic: (policy: Policy) => boolean = () => true): void {
    this.takesTraffic = takesTraffic;
    this.nextPacket = this.now;
  }

  /** Packets that found no SA at the sender or at the receiver. */
  readonly lost: string[] = [];
  delivered = 0;
  private takesTraffic: (policy: Policy) => boolean = () => true;
  private nextPacket = Infinity;
  private readonly packets: { readonly at: number; readonly to: Node; readonly by: SaParameters }[] = [];

  private sendPackets(): void {
    for (const from of this.nodes) {
      const policy = [...from.policies.values()].find(this.takesTraffic);
      const by = policy?.sa === undefined ? undefined : from.sas.get(policy.sa);
      const to = this.nodes.find((node) => node !== from)!;
      if (by === undefined) this.lost.push(`${this.now} ${from.name} has no SA to send with`);
      else this.packets.push({ at: this.now + LATENCY, to, by });
    }
    this.nextPacket = this.now + 1;
  }

  private receivePacket(): void {
    const { to, by } = this.packets.shift()!;
    const found = [...to.sas].find(([, { direction, spi }]) => direction === 'in' && spi === by.spi);
    if (found === undefined || Buffer.compare(found[1].keys.encryption, by.keys.encryption) !== 0) {
      this.lost.push(`${this.now} ${to.name} has no SA ${by.spi.toString(16)}`);
      return;
    }
    this.delivered++;
    const packets = (to.counters.get(found[0])?.packets ?? 0) + 1;
    const rest = { bytes: packets, sequence: packets, replayDrops: 0, integrityDrops: 0 };
    to.counters.set(found[0], { packets, lastUsed: this.now, ...rest });
  }

  /** Runs until nothing is on its way, but no longer than `limit` milliseconds. */
  settle(limit = 5_000): void {
    const end = this.now + limit;
    while (this.wire.length > 0 && this.step(end));
  }

  /** Lets time pass. */
  pass(milliseconds: number): void {
    const end = this.now + milliseconds;
    while (this.step(end));
    this.now = end;
  }

  /** The next thing that happens. @returns false if nothing does before `end` */
  private step(end: number): boolean {
    const timer = this.nodes.filter(({ timerAt }) => timerAt !== undefined).sort((a, b) => a.timerAt! - b.timerAt!)[0];
    const arrival = this.wire[0];
    const packetAt = Math.min(this.nextPacket, this.packets[0]?.at ?? Infinity);
    const at = Math.min(timer?.timerAt ?? Infinity, arrival?.at ?? Infinity, packetAt);
    if (at > end) return false;
    this.now = Math.max(this.now, at);
    if (packetAt <= at) {
      if (this.packets[0] !== undefined && this.packets[0].at <= at) this.receivePacket();
      else this.sendPackets();
    } else if (arrival !== undefined && arrival.at <= at) {
      this.wire.shift();
      this.deliver(arrival.datagram);
    } else {
      timer!.timerAt = undefined;
      this.feed(timer!, { type: 'timer' });
    }
    return true;
  }

  /** Hands a datagram to whoever has its destination address; its ends are seen from there. */
  deliver({ local, remote, data }: Datagram): void {
    const to = this.owner(remote.address);
    if (to === undefined || data.length < 28) return;
    this.feed(to, { type: 'datagram', datagram: { local: remote, remote: local, data } });
  }

  readonly addresses = new Map<string, Node>();

  private owner(address: string): Node | undefined {
    return this.addresses.get(address);
  }

  private perform(node: Node, effect: Effect): void {
    switch (effect.type) {
      case 'send': {
        this.sent.push(effect.datagram);
        const datagram = this.tamper(effect.datagram, node);
        if (datagram !== undefined) this.wire.push({ at: this.now + LATENCY, from: node, datagram });
        break;
      }
      case 'timer':
        node.timerAt = effect.at;
        break;
      case 'install-sa': {
        const { keys } = effect.parameters;
        const copy = { encryption: keys.encryption.slice(), integrity: keys.integrity.slice() };
        node.sas.set(effect.key, { ...effect.parameters, keys: copy });
        break;
      }
      case 'move-sa': {
        const parameters = node.sas.get(effect.key);
        const { local, remote, udpEncapsulation } = effect;
        if (parameters) node.sas.set(effect.key, { ...parameters, local, remote, udpEncapsulation });
        break;
      }
      case 'remove-sa':
        node.sas.delete(effect.key);
        break;
      case 'install-policy':
        node.policies.set(effect.key, { parameters: effect.parameters, sa: effect.sa });
        break;
      case 'set-policy-sa':
        node.policies.get(effect.key)!.sa = effect.sa;
        break;
      case 'remove-policy':
        node.policies.delete(effect.key);
        break;
      case 'add-route':
        node.routes.add(effect.prefix);
        break;
      case 'remove-route':
        node.routes.delete(effect.prefix);
        break;
      case 'guard':
        node.guards.set(effect.key, effect.selector);
        break;
      case 'unguard':
        node.guards.delete(effect.key);
        break;
      case 'log':
        node.log.push(effect.message);
        break;
      case 'event':
        node.events.push(effect.event);
        break;
      case 'keys':
        node.keys.push(effect.keys);
        break;
      case 'completed':
        node.completed.set(effect.request, effect.error);
        break;
    }
  }
}

type Connection = NonNullable<NonNullable<ConfigInput['connections']>[string]>;
type Child = NonNullable<NonNullable<Connection['children']>[string]>;

export interface Sides {
  readonly left?: Partial<Connection>;
  readonly right?: Partial<Connection>;
  readonly leftChild?: Partial<Child>;
  readonly rightChild?: Partial<Child>;
  /** More children beside `net`. */
  readonly leftChildren?: Readonly<Record<string, Child>>;
  readonly rightChildren?: Readonly<Record<string, Child>>;
  readonly control?: ConfigInput['control'];
  readonly leftGateway?: ConfigInput['gateway'];
  readonly rightGateway?: ConfigInput['gateway'];
  readonly options?: NodeOptions;
  /** Of the left gateway alone. */
  readonly leftOptions?: NodeOptions;
}

export const LEFT = '192.0.2.1';
export const RIGHT = '198.51.100.1';

/** Two gateways with one connection and one child between them, and a secret. */
export function pair(sides: Sides = {}): { network: Network; left: Node; right: Node } {
  const network = new Network();
  const proposals = ['aes128gcm16-prfsha256-x25519'];
  const side = (here: string, there: string, own: 'left' | 'right', peer: 'left' | 'right'): ConfigInput => ({
    ...(sides.control && { control: sides.control }),
    ...(sides[`${own}Gateway`] && { gateway: sides[`${own}Gateway`] }),
    connections: {
      [peer]: {
        local_addrs: [here],
        remote_addrs: [there],
        proposals,
        mobike: false,
        local: { auth: 'psk', id: `${own}.example.org`, secret: 'a secret of the two' },
        remote: { auth: 'psk', id: `${peer}.example.org`, secret: 'a secret of the two' },
        ...sides[own],
        children: {
          net: {
            local_ts: [own === 'left' ? '10.1.0.0/16' : '10.2.0.0/16'],
            remote_ts: [own === 'left' ? '10.2.0.0/16' : '10.1.0.0/16'],
            esp_proposals: ['aes128gcm16'],
            ...sides[`${own}Child`],
          },
          ...sides[`${own}Children`],
        },
      },
    },
  });
  const left = network.add('left', side(LEFT, RIGHT, 'left', 'right'), sides.leftOptions ?? sides.options);
  const right = network.add('right', side(RIGHT, LEFT, 'right', 'left'), sides.options);
  network.addresses.set(LEFT, left).set(RIGHT, right);
  return { network, left, right };
}
