import crypto from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { makeAuth, verifyAuth } from '../../../src/control/auth/authenticate.ts';
import { parseCertificate } from '../../../src/control/auth/certificate.ts';
import { extension, writeCertificate } from '../../../src/control/auth/certificate-writer.ts';
import { parseIdentity } from '../../../src/control/auth/identity.ts';
import { type Credentials, createCa, createCertificate, createCrl } from '../../../src/control/auth/pki.ts';
import { SIGNATURE_ALGORITHMS } from '../../../src/control/auth/signature.ts';
import type { RemoteAuth } from '../../../src/control/config/model.ts';
import { ID_TYPE } from '../../../src/control/wire/iana.ts';
import { cert, context, DAY, issue, keyObject, keyOfKind, localOf, NOW, root, trusting } from './laboratory.ts';

const ca = (subject: string, issuer: Credentials, options = {}) => createCa({ subject, issuer, now: NOW, ...options });
const gw = issue();

interface Attempt {
  readonly remote?: Partial<RemoteAuth>;
  readonly id?: string;
  /** CA certificates behind the end entity's. */
  readonly others?: readonly Credentials[];
  readonly now?: number;
}

/** @returns what a peer with these credentials is told in our log */
function verdict(peer: Credentials, { remote = {}, id = 'gw.example.org', others = [], now = NOW }: Attempt = {}) {
  const changes = { id: parseIdentity(id), now };
  const auth = makeAuth(localOf(peer), context(changes));
  const certs = [peer, ...others].map(({ certificate }) => cert(certificate));
  return verifyAuth(trusting(remote), context(changes), auth, certs);
}

const ok = { ok: true, how: expect.any(String), path: expect.any(Array) };
const refused = (words: string | RegExp) => ({ refusal: expect.stringMatching(words) });

describe('a path', () => {
  it('from the end entity to an anchor is trusted', () => {
    expect(verdict(gw)).toEqual({ ...ok, how: 'ECDSA with SHA2_256, certificate "O=Lab, CN=gw"' });
  });

  it('through CAs that the peer sends is found in whatever order they come', () => {
    const first = ca('CN=First', root);
    const second = ca('CN=Second', first);
    const peer = issue({ issuer: second });
    expect(verdict(peer, { others: [second, first] })).toEqual(ok);
    expect(verdict(peer, { others: [gw, first, root, second] })).toEqual(ok);
    expect(verdict(peer, { others: [second] })).toEqual(
      refused('certificate "CN=Second" was issued by "CN=First", which is not in remote.cacerts'),
    );
  });

  it('may end at an intermediate CA that is an anchor itself', () => {
    const first = ca('CN=First', root);
    expect(verdict(issue({ issuer: first }), { remote: { cacerts: [first.certificate] } })).toEqual(ok);
  });

  it('without an anchor is refused, and the message names the issuer', () => {
    expect(verdict(gw, { remote: { cacerts: [] } })).toEqual(
      refused('certificate "O=Lab, CN=gw" was issued by "O=Lab, CN=Root", which is not in remote.cacerts'),
    );
  });

  it('to a root that only the peer sent is refused', () => {
    const stranger = createCa({ subject: 'CN=Stranger', now: NOW });
    expect(verdict(issue({ issuer: stranger }), { others: [stranger] })).toEqual(refused('not in remote.cacerts'));
  });

  it('to a root of the same name with another key is refused', () => {
    const twin = createCa({ subject: 'O=Lab, CN=Root', now: NOW });
    expect(verdict(issue({ issuer: twin }))).toEqual(refused('has a signature that "O=Lab, CN=Root" did not make'));
  });

  it('whose CAs are crossed in a loop ends', () => {
    const keyA = keyOfKind('ecp256');
    const a = createCa({ subject: 'CN=A', privateKey: keyA, now: NOW });
    const b = ca('CN=B', a);
    const aByB = ca('CN=A', b, { privateKey: keyA });
    expect(verdict(issue({ issuer: a }), { others: [a, b, aByB, b, aByB] })).toEqual(refused('not in remote.cacerts'));
  });

  it('is bounded in length', () => {
    const cas = [root];
    for (let depth = 1; depth <= 8; depth++) cas.push(ca(`CN=${depth}`, cas.at(-1)!));
    const attempt = (depth: number) => verdict(issue({ issuer: cas[depth]! }), { others: cas.slice(1, depth + 1) });
    expect(attempt(6)).toEqual(ok);
    expect(attempt(7)).toHaveProperty('refusal');
  });

  it.each(['rsa2048', 'ecp384', 'ecp521', 'ed25519', 'ed448'] as const)(
    'may be signed by a CA key of kind %s',
    (kind) => {
      const issuer = createCa({ subject: `CN=${kind}`, privateKey: keyOfKind(kind), now: NOW });
      expect(verdict(issue({ issuer }), { remote: { cacerts: [issuer.certificate] } })).toEqual(ok);
    },
  );
});

describe('validity', () => {
  it('refuses an end entity or a CA before and after its time, and says when that is', () => {
    expect(verdict(gw, { now: NOW - DAY })).toEqual(
      refused('"O=Lab, CN=gw" is not valid before 2026-05-31T23:55:00.000Z'),
    );
    expect(verdict(gw, { now: NOW + 2000 * DAY })).toEqual(refused('"O=Lab, CN=gw" expired on '));
    const short = ca('CN=Short', root, { days: 1 });
    expect(verdict(issue({ issuer: short }), { others: [short], now: NOW + 2 * DAY })).toEqual(
      refused('"CN=Short" expired'),
    );
    const anchor = createCa({ subject: 'CN=Anchor', now: NOW, days: 1 });
    const remote = { cacerts: [anchor.certificate] };
    expect(verdict(issue({ issuer: anchor }), { remote, now: NOW + 2 * DAY })).toEqual(refused('"CN=Anchor" expired'));
  });
});

describe('a CA', () => {
  it('must be one: an end entity vouches for nobody', () => {
    expect(verdict(issue({ issuer: gw, subject: 'CN=below' }), { others: [gw] })).toEqual(
      refused('"O=Lab, CN=gw" is not a CA'),
    );
  });

  it('must be allowed to sign certificates', () => {
    const subject = parseIdentity('CN=NoSign').data;
    const publicKey = crypto.createPublicKey(keyObject(keyOfKind('ecp256')));
    const certificate = writeCertificate(
      {
        serial: Uint8Array.of(1),
        issuer: parseCertificate(root.certificate).subject,
        subject,
        notBefore: NOW - DAY,
        notAfter: NOW + DAY,
        publicKey,
        extensions: [extension.basicConstraints(true), extension.keyUsage(0)],
      },
      keyObject(root.privateKey),
    );
    const issuer = { certificate, privateKey: keyOfKind('ecp256') };
    expect(verdict(issue({ issuer }), { others: [issuer] })).toEqual(refused('must not sign certificates'));
  });

  it('has no more CAs below it than its pathLenConstraint says', () => {
    const limited = createCa({ subject: 'CN=Limited', pathLength: 0, now: NOW });
    const below = ca('CN=Below', limited);
    const remote = { cacerts: [limited.certificate] };
    expect(verdict(issue({ issuer: limited }), { remote })).toEqual(ok);
    expect(verdict(issue({ issuer: below }), { remote, others: [below] })).toEqual(
      refused('"CN=Limited" allows 0 CA certificates below it, there are 1'),
    );
  });
});

describe('name constraints', () => {
  const within = (permitted: string[], excluded: string[] = []) =>
    createCa({ subject: 'O=Lab, CN=Constrained', permitted, excluded, now: NOW });
  const attempt = (issuer: Credentials, id: string, subject = 'O=Lab, CN=gw') =>
    verdict(createCertificate({ issuer, subject, names: [id], now: NOW }), {
      remote: { cacerts: [issuer.certificate] },
      id,
    });

  it.each([
    ['example.org', 'gw.example.org', true],
    ['example.org', 'example.org', true],
    ['example.org', 'gwexample.org', false],
    ['example.org', '192.0.2.1', true],
    ['10.1.0.0/16', '10.1.2.3', true],
    ['10.1.0.0/16', '10.2.0.1', false],
    ['2001:db8::/33', '2001:db8:7fff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['email:example.org', 'a@example.org', true],
    ['email:example.org', 'a@sub.example.org', false],
    ['email:.example.org', 'a@sub.example.org', true],
    ['O=Lab', 'gw.example.org', true],
    ['O=Other', 'gw.example.org', false],
  ])('that permit %s take %s: %s', (permitted, id, expected) => {
    expect('ok' in attempt(within([permitted]), id)).toBe(expected);
  });

  it('that exclude a name refuse it, below as well, and name the CA', () => {
    const issuer = within([], ['secret.example.org', '10.0.0.0/8']);
    expect(attempt(issuer, 'gw.example.org')).toEqual(ok);
    expect(attempt(issuer, 'a.SECRET.example.org')).toEqual(
      refused('has the name "a.SECRET.example.org", which is excluded by its CA "O=Lab, CN=Constrained"'),
    );
    expect(attempt(issuer, '10.9.9.9')).toHaveProperty('refusal');
  });

  it('bind CAs further down as well', () => {
    const issuer = within(['O=Lab']);
    const below = ca('O=Elsewhere, CN=Below', issuer);
    const remote = { cacerts: [issuer.certificate] };
    expect(verdict(issue({ issuer: below }), { remote, others: [below] })).toEqual(refused('not permitted'));
  });
});

describe('an end entity', () => {
  it.each([
    ['may have no keyUsage', [], true],
    ['must be allowed to sign', [extension.keyUsage(5)], false],
    ['may be for TLS only', [extension.extendedKeyUsage('1.3.6.1.5.5.7.3.1')], true],
    ['must not be for signing code only', [extension.extendedKeyUsage('1.3.6.1.5.5.7.3.3')], false],
    [
      'must have no critical extension we do not know',
      [{ type: '1.2.3.4', critical: true, value: Uint8Array.of(5, 0) }],
      false,
    ],
    ['may have any other extension', [{ type: '1.2.3.4', critical: false, value: Uint8Array.of(5, 0) }], true],
    ['may have critical policies', [{ type: '2.5.29.32', critical: true, value: Uint8Array.of(0x30, 0) }], true],
    [
      'must not need policies we do not check',
      [{ type: '2.5.29.36', critical: true, value: Uint8Array.of(0x30, 0) }],
      false,
    ],
  ])('%s', (_what, extensions, expected) => {
    expect('ok' in verdict(issue({ extensions }))).toBe(expected);
  });

  it('with an RSA key below 2048 bits is refused', () => {
    const weak = crypto.generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
    const peer = issue({ privateKey: Uint8Array.from(weak.export({ format: 'der', type: 'pkcs8' })) });
    const auth = makeAuth(localOf(gw), context());
    expect(verifyAuth(trusting(), context(), auth, [cert(peer.certificate)])).toEqual(
      refused('1024 bits, 2048 are needed'),
    );
  });

  it('signed with SHA-1 is refused', () => {
    const [pkcs1] = SIGNATURE_ALGORITHMS.filter(({ padding }) => padding === 'pkcs1');
    const identifier = Uint8Array.from(Buffer.from('300d06092a864886f70d0101050500', 'hex'));
    const rsaRoot = createCa({ subject: 'O=Lab, CN=Root', privateKey: keyOfKind('rsa2048'), now: NOW });
    const model = parseCertificate(gw.certificate);
    const certificate = writeCertificate(
      {
        serial: Uint8Array.of(1),
        issuer: model.issuer,
        subject: model.subject,
        notBefore: NOW - DAY,
        notAfter: NOW + DAY,
        publicKey: model.publicKey,
        extensions: [extension.subjectAltName(['gw.example.org'])],
      },
      keyObject(rsaRoot.privateKey),
      // A digest that the type does not let one ask for.
      { ...pkcs1!, digest: 'sha1' as 'sha256', identifiers: [identifier] },
    );
    const peer = { certificate, privateKey: gw.privateKey };
    expect(verdict(peer, { remote: { cacerts: [rsaRoot.certificate] } })).toEqual(
      refused('algorithm we do not take, such as SHA-1'),
    );
  });
});

describe('the identity', () => {
  const names = ['gw.example.org', 'alice@example.org', '192.0.2.1', '2001:db8::1', '42.42.42.42'];
  const peer = issue({ names });

  it.each([...names, 'O=Lab, CN=gw', 'O=LAB, CN=GW'])("%s is the certificate's", (id) => {
    expect(verdict(peer, { id })).toEqual(ok);
  });

  it.each(['other.example.org', 'fqdn:192.0.2.1', '192.0.2.2', 'CN=gw', 'keyid:00', 'bob@example.org'])(
    '%s is not',
    (id) => {
      expect(verdict(peer, { id })).toEqual(
        refused(/^the peer says it is ".*", but its certificate is for "O=Lab, CN=gw", "gw/),
      );
    },
  );

  it('may be the key identifier', () => {
    const keyId = parseCertificate(peer.certificate).extensions.subjectKeyId!;
    expect(verdict(peer, { id: `keyid:${Buffer.from(keyId).toString('hex')}` })).toEqual(ok);
  });

  it('is not matched by a wildcard in the certificate', () => {
    expect(verdict(issue({ names: ['*.example.org'] }))).toHaveProperty('refusal');
  });

  it('is not the common name', () => {
    expect(verdict(issue({ subject: 'CN=other.example.org' }), { id: 'other.example.org' })).toHaveProperty('refusal');
  });

  it('is not an empty subject', () => {
    const nameless = issue({ subject: '' });
    expect(verdict(nameless)).toEqual(ok);
    const id = { idType: ID_TYPE.ID_DER_ASN1_DN, data: Uint8Array.of(0x30, 0), text: '' };
    const auth = makeAuth(localOf(nameless), context({ id }));
    expect(verifyAuth(trusting(), context({ id }), auth, [cert(nameless.certificate)])).toHaveProperty('refusal');
  });

  it('must be one that the configuration accepts, before any certificate is looked at', () => {
    const remote = { ids: [parseIdentity('*.example.com')] };
    expect(verdict(peer, { remote })).toEqual(refused('remote.id accepts "\\*.example.com"'));
  });
});

describe('certificates of the configuration', () => {
  it('are trusted as they are, and nothing else beside them', () => {
    const self = createCa({ subject: 'CN=pinned', now: NOW });
    const pinned = createCertificate({ issuer: self, subject: 'CN=pinned', names: ['gw.example.org'], now: NOW });
    const remote = { certs: [pinned.certificate], cacerts: [root.certificate] };
    expect(verdict(pinned, { remote })).toEqual(ok);
    expect(verdict(gw, { remote })).toEqual(refused('is none of remote.certs'));
    expect(verdict(pinned, { remote, now: NOW + 3000 * DAY })).toEqual(refused('expired'));
  });

  it('serve a peer that sends none', () => {
    const auth = makeAuth(localOf(gw), context());
    expect(verifyAuth(trusting({ certs: [gw.certificate] }), context(), auth)).toEqual(ok);
    expect(verifyAuth(trusting(), context(), auth)).toEqual(refused('sent no certificate'));
  });
});

describe('revocation lists', () => {
  const other = issue({ subject: 'CN=other' });
  const good = createCrl({ issuer: root, revoked: [other.certificate], now: NOW });

  it('refuse whom they name, and only those', () => {
    expect(verdict(gw, { remote: { crls: [good] } })).toEqual(ok);
    expect(verdict(other, { remote: { crls: [good] } })).toEqual(refused('"CN=other" was revoked by its issuer'));
  });

  it('name CAs as well', () => {
    const first = ca('CN=First', root);
    const crl = createCrl({ issuer: root, revoked: [first.certificate], now: NOW });
    expect(verdict(issue({ issuer: first }), { remote: { crls: [crl] }, others: [first] })).toEqual(
      refused('"CN=First" was revoked'),
    );
  });

  it('that are out of date, not yet in force or forged refuse everyone of that CA, with the reason', () => {
    const old = createCrl({ issuer: root, revoked: [], now: NOW - 60 * DAY });
    const future = createCrl({ issuer: root, revoked: [], now: NOW + DAY });
    const twin = createCa({ subject: 'O=Lab, CN=Root', now: NOW });
    const forged = createCrl({ issuer: twin, revoked: [], now: NOW });
    expect(verdict(gw, { remote: { crls: [old] } })).toEqual(refused('revocation list that expired on'));
    expect(verdict(gw, { remote: { crls: [future] } })).toEqual(refused('from the future'));
    expect(verdict(gw, { remote: { crls: [forged] } })).toEqual(refused('wrong signature'));
    expect(verdict(gw, { remote: { crls: [forged, old, good] } })).toEqual(ok);
    expect(verdict(other, { remote: { crls: [createCrl({ issuer: root, revoked: [], now: NOW }), good] } })).toEqual(
      refused('revoked'),
    );
  });

  it('of another CA say nothing', () => {
    const stranger = createCa({ subject: 'CN=Stranger', now: NOW });
    const crl = createCrl({ issuer: stranger, revoked: [], now: NOW - 60 * DAY });
    expect(verdict(gw, { remote: { crls: [crl] } })).toEqual(ok);
  });
});
