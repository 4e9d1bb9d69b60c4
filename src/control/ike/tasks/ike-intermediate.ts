/**
 * IKE_INTERMEDIATE (RFC 9242) with one additional key exchange each (RFC 9370 §2.2.2), between
 * IKE_SA_INIT and IKE_AUTH:
 *
 *   HDR, SK {KEi(1)} -->
 *                    <-- HDR, SK {KEr(1)}
 *   … as often as there are additional key exchanges
 *
 * The exchange is protected with the keys before it; the keys after it come from its secret. AUTH
 * covers all of it (`auth/octets.ts`).
 */
import { intermediateAuth } from '../../auth/octets.ts';
import type { KeyExchangeInitiator } from '../../crypto/provider.ts';
import { EXCHANGE, NOTIFY } from '../../wire/iana.ts';
import { find, type ParsedMessage, parseMessage } from '../../wire/message.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import type { Context } from '../context.ts';
import { enqueue } from '../exchange.ts';
import { Failure, peerFailure } from '../failure.ts';
import type { SealedMessage } from '../fragment.ts';
import { keyAdditional } from '../keying.ts';
import { errorNotify } from '../rules.ts';
import type { IkeSa } from '../sa.ts';
import type { Answer, Progress, Received, Task } from '../task.ts';
import { IkeAuth } from './ike-auth.ts';

type Sender = 'initiator' | 'responder';
type Content = Pick<SealedMessage, 'plaintext' | 'firstPayload'>;

/** Adds a message to its sender's chain (RFC 9242 §3.3.2), with the keys that protected it. */
function chain(sa: IkeSa, sender: Sender, message: ParsedMessage, content: Content): void {
  const handshake = sa.handshake!;
  const { prf } = sa.algorithms!;
  if (sender === 'initiator') {
    handshake.intAuthI = intermediateAuth(prf, sa.keys!.pi, handshake.intAuthI, message, content);
  } else {
    handshake.intAuthR = intermediateAuth(prf, sa.keys!.pr, handshake.intAuthR, message, content);
  }
}

export class IkeIntermediate implements Task {
  readonly name = 'IKE_INTERMEDIATE';
  readonly exchange = EXCHANGE.IKE_INTERMEDIATE;
  readonly exclusive = true;
  private ke: KeyExchangeInitiator | undefined;

  build(cx: Context, sa: IkeSa): Payload[] {
    const [method] = sa.handshake!.additional;
    const exchange = cx.crypto.keyExchange(method!);
    if (exchange === undefined) throw new Failure('ERR_UNSUPPORTED', `no key exchange has the number ${method}`);
    this.ke = exchange.generate();
    return [{ kind: 'KE', method: method!, data: this.ke.publicValue }];
  }

  sent(sa: IkeSa, sealed: SealedMessage): void {
    chain(sa, 'initiator', parseMessage(sealed.datagrams[0]!), sealed);
  }

  process(cx: Context, sa: IkeSa, { message, payloads, opened }: Received): Progress {
    const error = errorNotify(payloads);
    if (error !== undefined) throw peerFailure(error, 'the additional key exchange failed');
    const { additional } = sa.handshake!;
    const ke = find(payloads, 'KE');
    if (ke === undefined || ke.method !== additional[0]) {
      throw new Failure(
        'ERR_BAD_GROUP',
        `the peer answered with key exchange method ${ke?.method ?? 'none'}, not ${additional[0]}`,
      );
    }
    chain(sa, 'responder', message, opened!);
    const secret = this.ke!.derive(ke.data);
    this.abandon();
    keyAdditional(cx, sa, secret);
    additional.shift();
    if (additional.length > 0) return 'again';
    enqueue(cx, sa, new IkeAuth());
    return 'done';
  }

  abandon(): void {
    this.ke?.destroy();
    this.ke = undefined;
  }
}

export function respondIntermediate(cx: Context, sa: IkeSa, { message, payloads, opened }: Received): Answer {
  const handshake = sa.handshake!;
  const [method] = handshake.additional;
  const ke = find(payloads, 'KE');
  if (method === undefined || ke === undefined || ke.method !== method) {
    const wanted = method === undefined ? 'none' : `method ${method}`;
    throw new Failure(
      'ERR_BAD_GROUP',
      `the peer sent key exchange ${ke?.method ?? 'none'}, agreed was ${wanted}`,
      NOTIFY.INVALID_SYNTAX,
    );
  }
  chain(sa, 'initiator', message, opened!);
  const { publicValue, secret } = cx.crypto.keyExchange(method)!.respond(ke.data);
  handshake.additional.shift();
  return {
    payloads: [{ kind: 'KE', method, data: publicValue }],
    sent: (sealed) => chain(sa, 'responder', parseMessage(sealed.datagrams[0]!), sealed),
    // The answer still goes under the keys before.
    after: () => keyAdditional(cx, sa, secret),
  };
}
