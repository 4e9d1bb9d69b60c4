/**
 * Cryptography for simulations. Everything is node:crypto's but the key exchange, of which there are
 * two kinds: the real one, with private values from the seed, and a stand-in that is three hundred times
 * faster. Both make two secrets differ whenever a byte of either public value does.
 */
import { createProvider } from '../../src/control/crypto/index.ts';
import type { CryptoProvider, RandomSource } from '../../src/control/crypto/provider.ts';
import { standInKeyExchanges } from './stand-in.ts';

const shared = createProvider('node');

/** @param real whether the key exchange is the real one */
export function simulatedProvider(random: RandomSource, real: boolean): CryptoProvider {
  return real ? createProvider('node', random) : { ...shared, random, keyExchange: standInKeyExchanges(random) };
}
