/**
 * Hostile bytes at a responder that has an established SA with a friend beside it:
 *
 *   anybody ── mutated messages, with and without the friend's SPIs and address ──► responder ◄── friend
 *   insider ── mutated payloads inside SK, with the keys ─────────────────────────►
 *
 * The insiders are authenticated, or about to be: nothing stops their bytes from being looked at. One has
 * a secret, the other a certificate and additional key exchanges.
 */
import { toPem } from '../../src/control/auth/pem.ts';
import { type Credentials, createCa, createCertificate } from '../../src/control/auth/pki.ts';
import type { Config } from '../../src/control/config/model.ts';
import { makeProtection } from '../../src/control/crypto/protection.ts';
import { EXCHANGE } from '../../src/control/wire/iana.ts';
import { sealPart } from '../../src/control/wire/message.ts';
import type { SkProtection } from '../../src/control/wire/payloads/sk.ts';
import { configOf, connection, Host } from './host.ts';
import { type Chain, spoilChain, spoilMessage } from './mutate.ts';
import { simulatedProvider } from './provider.ts';
import { Random } from './random.ts';
import { Violation } from './violation.ts';

const RESPONDER = '192.0.2.1';
const FRIEND = '198.51.100.1';
const FRIENDLY_CHILD = 'net-gateway-friend';
const MESSAGE_ID_AT = 20;
/** Milliseconds of virtual time from one message to the next. */
const PACE = 2;
/** Share of the messages that come without keys. */
const OUTSIDE = 0.8;
const CHECK_EVERY = 10_000;
const MOST_HALF_OPEN = 1000;
/** Of child SAs whose making still goes on. */
const MOST_RESERVED = 20;
/** Now and then a crowd of honest-looking initiators begins, answers cookies and goes away: more than may be half-open. */
const CROWD_EVERY = 100_000;
const CROWD = 1500;
const { IKE_AUTH, IKE_INTERMEDIATE } = EXCHANGE;

/** Names of the insiders. */
const CLERK = 'clerk';
const INSIDERS = ['insider', CLERK] as const;
type Insider = (typeof INSIDERS)[number];

type Connection = ReturnType<typeof connection>;

/** Ed25519's keys and signatures have one length, so that a run from a seed makes the same decisions again. */
const CA = createCa({ subject: 'CN=ca', kind: 'ed25519', now: 0 });
const certified = (name: string): Credentials =>
  createCertificate({ issuer: CA, subject: `CN=${name}`, names: [name], kind: 'ed25519', now: 0 });
const [OF_GATEWAY, OF_CLERK] = [certified('gateway'), certified(CLERK)];

/** Between the gateway and an insider, from either side; the clerk's goes by certificate. */
function ofInsider(own: string, peer: string, here: readonly string[], there: readonly string[]): Connection {
  const plain = connection(own, peer, here, there);
  if (own !== CLERK && peer !== CLERK) return plain;
  const { certificate, privateKey } = own === CLERK ? OF_CLERK : OF_GATEWAY;
  const pem = (der: Uint8Array): string => toPem('CERTIFICATE', der);
  const [child] = Object.values(plain.children!);
  return {
    ...plain,
    proposals: ['aes128gcm16-prfsha256-x25519-ke1_mlkem512'],
    local: { auth: 'pubkey', id: own, certs: [pem(certificate)], key: toPem('PRIVATE KEY', privateKey) },
    remote: { auth: 'pubkey', id: peer, cacerts: [pem(CA.certificate)] },
    children: { [childOf(own, peer)]: { ...child, esp_proposals: ['aes128gcm16-x25519-ke1_mlkem512'] } },
  };
}

const childOf = (own: string, peer: string): string => `net-${own}-${peer}`;

const CONFIGS: Readonly<Record<Insider, Config>> = {
  insider: configOf({ gateway: ofInsider('insider', 'gateway', [], [RESPONDER]) }),
  clerk: configOf({ gateway: ofInsider(CLERK, 'gateway', [], [RESPONDER]) }),
};

/** A protected request, as it was before it was protected. */
interface Sample {
  readonly exchange: number;
  readonly chain: Chain;
}

/** The insider's IKE SA of the moment. */
interface Session {
  readonly address: string;
  readonly spiI: bigint;
  readonly spiR: bigint;
  readonly outbound: SkProtection;
  readonly authenticated: boolean;
  messageId: number;
  silent: number;
}

export interface HostileReport {
  readonly messages: number;
  readonly answered: number;
  readonly sessions: number;
  readonly mostHalfOpen: number;
  /** Bytes of heap in use after a tenth of the messages, and after all. */
  readonly heapAtFirst: number;
  readonly heapAtLast: number;
}

export class HostileRun {
  private readonly random: Random;
  private readonly gateway: Host;
  private readonly friend: Host;
  private now = 1_000_000;
  private readonly plain: Uint8Array[] = [];
  private readonly samples: Sample[] = [];
  private session: Session | undefined;
  private readonly report = { messages: 0, answered: 0, sessions: 0, mostHalfOpen: 0, heapAtFirst: 0, heapAtLast: 0 };
  private victim = '';
  private readonly friendlySpis: { readonly spiI: bigint; readonly spiR: bigint };
  private readonly handshakeSamples: readonly Sample[];
  private readonly otherSamples: readonly Sample[];

  constructor(seed: number) {
    this.random = new Random('hostile', seed);
    const config = configOf({
      friend: connection('gateway', 'friend', [RESPONDER], [FRIEND]),
      insider: ofInsider('gateway', 'insider', [RESPONDER], []),
      clerk: ofInsider('gateway', CLERK, [RESPONDER], []),
    });
    this.gateway = new Host(config, this.provider('gateway'));
    this.friend = new Host(
      configOf({ gateway: connection('friend', 'gateway', [FRIEND], [RESPONDER]) }),
      this.provider('friend'),
    );
    this.friend.command('initiate', 'gateway', this.now);
    this.exchange();
    for (const name of INSIDERS) this.collect(name);
    this.victim = this.friendly();
    const [sa] = this.friend.core.status(this.now);
    this.friendlySpis = { spiI: BigInt(`0x${sa!.spiI}`), spiR: BigInt(`0x${sa!.spiR}`) };
    const inHandshake = ({ exchange }: Sample) => exchange === IKE_AUTH || exchange === IKE_INTERMEDIATE;
    this.handshakeSamples = this.samples.filter(inHandshake);
    this.otherSamples = this.samples.filter((sample) => !inHandshake(sample));
    if (!this.victim.includes('INSTALLED')) throw new Error('the friend has no SA');
  }

  private provider(name: string) {
    return simulatedProvider(new Random('host', name).bytes, false);
  }

  /** @param progress called now and then with the number of messages so far */
  run(count: number, heapInUse: () => number, progress: (done: number) => void = () => undefined): HostileReport {
    for (let index = 1; index <= count; index++) {
      this.now += PACE;
      if (index % CROWD_EVERY === CROWD_EVERY / 2) this.crowd();
      this.attack();
      if (index % CHECK_EVERY === 0) this.check();
      if (index === Math.ceil(count / 10)) this.report.heapAtFirst = heapInUse();
      if (index % 100_000 === 0) progress(index);
    }
    this.check();
    this.report.heapAtLast = heapInUse();
    this.rekeyFriend();
    return { ...this.report, messages: count };
  }

  private attack(): void {
    const { random } = this;
    if (random.chance(OUTSIDE)) this.attackFromOutside();
    else this.attackFromInside();
    this.gateway.wake(this.now);
    this.exchange();
  }

  /** Anybody can send that. */
  private attackFromOutside(): void {
    const { random } = this;
    const data = spoilMessage(random.pick(this.plain), random.pick(this.plain), random);
    const asFriend = random.chance(0.4);
    if (asFriend && data.length >= 28) {
      const view = new DataView(data.buffer);
      const { spiI, spiR } = this.friendlySpis;
      view.setBigUint64(0, spiI);
      if (random.chance(0.9)) view.setBigUint64(8, spiR);
      view.setUint32(MESSAGE_ID_AT, random.below(8));
    }
    const address = asFriend && random.chance(0.7) ? FRIEND : this.anywhere();
    this.deliver(data, address);
  }

  private attackFromInside(): void {
    const { random } = this;
    if (this.session === undefined || this.session.silent > 1 || random.chance(0.01)) this.infiltrate();
    const { session } = this;
    if (session === undefined) {
      this.attackFromOutside();
      return;
    }
    const fitting = session.authenticated ? this.otherSamples : this.handshakeSamples;
    const sample = random.pick(random.chance(0.9) ? fitting : this.samples);
    const { first, bytes } = spoilChain(sample.chain, random.pick(this.samples).chain, random);
    const messageId = random.chance(0.95) ? session.messageId : random.next();
    const header = {
      spiI: session.spiI,
      spiR: session.spiR,
      exchange: random.chance(0.95) ? sample.exchange : random.below(256),
      fromInitiator: true,
      response: random.chance(0.03),
      messageId,
    };
    const part = random.chance(0.1)
      ? {
          kind: 'SKF' as const,
          firstPayload: first,
          fragment: { number: random.between(1, 4), total: random.between(1, 5) },
        }
      : { kind: 'SK' as const, firstPayload: first };
    this.deliver(sealPart(header, part, bytes, session.outbound), session.address);
    if (this.gateway.outbox.some(({ remote }) => remote.address === session.address)) {
      this.report.answered++;
      session.messageId++;
      session.silent = 0;
    } else {
      session.silent++;
    }
  }

  /** Makes a new SA as the configuration allows it, or goes up to where it would have to prove itself, or to what comes before. */
  private infiltrate(): void {
    const { random } = this;
    const until = random.pick([undefined, undefined, undefined, IKE_AUTH, IKE_INTERMEDIATE]);
    this.session = this.connect(random.pick(INSIDERS), this.anywhere(), until)?.session;
    if (this.session !== undefined) this.report.sessions++;
  }

  private crowd(): void {
    for (let each = 0; each < CROWD; each++) this.connect('insider', this.anywhere(), IKE_AUTH);
    this.check();
  }

  /**
   * @param until the exchange whose request of the insider's is not delivered any more
   * @returns undefined if the gateway has too many half-open SAs to listen
   */
  private connect(
    name: Insider,
    address: string,
    until?: number,
  ): { readonly insider: Host; readonly session: Session } | undefined {
    const random = new Random('insider', this.random.next());
    const insider = new Host(CONFIGS[name], simulatedProvider(random.bytes, false), address, true);
    insider.command('initiate', 'gateway', this.now);
    let messageId = 0;
    for (let round = 0; round < 5 && insider.outbox.length > 0; round++) {
      const { data } = insider.outbox[0]!;
      const exchange = data[18]!;
      messageId = new DataView(data.buffer).getUint32(MESSAGE_ID_AT);
      if (exchange === until || (until === IKE_INTERMEDIATE && exchange === IKE_AUTH)) break;
      this.converse(insider);
    }
    const keys = insider.keys;
    if (keys === undefined) return undefined;
    const { spiI, spiR } = keys;
    const authenticated = insider.core.status(this.now)[0]?.state === 'ESTABLISHED';
    if (until === undefined && !authenticated) throw new Error(`${name} could not authenticate`);
    if (authenticated) messageId++;
    return {
      insider,
      session: { address, spiI, spiR, outbound: protectionOf(keys, 'ei'), authenticated, messageId, silent: 0 },
    };
  }

  /** One message to the gateway and its answer. */
  private converse(insider: Host): void {
    for (const datagram of insider.take()) this.gateway.feed({ type: 'datagram', datagram }, this.now);
    for (const datagram of this.gateway.take()) {
      const to = datagram.local.address === FRIEND ? this.friend : insider;
      to.feed({ type: 'datagram', datagram }, this.now);
    }
  }

  /** What honest messages look like: of everybody as they went over the wire, of an insider also inside. */
  private collect(name: Insider): void {
    const { insider, session } = this.connect(name, '203.0.113.9')!;
    const inside = protectionOf(insider.keys!, 'ei');
    const note = (data: Uint8Array): void => {
      this.plain.push(data.slice());
      const [type, exchange, flags] = [data[16]!, data[18]!, data[19]!];
      if (type !== 46 || (flags & 0x20) !== 0) return;
      try {
        this.samples.push({ exchange, chain: { first: data[28]!, bytes: inside.open(data, 32) } });
      } catch {
        // Of an SA that came after a rekeying.
      }
    };
    const listen = (): void => {
      for (let round = 0; round < 6; round++) {
        for (const { data } of [...insider.outbox, ...this.gateway.outbox]) note(data);
        this.converse(insider);
      }
    };
    const child = childOf(name, 'gateway');
    insider.command('rekey', child, this.now);
    listen();
    insider.feed({ type: 'addresses', addresses: ['203.0.113.10'] }, this.now);
    listen();
    this.now += 1000;
    insider.command('rekey', 'gateway', this.now);
    listen();
    insider.command('terminate', child, this.now);
    listen();
    insider.command('terminate', 'gateway', this.now);
    listen();
    session.outbound.destroy();
    for (const until of [IKE_INTERMEDIATE, IKE_AUTH]) this.collectHandshake(name, until);
  }

  private collectHandshake(name: Insider, until: number): void {
    const { insider } = this.connect(name, '203.0.113.11', until)!;
    const inside = protectionOf(insider.keys!, 'ei');
    for (const { data } of insider.outbox) {
      this.plain.push(data.slice());
      this.samples.push({ exchange: data[18]!, chain: { first: data[28]!, bytes: inside.open(data, 32) } });
    }
    const fresh = new Host(CONFIGS[name], simulatedProvider(new Random('fresh').bytes, false), '203.0.113.12');
    fresh.command('initiate', 'gateway', this.now);
    for (const { data } of fresh.outbox) for (let times = 0; times < 4; times++) this.plain.push(data.slice());
  }

  private deliver(data: Uint8Array, address: string): void {
    const port = this.random.chance(0.8) ? 500 : 4500;
    const datagram = { local: { address: RESPONDER, port }, remote: { address, port }, data };
    try {
      this.gateway.feed({ type: 'datagram', datagram }, this.now);
    } catch (error) {
      const text = error instanceof Error ? error.stack : String(error);
      throw new Violation('hostile bytes do not crash', `${Buffer.from(data).toString('hex')}: ${text}`);
    }
  }

  /** What the gateway and its friend have to say to each other; all else goes nowhere. */
  private exchange(): void {
    for (let rounds = 0; this.gateway.outbox.length + this.friend.outbox.length > 0; rounds++) {
      if (rounds > 100) throw new Violation('hostile bytes cause no endless talk', 'gateway and friend go on for ever');
      for (const datagram of this.friend.take()) this.gateway.feed({ type: 'datagram', datagram }, this.now);
      for (const datagram of this.gateway.take())
        if (datagram.local.address === FRIEND) this.friend.feed({ type: 'datagram', datagram }, this.now);
    }
  }

  private anywhere(): string {
    return `203.${this.random.below(256)}.${this.random.below(256)}.${this.random.between(1, 254)}`;
  }

  /** @returns the friend's SA as the gateway sees it */
  private friendly(): string {
    return this.gateway.core
      .status(this.now)
      .filter((sa) => sa.connection === 'friend' && sa.state !== 'CONNECTING')
      .map(({ spiI, spiR, state, children }) =>
        [spiI, spiR, state, ...children.map((child) => `${child.spiIn} ${child.spiOut} ${child.state}`)].join(' '),
      )
      .join('; ');
  }

  private check(): void {
    const friendly = this.friendly();
    if (friendly !== this.victim)
      throw new Violation('an SA beside it is untouched', `was ${this.victim}, is ${friendly}`);
    const installed = [...this.gateway.installed.values()].filter((name) => name === FRIENDLY_CHILD).length;
    if (installed !== 2) throw new Violation('an SA beside it is untouched', `${installed} SAs are installed`);
    const halfOpen = this.gateway.core.status(this.now).filter(({ state }) => state === 'CONNECTING').length;
    this.report.mostHalfOpen = Math.max(this.report.mostHalfOpen, halfOpen);
    const reserved = this.gateway.reserved.size;
    if (reserved > MOST_RESERVED) throw new Violation('SPIs of what failed are free again', `${reserved} are reserved`);
    if (halfOpen > MOST_HALF_OPEN) throw new Violation('half-open SAs are bounded', `there are ${halfOpen}`);
  }

  /** After all that the two still understand each other. */
  private rekeyFriend(): void {
    this.friend.command('rekey', 'gateway', this.now);
    this.exchange();
    const [own, other] = [this.friend.core.status(this.now), this.friendly()];
    if (own.length !== 1 || !other.includes(own[0]!.spiI) || this.friendly() === this.victim)
      throw new Violation('an SA beside it is untouched', 'it could not be rekeyed afterwards');
  }
}

function protectionOf(keys: NonNullable<Host['keys']>, side: 'ei' | 'er'): SkProtection {
  const provider = simulatedProvider(() => new Uint8Array(), false);
  const cipher = provider.cipher(keys.encr, keys.keyBits)!;
  const algorithms = { cipher, integrity: undefined };
  return makeProtection(algorithms, { encryption: keys[side], integrity: new Uint8Array() }, () => new Uint8Array());
}
