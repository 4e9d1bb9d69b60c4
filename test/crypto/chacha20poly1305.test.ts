import { describe, expect, it } from 'vitest';
import { STATUS_BAD_ICV, STATUS_OK } from '../../assembly/layout.ts';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import { BUILDS, hex, Laboratory } from './laboratory.ts';

const SUITE = { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE };

interface Vector {
  readonly name: string;
  readonly key: string;
  /** salt ‖ IV */
  readonly nonce: string;
  readonly aad: string;
  readonly plaintext: Uint8Array;
  readonly ciphertext: string;
  readonly tag: string;
}

const KEY = '80818283 84858687 88898a8b 8c8d8e8f 90919293 94959697 98999a9b 9c9d9e9f';

const VECTORS: readonly Vector[] = [
  {
    name: 'RFC 8439 §2.8.2',
    key: KEY,
    nonce: '07000000 40414243 44454647',
    aad: '50515253 c0c1c2c3 c4c5c6c7',
    plaintext: Buffer.from(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    ),
    ciphertext: `
      d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6
      3dbea45e8ca9671282fafb69da92728b 1a71de0a9e060b2905d6a5b67ecd3b36
      92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc
      3ff4def08e4b7a9de576d26586cec64b 6116`,
    tag: '1ae10b594f09e26a7e902ecbd0600691',
  },
  {
    name: 'RFC 8439 appendix A.5',
    key: '1c9240a5eb55d38af333888604f6b5f0 473917c1402b80099dca5cbc207075c0',
    nonce: '00000000 0102030405060708',
    aad: 'f33388860000000000004e91',
    plaintext: Buffer.from(
      'Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or ' +
        'obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as reference material ' +
        'or to cite them other than as /\u201cwork in progress./\u201d',
    ),
    ciphertext: `
      64a0861575861af460f062c79be643bd 5e805cfd345cf389f108670ac76c8cb2
      4c6cfc18755d43eea09ee94e382d26b0 bdb7b73c321b0100d4f03b7f355894cf
      332f830e710b97ce98c8a84abd0b9481 14ad176e008d33bd60f982b1ff37c855
      9797a06ef4f0ef61c186324e2b350638 3606907b6a7c02b0f9f6157b53c867e4
      b9166c767b804d46a59b5216cde7a4e9 9040c5a40433225ee282a1b0a06c523e
      af4534d7f83fa1155b0047718cbc546a 0d072b04b3564eea1b422273f548271a
      0bb2316053fa76991955ebd63159434e cebb4e466dae5a1073a6727627097a10
      49e617d91d361094fa68f0ff77987130 305beaba2eda04df997b714d6c6f2c29
      a6ad5cb4022b02709b`,
    tag: 'eead9d67890cbb22392336fea1851f38',
  },
  {
    name: 'RFC 7634 appendix A (ESP)',
    key: KEY,
    nonce: 'a0a1a2a3 10111213 14151617',
    aad: '01020304 00000005',
    plaintext: hex(`
      45000054a6f200004001e778c6336405 c000020508005b7a3a080000553bec10
      0007362708090a0b0c0d0e0f10111213 1415161718191a1b1c1d1e1f20212223
      2425262728292a2b2c2d2e2f30313233 3435363701020204`),
    ciphertext: `
      24039428b97f417e3c13753a4f05087b 67c352e6a7fab1b982d466ef407ae5c6
      14ee8099d52844eb61aa95dfab4c02f7 2aa71e7c4c4f64c9befe2facc638e8f3
      cbec163fac469b502773f6fb94e664da 9165b82829f641e0`,
    tag: '76aaa8266b7fb0f7b11b369907e1ad43',
  },
  {
    name: 'RFC 7634 appendix B (IKE)',
    key: KEY,
    nonce: 'a0a1a2a3 10111213 14151617',
    aad: 'c0c1c2c3c4c5c6c7 d0d1d2d3d4d5d6d7 2e202500 00000009 00000045 29000029',
    plaintext: hex('0000000c000040010000000a00'),
    ciphertext: '610394701f8d017f7c12924889',
    tag: '6b71bfe25236efd7cdc67066906315b2',
  },
];

describe.each(BUILDS)('ChaCha20-Poly1305, %s build', async (build) => {
  const lab = await Laboratory.open(build);

  const place = (vector: Vector, payload: Uint8Array, icv?: Uint8Array) => {
    const nonce = hex(vector.nonce);
    const key = lab.key(SUITE, { key: hex(vector.key), salt: nonce.subarray(0, 4) });
    return lab.packets([{ key, iv: nonce.subarray(4), aad: hex(vector.aad), payload, icv: icv ?? new Uint8Array(16) }]);
  };

  it.each(VECTORS)('seals $name', (vector) => {
    const [packet] = place(vector, vector.plaintext);
    lab.seal([packet!]);
    expect(packet!.status()).toBe(STATUS_OK);
    expect(packet!.payload).toEqual(hex(vector.ciphertext));
    expect(packet!.icv).toEqual(hex(vector.tag));
    expect(packet!.intact()).toBe(true);
  });

  it.each(VECTORS)('opens $name', (vector) => {
    const [packet] = place(vector, hex(vector.ciphertext), hex(vector.tag));
    lab.open([packet!]);
    expect(packet!.status()).toBe(STATUS_OK);
    expect(packet!.payload).toEqual(Uint8Array.from(vector.plaintext));
    expect(packet!.intact()).toBe(true);
  });

  it.each(VECTORS)('refuses $name with any bit of its tag flipped, and wipes it', (vector) => {
    for (let bit = 0; bit < 128; bit++) {
      const tag = hex(vector.tag);
      tag[bit >> 3]! ^= 1 << (bit & 7);
      const [packet] = place(vector, hex(vector.ciphertext), tag);
      lab.open([packet!]);
      expect(packet!.status()).toBe(STATUS_BAD_ICV);
      expect(packet!.payload.every((byte) => byte === 0)).toBe(true);
      lab.reset();
    }
  });
});
