import crypto from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { makeAuth, verifyAuth } from '../../../src/control/auth/authenticate.ts';
import { der, oid, TAG } from '../../../src/control/auth/der.ts';
import { signedOctets } from '../../../src/control/auth/octets.ts';
import { KEY_KINDS, type KeyKind } from '../../../src/control/auth/pki.ts';
import { algorithmOf, SIGNATURE_ALGORITHMS, sign } from '../../../src/control/auth/signature.ts';
import { concat, toHex } from '../../../src/control/wire/bytes.ts';
import { AUTH_METHOD, HASH } from '../../../src/control/wire/iana.ts';
import type { AuthPayload } from '../../../src/control/wire/payloads/auth.ts';
import { PROVIDERS, provider } from '../crypto/known.ts';
import { cert, contextOf, issue, keyObject, keyOfKind, localOf, trusting } from './laboratory.ts';

describe.each(PROVIDERS)('with the %s provider', (name) => {
  const context = contextOf(provider(name));
  const credentials = (kind: KeyKind) => issue({ privateKey: keyOfKind(kind) });
  const RSA = credentials('rsa2048');
  const P256 = credentials('ecp256');
  const octets = signedOctets(context());
  const pssOf256 = SIGNATURE_ALGORITHMS[0]!.identifiers[0]!;

  const digitalSignature = (identifier: Uint8Array, signature: Uint8Array): AuthPayload => ({
    kind: 'AUTH',
    method: AUTH_METHOD.DIGITAL_SIGNATURE,
    data: concat(Uint8Array.of(identifier.length), identifier, signature),
  });

  const verdict = (certificate: Uint8Array, auth: AuthPayload) =>
    verifyAuth(trusting(), context(), auth, [cert(certificate)]);

  describe('a digital signature (RFC 7427)', () => {
    it.each(KEY_KINDS.filter((kind) => kind !== 'rsa4096'))('by a key of kind %s is made and verified', (kind) => {
      const own = credentials(kind);
      const auth = makeAuth(localOf(own), context());
      expect(auth.method).toBe(AUTH_METHOD.DIGITAL_SIGNATURE);
      expect(verdict(own.certificate, auth)).toMatchObject({ ok: true });
      expect(
        verifyAuth(trusting(), context({ otherNonce: new Uint8Array(16) }), auth, [cert(own.certificate)]),
      ).toEqual({
        refusal: expect.stringContaining('made a wrong signature'),
      });
    });

    it.each([
      ['ecp256', '300a06082a8648ce3d040302'],
      ['ecp384', '300a06082a8648ce3d040303'],
      ['ecp521', '300a06082a8648ce3d040304'],
      ['ed25519', '300506032b6570'],
      ['ed448', '300506032b6571'],
    ] as const)('by %s names its algorithm in DER', (kind, expected) => {
      const { data } = makeAuth(localOf(credentials(kind)), context());
      expect(toHex(data.subarray(1, 1 + data[0]!))).toBe(expected);
    });

    it('by RSA is PSS with SHA2-256, MGF1 of the same and a salt of 32 bytes, as RFC 7427 appendix A.4.3 writes it', () => {
      const { data } = makeAuth(localOf(RSA), context());
      const expected =
        '304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120';
      expect(toHex(data.subarray(1, 1 + data[0]!))).toBe(expected);
    });

    it('uses a hash that both take, ours first, and says so where there is none', () => {
      const sha512 = makeAuth(localOf(RSA, [HASH.SHA2_512, HASH.SHA2_256]), context());
      expect(toHex(sha512.data)).toContain('0609608648016503040203');
      const peerHashes = [HASH.SHA2_384];
      const sha384 = makeAuth(localOf(P256), context({ peerHashes }));
      expect(toHex(sha384.data)).toContain('06082a8648ce3d040303');
      expect(() => makeAuth(localOf(credentials('ed25519')), context({ peerHashes }))).toThrow(
        /no signature hash in common for ED25519/,
      );
    });

    it('with PKCS#1 v1.5 and SHA-2 is accepted', () => {
      const identifier = der(TAG.SEQUENCE, oid('1.2.840.113549.1.1.12'), der(TAG.NULL));
      const signature = crypto.sign('sha384', octets, keyObject(RSA.privateKey));
      expect(verdict(RSA.certificate, digitalSignature(identifier, signature))).toMatchObject({ ok: true });
    });

    it.each([
      ['SHA-1 and RSA', '1.2.840.113549.1.1.5', 'sha1'],
      ['MD5 and RSA', '1.2.840.113549.1.1.4', 'md5'],
    ])('with %s is refused, right as it is', (name, type, digest) => {
      const identifier = der(TAG.SEQUENCE, oid(type), der(TAG.NULL));
      const signature = crypto.sign(digest, octets, keyObject(RSA.privateKey));
      expect(verdict(RSA.certificate, digitalSignature(identifier, signature))).toEqual({
        refusal: `"gw.example.org" signs with ${name}, which we do not take: choose SHA-2`,
      });
    });

    it('with SHA-1 and ECDSA is refused, right as it is', () => {
      const identifier = der(TAG.SEQUENCE, oid('1.2.840.10045.4.1'));
      const signature = crypto.sign('sha1', octets, keyObject(P256.privateKey));
      expect(verdict(P256.certificate, digitalSignature(identifier, signature))).toEqual({
        refusal: expect.stringContaining('SHA-1 and ECDSA'),
      });
    });

    it('with PSS and default (SHA-1) parameters is refused', () => {
      const identifier = der(TAG.SEQUENCE, oid('1.2.840.113549.1.1.10'), der(TAG.SEQUENCE));
      const signature = crypto.sign('sha1', octets, {
        key: keyObject(RSA.privateKey),
        padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
        saltLength: 20,
      });
      expect(verdict(RSA.certificate, digitalSignature(identifier, signature))).toHaveProperty('refusal');
    });

    it('with a PSS salt of another length than the hash is refused', () => {
      const auth = makeAuth(localOf(RSA), context());
      const identifier = auth.data.slice(1, 1 + auth.data[0]!);
      const signature = crypto.sign('sha256', octets, {
        key: keyObject(RSA.privateKey),
        padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
        saltLength: 0,
      });
      expect(verdict(RSA.certificate, digitalSignature(identifier, signature))).toHaveProperty('refusal');
    });

    it('whose algorithm does not go with the key, or is cut off, is refused with a reason', () => {
      const ofP256 = makeAuth(localOf(P256), context());
      expect(verdict(RSA.certificate, ofP256)).toEqual({ refusal: expect.stringContaining('is the wrong key') });
      for (const length of [0, 1, 5, ofP256.data[0]! + 1, ofP256.data.length - 1]) {
        expect(verdict(P256.certificate, { ...ofP256, data: ofP256.data.slice(0, length) })).toHaveProperty('refusal');
      }
    });
  });

  describe('PKCS#1 v1.5, strictly', () => {
    const identifier = der(TAG.SEQUENCE, oid('1.2.840.113549.1.1.11'), der(TAG.NULL));
    const digest = crypto.createHash('sha256').update(octets).digest();
    const hashId = (...parameters: Uint8Array[]) => der(TAG.SEQUENCE, oid('2.16.840.1.101.3.4.2.1'), ...parameters);
    const info = (id: Uint8Array) => der(TAG.SEQUENCE, id, der(TAG.OCTET_STRING, digest));
    const right = info(hashId(der(TAG.NULL)));

    /** 00 | type | padding | 00 | tail, as long as the modulus. */
    const block = (type: number, tail: Uint8Array, fill = 0xff): Uint8Array =>
      concat(Uint8Array.of(0, type), new Uint8Array(256 - 3 - tail.length).fill(fill), Uint8Array.of(0), tail);

    /** Signs a block of our own making: what a lenient verifier would take. */
    const forge = (forged: Uint8Array): AuthPayload => {
      const key = { key: keyObject(RSA.privateKey), padding: crypto.constants.RSA_NO_PADDING };
      return digitalSignature(identifier, crypto.privateEncrypt(key, forged));
    };

    it('takes the one right block', () => {
      expect(verdict(RSA.certificate, forge(block(1, right)))).toMatchObject({ ok: true });
    });

    it.each([
      ['garbage behind the DigestInfo', block(1, concat(right, new Uint8Array(100).fill(7)))],
      ['garbage in the parameters of the hash', block(1, info(hashId(der(TAG.OCTET_STRING, new Uint8Array(64)))))],
      ['the NULL of the hash left out', block(1, info(hashId()))],
      ['a bare digest', block(1, digest)],
      ['padding that is not all ones', block(1, right, 0xfe)],
      ['block type 2', block(2, right)],
    ])('refuses %s', (_name, forged) => {
      expect(verdict(RSA.certificate, forge(forged))).toHaveProperty('refusal');
    });

    it('refuses a signature that is shorter or longer than the modulus', () => {
      const { data } = forge(block(1, right));
      const auth = { kind: 'AUTH', method: AUTH_METHOD.DIGITAL_SIGNATURE } as const;
      expect(verdict(RSA.certificate, { ...auth, data: concat(data, Uint8Array.of(0)) })).toHaveProperty('refusal');
      expect(verdict(RSA.certificate, { ...auth, data: data.slice(0, -1) })).toHaveProperty('refusal');
    });
  });

  describe('for a peer without RFC 7427', () => {
    const old = context();
    const { peerHashes: _, ...withoutHashes } = old;

    it.each([
      ['ecp256', AUTH_METHOD.ECDSA_SHA256_P256, 64],
      ['ecp384', AUTH_METHOD.ECDSA_SHA384_P384, 96],
      ['ecp521', AUTH_METHOD.ECDSA_SHA512_P521, 132],
      ['rsa2048', AUTH_METHOD.RSA_DIGITAL_SIGNATURE, 256],
    ] as const)('a key of kind %s signs by method %i, in %i bytes', (kind, method, length) => {
      const own = credentials(kind);
      const auth = makeAuth(localOf(own), withoutHashes);
      expect([auth.method, auth.data.length]).toEqual([method, length]);
      expect(verdict(own.certificate, auth)).toMatchObject({ ok: true });
      expect(verdict(own.certificate, { ...auth, data: auth.data.slice(1) })).toHaveProperty('refusal');
    });

    it('RSA Digital Signature with SHA-1 is refused, right as it is', () => {
      const data = crypto.sign('sha1', octets, keyObject(RSA.privateKey));
      expect(verdict(RSA.certificate, { kind: 'AUTH', method: AUTH_METHOD.RSA_DIGITAL_SIGNATURE, data })).toEqual({
        refusal: '"gw.example.org" made a wrong RSA Digital Signature, or one with SHA-1',
      });
    });

    it('a method for another curve than the key has is refused', () => {
      const auth = makeAuth(localOf(P256), withoutHashes);
      expect(verdict(P256.certificate, { ...auth, method: AUTH_METHOD.ECDSA_SHA384_P384 })).toHaveProperty('refusal');
    });

    it('Ed25519 cannot sign, and says why', () => {
      expect(() => makeAuth(localOf(credentials('ed25519')), withoutHashes)).toThrow(/RFC 7427/);
    });
  });

  describe('a private key', () => {
    it('that is missing, unreadable or weak is refused in words that help', () => {
      const { privateKey: _key, ...without } = localOf(P256);
      expect(() => makeAuth(without, context())).toThrow(/local.private_key/);
      expect(() => makeAuth({ ...without, privateKey: Uint8Array.of(1) }, context())).toThrow(/PKCS#8/);
      const weak = crypto.generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
      const privateKey = Uint8Array.from(weak.export({ format: 'der', type: 'pkcs8' }));
      expect(() => makeAuth({ ...without, privateKey }, context())).toThrow(/1024 bits, 2048 are needed/);
    });
  });

  it('a key that cannot sign as it is asked to says so', () => {
    const options = { modulusLength: 2048, hashAlgorithm: 'sha384', mgf1HashAlgorithm: 'sha384', saltLength: 48 };
    const { privateKey } = crypto.generateKeyPairSync(
      'rsa-pss',
      options as unknown as crypto.RSAPSSKeyPairKeyObjectOptions,
    );
    const pss = issue({ privateKey: Uint8Array.from(privateKey.export({ format: 'der', type: 'pkcs8' })) });
    const auth = makeAuth(localOf(pss), context());
    expect(toHex(auth.data)).toContain('0609608648016503040202');
    expect(verdict(pss.certificate, auth)).toMatchObject({ ok: true });
    expect(() => makeAuth(localOf(pss), context({ peerHashes: [HASH.SHA2_256] }))).toThrow(
      /no signature hash in common/,
    );
    expect(() => sign(provider(name).signatures, algorithmOf(pssOf256)!, privateKey, octets)).toThrow(
      /RSA-PSS 2048 cannot sign by RSASSA-PSS with SHA2_256/,
    );
  });
});
