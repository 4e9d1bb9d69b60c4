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
 * Two lanes of 32 bits, fed with words. A step is a bijection of either lane, so a single altered byte always
 * shows; that two inputs meet by accident happens once in 2^64. As with a real one, it does not matter in which
 * pieces the bytes come.
 */
class Digest {
  private a = 0x243f6a88;
  private b = 0x85a308d3;
  /** Bytes that do not make a word so far, and how many. */
  private rest = 0;
  private held = 0;

  add(bytes: Uint8Array): this {
    const { length } = bytes;
    let at = 0;
    while (this.held > 0 && at < length) this.byte(bytes[at++]!);
    let { a, b } = this;
    for (; at + 4 <= length; at += 4) {
      const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      a = Math.imul(((a << 15) | (a >>> 17)) ^ word, 0xcc9e2d51);
      b = Math.imul(((b << 7) | (b >>> 25)) ^ word, 0x9e3779b1);
    }
    this.a = a;
    this.b = b;
    while (at < length) this.byte(bytes[at++]!);
    return this;
  }

  private byte(value: number): void {
    this.rest |= value << (8 * this.held);
    if (++this.held === 4) this.flush();
  }

  private flush(): void {
    this.a = Math.imul(((this.a << 15) | (this.a >>> 17)) ^ this.rest, 0xcc9e2d51);
    this.b = Math.imul(((this.b << 7) | (this.b >>> 25)) ^ this.rest, 0x9e3779b1);
    this.rest = 0;
    this.held = 0;
  }

  /** Tells what came before from what follows, as the end of a key from the beginning of a text. */
  cut(): this {
    const { held } = this;
    if (held > 0) this.flush();
    this.a = Math.imul(this.a ^ (this.a >>> 15) ^ held, 0x85ebca6b);
    this.b = Math.imul(this.b ^ (this.b >>> 13) ^ held, 0xc2b2ae35);
    return this;
  }

  /** Lays bytes over those of `out` up to `end`; the state stays what it is. */
  mask(out: Uint8Array, end = out.length): Uint8Array {
    let { a, b } = this;
    for (let at = 0; at < end; at += 4) {
      a = (a + 0x6d2b79f5) | 0;
      b = Math.imul(b ^ (b >>> 16) ^ a, 0x21f0aaad);
      let word = Math.imul(b ^ (b >>> 15) ^ (a << 3), 0x735a2d97);
      const stop = Math.min(at + 4, end);
      for (let index = at; index < stop; index++, word >>>= 8) out[index]! ^= word;
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

/** An AEAD: a mask over the text, and a tag over everything. */
const AEAD: CipherPrimitive = {
  seal(key, nonce, aad, plaintext) {
    const { length } = plaintext;
    const sealed = new Uint8Array(length + TAG_LENGTH);
    sealed.set(plaintext);
    const state = new Digest().add(key).add(nonce).cut();
    state.mask(sealed, length);
    sealed.set(state.add(aad).cut().add(sealed.subarray(0, length)).cut().mask(new Uint8Array(TAG_LENGTH)), length);
    return sealed;
  },
  open(key, nonce, aad, sealed) {
    const end = sealed.length - TAG_LENGTH;
    const text = sealed.subarray(0, end);
    const state = new Digest().add(key).add(nonce).cut();
    const plaintext = state.mask(text.slice());
    const tag = state.add(aad).cut().add(text).cut().mask(new Uint8Array(TAG_LENGTH));
    for (let at = 0; at < TAG_LENGTH; at++) if (tag[at] !== sealed[end + at]) return undefined;
    return plaintext;
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
