/**
 * Cryptography for simulations. Everything is node:crypto's but the key exchange, of which there are
 * two kinds: the real one, with private values from the seed, and a stand-in that is three hundred times
 * faster and safe against nobody. Both make two secrets differ whenever a byte of either public value does.
 */
import { createHash } from 'node:crypto';
import { createProvider } from '../../src/control/crypto/index.ts';
import { checkPublicLength, methodOf } from '../../src/control/crypto/ke-checks.ts';
import type { CryptoProvider, KeyExchange, RandomSource } from '../../src/control/crypto/provider.ts';
import { KEY_EXCHANGES } from '../../src/control/crypto/registry.ts';

const shared = createProvider('node');

function secretOf(ofInitiator: Uint8Array, ofResponder: Uint8Array): Uint8Array {
  return Uint8Array.from(createHash('sha256').update(ofInitiator).update(ofResponder).digest());
}

function standIn(id: number, random: RandomSource): KeyExchange {
  const method = methodOf(id);
  return {
    ...method,
    generate() {
      const publicValue = random(method.initiatorLength);
      return {
        publicValue,
        derive(peer) {
          checkPublicLength(method, peer, 'responder');
          return secretOf(publicValue, peer);
        },
        destroy() {},
      };
    },
    respond(peer) {
      checkPublicLength(method, peer, 'initiator');
      const publicValue = random(method.responderLength);
      return { publicValue, secret: secretOf(peer, publicValue) };
    },
  };
}

/** @param real whether the key exchange is the real one */
export function simulatedProvider(random: RandomSource, real: boolean): CryptoProvider {
  if (real) return createProvider('node', random);
  const known = new Map(KEY_EXCHANGES.map(({ id }) => [id, undefined as KeyExchange | undefined]));
  const keyExchange = (id: number): KeyExchange | undefined => {
    if (!known.has(id)) return undefined;
    const exchange = known.get(id) ?? standIn(id, random);
    known.set(id, exchange);
    return exchange;
  };
  return { ...shared, random, keyExchange };
}
