/** What the suites of IKE's cryptography share: both providers, and randomness that is not random. */
import { createProvider } from '../../../src/control/crypto/index.ts';
import type { CryptoProvider, KeyExchange, RandomSource } from '../../../src/control/crypto/provider.ts';

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s+/g, ''), 'hex'));
export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const repeated = (byte: string, count: number): Uint8Array => hex(byte.repeat(count));

export const PROVIDERS = ['node', 'noble'] as const;
export const provider = (name: (typeof PROVIDERS)[number], random?: RandomSource): CryptoProvider =>
  createProvider(name, random);

/**
 * A source that makes a private value come out. Asked for more bytes than the value has, it gives the
 * value less one, left-padded: noble draws scalars of elliptic curves as 1 + bytes mod (order − 1).
 */
export function yielding(privateValue: Uint8Array): RandomSource {
  return (length) => {
    if (length === privateValue.length) return privateValue.slice();
    const less = (BigInt(`0x${text(privateValue)}`) - 1n).toString(16);
    return hex(less.padStart(length * 2, '0'));
  };
}

/** @returns the method, with that private value */
export const methodWith = (name: (typeof PROVIDERS)[number], id: number, privateValue: Uint8Array): KeyExchange =>
  provider(name, yielding(privateValue)).keyExchange(id)!;
