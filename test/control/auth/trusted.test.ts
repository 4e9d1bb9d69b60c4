import { describe, expect, it } from 'vitest';
import { makeAuth, verifyAuth } from '../../../src/control/auth/authenticate.ts';
import { createCa, createCrl } from '../../../src/control/auth/pki.ts';
import type { RemoteAuth } from '../../../src/control/config/model.ts';
import { createProvider } from '../../../src/control/crypto/index.ts';
import type { Signatures } from '../../../src/control/crypto/provider.ts';
import { cert, contextOf, DAY, issue, localOf, NOW, root, trusting } from './laboratory.ts';

const node = createProvider('node');
let verifications = 0;
const signatures: Signatures = {
  ...node.signatures,
  verify(...claim) {
    verifications++;
    return node.signatures.verify(...claim);
  },
};
const provider = { ...node, signatures };
const gw = issue();

/** @returns what the peer is told, whose certificate comes anew from the wire, and how many signatures were verified */
function visit({
  remote = {},
  now = NOW,
  der = gw.certificate,
}: {
  remote?: Partial<RemoteAuth>;
  now?: number;
  der?: Uint8Array;
} = {}) {
  const context = contextOf(provider)({ now });
  const auth = makeAuth(localOf(gw), context);
  verifications = 0;
  const verdict = verifyAuth(trusting(remote), context, auth, [cert(der.slice())]);
  return { verdict, verifications };
}

const ok = { ok: true, how: expect.any(String), path: expect.any(Array) };
const refused = (words: string) => ({ refusal: expect.stringContaining(words) });

describe('a peer whose certificate was trusted before', () => {
  it('has its signature verified again, but not its CA’s', () => {
    expect(visit()).toEqual({ verdict: ok, verifications: 2 });
    expect(visit()).toEqual({ verdict: ok, verifications: 1 });
  });

  it('is refused once the certificate has expired', () => {
    visit();
    expect(visit({ now: NOW + 4000 * DAY }).verdict).toEqual(refused('expired'));
  });

  it('is refused once its CA is no anchor any more, though another has the same name', () => {
    visit();
    expect(visit({ remote: { cacerts: [] } }).verdict).toEqual(refused('not in remote.cacerts'));
    const twin = createCa({ subject: 'O=Lab, CN=Root', now: NOW });
    expect(visit({ remote: { cacerts: [twin.certificate] } }).verdict).toEqual(refused('did not make'));
  });

  it('is refused once it is revoked', () => {
    visit();
    const crl = createCrl({ issuer: root, revoked: [gw.certificate], now: NOW });
    expect(visit({ remote: { crls: [crl] } }).verdict).toEqual(refused('revoked'));
  });

  it('is refused with one bit of the certificate changed', () => {
    visit();
    const der = gw.certificate.slice();
    der[der.length - 1]! ^= 1;
    expect(visit({ der }).verdict).toEqual(refused('did not make'));
  });
});
