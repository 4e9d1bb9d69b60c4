import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type AuthContext, makeAuth, verifyAuth } from '../../../src/control/auth/authenticate.ts';
import { parseIdentity } from '../../../src/control/auth/identity.ts';
import type { LocalAuth, RemoteAuth } from '../../../src/control/config/model.ts';
import { createProvider } from '../../../src/control/crypto/index.ts';
import { PRF } from '../../../src/control/crypto/registry.ts';
import { AUTH_METHOD } from '../../../src/control/wire/iana.ts';

const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'ascii'));
const hmac = (key: Uint8Array, ...parts: Uint8Array[]) =>
  new Uint8Array(parts.reduce((state, part) => state.update(part), createHmac('sha256', key)).digest());

const provider = createProvider('node');
const context: AuthContext = {
  provider,
  prf: provider.prf(PRF.HMAC_SHA2_256)!,
  initMessage: ascii('the initiator said hello'),
  otherNonce: ascii('nonce of the responder'),
  skP: ascii('SK_pi of thirty-two bytes length'),
  id: parseIdentity('gw.example.org'),
  now: 1_700_000_000,
};
const local: LocalAuth = { auth: 'psk', certs: [], hashes: [], psk: ascii('correct horse') };
const remote: RemoteAuth = { auth: 'psk', ids: [], certs: [], cacerts: [], crls: [], psk: ascii('correct horse') };

describe('AUTH by a shared key', () => {
  it('is prf(prf(secret, "Key Pad for IKEv2"), message | nonce | prf(SK_p, ID body))', () => {
    const idBody = Buffer.concat([Uint8Array.of(2, 0, 0, 0), ascii('gw.example.org')]);
    const octets = [context.initMessage, context.otherNonce, hmac(context.skP, idBody)];
    const expected = hmac(hmac(ascii('correct horse'), ascii('Key Pad for IKEv2')), ...octets);
    const auth = makeAuth(local, context);
    expect([auth.method, auth.data]).toEqual([AUTH_METHOD.SHARED_KEY_MIC, expected]);
    expect(verifyAuth(remote, context, auth)).toMatchObject({ ok: true });
  });

  it('covers the message, the nonce, the identity, SK_p and the intermediate exchanges', () => {
    const auth = makeAuth(local, context);
    const changes: Partial<AuthContext>[] = [
      { initMessage: ascii('the initiator said hellO') },
      { otherNonce: ascii('Nonce of the responder') },
      { id: parseIdentity('gw.example.com') },
      { skP: ascii('SK_pr of thirty-two bytes length') },
      { intAuth: ascii('x') },
    ];
    for (const change of changes) {
      expect(verifyAuth(remote, { ...context, ...change }, auth)).toHaveProperty('refusal');
    }
  });

  it('is refused with another secret, with none, and when cut off or empty', () => {
    const auth = makeAuth(local, context);
    const refused = (r: RemoteAuth, data = auth.data) => expect(verifyAuth(r, context, { ...auth, data }));
    refused({ ...remote, psk: ascii('wrong') }).toEqual({
      refusal: '"gw.example.org" has not our secret: make the secret the same on both sides',
    });
    refused({ ...remote, psk: new Uint8Array() }).toHaveProperty('refusal');
    refused(remote, auth.data.slice(0, 31)).toHaveProperty('refusal');
    refused(remote, new Uint8Array()).toHaveProperty('refusal');
    expect(() => makeAuth({ ...local, psk: new Uint8Array() }, context)).toThrow(/local.secret/);
  });

  it('is refused for an identity that is not accepted, whatever the secret', () => {
    const auth = makeAuth(local, context);
    const ids = [parseIdentity('other.example.org')];
    expect(verifyAuth({ ...remote, ids }, context, auth)).toEqual({
      refusal: 'the peer says it is "gw.example.org", but remote.id accepts "other.example.org"',
    });
  });
});

describe('NULL authentication', () => {
  it('is accepted only where it is asked for by name', () => {
    const nobody = { ...context, id: { idType: 13, data: new Uint8Array() } };
    const auth = makeAuth({ ...local, auth: 'null' }, nobody);
    expect(verifyAuth({ ...remote, auth: 'null' }, nobody, auth)).toMatchObject({ ok: true });
    for (const wanted of ['psk', 'any', 'pubkey'] as const) {
      expect(verifyAuth({ ...remote, auth: wanted }, nobody, auth)).toHaveProperty('refusal');
    }
  });
});
