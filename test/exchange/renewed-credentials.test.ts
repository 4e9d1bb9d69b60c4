/** A reload that reads new certificates, keys, CAs or revocation lists (RFC 5280 §5, RFC 7296 §2.8.3). */
import { describe, expect, test } from 'vitest';
import { toPem } from '../../src/control/auth/pem.ts';
import { type Credentials, createCa, createCertificate, createCrl } from '../../src/control/auth/pki.ts';
import { configFromObject } from '../../src/control/config/load.ts';
import { type Node, pair } from './network.ts';

/** The network's clock begins shortly after 1970. */
const now = 600;
const root = createCa({ subject: 'O=Lab, CN=Root', now });
const otherRoot = createCa({ subject: 'O=Lab, CN=Other root', now });

const pem = ({ certificate }: Credentials): string => toPem('CERTIFICATE', certificate);
const list = (revoked: readonly Credentials[]): string =>
  toPem('X509 CRL', createCrl({ issuer: root, revoked: revoked.map(({ certificate }) => certificate), now }));
const gateway = (name: string, issuer = root): Credentials =>
  createCertificate({ issuer, subject: `O=Lab, CN=${name}`, names: [`${name}.example.org`], now });

const [ofLeft, ofRight, ofStranger] = [gateway('left'), gateway('right'), gateway('stranger')];

const local = (name: string, own: Credentials) => ({
  auth: 'pubkey' as const,
  id: `${name}.example.org`,
  certs: [pem(own)],
  key: toPem('PRIVATE KEY', own.privateKey),
});
const remote = (name: string, trust: object = {}) => ({
  auth: 'pubkey' as const,
  id: `${name}.example.org`,
  cacerts: [pem(root)],
  ...trust,
});

/** Two gateways that trust each other by certificate, with a child up; right has read a list that revokes nobody. */
function trusting(trust: object = { crls: [list([])] }) {
  const met = pair({
    left: { local: local('left', ofLeft), remote: remote('right') },
    right: { local: local('right', ofRight), remote: remote('left', trust) },
  });
  met.network.command(met.left, 'initiate', 'right');
  met.network.settle();
  expect([met.left.sas.size, met.right.sas.size]).toEqual([2, 2]);
  const before = met.right.core.status(met.network.now)[0]!.id;
  /** Right reads its configuration again, with something else in that connection. */
  const reload = (change: { local?: object; remote?: object }) => {
    const { left: connection } = met.right.input.connections! as Record<string, object>;
    met.network.feed(met.right, {
      type: 'reload',
      config: configFromObject({ connections: { left: { ...connection, ...change } } }).config,
    });
    met.network.settle();
  };
  const expectUntouched = () => {
    expect(met.right.core.status(met.network.now)).toMatchObject([{ id: before, state: 'ESTABLISHED' }]);
    expect(met.right.sas.size).toBe(2);
    expect(met.right.events.filter(({ type }) => type === 'ike-down')).toEqual([]);
  };
  const reauthenticate = () => {
    met.network.command(met.left, 'terminate', 'right');
    met.network.settle();
    const request = met.network.command(met.left, 'initiate', 'right');
    met.network.settle();
    return met.left.completed.get(request);
  };
  return { ...met, reload, expectUntouched, reauthenticate };
}

const downs = ({ events }: Node): string[] =>
  events.flatMap((event) => (event.type === 'ike-down' ? event.reason : []));

describe('new credentials', () => {
  test('of a revocation list leave SAs alone, and hold from the next authentication on', () => {
    const { right, reload, expectUntouched, reauthenticate } = trusting();
    reload({ remote: remote('left', { crls: [list([ofStranger])] }) });
    expectUntouched();
    expect(right.log).toContainEqual(expect.stringContaining('has new certificates, keys or revocation lists'));
    expect(reauthenticate()).toBeUndefined();
    reload({ remote: remote('left', { crls: [list([ofStranger, ofLeft])] }) });
    expect(reauthenticate()).toMatchObject({ code: 'ERR_PEER_AUTHENTICATION_FAILED' });
    expect(right.log).toContainEqual(expect.stringContaining('was revoked by its issuer'));
  });

  test('close the SAs of a peer that the new list revokes, with the reason', () => {
    const { left, right, reload } = trusting();
    reload({ remote: remote('left', { crls: [list([ofLeft])] }) });
    expect(downs(right)).toEqual([
      'the peer is trusted no more: certificate "O=Lab, CN=left" was revoked by its issuer',
    ]);
    expect([left.sas.size, right.sas.size]).toEqual([0, 0]);
  });

  test('close them also where the IKE SA was rekeyed since the peer authenticated', () => {
    const { network, left, right, reload } = trusting();
    network.command(left, 'rekey', 'right');
    network.settle();
    reload({ remote: remote('left', { crls: [list([ofLeft])] }) });
    expect(downs(right)).toEqual([expect.stringContaining('was revoked by its issuer')]);
    expect([left.sas.size, right.sas.size]).toEqual([0, 0]);
  });

  test('believe no list that another CA made', () => {
    const { reload, expectUntouched } = trusting();
    const forged = createCrl({
      issuer: { ...root, privateKey: otherRoot.privateKey },
      revoked: [ofLeft.certificate],
      now,
    });
    reload({ remote: remote('left', { crls: [toPem('X509 CRL', forged)] }) });
    expectUntouched();
  });

  test('of one more CA leave SAs alone', () => {
    const { reload, expectUntouched } = trusting();
    reload({ remote: remote('left', { cacerts: [pem(otherRoot), pem(root)] }) });
    expectUntouched();
  });

  test('close the SAs of a peer whose CA is trusted no more', () => {
    const { right, reload } = trusting();
    reload({ remote: remote('left', { cacerts: [pem(otherRoot)] }) });
    expect(downs(right)).toEqual(['the peer is trusted no more: "O=Lab, CN=Root" is none of remote.cacerts any more']);
  });

  test('close the SAs of a peer whose pinned certificate is another now', () => {
    const { right, reload, expectUntouched } = trusting({ certs: [pem(ofLeft)] });
    reload({ remote: remote('left', { certs: [pem(ofStranger), pem(ofLeft)] }) });
    expectUntouched();
    reload({ remote: remote('left', { certs: [pem(ofStranger)] }) });
    expect(downs(right)).toEqual([expect.stringContaining('is none of remote.certs any more')]);
  });

  test('of this side are used when it authenticates next', () => {
    const renewed = gateway('right', otherRoot);
    const { left, reload, expectUntouched, reauthenticate } = trusting();
    reload({ local: local('right', renewed) });
    expectUntouched();
    expect(reauthenticate()).toMatchObject({ message: expect.stringContaining('not in remote.cacerts') });
    expect(left.sas.size).toBe(0);
  });
});
