import crypto from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCertificate } from '../../../src/control/auth/certificate.ts';
import {
  certPayloads,
  certRequest,
  localSubject,
  readPeerCertificates,
} from '../../../src/control/auth/certificates.ts';
import { parseCrl } from '../../../src/control/auth/crl.ts';
import { dnText } from '../../../src/control/auth/dn.ts';
import { parseSignatureHashes, signatureHashes } from '../../../src/control/auth/hashes.ts';
import { readCertificates, readCrls, readPrivateKey, toPem } from '../../../src/control/auth/pem.ts';
import { createCa, createCertificate, createCrl } from '../../../src/control/auth/pki.ts';
import { createProvider } from '../../../src/control/crypto/index.ts';
import { authorityHashes } from '../../../src/control/wire/payloads/certreq.ts';
import { EspalierError } from '../../../src/errors.ts';
import { ascii, cert, issue, keyObject, keyOfKind, localOf, NOW, root, trusting } from './laboratory.ts';

const gw = issue({ names: ['gw.example.org', '192.0.2.1', 'alice@example.org'] });
const openssl = (der: Uint8Array) => new crypto.X509Certificate(der);

describe('a certificate of the laboratory', () => {
  it('is read by OpenSSL as it was meant', () => {
    const certificate = openssl(gw.certificate);
    expect(certificate.subject).toBe('O=Lab\nCN=gw');
    expect(certificate.subjectAltName).toBe('DNS:gw.example.org, IP Address:192.0.2.1, email:alice@example.org');
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toContain('1.3.6.1.5.5.7.3.17');
    expect(certificate.checkIssued(openssl(root.certificate))).toBe(true);
    expect(certificate.verify(openssl(root.certificate).publicKey)).toBe(true);
    expect(openssl(root.certificate).ca).toBe(true);
    expect(certificate.checkPrivateKey(keyObject(gw.privateKey))).toBe(true);
  });

  it.each(['rsa2048', 'rsa3072', 'ecp384', 'ecp521', 'ed25519', 'ed448'] as const)(
    'may have a key of kind %s',
    (kind) => {
      const issuer = createCa({ subject: `CN=${kind}`, privateKey: keyOfKind(kind), now: NOW });
      expect(openssl(issuer.certificate).verify(openssl(issuer.certificate).publicKey)).toBe(true);
    },
  );

  it('may outlive 2049', () => {
    const { certificate } = createCa({ subject: 'CN=Long', now: NOW, days: 36_500 });
    expect(parseCertificate(certificate).notAfter).toBe(NOW + 36_500 * 86_400);
    expect(openssl(certificate).validTo).toMatch(/2126/);
  });

  it('is parsed to what OpenSSL finds in it', () => {
    const parsed = parseCertificate(gw.certificate);
    const theirs = openssl(gw.certificate);
    expect(parsed.serial.toUpperCase()).toBe(theirs.serialNumber);
    expect(parsed.notBefore * 1000).toBe(Date.parse(theirs.validFrom));
    expect(parsed.notAfter * 1000).toBe(Date.parse(theirs.validTo));
    expect(dnText(parsed.issuer)).toBe('O=Lab, CN=Root');
  });
});

describe('the parser of certificates and revocation lists', () => {
  const crl = createCrl({ issuer: root, revoked: [gw.certificate], now: NOW });

  it('throws nothing but errors with a code, whatever bytes are changed, cut or added', () => {
    const mutation = fc.tuple(fc.nat(gw.certificate.length - 1), fc.nat(255), fc.integer({ min: -5, max: 5 }));
    const mutate = (bytes: Uint8Array, at: number, value: number, grow: number): Uint8Array => {
      const copy = new Uint8Array(bytes.length + grow);
      copy.set(bytes.subarray(0, copy.length));
      copy[at % copy.length] = value;
      return copy;
    };
    const onlyCoded = (run: () => unknown): void => {
      try {
        run();
      } catch (error) {
        expect(error).toBeInstanceOf(EspalierError);
      }
    };
    fc.assert(
      fc.property(mutation, ([at, value, grow]) => {
        onlyCoded(() => parseCertificate(mutate(gw.certificate, at, value, grow)));
        onlyCoded(() => parseCrl(mutate(crl, at, value, grow)));
      }),
      { numRuns: 3000 },
    );
  });

  it('takes nothing but DER: no bytes behind, no long form of a short length', () => {
    const longer = new Uint8Array([...gw.certificate, 0]);
    expect(() => parseCertificate(longer)).toThrow(/behind its end/);
    const padded = Uint8Array.from([0x30, 0x83, 0, ...gw.certificate.subarray(2)]);
    expect(() => parseCertificate(padded)).toThrow(/not minimal/);
  });
});

describe('PEM', () => {
  it('goes out and comes back: certificates, lists and keys, several to a file', () => {
    const file = ascii(toPem('CERTIFICATE', gw.certificate) + toPem('CERTIFICATE', root.certificate));
    expect(readCertificates(file, 'both.pem')).toEqual([gw.certificate, root.certificate]);
    expect(readCertificates(gw.certificate, 'gw.der')).toEqual([gw.certificate]);
    const crl = createCrl({ issuer: root, revoked: [], now: NOW });
    expect(readCrls(ascii(toPem('X509 CRL', crl)), 'crl.pem')).toEqual([crl]);
    expect(readPrivateKey(ascii(toPem('PRIVATE KEY', gw.privateKey)), 'gw.key')).toEqual(gw.privateKey);
    expect(readPrivateKey(gw.privateKey, 'gw.der')).toEqual(gw.privateKey);
  });

  it('reads the older form of EC keys, and encrypted keys with their passphrase', () => {
    const key = keyObject(gw.privateKey);
    const sec1 = key.export({ format: 'pem', type: 'sec1' });
    const locked = key.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-128-cbc', passphrase: 'open sesame' });
    expect(readPrivateKey(ascii(String(sec1)), 'gw.key')).toEqual(gw.privateKey);
    expect(readPrivateKey(ascii(String(locked)), 'gw.key', 'open sesame')).toEqual(gw.privateKey);
    expect(() => readPrivateKey(ascii(String(locked)), 'gw.key')).toThrow('gw.key is encrypted');
  });

  it('says what is wrong with a file', () => {
    expect(() => readCertificates(ascii('hello'), 'ca.pem')).toThrow(/ca.pem is not an X.509 certificate/);
    expect(() => readCertificates(ascii(toPem('X509 CRL', gw.certificate)), 'ca.pem')).toThrow(
      /no "BEGIN CERTIFICATE"/,
    );
    expect(() => readPrivateKey(ascii('hello'), 'gw.key')).toThrow(/gw.key is not a private key/);
  });
});

describe('CERT and CERTREQ', () => {
  const provider = createProvider('node');
  const request = certRequest(trusting(), provider)!;

  it('asks for certificates below our anchors, by the SHA-1 of their keys', () => {
    const spki = openssl(root.certificate).publicKey.export({ format: 'der', type: 'spki' });
    expect(authorityHashes(request)).toEqual([new Uint8Array(crypto.createHash('sha1').update(spki).digest())]);
    expect(certRequest(trusting({ auth: 'psk' }), provider)).toBeUndefined();
    expect(certRequest(trusting({ cacerts: [] }), provider)).toBeUndefined();
  });

  it('sends the end entity first and the intermediate CAs, as send_cert says, but no root', () => {
    const first = createCa({ subject: 'CN=First', issuer: root, now: NOW });
    const peer = createCertificate({ issuer: first, subject: 'CN=peer', now: NOW });
    const local = { ...localOf(peer), certs: [peer, first, root].map(({ certificate }) => certificate) };
    expect(certPayloads(local, 'always', []).map(({ data }) => data)).toEqual(local.certs.slice(0, 2));
    expect(certPayloads(local, 'ifasked', [request])).toHaveLength(2);
    expect(certPayloads(local, 'ifasked', [{ ...request, encoding: 13 }])).toEqual([]);
    expect(certPayloads(local, 'never', [request])).toEqual([]);
    expect(certPayloads({ ...local, auth: 'psk' }, 'always', [request])).toEqual([]);
    expect(dnText(localSubject(local)!)).toBe('CN=peer');
  });

  it('takes certificates by value only: what names a URL is passed over', () => {
    const url = { kind: 'CERT', encoding: 12, data: ascii('00000000000000000000http://192.0.2.1/cert') } as const;
    expect(readPeerCertificates([url])).toEqual({ leaf: undefined, others: [] });
    expect(readPeerCertificates([url, cert(gw.certificate), cert(ascii('junk'))])).toMatchObject({ others: [] });
    expect(readPeerCertificates([cert(ascii('junk'))])).toHaveProperty('problem');
  });
});

describe('SIGNATURE_HASH_ALGORITHMS', () => {
  it('announces SHA-2 and the identity hash, and never SHA-1', () => {
    expect(Buffer.from(signatureHashes().data).toString('hex')).toBe('0002000300040005');
  });

  it("keeps of the peer's what we know, whatever it sent", () => {
    expect(parseSignatureHashes({ data: Uint8Array.of(0, 1, 0, 5, 9, 9, 0, 2, 7) })).toEqual([2, 5]);
    expect(parseSignatureHashes({ data: new Uint8Array() })).toEqual([]);
  });
});
