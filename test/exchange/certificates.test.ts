import { describe, expect, test } from 'vitest';
import { extension } from '../../src/control/auth/certificate-writer.ts';
import { toPem } from '../../src/control/auth/pem.ts';
import {
  type CertificateOptions,
  type Credentials,
  createCa,
  createCertificate,
  createCrl,
  type KeyKind,
} from '../../src/control/auth/pki.ts';
import type { CryptoProviderName } from '../../src/control/crypto/provider.ts';
import { keyOfKind } from '../control/auth/laboratory.ts';
import { PROVIDERS } from '../control/crypto/known.ts';
import { pair } from './network.ts';

/** The network's clock begins shortly after 1970. */
const now = 600;
const root = createCa({ subject: 'O=Lab, CN=Root', now });
const middle = createCa({ subject: 'O=Lab, CN=Middle', issuer: root, pathLength: 0, now });

const pem = ({ certificate }: Credentials): string => toPem('CERTIFICATE', certificate);

const gateway = (name: 'left' | 'right', options: Partial<CertificateOptions> = {}): Credentials =>
  createCertificate({ issuer: middle, subject: `O=Lab, CN=${name}`, names: [`${name}.example.org`], now, ...options });

const local = (name: 'left' | 'right', own: Credentials, chain: readonly Credentials[] = [middle]) => ({
  auth: 'pubkey' as const,
  id: `${name}.example.org`,
  certs: [own, ...chain].map(pem),
  key: toPem('PRIVATE KEY', own.privateKey),
});

const remote = (name: 'left' | 'right', more: object = {}) => ({
  auth: 'pubkey' as const,
  id: `${name}.example.org`,
  cacerts: [pem(root)],
  ...more,
});

interface Attempt {
  readonly left?: Partial<CertificateOptions>;
  readonly right?: Partial<CertificateOptions>;
  readonly leftRemote?: object;
  readonly rightRemote?: object;
  readonly rightLocal?: object;
  readonly crypto?: CryptoProviderName;
}

/** Both sides with a certificate; left calls right. */
function meet({ left = {}, right = {}, leftRemote, rightRemote, rightLocal, crypto = 'node' }: Attempt = {}) {
  const [ofLeft, ofRight] = [gateway('left', left), gateway('right', right)];
  const met = pair({
    left: { local: local('left', ofLeft), remote: remote('right', leftRemote) },
    right: { local: { ...local('right', ofRight), ...rightLocal }, remote: remote('left', rightRemote) },
    options: { crypto },
  });
  const request = met.network.command(met.left, 'initiate', 'right');
  met.network.settle();
  return { ...met, request };
}

const KINDS: readonly KeyKind[] = ['rsa2048', 'ecp256', 'ecp384', 'ecp521', 'ed25519', 'ed448'];

describe('authentication by certificate', () => {
  test.each(PROVIDERS.flatMap((crypto) => KINDS.map((kind) => ({ kind, crypto }))))(
    'brings up an SA with keys of kind $kind on both sides, with the $crypto provider',
    ({ kind, crypto }) => {
      const privateKey = keyOfKind(kind);
      const { left, right } = meet({ left: { privateKey }, right: { privateKey }, crypto });
      expect([left.sas.size, right.sas.size]).toEqual([2, 2]);
      expect(left.trace).toContainEqual(
        expect.stringMatching(/^sent IKE_AUTH 1( in 2 fragments)?: HDR, SK \{IDi, CERT, CERT, .*CERTREQ.*AUTH/),
      );
    },
  );

  test('may differ by side: a certificate here, a secret there', () => {
    const psk = { auth: 'psk' as const, secret: 'a secret of the two' };
    const { network, left, right } = pair({
      left: { local: local('left', gateway('left')), remote: { ...psk, id: 'right.example.org' } },
      right: { local: { ...psk, id: 'right.example.org' }, remote: remote('left') },
    });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect([left.sas.size, right.sas.size]).toEqual([2, 2]);
  });

  test('takes the subject of the certificate for our identity where none is configured', () => {
    const [ofLeft, ofRight] = [gateway('left'), gateway('right')];
    const { id: _left, ...ownLeft } = local('left', ofLeft);
    const { id: _right, ...ownRight } = local('right', ofRight);
    const { network, left, right } = pair({
      left: { local: ownLeft, remote: { ...remote('right'), id: 'O=Lab, CN=right' } },
      right: { local: ownRight, remote: { ...remote('left'), id: 'O=Lab, CN=*' } },
    });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(right.core.status(network.now)[0]).toMatchObject({ state: 'ESTABLISHED' });
    expect(left.sas.size).toBe(2);
  });

  test('works without certificates on the wire, where each side has the other one in its configuration', () => {
    const [ofLeft, ofRight] = [gateway('left'), gateway('right')];
    const { network, left, right } = pair({
      left: { local: local('left', ofLeft, []), remote: { ...remote('right'), cacerts: [], certs: [pem(ofRight)] } },
      right: { local: local('right', ofRight, []), remote: { ...remote('left'), cacerts: [], certs: [pem(ofLeft)] } },
    });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect([left.sas.size, right.sas.size]).toEqual([2, 2]);
    expect(left.trace.some((line) => line.includes('CERT'))).toBe(false);
  });
});

describe('a certificate that must not be trusted', () => {
  const stranger = createCa({ subject: 'CN=Stranger', now });

  test.each<[string, Attempt, RegExp]>([
    ['of another CA', { left: { issuer: stranger } }, /"CN=Stranger", which is not in remote.cacerts/],
    ['that has expired', { left: { now: -400 * 86_400, days: 1 } }, /expired on/],
    [
      'for another identity',
      { left: { names: ['other.example.org'] } },
      /its certificate is for "O=Lab, CN=left", "other.example.org"/,
    ],
    ['for signing code', { left: { extensions: [extension.extendedKeyUsage('1.3.6.1.5.5.7.3.3')] } }, /is not for IKE/],
  ])('%s gets the initiator nowhere: nothing is installed, and the reason stays with us', (_what, attempt, reason) => {
    const { network, left, right, request } = meet(attempt);
    expect([left.sas.size, right.sas.size, left.reserved.size, right.reserved.size]).toEqual([0, 0, 0, 0]);
    expect(right.core.status(network.now)).toEqual([]);
    expect(right.log.some((line) => reason.test(line))).toBe(true);
    expect(left.completed.get(request)).toMatchObject({ code: expect.stringMatching(/^ERR_/) });
    expect(left.log.some((line) => reason.test(line))).toBe(false);
  });

  test('gets the responder nowhere either', () => {
    const { network, left, right, request } = meet({ right: { issuer: stranger } });
    network.pass(1_000);
    expect([left.sas.size, right.sas.size, left.reserved.size]).toEqual([0, 0, 0]);
    expect(left.completed.get(request)).toMatchObject({ message: expect.stringContaining('not in remote.cacerts') });
    expect(right.core.status(network.now)).toEqual([]);
  });

  test('may be one that its CA revoked', () => {
    const [ofLeft, ofRight] = [gateway('left'), gateway('right')];
    const crls = [
      createCrl({ issuer: middle, revoked: [ofLeft.certificate], now }),
      createCrl({ issuer: root, revoked: [], now }),
    ];
    const { network, left, right } = pair({
      left: { local: local('left', ofLeft), remote: remote('right') },
      right: {
        local: local('right', ofRight),
        remote: remote('left', { crls: crls.map((crl) => toPem('X509 CRL', crl)) }),
      },
    });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect([left.sas.size, right.sas.size]).toEqual([0, 0]);
    expect(right.log.some((line) => line.includes('was revoked by its issuer'))).toBe(true);
  });

  test('is as old as the time of day says, whatever has become of that since the gateway began', () => {
    const { network, left, right, request } = meet();
    expect(left.completed.get(request)).toBeUndefined();
    network.command(left, 'terminate', 'right');
    network.settle();
    network.timeOfDay = 20 * 365 * 86_400_000;
    const again = network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.completed.get(again)).toMatchObject({ code: 'ERR_PEER_AUTHENTICATION_FAILED' });
    expect(right.log).toContainEqual(expect.stringMatching(/expired on/));
  });

  describe('that is pinned', () => {
    const [ofLeft, ofRight] = [gateway('left'), gateway('right')];
    const list = (revoked: readonly Credentials[]) =>
      toPem('X509 CRL', createCrl({ issuer: middle, revoked: revoked.map(({ certificate }) => certificate), now }));
    const call = (trust: object) => {
      const pinned = { ...remote('left', trust), certs: [pem(ofLeft)] };
      const { network, left, right } = pair({
        left: { local: local('left', ofLeft), remote: remote('right') },
        right: { local: local('right', ofRight), remote: pinned },
      });
      network.command(left, 'initiate', 'right');
      network.settle();
      return { isUp: left.sas.size === 2 && right.sas.size === 2, log: right.log.join('\n') };
    };

    test.each([
      ['with its CA beside it', { cacerts: [pem(middle)] }],
      ['without its CA', { cacerts: [] }],
    ])('is refused once its CA has revoked it: %s', (_, trust) => {
      expect(call({ ...trust, crls: [list([ofRight])] }).isUp).toBe(true);
      const { isUp, log } = call({ ...trust, crls: [list([ofLeft])] });
      expect(isUp).toBe(false);
      expect(log).toContain('was revoked by its issuer');
    });

    test('is refused where the list is not from its CA', () => {
      const forged = createCrl({ issuer: { ...middle, privateKey: root.privateKey }, revoked: [], now });
      const { isUp, log } = call({ cacerts: [pem(middle)], crls: [toPem('X509 CRL', forged)] });
      expect(isUp).toBe(false);
      expect(log).toContain('a revocation list with a wrong signature');
    });
  });
});
