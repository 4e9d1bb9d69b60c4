import { describe, expect, it } from 'vitest';
import { ENCR, INTEG } from '../../../src/algorithms.ts';
import { ESN, KE, PRF } from '../../../src/control/crypto/registry.ts';
import { explainProposal } from '../../../src/control/proposals/explain.ts';
import {
  defaultProposals,
  formatProposal,
  parseProposal,
  parseProposals,
} from '../../../src/control/proposals/keywords.ts';
import { PROTOCOL, TRANSFORM } from '../../../src/control/wire/iana.ts';

const { IKE, ESP, AH } = PROTOCOL;

describe('proposals in keywords', () => {
  it('reads an AEAD, a PRF and a key exchange method', () => {
    expect(parseProposal(IKE, 'aes128gcm16-prfsha256-x25519').transforms).toEqual([
      { type: TRANSFORM.ENCR, id: ENCR.AES_GCM_16, keyBits: 128 },
      { type: TRANSFORM.PRF, id: PRF.HMAC_SHA2_256 },
      { type: TRANSFORM.KE, id: KE.CURVE25519 },
    ]);
  });

  it('takes the PRF of the integrity algorithm where none is written, as swanctl does', () => {
    expect(parseProposal(IKE, 'aes256-sha384-ecp384').transforms).toContainEqual({
      type: TRANSFORM.PRF,
      id: PRF.HMAC_SHA2_384,
    });
    const combined = parseProposal(IKE, 'aes128gcm16-sha512-x25519').transforms;
    expect(combined).toContainEqual({ type: TRANSFORM.PRF, id: PRF.HMAC_SHA2_512 });
    expect(combined.some(({ type }) => type === TRANSFORM.INTEG)).toBe(false);
  });

  it('offers ESN and no ESN unless the proposal says which', () => {
    const esn = (text: string) =>
      parseProposal(ESP, text)
        .transforms.filter(({ type }) => type === TRANSFORM.ESN)
        .map(({ id }) => id);
    expect(esn('aes128gcm16')).toEqual([ESN.YES, ESN.NO]);
    expect(esn('aes128gcm16-esn')).toEqual([ESN.YES]);
    expect(esn('aes128gcm16-noesn')).toEqual([ESN.NO]);
    expect(esn('aes128gcm16-noesn-esn')).toEqual([ESN.NO, ESN.YES]);
  });

  it('reads additional key exchanges of RFC 9370, optional ones among them', () => {
    const { transforms } = parseProposal(IKE, 'chacha20poly1305-prfsha512-x25519-ke1_mlkem768-ke1_none-ke2_x448');
    expect(transforms.filter(({ type }) => type >= TRANSFORM.KE)).toEqual([
      { type: TRANSFORM.KE, id: KE.CURVE25519 },
      { type: TRANSFORM.ADDKE1, id: KE.ML_KEM_768 },
      { type: TRANSFORM.ADDKE1, id: KE.NONE },
      { type: TRANSFORM.ADDKE2, id: KE.CURVE448 },
    ]);
  });

  it('reads GMAC as encryption in ESP and as integrity in AH', () => {
    expect(parseProposal(ESP, 'aes128gmac').transforms[0]).toEqual({
      type: TRANSFORM.ENCR,
      id: ENCR.NULL_AUTH_AES_GMAC,
      keyBits: 128,
    });
    expect(parseProposal(AH, 'aes128gmac').transforms[0]).toEqual({ type: TRANSFORM.INTEG, id: INTEG.AES_128_GMAC });
  });

  it('takes the other spellings of swanctl', () => {
    const same = (a: string, b: string) =>
      expect(parseProposal(ESP, a).transforms).toEqual(parseProposal(ESP, b).transforms);
    same('aes128gcm128-curve25519', 'AES128GCM16-x25519');
    same('aes-sha2_256', 'aes128-sha256');
    same('aes256ccm96', 'aes256ccm12');
  });

  it('leaves the Key Length attribute out for ChaCha20-Poly1305 and NULL (RFC 7634 §4)', () => {
    expect(parseProposal(ESP, 'chacha20poly1305').transforms[0]).toEqual({
      type: TRANSFORM.ENCR,
      id: ENCR.CHACHA20_POLY1305,
    });
    expect(parseProposal(ESP, 'null-sha256').transforms[0]).toEqual({ type: TRANSFORM.ENCR, id: ENCR.NULL });
  });

  it.each([
    [IKE, 'aes128gcm16-x25519', /needs a PRF/],
    [IKE, 'aes128gcm16-prfsha256', /needs a key exchange/],
    [IKE, 'aes128-prfsha256-x25519', /needs an integrity algorithm/],
    [IKE, 'prfsha256-x25519', /needs an encryption algorithm/],
    [IKE, 'aes128gcm16-aes128-sha256-x25519', /mixes .*two proposals/],
    [IKE, 'null-sha256-x25519', /"null" has no place in an IKE proposal/],
    [IKE, 'aes128gcm16-prfsha256-x25519-esn', /"esn" has no place/],
    [IKE, 'aes128-sha1-modp2048', /"sha1" has no place in an IKE proposal/],
    [IKE, 'aes128-sha256-modp1024', /"modp1024" is refused/],
    [IKE, 'aes128gcm16-prfsha256-mlkem768', /write e\.g\. x25519-ke1_mlkem768/],
    [IKE, 'aes128gcm16-prfsha256-ke1_mlkem768', /needs a key exchange/],
    [IKE, 'aes128gcm16-prfsha256-x25519-ke1_mlkem768-ke2_mlkem768', /mlkem768 in two/],
    [ESP, 'aes256', /without integrity/],
    [ESP, 'null', /without integrity/],
    [ESP, 'aes128gcm16-sha256', /remove "sha256"/],
    [ESP, 'aes128gcm16-ke1_mlkem768', /no first one/],
    [ESP, '3des-sha256', /"3des" is refused/],
    [AH, 'aes128gcm16', /has no place in an AH proposal/],
    [AH, 'x25519', /needs an integrity algorithm/],
    [ESP, 'aes128gcm16--x25519', /empty word/],
    [ESP, 'aes128gcm61', /did you mean "aes128gcm16"/],
  ])('refuses protocol %i "%s" and says what to change', (protocol, text, message) => {
    expect(() => parseProposal(protocol, text)).toThrowError(message);
    expect(() => parseProposal(protocol, text)).toThrowError(expect.objectContaining({ code: 'ERR_PROPOSAL' }));
  });

  it('writes what it has read', () => {
    for (const [protocol, text] of [
      [IKE, 'aes128gcm16-aes256gcm16-prfsha256-prfsha384-x25519-ecp256-ke1_mlkem768-ke2_none'],
      [IKE, 'aes256-sha256-prfsha512-modp3072'],
      [ESP, 'aes256-sha256-x25519'],
      [ESP, 'chacha20poly1305-esn'],
      [AH, 'sha384'],
    ] as const) {
      expect(formatProposal(protocol, parseProposal(protocol, text).transforms)).toBe(text);
    }
  });

  it('writes a transform that it does not know by its numbers', () => {
    expect(
      formatProposal(IKE, [
        { type: TRANSFORM.ENCR, id: 3 },
        { type: TRANSFORM.KE, id: 2 },
      ]),
    ).toBe('ENCR(3)-KE(2)');
  });

  it('has defaults that are proposals, AEADs first, and puts them where "default" stands', () => {
    for (const protocol of [IKE, ESP, AH]) {
      for (const { text, transforms } of defaultProposals(protocol)) {
        expect(parseProposal(protocol, text).transforms).toEqual(transforms);
      }
    }
    expect(parseProposals(ESP, ['null-sha256', 'default'])).toHaveLength(3);
  });
});

describe('explainProposal', () => {
  it('shows IANA numbers, names and what the RFCs say', () => {
    const text = explainProposal('aes128gcm16-prfsha256-x25519-ke1_mlkem768');
    expect(text).toMatch(/^IKE proposal/);
    expect(text).toMatch(
      /ENCR \(type 1\) +ID 20 +ENCR_AES_GCM_16, Key Length 128 +aes128gcm16 +SHOULD \(RFC 8247 §2\.1\)/,
    );
    expect(text).toMatch(/ADDKE1 \(type 6\) +ID 36 +ml-kem-768/);
  });

  it('reads a proposal as IKE and as ESP where it can be both', () => {
    expect(explainProposal('aes256-sha256-modp2048').match(/^(IKE|ESP|AH) proposal/gm)).toEqual([
      'IKE proposal',
      'ESP proposal',
    ]);
  });

  it('warns of what only old peers need', () => {
    expect(explainProposal('aes128-sha1', ['esp'])).toMatch(/sha1 is SHOULD NOT/);
  });

  it('says for each protocol why it is none of its proposals', () => {
    expect(() => explainProposal('aes128gmc16')).toThrowError(/As IKE: .*As ESP: .*did you mean "aes128gcm16"/s);
  });
});
