/** Messages that only a peer could send, whatever it is that they say: sealed with the keys of a handshake. */
import { createProvider } from '../../src/control/crypto/index.ts';
import { makeProtection } from '../../src/control/crypto/protection.ts';
import { buildMessage, openMessage, parseMessage, sealMessage, sealPart } from '../../src/control/wire/message.ts';
import type { Payload } from '../../src/control/wire/payloads/index.ts';
import { type Datagram, LEFT, type Network, type Node, pair, RIGHT, type Sides } from './network.ts';

const crypto = createProvider('node');

export interface Forged {
  readonly exchange: number;
  readonly messageId: number;
  readonly response?: boolean;
}

/** Sends as the left gateway, which initiated, to the right one; or as the right one to the left. */
export class Forger {
  private readonly keys;
  private readonly left: Node;
  private readonly side: 'i' | 'r';

  /** @param left after its IKE_SA_INIT was answered */
  constructor(left: Node, side: 'i' | 'r' = 'i') {
    this.left = left;
    this.side = side;
    const keys = left.keys.findLast(({ kind }) => kind === 'ike');
    if (keys?.kind !== 'ike') throw new Error('there is no IKE SA');
    this.keys = keys;
  }

  private get path() {
    const [status] = this.left.core.status(0);
    const port = status?.local.port ?? 500;
    const [here, there] = this.side === 'i' ? [LEFT, RIGHT] : [RIGHT, LEFT];
    return { local: { address: here, port }, remote: { address: there, port } };
  }

  private protection(direction: 'i' | 'r') {
    const { encr, keyBits, integ, ei, er, ai, ar } = this.keys;
    const cipher = crypto.cipher(encr, keyBits)!;
    const integrity = crypto.integrity(integ);
    const [encryption, mac] = direction === 'i' ? [ei, ai] : [er, ar];
    // The sender's own counter has used the first IVs; that a nonce comes twice does no harm here.
    return makeProtection({ cipher, ...(integrity && { integrity }) }, { encryption, integrity: mac }, crypto.random);
  }

  private header({ exchange, messageId, response = false }: Forged) {
    const { spiI, spiR } = this.keys;
    return { spiI, spiR, exchange, fromInitiator: this.side === 'i', response, messageId };
  }

  message(what: Forged, payloads: readonly Payload[]): Datagram {
    return { ...this.path, data: sealMessage(this.header(what), payloads, this.protection(this.side)) };
  }

  /** The same without protection: anybody who has seen the SPIs can send that. */
  bare(what: Forged, payloads: readonly Payload[]): Datagram {
    return { ...this.path, data: buildMessage(this.header(what), payloads) };
  }

  /** @param plaintext a chain of payloads, well-formed or not */
  bytes(what: Forged, firstPayload: number, plaintext: Uint8Array): Datagram {
    return this.part(what, { kind: 'SK', firstPayload }, plaintext);
  }

  part(what: Forged, part: Parameters<typeof sealPart>[1], plaintext: Uint8Array): Datagram {
    return { ...this.path, data: sealPart(this.header(what), part, plaintext, this.protection(this.side)) };
  }

  /** @returns the payloads of an answer of the other gateway */
  open({ data }: Datagram): readonly Payload[] {
    return openMessage(parseMessage(data), this.protection(this.side === 'i' ? 'r' : 'i')).payloads;
  }
}

export function established(sides?: Sides) {
  const made = pair(sides);
  made.network.command(made.left, 'initiate', 'right');
  made.network.settle();
  return { ...made, forger: new Forger(made.left) };
}

/** The left gateway has its IKE_SA_INIT answered, and says nothing more of its own accord. */
export function halfOpen(sides?: Sides) {
  const made = pair(sides);
  let count = 0;
  made.network.tamper = (datagram) => (count++ < 2 ? datagram : undefined);
  made.network.command(made.left, 'initiate', 'right');
  made.network.settle();
  made.network.tamper = (datagram) => datagram;
  return { ...made, forger: new Forger(made.left) };
}

/** @returns what the right gateway answers to a forged request */
export function answer(network: Network, forger: Forger, datagram: Datagram): readonly Payload[] | undefined {
  const before = network.sent.length;
  network.deliver(datagram);
  const reply = network.sent.slice(before).find(({ local }) => local.address === RIGHT);
  network.wire.length = 0;
  return reply && forger.open(reply);
}

/** Types of notifications, kinds of all else. */
export const notifies = (payloads: readonly Payload[] | undefined) =>
  payloads?.map((payload) => (payload.kind === 'N' ? payload.notify : payload.kind));

/** @returns the state of a gateway's first IKE SA */
export const state = (network: Network, node: Node) => node.core.status(network.now)[0]?.state;
