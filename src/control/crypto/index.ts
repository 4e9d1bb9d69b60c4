/** `control.crypto: noble | node`. */
import { createNobleProvider } from './noble.ts';
import { createNodeProvider } from './node.ts';
import type { CryptoProvider, CryptoProviderName, RandomSource } from './provider.ts';

const MAKERS: Readonly<Record<CryptoProviderName, (random?: RandomSource) => CryptoProvider>> = {
  noble: createNobleProvider,
  node: createNodeProvider,
};

export const DEFAULT_PROVIDER: CryptoProviderName = 'node';

/** @param random replaces the operating system's randomness; for tests and simulation only */
export const createProvider = (name: CryptoProviderName = DEFAULT_PROVIDER, random?: RandomSource): CryptoProvider =>
  MAKERS[name](random);
