import { describe, expect, it } from 'vitest';
import { STATUS_BAD_ICV, STATUS_OK } from '../../assembly/layout.ts';
import { INTEG, integrity } from '../../src/algorithms.ts';
import { BUILDS, hex, Laboratory } from './laboratory.ts';

const repeat = (byte: number, count: number) => new Uint8Array(count).fill(byte);
const count = (from: number, to: number) => Uint8Array.from({ length: to - from + 1 }, (_, i) => from + i);

interface Vector {
  readonly name: string;
  readonly integ: number;
  readonly key: Uint8Array;
  readonly data: Uint8Array;
  /** The whole digest, as the RFC prints it; the ICV is its beginning. */
  readonly digest: string;
}

const vector = (name: string, integ: number, key: Uint8Array, data: Uint8Array, digest: string): Vector => ({
  name,
  integ,
  key,
  data,
  digest,
});

const JEFE = Buffer.from('Jefe');
const jefe = (length: number) => Buffer.from('Jefe'.repeat(length / 4));
const WHAT = Buffer.from('what do ya want for nothing?');
const HI = Buffer.from('Hi There');

/** Data, key and the three digests of RFC 4231 §4.2 to §4.5 (keys no longer than the kernel takes). */
const RFC4231: readonly (readonly [string, Uint8Array, Uint8Array, string, string, string])[] = [
  [
    '§4.2',
    repeat(0x0b, 20),
    HI,
    'b0344c61d8db38535ca8afceaf0bf12b 881dc200c9833da726e9376c2e32cff7',
    'afd03944d84895626b0825f4ab46907f 15f9dadbe4101ec682aa034c7cebc59c faea9ea9076ede7f4af152e8b2fa9cb6',
    `87aa7cdea5ef619d4ff0b4241a1d6cb0 2379f4e2ce4ec2787ad0b30545e17cde
     daa833b7d6b8a702038b274eaea3f4e4 be9d914eeb61f1702e696c203a126854`,
  ],
  [
    '§4.3',
    JEFE,
    WHAT,
    '5bdcc146bf60754e6a042426089575c7 5a003f089d2739839dec58b964ec3843',
    'af45d2e376484031617f78d2b58a6b1b 9c7ef464f5a01b47e42ec3736322445e 8e2240ca5e69e2c78b3239ecfab21649',
    `164b7a7bfcf819e2e395fbe73b56e0a3 87bd64222e831fd610270cd7ea250554
     9758bf75c05a994a6d034f65f8f0e6fd caeab1a34d4a6b4b636e070a38bce737`,
  ],
  [
    '§4.4',
    repeat(0xaa, 20),
    repeat(0xdd, 50),
    '773ea91e36800e46854db8ebd09181a7 2959098b3ef8c122d9635514ced565fe',
    '88062608d3e6ad8a0aa2ace014c8a86f 0aa635d947ac9febe83ef4e55966144b 2a5ab39dc13814b94e3ab6e101a34f27',
    `fa73b0089d56a284efb0f0756c890be9 b1b5dbdd8ee81a3655f83e33b2279d39
     bf3e848279a722c806b485a47e67c807 b946a337bee8942674278859e13292fb`,
  ],
  [
    '§4.5',
    count(1, 25),
    repeat(0xcd, 50),
    '82558a389a443c0ea4cc819899f2083a 85f0faa3e578f8077a2e3ff46729665b',
    '3e8a69b7783c25851933ab6290af6ca7 7a9981480850009cc5577c6e1f573b4e 6801dd23c4a7d679ccf8a386c674cffb',
    `b0ba465637458c6990e5a8c5f61d4af7 e576d97ff94b872de76f8050361ee3db
     a91ca5c11aa25eb4d679275cc5788063 a5f19741120c4f2de2adebeb10a298dd`,
  ],
];

/** RFC 4868 §2.7.2: keys as long as the digest; that of AUTH512-4 as erratum 1785 has it. */
const RFC4868: readonly (readonly [string, number, Uint8Array, Uint8Array, string])[] = [
  [
    'AUTH256-1',
    INTEG.HMAC_SHA2_256_128,
    repeat(0x0b, 32),
    HI,
    '198a607eb44bfbc69903a0f1cf2bbdc5 ba0aa3f3d9ae3c1c7a3b1696a0b68cf7',
  ],
  [
    'AUTH256-2',
    INTEG.HMAC_SHA2_256_128,
    jefe(32),
    WHAT,
    '167f928588c5cc2eef8e3093caa0e87c 9ff566a14794aa61648d81621a2a40c6',
  ],
  [
    'AUTH256-3',
    INTEG.HMAC_SHA2_256_128,
    repeat(0xaa, 32),
    repeat(0xdd, 50),
    'cdcb1220d1ecccea91e53aba3092f962 e549fe6ce9ed7fdc43191fbde45c30b0',
  ],
  [
    'AUTH256-4',
    INTEG.HMAC_SHA2_256_128,
    count(1, 32),
    repeat(0xcd, 50),
    '372efcf9b40b35c2115b1346903d2ef4 2fced46f0846e7257bb156d3d7b30d3f',
  ],
  [
    'AUTH384-1',
    INTEG.HMAC_SHA2_384_192,
    repeat(0x0b, 48),
    HI,
    'b6a8d5636f5c6a7224f9977dcf7ee6c7 fb6d0c48cbdee9737a959796489bddbc 4c5df61d5b3297b4fb68dab9f1b582c2',
  ],
  [
    'AUTH384-2',
    INTEG.HMAC_SHA2_384_192,
    jefe(48),
    WHAT,
    '2c7353974f1842fd66d53c452ca42122 b28c0b594cfb184da86a368e9b8e16f5 349524ca4e82400cbde0686d403371c9',
  ],
  [
    'AUTH384-3',
    INTEG.HMAC_SHA2_384_192,
    repeat(0xaa, 48),
    repeat(0xdd, 50),
    '809f439be00274321d4a538652164b53 554a508184a0c3160353e3428597003d 35914a18770f9443987054944b7c4b4a',
  ],
  [
    'AUTH384-4',
    INTEG.HMAC_SHA2_384_192,
    Buffer.concat([count(1, 32), count(10, 25)]),
    repeat(0xcd, 50),
    '5b540085c6e6358096532b2493609ed1 cb298f774f87bb5c2ebf182c83cc7428 707fb92eab2536a5812258228bc96687',
  ],
  [
    'AUTH512-1',
    INTEG.HMAC_SHA2_512_256,
    repeat(0x0b, 64),
    HI,
    `637edc6e01dce7e6742a99451aae82df 23da3e92439e590e43e761b33e910fb8
     ac2878ebd5803f6f0b61dbce5e251ff8 789a4722c1be65aea45fd464e89f8f5b`,
  ],
  [
    'AUTH512-2',
    INTEG.HMAC_SHA2_512_256,
    jefe(64),
    WHAT,
    `cb370917ae8a7ce28cfd1d8f4705d614 1c173b2a9362c15df235dfb251b15454
     6aa334ae9fb9afc2184932d8695e397b fa0ffb93466cfcceaae38c833b7dba38`,
  ],
  [
    'AUTH512-3',
    INTEG.HMAC_SHA2_512_256,
    repeat(0xaa, 64),
    repeat(0xdd, 50),
    `2ee7acd783624ca9398710f3ee05ae41 b9f9b0510c87e49e586cc9bf961733d8
     623c7b55cebefccf02d5581acc1c9d5f b1ff68a1de45509fbe4da9a433922655`,
  ],
  [
    'AUTH512-4',
    INTEG.HMAC_SHA2_512_256,
    count(1, 64),
    repeat(0xcd, 50),
    `5e6688e5a3daec826ca32eaea224eff5 e700628947470e13ad01302561bab108
     b8c48cbc6b807dcfbd850521a685babc 7eae4a2a2e660dc0e86b931d65503fd2`,
  ],
];

/** RFC 4231 §4.6 prints 128 bits of each. */
const TRUNCATED = [
  [INTEG.HMAC_SHA2_256_128, 'a3b6167473100ee06e0c796c2955552b'],
  [INTEG.HMAC_SHA2_384_192, '3abf34c3503b2a23a46efc619baef897'],
  [INTEG.HMAC_SHA2_512_256, '415fad6271580a531d4179bc891d87a6'],
] as const;

const VECTORS: readonly Vector[] = [
  vector('RFC 2202 §3 case 1', INTEG.HMAC_SHA1_96, repeat(0x0b, 20), HI, 'b617318655057264e28bc0b6fb378c8ef146be00'),
  vector('RFC 2202 §3 case 2', INTEG.HMAC_SHA1_96, JEFE, WHAT, 'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79'),
  vector(
    'RFC 2202 §3 case 3',
    INTEG.HMAC_SHA1_96,
    repeat(0xaa, 20),
    repeat(0xdd, 50),
    '125d7342b9ac11cd91a39af48aa17b4f63f175d3',
  ),
  vector(
    'RFC 2202 §3 case 4',
    INTEG.HMAC_SHA1_96,
    count(1, 25),
    repeat(0xcd, 50),
    '4c9007f4026250c6bc8414f9bf50c86c2d7235da',
  ),
  vector(
    'RFC 2202 §3 case 5',
    INTEG.HMAC_SHA1_96,
    repeat(0x0c, 20),
    Buffer.from('Test With Truncation'),
    '4c1a03424b55e07fe7f27be1d58bb9324a9a5a04',
  ),
  ...RFC4231.flatMap(([section, key, data, sha256, sha384, sha512]) => [
    vector(`RFC 4231 ${section}`, INTEG.HMAC_SHA2_256_128, key, data, sha256),
    vector(`RFC 4231 ${section}`, INTEG.HMAC_SHA2_384_192, key, data, sha384),
    vector(`RFC 4231 ${section}`, INTEG.HMAC_SHA2_512_256, key, data, sha512),
  ]),
  ...RFC4868.map(([name, integ, key, data, digest]) => vector(`RFC 4868 §2.7.2 ${name}`, integ, key, data, digest)),
];

describe.each(BUILDS)('HMAC, %s build', async (build) => {
  const lab = await Laboratory.open(build);

  const place = ({ integ, key, data, digest }: Vector, sealed: boolean, copies: number) => {
    const { icvLength } = integrity(integ)!;
    const address = lab.key({ keyBits: 0, integ }, { integKey: key });
    const icv = sealed ? hex(digest).subarray(0, icvLength) : new Uint8Array(icvLength);
    const spec = { key: address, aad: new Uint8Array(), payload: data, icv };
    return { icv: hex(digest).subarray(0, icvLength), packets: lab.packets(new Array(copies).fill(spec)) };
  };

  // One packet takes the scalar path, five fill the lanes and one again.
  it.each(VECTORS)('makes the ICV of $name ($integ)', (vector) => {
    for (const copies of [1, 5]) {
      const { icv, packets } = place(vector, false, copies);
      lab.seal(packets);
      for (const packet of packets) {
        expect(packet.status()).toBe(STATUS_OK);
        expect(packet.icv).toEqual(icv);
        expect(packet.payload).toEqual(Uint8Array.from(vector.data));
        expect(packet.intact()).toBe(true);
      }
    }
  });

  it.each(TRUNCATED)('begins the ICV of integrity %i as RFC 4231 §4.6 truncates it', (integ, beginning) => {
    const whole = place(vector('', integ, repeat(0x0c, 20), Buffer.from('Test With Truncation'), ''), false, 1);
    lab.seal(whole.packets);
    expect(Buffer.from(whole.packets[0]!.icv.subarray(0, 16)).toString('hex')).toBe(beginning);
  });

  it.each(VECTORS)('refuses any flipped bit in the ICV of $name ($integ)', (vector) => {
    const { icv, packets } = place(vector, true, 8 * integrity(vector.integ)!.icvLength);
    packets.forEach((packet, bit) => {
      packet.icv[bit >> 3]! ^= 1 << (bit & 7);
    });
    lab.open(packets);
    expect(packets.length).toBe(8 * icv.length);
    for (const packet of packets) {
      expect(packet.status()).toBe(STATUS_BAD_ICV);
      expect(packet.payload.every((byte) => byte === 0)).toBe(true);
    }
    lab.reset();
  });
});
