/**
 * Key exchange over the @noble packages: every method IKE knows, in JavaScript.
 *
 * MODP here is BigInt exponentiation, which is not constant time: whoever can measure it closely
 * learns about the private exponent. The `node` provider is the default; this one serves where
 * OpenSSL is not wanted, and reproducible simulation.
 */

import { x448 } from '@noble/curves/ed448.js';
import { x25519 } from '@noble/curves/ed25519.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { ml_kem512, ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js';
import { concat, toHex } from '../wire/bytes.ts';
import { keyExchangeError } from '../wire/error.ts';
import { checkMontgomerySecret, checkPublicLength, methodOf, modpPublicValue } from './ke-checks.ts';
import { GENERATOR, MODP_GROUPS, type ModpGroup } from './modp-groups.ts';
import type { KeyExchange, RandomSource } from './provider.ts';
import { KE } from './registry.ts';
import { wipe } from './secret.ts';

/** The two halves of a Diffie–Hellman method, which is the same for both roles. */
interface DiffieHellman {
  /** @returns a fresh private value */
  privateValue(random: RandomSource): Uint8Array;
  publicValue(privateValue: Uint8Array): Uint8Array;
  /** `peer` has the right length already. */
  secret(privateValue: Uint8Array, peer: Uint8Array): Uint8Array;
}

type Curve = typeof p256;
type Montgomery = typeof x25519;
type Kem = typeof ml_kem768;

const UNCOMPRESSED = Uint8Array.of(4);

/** ECP groups (RFC 5903): a public value is x | y, the secret is x alone. */
function ecp(curve: Curve): DiffieHellman {
  return {
    privateValue: (random) => curve.utils.randomSecretKey(random(curve.lengths.seed!)),
    publicValue: (privateValue) => curve.getPublicKey(privateValue, false).slice(1),
    secret(privateValue, peer) {
      const point = guard('is not a point on the curve', () =>
        curve.getSharedSecret(privateValue, concat(UNCOMPRESSED, peer), true),
      );
      const x = point.slice(1);
      wipe(point);
      return x;
    },
  };
}

/** Curve25519 and Curve448 (RFC 8031). */
function montgomery(curve: Montgomery): DiffieHellman {
  return {
    privateValue: (random) => random(curve.lengths.secretKey!),
    publicValue: (privateValue) => curve.getPublicKey(privateValue),
    secret: (privateValue, peer) =>
      checkMontgomerySecret(guard('is of small order', () => curve.getSharedSecret(privateValue, peer))),
  };
}

function modp({ prime, length, exponentBits }: ModpGroup): DiffieHellman {
  return {
    privateValue(random) {
      const bytes = random(exponentBits / 8);
      // The top bit makes every exponent as long as RFC 3526 §8 asks for, and keeps 0 and 1 out.
      bytes[0]! |= 0x80;
      return bytes;
    },
    publicValue: (privateValue) => toBytes(power(GENERATOR, toBigInt(privateValue), prime), length),
    secret: (privateValue, peer) => toBytes(power(modpPublicValue(peer, prime), toBigInt(privateValue), prime), length),
  };
}

const toBigInt = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);

const toBytes = (value: bigint, length: number): Uint8Array =>
  Uint8Array.from(Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex'));

/** Bits of the exponent taken at once. */
const WINDOW = 5;

/** base^exponent mod modulus, by fixed windows. Not constant time: BigInt arithmetic is not either. */
function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  const table = [1n];
  for (let index = 1; index < 1 << WINDOW; index++) table.push((table[index - 1]! * base) % modulus);
  let result = 1n;
  for (const digit of exponent.toString(1 << WINDOW)) {
    for (let bit = 0; bit < WINDOW; bit++) result = (result * result) % modulus;
    result = (result * table[Number.parseInt(digit, 1 << WINDOW)]!) % modulus;
  }
  return result;
}

/** Runs a library's check of a public value, and says in our words what it refused. */
function guard<T>(problem: string, run: () => T): T {
  try {
    return run();
  } catch {
    throw keyExchangeError(`the peer's public value ${problem}`);
  }
}

function symmetric(id: number, dh: DiffieHellman, random: RandomSource): KeyExchange {
  const method = methodOf(id);
  const derive = (privateValue: Uint8Array, peer: Uint8Array) => {
    checkPublicLength(method, peer, 'responder');
    return dh.secret(privateValue, peer);
  };
  return {
    ...method,
    generate() {
      const privateValue = dh.privateValue(random);
      return {
        publicValue: dh.publicValue(privateValue),
        derive: (peer) => derive(privateValue, peer),
        destroy: () => wipe(privateValue),
      };
    },
    respond(peer) {
      const privateValue = dh.privateValue(random);
      const secret = derive(privateValue, peer);
      const publicValue = dh.publicValue(privateValue);
      wipe(privateValue);
      return { publicValue, secret };
    },
  };
}

/** ML-KEM (FIPS 203): the initiator sends an encapsulation key, the responder a ciphertext. */
export function nobleKem(id: number, kem: Kem, random: RandomSource): KeyExchange {
  const method = methodOf(id);
  return {
    ...method,
    generate() {
      const seed = random(64);
      const { publicKey, secretKey } = kem.keygen(seed);
      wipe(seed);
      return {
        publicValue: publicKey,
        derive(peer) {
          checkPublicLength(method, peer, 'responder');
          return kem.decapsulate(peer, secretKey);
        },
        destroy: () => wipe(secretKey),
      };
    },
    respond(peer) {
      checkPublicLength(method, peer, 'initiator');
      const seed = random(32);
      // FIPS 203 §7.2: encapsulate refuses a key with coefficients that are not reduced.
      const { cipherText, sharedSecret } = guard('is not an ML-KEM encapsulation key', () =>
        kem.encapsulate(peer, seed),
      );
      wipe(seed);
      return { publicValue: cipherText, secret: sharedSecret };
    },
  };
}

/** @returns every method of the registry, drawing on `random` */
export function nobleKeyExchanges(random: RandomSource): readonly KeyExchange[] {
  const curves: readonly (readonly [number, DiffieHellman])[] = [
    [KE.CURVE25519, montgomery(x25519)],
    [KE.CURVE448, montgomery(x448)],
    [KE.ECP_256, ecp(p256)],
    [KE.ECP_384, ecp(p384)],
    [KE.ECP_521, ecp(p521)],
  ];
  return [
    ...curves.map(([id, dh]) => symmetric(id, dh, random)),
    ...Object.entries(MODP_GROUPS).map(([id, group]) => symmetric(Number(id), modp(group), random)),
    nobleKem(KE.ML_KEM_512, ml_kem512, random),
    nobleKem(KE.ML_KEM_768, ml_kem768, random),
    nobleKem(KE.ML_KEM_1024, ml_kem1024, random),
  ];
}
