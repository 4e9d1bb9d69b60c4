/**
 * Key exchange over node:crypto, that is, OpenSSL: constant time where OpenSSL is.
 *
 * Two things come from the noble package instead: ML-KEM before Node 24.7, which has none, and, when
 * a source of randomness is injected, MODP and ML-KEM, whose private values Node takes from nobody.
 */
import crypto, { type KeyObject } from 'node:crypto';
import { concat, plainBytes } from '../wire/bytes.ts';
import { keyExchangeError } from '../wire/error.ts';
import { checkMontgomerySecret, checkPublicLength, type Method, methodOf, modpPublicValue } from './ke-checks.ts';
import { MODP_GROUPS } from './modp-groups.ts';
import { nobleKeyExchanges } from './noble-ke.ts';
import type { KeyExchange, KeyExchangeInitiator, RandomSource } from './provider.ts';
import { KE } from './registry.ts';
import { wipe } from './secret.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

/** @returns a method whose roles are alike: the responder generates, then derives */
function symmetric(method: Method, generate: () => KeyExchangeInitiator): KeyExchange {
  return {
    ...method,
    generate,
    respond(peer) {
      const own = generate();
      try {
        return { secret: own.derive(peer), publicValue: own.publicValue };
      } finally {
        own.destroy();
      }
    },
  };
}

function refuse(problem: string): never {
  throw keyExchangeError(`the peer's public value ${problem}`);
}

/** Curves by Node's name, with the bits of the first byte of a private value that may be set. */
const ECP_CURVES = [
  { id: KE.ECP_256, curve: 'prime256v1', bytes: 32, firstByteMask: 0xff },
  { id: KE.ECP_384, curve: 'secp384r1', bytes: 48, firstByteMask: 0xff },
  { id: KE.ECP_521, curve: 'secp521r1', bytes: 66, firstByteMask: 0x01 },
] as const;

type EcpCurve = (typeof ECP_CURVES)[number];

/** RFC 5903: a public value is x | y, the secret is x alone. */
function ecp(curve: EcpCurve, random: RandomSource | undefined): KeyExchange {
  const method = methodOf(curve.id);
  return symmetric(method, () => {
    const ecdh = crypto.createECDH(curve.curve);
    if (random === undefined) ecdh.generateKeys();
    else setPrivateValue(ecdh, curve, random);
    return {
      publicValue: Uint8Array.from(ecdh.getPublicKey().subarray(1)),
      derive(peer) {
        checkPublicLength(method, peer, 'responder');
        try {
          // OpenSSL checks that the point is on the curve; cofactor 1 leaves no small subgroup.
          return plainBytes(ecdh.computeSecret(concat(Uint8Array.of(4), peer)));
        } catch {
          return refuse('is not a point on the curve');
        }
      },
      // The private value lives in OpenSSL, which clears it when the object is collected.
      destroy() {},
    };
  });
}

/** Draws until the value is below the group's order, which nearly always is at once. */
function setPrivateValue(ecdh: crypto.ECDH, { bytes, firstByteMask }: EcpCurve, random: RandomSource): void {
  for (;;) {
    const value = random(bytes);
    value[0]! &= firstByteMask;
    try {
      ecdh.setPrivateKey(value);
      return;
    } catch {
      // 0, or not below the order.
    } finally {
      wipe(value);
    }
  }
}

const MONTGOMERY_CURVES = [
  { id: KE.CURVE25519, type: 'x25519', crv: 'X25519', bytes: 32, pkcs8: hex('302e020100300506032b656e04220420') },
  { id: KE.CURVE448, type: 'x448', crv: 'X448', bytes: 56, pkcs8: hex('3046020100300506032b656f043a0438') },
] as const;

/** Curve25519 and Curve448 (RFC 8031). Public keys pass as JWK: its parser is ten times DER's speed. */
function montgomery({ id, type, crv, bytes, pkcs8 }: (typeof MONTGOMERY_CURVES)[number], random?: RandomSource) {
  const method = methodOf(id);
  const makeKeys = (): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } => {
    if (random === undefined) return crypto.generateKeyPairSync(type as 'x25519');
    const der = concat(pkcs8, random(bytes));
    const privateKey = crypto.createPrivateKey({ key: Buffer.from(der.buffer), format: 'der', type: 'pkcs8' });
    wipe(der);
    return { privateKey, publicKey: crypto.createPublicKey(privateKey) };
  };
  return symmetric(method, () => {
    const { privateKey, publicKey: own } = makeKeys();
    const { x } = own.export({ format: 'jwk' });
    return {
      publicValue: Uint8Array.from(Buffer.from(x!, 'base64url')),
      derive(peer) {
        checkPublicLength(method, peer, 'responder');
        const jwk = { kty: 'OKP', crv, x: Buffer.from(peer).toString('base64url') };
        const publicKey = crypto.createPublicKey({ key: jwk, format: 'jwk' });
        try {
          return checkMontgomerySecret(plainBytes(crypto.diffieHellman({ privateKey, publicKey })));
        } catch {
          return refuse('is of small order');
        }
      },
      destroy() {},
    };
  });
}

const MODP_NAMES: Readonly<Record<number, string>> = {
  [KE.MODP_2048]: 'modp14',
  [KE.MODP_3072]: 'modp15',
  [KE.MODP_4096]: 'modp16',
};

/** RFC 3526 groups; Node pads the secret with zeros to the modulus' length, as RFC 7296 §2.14 wants. */
function modp(id: number): KeyExchange {
  const method = methodOf(id);
  const { prime } = MODP_GROUPS[id]!;
  return symmetric(method, () => {
    const dh = crypto.getDiffieHellman(MODP_NAMES[id]!);
    const publicValue = new Uint8Array(method.initiatorLength);
    const generated = dh.generateKeys();
    publicValue.set(generated, publicValue.length - generated.length);
    return {
      publicValue,
      derive(peer) {
        checkPublicLength(method, peer, 'responder');
        modpPublicValue(peer, prime);
        return plainBytes(dh.computeSecret(peer));
      },
      destroy() {},
    };
  });
}

/** The part of node:crypto that came with 24.7. */
interface KemFunctions {
  encapsulate(key: KeyObject): { readonly sharedKey: Buffer; readonly ciphertext: Buffer };
  decapsulate(key: KeyObject, ciphertext: Uint8Array): Buffer;
}

const hasKem = (module: object): module is KemFunctions => 'encapsulate' in module && 'decapsulate' in module;

/** DER in front of an encapsulation key (RFC 9935 §4). */
const KEM_KEYS = [
  { id: KE.ML_KEM_512, type: 'ml-kem-512', spki: hex('30820332300b06096086480165030404010382032100') },
  { id: KE.ML_KEM_768, type: 'ml-kem-768', spki: hex('308204b2300b0609608648016503040402038204a100') },
  { id: KE.ML_KEM_1024, type: 'ml-kem-1024', spki: hex('30820632300b06096086480165030404030382062100') },
] as const;

/** ML-KEM (FIPS 203): the initiator sends an encapsulation key, the responder a ciphertext. */
function kem({ id, type, spki }: (typeof KEM_KEYS)[number], functions: KemFunctions): KeyExchange {
  const method = methodOf(id);
  const generateKeyPair = crypto.generateKeyPairSync as unknown as (type: string) => {
    publicKey: KeyObject;
    privateKey: KeyObject;
  };
  return {
    ...method,
    generate() {
      const { publicKey, privateKey } = generateKeyPair(type);
      const der = publicKey.export({ format: 'der', type: 'spki' });
      return {
        publicValue: Uint8Array.from(der.subarray(spki.length)),
        derive(peer) {
          checkPublicLength(method, peer, 'responder');
          return plainBytes(functions.decapsulate(privateKey, peer));
        },
        destroy() {},
      };
    },
    respond(peer) {
      checkPublicLength(method, peer, 'initiator');
      const der = Buffer.concat([spki, peer]);
      try {
        const publicKey = crypto.createPublicKey({ key: der, format: 'der', type: 'spki' });
        const { sharedKey, ciphertext } = functions.encapsulate(publicKey);
        return { publicValue: plainBytes(ciphertext), secret: plainBytes(sharedKey) };
      } catch {
        return refuse('is not an ML-KEM encapsulation key');
      }
    },
  };
}

/** @param injected a source that must be obeyed; undefined lets OpenSSL draw for itself */
export function nodeKeyExchanges(injected: RandomSource | undefined): readonly KeyExchange[] {
  const random: RandomSource = injected ?? ((length) => plainBytes(crypto.randomBytes(length)));
  const curves = [
    ...MONTGOMERY_CURVES.map((curve) => montgomery(curve, injected)),
    ...ECP_CURVES.map((curve) => ecp(curve, injected)),
  ];
  const native = injected === undefined ? Object.keys(MODP_GROUPS).map((id) => modp(Number(id))) : [];
  const module: object = crypto;
  const kems = injected === undefined && hasKem(module) ? KEM_KEYS.map((key) => kem(key, module)) : [];
  const own = [...curves, ...native, ...kems];
  const rest = nobleKeyExchanges(random).filter(({ id }) => !own.some((method) => method.id === id));
  return [...own, ...rest];
}
