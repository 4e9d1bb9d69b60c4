import { describe, expect, it } from 'vitest';
import { GENERATOR, MODP_GROUPS } from '../../../src/control/crypto/modp-groups.ts';
import { KE, KEY_EXCHANGES } from '../../../src/control/crypto/registry.ts';
import { WireError } from '../../../src/control/wire/error.ts';
import { hex, methodWith, PROVIDERS, provider, text } from './known.ts';

interface Known {
  readonly name: string;
  readonly id: number;
  /** Private and public values of both sides, and what they share. */
  readonly a: string;
  readonly publicA: string;
  readonly b: string;
  readonly publicB: string;
  readonly secret: string;
}

const KNOWN: readonly Known[] = [
  {
    name: 'RFC 7748 §6.1, Curve25519',
    id: KE.CURVE25519,
    a: '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
    publicA: '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
    b: '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb',
    publicB: 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    secret: '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
  },
  {
    name: 'RFC 7748 §6.2, Curve448',
    id: KE.CURVE448,
    a: '9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b',
    publicA:
      '9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0',
    b: '1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d6927c120bb5ee8972b0d3e21374c9c921b09d1b0366f10b65173992d',
    publicB:
      '3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609',
    secret:
      '07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282bb60c0b56fd2464c335543936521c24403085d59a449a5037514a879d',
  },
  {
    name: 'RFC 5903 §8.1, 256-bit random ECP group',
    id: KE.ECP_256,
    a: 'c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433',
    publicA:
      'dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180' +
      '5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3',
    b: 'c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53',
    publicB:
      'd12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63' +
      '56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab',
    secret: 'd6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de',
  },
  {
    name: 'RFC 5903 §8.2, 384-bit random ECP group',
    id: KE.ECP_384,
    a: '099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194',
    publicA:
      '667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee95f41aa' +
      '9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c',
    b: '41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc',
    publicB:
      'e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0774a3571' +
      'dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c',
    secret: '11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746',
  },
  {
    name: 'RFC 5903 §8.3, 521-bit random ECP group',
    id: KE.ECP_521,
    a: '0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d4a52',
    publicA:
      '0015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbee1e3bf42e00b8e380aeae57c2d107564941885942af5a7f4601723c4195d176ced3e' +
      '017cae20b6641d2eeb695786d8c946146239d099e18e1d5a514c739d7cb4a10ad8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582',
    b: '0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757a3bdbf2a3163e4c2f869cca7458aa4a4effc311f5cb151685eb9',
    publicB:
      '00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352f6be64a6c2912d4ef2d0433ced2b6171640012d9460f' +
      '015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a',
    secret:
      '01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2bee417996d19f3ddea',
  },
];

const methodOf = (name: (typeof PROVIDERS)[number], id: number) => provider(name).keyExchange(id)!;

/** @returns what the method says of a public value of the peer's, in either role */
function refusals(name: (typeof PROVIDERS)[number], id: number, value: Uint8Array): unknown[] {
  const method = methodOf(name, id);
  return [() => method.generate().derive(value), () => method.respond(value)].map((run) => {
    try {
      return run();
    } catch (error) {
      return error;
    }
  });
}

const withoutKem = KEY_EXCHANGES.filter(({ family }) => family !== 'kem');

describe.each(PROVIDERS)('key exchange of the %s provider', (name) => {
  it.each(KNOWN)('knows the answers of $name', ({ id, a, publicA, b, publicB, secret }) => {
    const initiator = methodWith(name, id, hex(a)).generate();
    expect(text(initiator.publicValue)).toBe(publicA);
    expect(text(initiator.derive(hex(publicB)))).toBe(secret);
    const answer = methodWith(name, id, hex(b)).respond(hex(publicA));
    expect([text(answer.publicValue), text(answer.secret)]).toEqual([publicB, secret]);
  });

  it.each(KEY_EXCHANGES)(
    'agrees with the other provider on $keyword, in both roles and with the lengths of the registry',
    ({ id, lengths }) => {
      const other = name === 'node' ? 'noble' : 'node';
      const initiator = methodOf(name, id).generate();
      const answer = methodOf(other, id).respond(initiator.publicValue);
      expect(initiator.derive(answer.publicValue)).toEqual(answer.secret);
      expect([initiator.publicValue.length, answer.publicValue.length]).toEqual(lengths);
      initiator.destroy();
    },
  );

  it.each(KEY_EXCHANGES)(
    'refuses public values for $keyword of any other length',
    ({ id, lengths: [ofInitiator, ofResponder] }) => {
      const method = methodOf(name, id);
      const initiator = method.generate();
      for (const delta of [-ofInitiator, -1, 1, ofInitiator]) {
        expect(() => method.respond(new Uint8Array(ofInitiator + delta).fill(3))).toThrow(WireError);
        const length = Math.max(0, ofResponder + delta);
        if (length !== ofResponder) expect(() => initiator.derive(new Uint8Array(length).fill(3))).toThrow(WireError);
      }
    },
  );

  it.each(withoutKem)(
    'refuses all zeros and all ones for $keyword, or makes a secret of the right length',
    ({ id, lengths }) => {
      for (const value of [new Uint8Array(lengths[0]), new Uint8Array(lengths[0]).fill(0xff)]) {
        for (const result of refusals(name, id, value)) {
          // All ones is a plain point on a Montgomery curve; anywhere else both are out of range.
          const isPoint = value[0] === 0xff && (id === KE.CURVE25519 || id === KE.CURVE448);
          if (isPoint) expect(result).not.toBeInstanceOf(Error);
          else expect(result).toBeInstanceOf(WireError);
        }
      }
    },
  );

  it.each([
    ['0', '00'.repeat(32)],
    ['1', `01${'00'.repeat(31)}`],
    ['a point of order 8', 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'],
    ['the other point of order 8', '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157'],
    ['p − 1', `ec${'ff'.repeat(30)}7f`],
    ['p', `ed${'ff'.repeat(30)}7f`],
    ['p + 1', `ee${'ff'.repeat(30)}7f`],
  ])('refuses Curve25519 points of small order: %s (RFC 7748 §6.1)', (_what, value) => {
    for (const result of refusals(name, KE.CURVE25519, hex(value))) expect(result).toBeInstanceOf(WireError);
  });

  it.each([
    ['0', '00'.repeat(56)],
    ['1', `01${'00'.repeat(55)}`],
    ['p − 1', `fe${'ff'.repeat(27)}fe${'ff'.repeat(27)}`],
    ['p', `${'ff'.repeat(28)}fe${'ff'.repeat(27)}`],
    ['p + 1', `${'00'.repeat(28)}${'ff'.repeat(28)}`],
  ])('refuses Curve448 points of small order: %s (RFC 7748 §6.2)', (_what, value) => {
    for (const result of refusals(name, KE.CURVE448, hex(value))) expect(result).toBeInstanceOf(WireError);
  });

  it.each(KNOWN.filter(({ id }) => id === KE.ECP_256 || id === KE.ECP_384 || id === KE.ECP_521))(
    'refuses points off the curve and coordinates out of range for $name (RFC 6989 §2.3)',
    ({ id, publicA }) => {
      const good = hex(publicA);
      const half = good.length / 2;
      const offCurve = good.slice();
      offCurve[good.length - 1]! ^= 1;
      const yOfOther = good.slice();
      yOfOther.copyWithin(half, 0, half);
      const xTooLarge = good.slice().fill(0xff, 0, half);
      for (const value of [offCurve, yOfOther, xTooLarge]) {
        for (const result of refusals(name, id, value)) expect(result).toBeInstanceOf(WireError);
      }
    },
  );

  it.each(Object.keys(MODP_GROUPS).map(Number))(
    'refuses 0, 1, p − 1, p and above in group %i (RFC 6989 §2.1)',
    (id) => {
      const { prime, length } = MODP_GROUPS[id]!;
      const encode = (value: bigint) => hex(value.toString(16).padStart(length * 2, '0'));
      for (const value of [0n, 1n, prime - 1n, prime, prime + 1n]) {
        expect(() => methodOf(name, id).generate().derive(encode(value))).toThrow(WireError);
      }
    },
  );

  it.each(Object.keys(MODP_GROUPS).map(Number))('pads MODP values of group %i to the length of the prime', (id) => {
    const initiator = methodOf(name, id).generate();
    const { length } = MODP_GROUPS[id]!;
    const generator = new Uint8Array(length);
    generator[length - 1] = Number(GENERATOR);
    // (g)^x is the public value itself.
    expect(initiator.derive(generator)).toEqual(initiator.publicValue);
    expect(initiator.publicValue).toHaveLength(length);
  });

  it('has no method that the registry does not name', () => {
    const named = new Set(KEY_EXCHANGES.map(({ id }) => id));
    const known = Array.from({ length: 2048 }, (_, id) => id).filter(
      (id) => provider(name).keyExchange(id) !== undefined,
    );
    expect(known).toEqual([...named].sort((a, b) => a - b));
  });
});

describe('the MODP groups', () => {
  /** floor(2^bits · π), by Machin's formula with 64 guard bits. */
  function piTimes(bits: number): bigint {
    const one = 1n << BigInt(bits + 64);
    const arctanOfInverse = (x: bigint): bigint => {
      let term = one / x;
      let sum = term;
      for (let n = 3n; term !== 0n; n += 2n) {
        term /= -(x * x);
        sum += term / n;
      }
      return sum;
    };
    return (4n * (4n * arctanOfInverse(5n) - arctanOfInverse(239n))) >> 64n;
  }

  it.each([
    [KE.MODP_2048, 2048, 124_476n],
    [KE.MODP_3072, 3072, 1_690_314n],
    [KE.MODP_4096, 4096, 240_904n],
  ])('%i is 2^n − 2^(n−64) − 1 + 2^64 · (floor(2^(n−130) π) + k), as RFC 3526 says', (id, bits, offset) => {
    const n = BigInt(bits);
    const expected = (1n << n) - (1n << (n - 64n)) - 1n + ((piTimes(bits - 130) + offset) << 64n);
    expect(MODP_GROUPS[id]!.prime === expected).toBe(true);
    expect(MODP_GROUPS[id]!.length * 8).toBe(bits);
  });
});
