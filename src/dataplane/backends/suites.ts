/** The cipher suites a backend may meet, and how a KEY block says which one it holds. */
import * as L from '../../../assembly/layout.ts';
import { type CipherSuite, ENCR, ENCRYPTION, INTEG, INTEGRITY, suiteName } from '../../algorithms.ts';
import type { KernelMemory } from './backend.ts';

/** GMAC authenticates AH packets (RFC 4543 §4); in ESP it is an ENCR of its own. */
export const isGmac = (integ: number): boolean => integ >= INTEG.AES_128_GMAC && integ <= INTEG.AES_256_GMAC;

/** Every suite of ESP and AH, as `algorithms.ts` combines. */
export const ALL_SUITES: readonly CipherSuite[] = [
  ...ENCRYPTION.flatMap(({ id, keyBits, icvLength }) =>
    keyBits.flatMap((bits) =>
      icvLength > 0
        ? [{ encr: id, keyBits: bits, integ: INTEG.NONE }]
        : INTEGRITY.filter((integrity) => !isGmac(integrity.id)).map((integrity) => ({
            encr: id,
            keyBits: bits,
            integ: integrity.id,
          })),
    ),
  ),
  ...INTEGRITY.map(({ id }) => ({ keyBits: 0, integ: id })),
];

const known = new Set(ALL_SUITES.map(suiteName));

/** Is it one of ALL_SUITES? */
export const isKnownSuite = (suite: CipherSuite): boolean => known.has(suiteName(suite));

/** @returns the suite of the KEY block at `key` */
export function suiteOf({ words }: KernelMemory, key: number): CipherSuite {
  const encr = words[(key + L.KEY_ENCR) >>> 2]!;
  const keyBits = words[(key + L.KEY_KEY_LENGTH) >>> 2]! * 8;
  const integ = words[(key + L.KEY_INTEG) >>> 2]!;
  return encr === 0 ? { keyBits, integ } : { encr, keyBits, integ };
}

/** Secrets of a KEY block: views of shared memory, to be copied by who keeps them. */
export interface RawKeys {
  readonly key: Uint8Array;
  readonly salt: Uint8Array;
  readonly integKey: Uint8Array;
}

/** @param saltLength in bytes; the block has room for four */
export function rawKeys({ bytes, words }: KernelMemory, key: number, saltLength: number): RawKeys {
  const view = (offset: number, length: number) => bytes.subarray(key + offset, key + offset + length);
  return {
    key: view(L.KEY_KEY, words[(key + L.KEY_KEY_LENGTH) >>> 2]!),
    salt: view(L.KEY_SALT, saltLength),
    integKey: view(L.KEY_INTEG_KEY, words[(key + L.KEY_INTEG_KEY_LENGTH) >>> 2]!),
  };
}

/** May a packet's payload have that many bytes? The kernel asks the same (`acceptsLength`). */
export const acceptsLength = (suite: CipherSuite, length: number): boolean =>
  suite.encr !== ENCR.AES_CBC || length % 16 === 0;
