/**
 * Messages in the notation of RFC 7296 §1.2, for the log:
 *
 *   HDR, SK {IDi, AUTH, SAi2, TSi, TSr} -->
 */
import { EXCHANGE, exchangeName, notifyName, protocolName } from '../wire/iana.ts';
import type { Payload } from '../wire/payloads/index.ts';

interface Traced {
  readonly exchange: number;
  readonly response: boolean;
  readonly messageId: number;
  readonly payloads: readonly Payload[];
  /** Inside of SK. */
  readonly encrypted: boolean;
  /** Number of fragments it went in. */
  readonly fragments?: number;
}

const SA_SUFFIX: Readonly<Record<number, string>> = { [EXCHANGE.IKE_SA_INIT]: '1', [EXCHANGE.IKE_AUTH]: '2' };

function name(payload: Payload, exchange: number, side: 'i' | 'r'): string {
  switch (payload.kind) {
    case 'SA': {
      const suffix = SA_SUFFIX[exchange];
      return suffix === undefined ? 'SA' : `SA${side}${suffix}`;
    }
    case 'KE':
      return `KE${side}`;
    case 'NONCE':
      return `N${side}`;
    case 'N':
      return `N(${notifyName(payload.notify)})`;
    case 'D':
      return `D(${protocolName(payload.protocol)})`;
    case 'unknown':
      return `PAYLOAD(${payload.type})`;
    default:
      return payload.kind;
  }
}

/** @returns one message in RFC notation, with an arrow that points away from the exchange's initiator in requests */
export function traceMessage({ exchange, response, messageId, payloads, encrypted, fragments = 1 }: Traced): string {
  const names = payloads.map((payload) => name(payload, exchange, response ? 'r' : 'i')).join(', ');
  const body = encrypted ? `SK {${names}}` : names;
  const message = body === '' ? 'HDR' : `HDR, ${body}`;
  const where = `${exchangeName(exchange)} ${messageId}${fragments > 1 ? ` in ${fragments} fragments` : ''}`;
  return `${where}: ${response ? `<-- ${message}` : `${message} -->`}`;
}
