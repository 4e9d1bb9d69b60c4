/**
 * Stand-ins for cryptography that are safe against nobody and many times as fast, so that a million
 * schedules can be run. They keep what the protocol relies on: two results differ whenever a byte of what
 * went in does, and what was altered on its way does not open.
 */
import { ENCR } from '../../src/algorithms.ts';
import { type CipherPrimitive, type HashName, makeProvider } from '../../src/control/crypto/assemble.ts';
import { checkPublicLength, methodOf } from '../../src/control/crypto/ke-checks.ts';
import { nodeSignatures } from '../../src/control/crypto/node-signatures.ts';
import type { CryptoProvider, KeyExchange, RandomSource } from '../../src/control/crypto/provider.ts';
import { KEY_EXCHANGES } from '../../src/control/crypto/registry.ts';

const TAG_LENGTH = 16;
const HASH_LENGTHS: Readonly<Record<HashName, number>> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 };

/**
 * Two lanes of 32 bits. A step is a bijection of either lane, so a single altered byte always shows; that
 * two inputs meet by accident happens once in 2^64.
 */
class Digest {
  private a = 0x243f6a88;
  private b = 0x85a308d3;

  add(bytes: Uint8Array): this {
    let { a, b } = this;
    for (let at = 0; at < bytes.length; at++) {
      a = Math.imul(a ^ bytes[at]!, 0x01000193);
      b = Math.imul(((b << 7) | (b >>> 25)) ^ bytes[at]!, 0x9e3779b1);
    }
    this.a = a;
    this.b = b;
    return this;
  }

  /** Tells what came before from what follows, as the end of a key from the beginning of a text. */
  cut(): this {
    this.a = Math.imul(this.a ^ (this.a >>> 15), 0x85ebca6b);
    this.b = Math.imul(this.b ^ (this.b >>> 13), 0xc2b2ae35);
    return this;
  }

  /** Lays as many bytes as `out` has over it. */
  mask(out: Uint8Array): Uint8Array {
    let { a, b } = this;
    for (let at = 0; at < out.length; at += 4) {
      a = (a + 0x6d2b79f5) | 0;
      b = Math.imul(b ^ (b >>> 16) ^ a, 0x21f0aaad);
      const word = Math.imul(b ^ (b >>> 15) ^ (a << 3), 0x735a2d97);
      out[at]! ^= word;
      if (at + 1 < out.length) out[at + 1]! ^= word >>> 8;
      if (at + 2 < out.length) out[at + 2]! ^= word >>> 16;
      if (at + 3 < out.length) out[at + 3]! ^= word >>> 24;
    }
    return out;
  }
}

const digest = (length: number, parts: readonly Uint8Array[], key?: Uint8Array): Uint8Array => {
  const state = new Digest();
  if (key !== undefined) state.add(key).cut();
  for (const part of parts) state.add(part);
  return state.cut().mask(new Uint8Array(length));
};

const tagOf = (key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, text: Uint8Array): Uint8Array =>
  new Digest().add(key).add(nonce).cut().add(aad).cut().add(text).cut().mask(new Uint8Array(TAG_LENGTH));

/** An AEAD: a mask over the text, and a tag over everything. */
const AEAD: CipherPrimitive = {
  seal(key, nonce, aad, plaintext) {
    const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
    sealed.set(plaintext);
    const text = new Digest().add(key).add(nonce).mask(sealed.subarray(0, plaintext.length));
    sealed.set(tagOf(key, nonce, aad, text), plaintext.length);
    return sealed;
  },
  open(key, nonce, aad, sealed) {
    const text = sealed.slice(0, -TAG_LENGTH);
    const tag = tagOf(key, nonce, aad, text);
    for (let at = 0; at < TAG_LENGTH; at++) if (tag[at] !== sealed[text.length + at]) return undefined;
    return new Digest().add(key).add(nonce).mask(text);
  },
};

const shared = makeProvider({
  name: 'node',
  random: () => {
    throw new Error('randomness comes from the seed');
  },
  keyExchanges: [],
  // Simulated gateways negotiate combined modes only.
  ciphers: { [ENCR.AES_GCM_16]: AEAD, [ENCR.CHACHA20_POLY1305]: AEAD },
  signatures: nodeSignatures,
  hash: (name, parts) => digest(HASH_LENGTHS[name], parts),
  hmac: (name, key, parts) => digest(HASH_LENGTHS[name], parts, key),
});

function keyExchange(id: number, random: RandomSource): KeyExchange {
  const method = methodOf(id);
  const secretOf = (ofInitiator: Uint8Array, ofResponder: Uint8Array) => digest(32, [ofInitiator, ofResponder]);
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

const METHODS: ReadonlySet<number> = new Set(KEY_EXCHANGES.map(({ id }) => id));

/** @returns the look-up of key exchanges whose values come from `random` */
export function standInKeyExchanges(random: RandomSource): CryptoProvider['keyExchange'] {
  const known = new Map<number, KeyExchange>();
  return (id) => {
    if (!METHODS.has(id)) return undefined;
    const exchange = known.get(id) ?? keyExchange(id, random);
    known.set(id, exchange);
    return exchange;
  };
}

/** @returns stand-ins for everything */
export const standInProvider = (random: RandomSource): CryptoProvider => ({
  ...shared,
  random,
  keyExchange: standInKeyExchanges(random),
});
