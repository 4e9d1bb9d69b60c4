/** What every peer's public value must stand, whichever library computes with it (RFC 6989, RFC 7748 §6). */
import { toHex } from '../wire/bytes.ts';
import { keyExchangeError } from '../wire/error.ts';
import { keyExchangeAlgorithm } from './registry.ts';

export interface Method {
  readonly id: number;
  readonly initiatorLength: number;
  readonly responderLength: number;
}

/** @returns the lengths of KE data of a method in the registry */
export function methodOf(id: number): Method {
  const [initiatorLength, responderLength] = keyExchangeAlgorithm(id)!.lengths;
  return { id, initiatorLength, responderLength };
}

/**
 * @param sender who sent `data`
 * @throws WireError unless it has exactly the method's length
 */
export function checkPublicLength(method: Method, data: Uint8Array, sender: 'initiator' | 'responder'): void {
  const expected = sender === 'initiator' ? method.initiatorLength : method.responderLength;
  if (data.length === expected) return;
  const name = keyExchangeAlgorithm(method.id)!.keyword;
  throw keyExchangeError(`KE data for ${name} has ${data.length} bytes, not ${expected}`);
}

/**
 * RFC 6989 §2.1: for a safe prime, 1 < y < p − 1.
 * @returns the value as a number
 * @throws WireError
 */
export function modpPublicValue(data: Uint8Array, prime: bigint): bigint {
  const value = BigInt(`0x${toHex(data)}`);
  if (value <= 1n || value >= prime - 1n) throw keyExchangeError("the peer's MODP public value is out of range");
  return value;
}

/**
 * RFC 7748 §6.1, §6.2: a public value of small order makes the secret all zero.
 * @returns `secret`
 * @throws WireError
 */
export function checkMontgomerySecret(secret: Uint8Array): Uint8Array {
  // No early exit: the time must not tell where a secret has its first set bit.
  if (secret.reduce((seen, byte) => seen | byte, 0) === 0) {
    throw keyExchangeError("the peer's public value is of small order");
  }
  return secret;
}
