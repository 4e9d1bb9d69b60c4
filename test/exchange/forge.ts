/** Messages that only a peer could send, whatever it is that they say: sealed with the keys of a handshake. */
import { createProvider } from '../../src/control/crypto/index.ts';
import { makeProtection } from '../../src/control/crypto/protection.ts';
import { openMessage, parseMessage, sealMessage, sealPart } from '../../src/control/wire/message.ts';
import type { Payload } from '../../src/control/wire/payloads/index.ts';
import { type Datagram, LEFT, type Node, RIGHT } from './network.ts';

const crypto = createProvider('node');

export interface Forged {
  readonly exchange: number;
  readonly messageId: number;
  readonly response?: boolean;
}

/** Sends as the left gateway, which initiated, to the right one. */
export class Forger {
  private readonly keys;
  private readonly left: Node;

  /** @param left after its IKE_SA_INIT was answered */
  constructor(left: Node) {
    this.left = left;
    const keys = left.keys.findLast(({ kind }) => kind === 'ike');
    if (keys?.kind !== 'ike') throw new Error('there is no IKE SA');
    this.keys = keys;
  }

  private get path() {
    const [status] = this.left.core.status(0);
    const port = status?.local.port ?? 500;
    return { local: { address: LEFT, port }, remote: { address: RIGHT, port } };
  }

  private protection(direction: 'i' | 'r') {
    const { encr, keyBits, ei, er, ai, ar } = this.keys;
    const cipher = crypto.cipher(encr, keyBits)!;
    const [encryption, integrity] = direction === 'i' ? [ei, ai] : [er, ar];
    // The sender's own counter has used the first IVs; that a nonce comes twice does no harm here.
    return makeProtection({ cipher }, { encryption, integrity }, crypto.random);
  }

  private header({ exchange, messageId, response = false }: Forged) {
    const { spiI, spiR } = this.keys;
    return { spiI, spiR, exchange, fromInitiator: true, response, messageId };
  }

  message(what: Forged, payloads: readonly Payload[]): Datagram {
    return { ...this.path, data: sealMessage(this.header(what), payloads, this.protection('i')) };
  }

  /** @param plaintext a chain of payloads, well-formed or not */
  bytes(what: Forged, firstPayload: number, plaintext: Uint8Array): Datagram {
    const data = sealPart(this.header(what), { kind: 'SK', firstPayload }, plaintext, this.protection('i'));
    return { ...this.path, data };
  }

  /** @returns the payloads of an answer of the right gateway */
  open({ data }: Datagram): readonly Payload[] {
    return openMessage(parseMessage(data), this.protection('r')).payloads;
  }
}
