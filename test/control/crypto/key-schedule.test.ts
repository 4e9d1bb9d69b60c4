import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ENCR, INTEG } from '../../../src/algorithms.ts';
import {
  additionalKeys,
  childKeys,
  type IkeKeys,
  ikeKeys,
  keymat,
  mixPpk,
  prfPlus,
  rekeySkeyseed,
  skeyseed,
  wipeIkeKeys,
} from '../../../src/control/crypto/keys.ts';
import type { Prf } from '../../../src/control/crypto/provider.ts';
import { PRF } from '../../../src/control/crypto/registry.ts';
import { concat } from '../../../src/control/wire/bytes.ts';
import { hex, PROVIDERS, provider, repeated, text } from './known.ts';

/** HMAC-SHA1, which IKE does not offer: NIST's cases for SP 800-135 begin with it. */
const SHA1: Prf = {
  id: 2,
  length: 20,
  compute: (key, ...parts) =>
    new Uint8Array(
      createHmac('sha1', key)
        .update(concat(...parts))
        .digest(),
    ),
};

/** NIST CAVP, SP 800-135 IKEv2, [SHA-1] with 64-bit nonces and a 1024-bit g^ir, COUNT 0. */
describe("the key schedule with NIST's known answer (SP 800-135)", () => {
  const nonceI = hex('3651fef5c9c35e93');
  const nonceR = hex('c09a8b90a3f04d59');
  const secret = hex(`
    d084a30166a50fb7325c3960874a839449ef9741c2f4f947d0201dd8c1269273d79509f37e3ca3eb4fa2fe2a28254e28
    9cd3f34dad4eb4df1a07685a4b8a94fa61e2491f7598b3ce65547ff133b3f63d1ac4175eaa695033f3cedb026a6873a3
    6455172a8540b8a5d23a0143bed0390ee49b168269d75fffee9fb62be965993c`);
  const newSecret = hex(`
    52f00ab174c25d5b7139ae5ff4e8e9eddee5992d2e36adf8a559ffd90dab1442e4fbe429d320c0f33552a17d1557fa41
    ea70e8fb916c4fa27ed52b5f8ebd8461afa78f1159159a64055ac5f6319e29c28eae58cbc6847770f32c3fed1d047504
    84f854790f95e9ec01bc5bc461f24966462e359511329305038e94deb6dd42c2`);
  const spis = hex('8e5c3ae507221684b1f201bb155c3acd');
  const seed = hex('cd2e8050137832245f1dbacc6e4f0a92f94d45d6');
  const material =
    '6f1b12cad3cbe097b35430356d869d54cddb0198ec859174d53ceb92dddedbe2436db69f60977c58fa63bbb667f8d369' +
    '20b109baae8f6c61a9ac49feda01843225d080ec5539d5881a25521ffb2a0a91874a9c0a27fcc2d717eb8963a9e3a89c' +
    '7ab264757284c28cf8c3ca40576f4220b052b1fb8e9ad60ba3c80557323331a8cbb89f20';
  const skD = hex(material.slice(0, 40));

  it('SKEYSEED = prf(Ni | Nr, g^ir)', () => {
    expect(skeyseed(SHA1, secret, nonceI, nonceR)).toEqual(seed);
  });

  it('{SK_d | SK_ai | …} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)', () => {
    expect(text(prfPlus(SHA1, seed, concat(nonceI, nonceR, spis), 132))).toBe(material);
    const cipher = provider('node').cipher(ENCR.AES_CBC, 128)!;
    const integrity = { id: 2, keyLength: 20, icvLength: 12, compute: SHA1.compute };
    const inputs = { nonceI, nonceR, spiI: 0x8e5c3ae507221684n, spiR: 0xb1f201bb155c3acdn };
    const keys = ikeKeys({ prf: SHA1, cipher, integrity }, seed, inputs);
    expect(text(concat(keys.d, keys.ai, keys.ar, keys.ei, keys.er, keys.pi, keys.pr))).toBe(material);
    expect([keys.ai.length, keys.ei.length, keys.pi.length]).toEqual([20, 16, 20]);
  });

  it('KEYMAT = prf+(SK_d, Ni | Nr)', () => {
    expect(text(keymat(SHA1, skD, nonceI, nonceR, 132))).toBe(
      '4727dc0ef94eb326ce131cf282fb652faa638ad0ddae3786a11bcc0309876009f8c485de011ad962c5b1ca8a41ff81454' +
        '45749079c5686e26ffebbc342f06981f3da745e11ca0976424d1f8caec623d59dc7186deb20a27b411d1dcb70a365440b' +
        'f7de905088b0692e8addc094e18d1939bdb67e89798ca6b239e2ccb81c2409dac0106c',
    );
  });

  it('KEYMAT = prf+(SK_d, g^ir (new) | Ni | Nr)', () => {
    expect(text(keymat(SHA1, skD, nonceI, nonceR, 132, newSecret))).toBe(
      'b109c21ad4c0797768c1cec9e63554681e48f224bca7f23c20c4ea7041983451e9aa1d5408656c8a975ff1b9d9a12c75f' +
        'feb64bdecb30174664cccb4e14f1c377b7f6d1525af77c7092aac3e47f917ebae8297fb5539d2008ce830823a09cc1973' +
        '61d4a289c72745f6ce9fefe812be5bf55b3200fbb82e41a4a40877d3fe106db909707b',
    );
  });

  it('SKEYSEED (rekey) = prf(SK_d, g^ir (new) | Ni | Nr)', () => {
    expect(text(rekeySkeyseed(SHA1, skD, newSecret, nonceI, nonceR))).toBe('3b03bce748c96d5e8306918d2ff89b68f0648da3');
  });
});

/**
 * The values were computed step by step from the RFCs' formulas by a program that shares nothing
 * with this project, for PRF_HMAC_SHA2_256 and AES-GCM with 256-bit keys.
 */
describe.each(PROVIDERS)('a hybrid key exchange with the %s provider (RFC 9370 §2.2.2)', (name) => {
  const prf = provider(name).prf(PRF.HMAC_SHA2_256)!;
  const algorithms = { prf, cipher: provider(name).cipher(ENCR.AES_GCM_16, 256)! };
  const inputs = {
    nonceI: Uint8Array.from({ length: 32 }, (_, index) => index),
    nonceR: Uint8Array.from({ length: 32 }, (_, index) => 0x40 + index),
    spiI: 0x0102030405060708n,
    spiR: 0x1112131415161718n,
  };
  const [secret0, secret1, secret2] = ['a0', 'a1', 'a2'].map((byte) => repeated(byte, 32));
  const first = () => ikeKeys(algorithms, skeyseed(prf, secret0!, inputs.nonceI, inputs.nonceR), inputs);
  const second = () => additionalKeys(algorithms, first().d, secret1!, inputs);
  const third = () => additionalKeys(algorithms, second().d, secret2!, inputs);
  const shown = ({ d, ei, er, pi, pr }: IkeKeys) => [d, ei, er, pi, pr].map(text);

  it('begins like any IKE SA', () => {
    expect(shown(first())).toEqual([
      '0300bb8a577039abd5f1c4dd4b32675ed0511b8409c7d9a149b84fe7dc5f56a2',
      '8df0e11431435031c2794edc91b761d5c198f69415ba918b8593ba08a03c1c2f6a9c6e46',
      'fcb26b9661a71271c1bc366f7a6e5244c15915c4feb37187366e9950d24cad3bb0b412d8',
      'c06584769185cfcd7286e482e882a4eab49453518ab8696d197c53b9ed65e8c9',
      'f7a8b6b56882080d9750f73f86f1295f7cfe19fc19b190d1c7509e8bcba76388',
    ]);
  });

  it('replaces all keys with each additional secret: SKEYSEED(n) = prf(SK_d(n−1), SK(n) | Ni | Nr)', () => {
    expect(shown(second())).toEqual([
      '9d13f69c4781bd9b91a6ba11ad932b43461a3ca6b998eccf5d0ce02ff237e03c',
      '1eda7bded31dc2bfb465da2c110857b311054a8b6539c7b23c26c9bf25388dc2f265ac96',
      '5be3a57994e3a1e606962860f0a4b859cf6748153d0ec43f41f30bb8fe57ba76e530cfdc',
      '7a5dda8eb7ee3ef807c914aa8532653932598fd14c821b80d0478979935926af',
      'ce553d58307c323abba4a8045542fb172669c4235809c25bc4a06041cca74c17',
    ]);
    expect(shown(third())).toEqual([
      '73a7e4ac8c01ef0b3eb0478731260f28258ec0aba234d4e6aa3da86cee86fcd1',
      'df2b698a492890c7282713b2904c5450e57e552ee3199004df2ccdece5610b3cc2ab9b7c',
      'd40028f03145bf6897d9a08f07e9dd9d2fd10d26be4bc379e1a4d21cbe5c3dbc82f6db10',
      'f7728b3d9fba2e9c4c00d797e0471bebc26934680a01f0badcc2fa2618dbc850',
      'f37cd4179a6fcdf917a843a94e3fb08b6c77891156b9ed9e1fb44b2f1b7c5a27',
    ]);
  });

  it('mixes a PPK into SK_d, SK_pi and SK_pr alone (RFC 8784 §3)', () => {
    const before = third();
    const after = mixPpk(prf, before, repeated('50', 32));
    expect([after.d, after.pi, after.pr].map(text)).toEqual([
      'a822b59ce37c7881c01933cd87f6803d915708e64a1300b4f9b1d1cfdc05029c',
      '875eade9ba1a9a18f428aae19de35974f13f9c7107a90ab2a5132546e3c863e3',
      'c7af101a37dcc2da60a7e9e78d65876e8cf3927e27a58c47461f5bae6d59c311',
    ]);
    expect([after.ei, after.er]).toEqual([before.ei, before.er]);
  });

  it('puts the additional secrets of a rekey behind the nonces (RFC 9370 §2.2.4)', () => {
    const { d } = third();
    const { nonceI, nonceR } = inputs;
    const material = keymat(prf, d, nonceI, nonceR, 40, secret0, [secret1!, secret2!]);
    expect(text(material)).toBe('a8d4b905cb9111366f22106289c85a1ff6685009ea70a4071dc34fcee26a9f76120ef57b6f7f0322');
    expect(text(rekeySkeyseed(prf, d, secret0!, nonceI, nonceR, [secret1!, secret2!]))).toBe(
      '9cb9a04c4bbd879bd1e3488d20fe642df37ccd4f6c394f57af3657919e77913d',
    );
  });
});

describe('the key schedule', () => {
  const prf = provider('node').prf(PRF.HMAC_SHA2_256)!;
  const algorithms = {
    prf,
    cipher: provider('node').cipher(ENCR.AES_CBC, 256)!,
    integrity: provider('node').integrity(INTEG.HMAC_SHA2_256_128)!,
  };
  const nonce = repeated('01', 16);
  const nothing = new Uint8Array();

  it('makes no keys from an empty secret', () => {
    const inputs = { nonceI: nonce, nonceR: nonce, spiI: 1n, spiR: 2n };
    expect(() => skeyseed(prf, nothing, nonce, nonce)).toThrow(/empty/);
    expect(() => rekeySkeyseed(prf, nonce, nothing, nonce, nonce)).toThrow(/empty/);
    expect(() => additionalKeys(algorithms, nonce, nothing, inputs)).toThrow(/empty/);
    expect(() => keymat(prf, nonce, nonce, nonce, 32, nothing)).toThrow(/empty/);
    expect(() => mixPpk(prf, ikeKeys(algorithms, nonce, inputs), nothing)).toThrow(/empty/);
  });

  it('cuts KEYMAT in the order of RFC 7296 §2.17 and takes no other length', () => {
    const material = Uint8Array.from({ length: 72 }, (_, index) => index);
    const keys = childKeys(material.slice(), 20, 16);
    expect(keys.initiator).toEqual({ encryption: material.slice(0, 20), integrity: material.slice(20, 36) });
    expect(keys.responder).toEqual({ encryption: material.slice(36, 56), integrity: material.slice(56) });
    for (const length of [0, 71, 73]) expect(() => childKeys(new Uint8Array(length), 20, 16)).toThrow(RangeError);
  });

  it('ends prf+ after 255 blocks (RFC 7296 §2.13)', () => {
    expect(prfPlus(prf, nonce, nonce, 255 * 32)).toHaveLength(8160);
    expect(() => prfPlus(prf, nonce, nonce, 255 * 32 + 1)).toThrow(RangeError);
    expect(prfPlus(prf, nonce, nonce, 0)).toHaveLength(0);
  });

  it('wipes every key of an IKE SA', () => {
    const keys = ikeKeys(algorithms, nonce, { nonceI: nonce, nonceR: nonce, spiI: 1n, spiR: 2n });
    wipeIkeKeys(keys);
    expect(Object.values(keys).every((key: Uint8Array) => key.length > 0 && key.every((byte) => byte === 0))).toBe(
      true,
    );
  });
});
