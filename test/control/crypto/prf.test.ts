import { describe, expect, it } from 'vitest';
import { INTEG } from '../../../src/algorithms.ts';
import { PRF } from '../../../src/control/crypto/registry.ts';
import { HASH } from '../../../src/control/wire/iana.ts';
import { hex, PROVIDERS, provider, repeated, text } from './known.ts';

const ascii = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value, 'ascii'));

interface Known {
  readonly name: string;
  readonly key: Uint8Array;
  readonly data: Uint8Array;
  readonly sha256: string;
  readonly sha384: string;
  readonly sha512: string;
}

/** RFC 4231 §4. */
const KNOWN: readonly Known[] = [
  {
    name: '1',
    key: repeated('0b', 20),
    data: ascii('Hi There'),
    sha256: 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    sha384: 'afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6',
    sha512:
      '87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854',
  },
  {
    name: '2, with a key shorter than the output',
    key: ascii('Jefe'),
    data: ascii('what do ya want for nothing?'),
    sha256: '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    sha384: 'af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649',
    sha512:
      '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737',
  },
  {
    name: '3',
    key: repeated('aa', 20),
    data: repeated('dd', 50),
    sha256: '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
    sha384: '88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39dc13814b94e3ab6e101a34f27',
    sha512:
      'fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb',
  },
  {
    name: '6, with a key longer than the block',
    key: repeated('aa', 131),
    data: ascii('Test Using Larger Than Block-Size Key - Hash Key First'),
    sha256: '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
    sha384: '4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952',
    sha512:
      '80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598',
  },
];

describe.each(PROVIDERS)('the PRFs of the %s provider', (name) => {
  it.each(KNOWN)('give the answers of RFC 4231 test case $name', ({ key, data, sha256, sha384, sha512 }) => {
    const results = [PRF.HMAC_SHA2_256, PRF.HMAC_SHA2_384, PRF.HMAC_SHA2_512].map((id) =>
      text(provider(name).prf(id)!.compute(key, data)),
    );
    expect(results).toEqual([sha256, sha384, sha512]);
  });

  it('take their input in parts', () => {
    const prf = provider(name).prf(PRF.HMAC_SHA2_256)!;
    const { key, data, sha256 } = KNOWN[1]!;
    expect(text(prf.compute(key, data.slice(0, 5), new Uint8Array(), data.slice(5)))).toBe(sha256);
  });

  it('are cut to half their length for integrity (RFC 4868 §2.7.2)', () => {
    const [known] = KNOWN;
    const cut = (id: number): string => text(provider(name).integrity(id)!.compute(known!.key, known!.data));
    expect(cut(INTEG.HMAC_SHA2_256_128)).toBe(known!.sha256.slice(0, 32));
    expect(cut(INTEG.HMAC_SHA2_384_192)).toBe(known!.sha384.slice(0, 48));
    expect(cut(INTEG.HMAC_SHA2_512_256)).toBe(known!.sha512.slice(0, 64));
  });

  it('are the three of the registry and no others: neither MD5 nor SHA-1', () => {
    const all = Array.from({ length: 1024 }, (_, id) => id);
    expect(all.filter((id) => provider(name).prf(id) !== undefined)).toEqual([5, 6, 7]);
    expect(all.filter((id) => provider(name).integrity(id) !== undefined)).toEqual([12, 13, 14]);
  });
});

it.each(PROVIDERS)('hashes of the %s provider give the answers of FIPS 180-4 for "abc"', (name) => {
  const hash = (id: 1 | 2 | 3 | 4): string => text(provider(name).hash(id, ascii('a'), ascii('bc')));
  expect(hash(HASH.SHA1)).toBe('a9993e364706816aba3e25717850c26c9cd0d89d');
  expect(hash(HASH.SHA2_256)).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  expect(hex(hash(HASH.SHA2_384)).slice(0, 4)).toEqual(hex('cb00753f'));
  expect(hex(hash(HASH.SHA2_512)).slice(0, 4)).toEqual(hex('ddaf35a1'));
});
