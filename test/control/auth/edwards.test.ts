import crypto from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { SIGNATURE_ALGORITHMS, sign, verify } from '../../../src/control/auth/signature.ts';
import { createProvider } from '../../../src/control/crypto/index.ts';
import { PROVIDERS } from '../crypto/known.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

/** RFC 8032 §7.1 and §7.4. */
const KNOWN = [
  {
    name: 'Ed25519',
    test: 'TEST 1',
    secret: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    publicKey: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    name: 'Ed25519',
    test: 'TEST 2',
    secret: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    publicKey: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    message: '72',
    signature:
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
  {
    name: 'Ed448',
    test: 'Blank',
    secret:
      '6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960ef6e348a3528c8a3fcc2f044e39a3fc5b94492f8f032e7549a20098f95b',
    publicKey:
      '5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180',
    message: '',
    signature:
      '533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980' +
      'ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4dbb61149f05a7363268c71d95808ff2e652600',
  },
];

const PKCS8 = { Ed25519: '302e020100300506032b657004220420', Ed448: '3047020100300506032b6571043b0439' };

describe.each(PROVIDERS)('the Edwards curves (RFC 8032), by the %s provider', (provider) => {
  const { signatures } = createProvider(provider);

  it.each(KNOWN)(
    '$name gives the signature of $test, and takes no other',
    ({ name, secret, publicKey, message, signature }) => {
      const algorithm = SIGNATURE_ALGORITHMS.find((candidate) => candidate.name === name)!;
      const pkcs8 = Buffer.from(PKCS8[name as keyof typeof PKCS8] + secret, 'hex');
      const privateKey = crypto.createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
      const verifier = crypto.createPublicKey(privateKey);
      const made = sign(signatures, algorithm, privateKey, hex(message));
      expect(Buffer.from(made).toString('hex')).toBe(signature);
      expect(Buffer.from(verifier.export({ format: 'jwk' }).x!, 'base64url').toString('hex')).toBe(publicKey);
      expect(verify(signatures, algorithm, verifier, hex(message), made)).toBe(true);
      expect(verify(signatures, algorithm, verifier, hex('00'), made)).toBe(false);
      made[0]! ^= 1;
      expect(verify(signatures, algorithm, verifier, hex(message), made)).toBe(false);
    },
  );
});
