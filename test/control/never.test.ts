/**
 * What must never happen, as far as authentication, cryptography and the wire format can prevent it.
 * Each of these was a CVE or a named attack somewhere. Those of one module stand in its own tests:
 * lenient PKCS#1 v1.5 (auth/public-key), padding before the checksum (crypto/protection), public
 * values of the wrong length and empty key material (crypto/key-exchange, crypto/key-schedule).
 */
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENCR, ENCRYPTION } from '../../src/algorithms.ts';
import { makeAuth, verifyAuth } from '../../src/control/auth/authenticate.ts';
import { der, oid, TAG } from '../../src/control/auth/der.ts';
import { SIGNATURE_METHODS } from '../../src/control/auth/public-key.ts';
import { SIGNATURE_ALGORITHMS } from '../../src/control/auth/signature.ts';
import { suiteOf } from '../../src/control/child/keymat.ts';
import { createProvider } from '../../src/control/crypto/index.ts';
import { IKE_ENCRYPTION, KEY_EXCHANGES } from '../../src/control/crypto/registry.ts';
import { parseProposal } from '../../src/control/proposals/keywords.ts';
import { checkAnswer, offer, selectProposal } from '../../src/control/proposals/select.ts';
import { AUTH_METHOD, HASH, NOTIFY, PROTOCOL, TRANSFORM } from '../../src/control/wire/iana.ts';
import { MAX_PAYLOADS, parseMessage } from '../../src/control/wire/message.ts';
import { del } from '../../src/control/wire/payloads/delete.ts';
import { MAX_FRAGMENTS } from '../../src/control/wire/payloads/sk.ts';
import { EspalierError } from '../../src/errors.ts';
import { cert, context, issue, localOf, trusting } from './auth/laboratory.ts';

const PROVIDERS = ['node', 'noble'] as const;
const ALL_IDS = Array.from({ length: 65_536 }, (_, id) => id);
const refused = { refusal: expect.any(String) };
const gw = issue();
const auth = makeAuth(localOf(gw), context());

describe.each(PROVIDERS)('numbers from the wire reach no algorithm that is not in the tables (%s provider)', (name) => {
  const provider = createProvider(name);

  it('ciphers: neither NULL, nor DES, nor one without its key length', () => {
    const reached = ALL_IDS.filter((id) =>
      [0, 40, 56, 64, 128, 168, 192, 256, 65535].some((bits) => provider.cipher(id, bits)),
    );
    expect(reached).toEqual(IKE_ENCRYPTION.map(({ id }) => id).sort((a, b) => a - b));
    for (const { id, keyBits } of IKE_ENCRYPTION) {
      for (const bits of [0, 64, 512]) if (!keyBits.includes(bits)) expect(provider.cipher(id, bits)).toBeUndefined();
    }
    expect(provider.cipher(ENCR.NULL, 0)).toBeUndefined();
  });

  it('key exchanges: no group below 2048 bits, none with small subgroups (RFC 8247 §2.4)', () => {
    const reached = ALL_IDS.filter((id) => provider.keyExchange(id) !== undefined);
    expect(reached).toEqual(KEY_EXCHANGES.map(({ id }) => id).sort((a, b) => a - b));
    for (const weak of [0, 1, 2, 5, 22, 23, 24, 25, 26]) expect(reached).not.toContain(weak);
  });

  it('PRFs and integrity algorithms: nothing with MD5 or SHA-1, no NONE', () => {
    expect(ALL_IDS.filter((id) => provider.prf(id) !== undefined)).toEqual([5, 6, 7]);
    expect(ALL_IDS.filter((id) => provider.integrity(id) !== undefined)).toEqual([12, 13, 14]);
  });
});

describe('ESP goes with integrity', () => {
  const encr = (id: number, keyBits?: number) => ({ type: TRANSFORM.ENCR, id, ...(keyBits && { keyBits }) });
  const integ = (id: number) => ({ type: TRANSFORM.INTEG, id });
  const unprotected = ENCRYPTION.filter(({ icvLength }) => icvLength === 0);

  it.each(unprotected)('or $name alone is no SA, nor is it with NONE', ({ id, keyBits }) => {
    expect(() => suiteOf([encr(id, keyBits[0])])).toThrow(/without integrity must not exist/);
    expect(() => suiteOf([encr(id, keyBits[0]), integ(0)])).toThrow(/without integrity must not exist/);
    expect(suiteOf([encr(id, keyBits[0]), integ(12)])).toMatchObject({ suite: { encr: id, integ: 12 } });
  });

  it('in what is configured and in what a peer offers or answers', () => {
    expect(() => parseProposal(PROTOCOL.ESP, 'aes128')).toThrow(EspalierError);
    expect(() => parseProposal(PROTOCOL.ESP, 'null')).toThrow(EspalierError);
    const ours = parseProposal(PROTOCOL.ESP, 'aes128-sha256');
    const bare = { number: 1, protocol: PROTOCOL.ESP, spi: new Uint8Array(4), transforms: [encr(ENCR.AES_CBC, 128)] };
    const none = { ...bare, transforms: [...bare.transforms, integ(0)] };
    for (const theirs of [bare, none]) {
      expect(selectProposal([ours], [theirs])).toHaveProperty('refusal');
      expect(checkAnswer(offer([ours], new Uint8Array(4)), [theirs])).toHaveProperty('refusal');
    }
  });
});

describe('a peer is not believed', () => {
  it('by a method that the configuration does not ask for, or one that is not implemented', () => {
    const methods = Array.from({ length: 256 }, (_, method) => method);
    for (const wanted of ['psk', 'pubkey', 'null', 'any'] as const) {
      const remote = trusting({ auth: wanted, psk: Uint8Array.of(1) });
      for (const method of methods)
        expect(verifyAuth(remote, context(), { ...auth, method, data: new Uint8Array(64) }, [])).toEqual(refused);
    }
  });

  it('for an empty AUTH, an empty secret, or an AUTH of the other direction', () => {
    for (const method of [AUTH_METHOD.SHARED_KEY_MIC, AUTH_METHOD.NULL, ...SIGNATURE_METHODS]) {
      const empty = { kind: 'AUTH', method, data: new Uint8Array() } as const;
      for (const psk of [new Uint8Array(), Uint8Array.of(1)]) {
        expect(verifyAuth(trusting({ auth: 'any', psk }), context(), empty, [cert(gw.certificate)])).toEqual(refused);
      }
    }
    // Reflection: the responder sends back what the initiator signed; its SK_p and message are others.
    const other = context({ skP: new Uint8Array(32), initMessage: new Uint8Array(100) });
    expect(verifyAuth(trusting(), other, auth, [cert(gw.certificate)])).toEqual(refused);
  });

  it('by SHA-1 or MD5, in AUTH or in certificates: no identifier of theirs is in the table', () => {
    expect(SIGNATURE_ALGORITHMS.every(({ digest }) => digest === null || /^sha(256|384|512)$/.test(digest))).toBe(true);
    expect(SIGNATURE_ALGORITHMS.map(({ hash }) => hash)).not.toContain(HASH.SHA1);
    for (const weak of ['1.2.840.113549.1.1.4', '1.2.840.113549.1.1.5', '1.2.840.10045.4.1', '1.2.840.10040.4.3']) {
      const identifier = der(TAG.SEQUENCE, oid(weak), der(TAG.NULL));
      const data = Uint8Array.from([identifier.length, ...identifier, ...new Uint8Array(64)]);
      expect(verifyAuth(trusting(), context(), { ...auth, data }, [cert(gw.certificate)])).toEqual(refused);
    }
  });

  it('and the refusal never throws, whatever was sent: it is a line for the log', () => {
    const anyBytes = fc.uint8Array({ maxLength: 200 });
    const anyCerts = fc.array(fc.oneof(anyBytes, fc.constant(gw.certificate)), { maxLength: 3 });
    fc.assert(
      fc.property(
        fc.nat(255),
        anyBytes,
        fc.nat(15),
        anyBytes,
        anyCerts,
        fc.nat(255),
        (idType, id, method, data, certs, encoding) => {
          const payloads = certs.map((bytes) => ({ ...cert(bytes), encoding: encoding < 200 ? 4 : encoding }));
          for (const wanted of ['psk', 'pubkey', 'any'] as const) {
            const remote = trusting({ auth: wanted, psk: Uint8Array.of(1) });
            const verdict = verifyAuth(
              remote,
              context({ id: { idType, data: id } }),
              { ...auth, method, data },
              payloads,
            );
            expect(verdict).toEqual(refused);
            expect('refusal' in verdict && verdict.refusal).not.toMatch(/\p{Cc}/u);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

it('nothing is fetched for a certificate: authentication imports nothing that opens a connection', () => {
  const folder = new URL('../../src/control/auth/', import.meta.url);
  for (const file of readdirSync(folder)) {
    const source = readFileSync(new URL(file, folder), 'utf8');
    const imported = [...source.matchAll(/from '([^']+)'/g)].map(([, module]) => module!);
    const outside = imported.filter((module) => !module.startsWith('.'));
    expect([file, outside.filter((module) => module !== 'node:crypto')]).toEqual([file, []]);
    expect([file, /\bfetch\(|\bimport\(|\brequire\(/.test(source)]).toEqual([file, false]);
  }
});

it('a protocol ID that has no SAs is refused where it is read, so it is never echoed', () => {
  for (let protocol = 0; protocol < 256; protocol++) {
    const body = Uint8Array.of(protocol, protocol === 1 ? 0 : 4, 0, 0);
    const parse = () => del.parse(body);
    if (protocol >= 1 && protocol <= 3) expect(parse()).toMatchObject({ protocol });
    else expect(parse).toThrow(expect.objectContaining({ notify: NOTIFY.INVALID_SYNTAX }));
  }
});

it('payloads and fragments are bounded before anything is stored', () => {
  expect(MAX_PAYLOADS).toBeLessThanOrEqual(256);
  expect(MAX_FRAGMENTS).toBeLessThanOrEqual(64);
  const fragment = (total: number): Uint8Array => {
    const data = Buffer.alloc(28 + 8 + 24);
    data[7] = 1;
    data.set([53, 0x20, 35, 0x08], 16);
    data.writeUInt32BE(data.length, 24);
    data.writeUInt16BE(32, 30);
    data.writeUInt16BE(1, 32);
    data.writeUInt16BE(total, 34);
    return Uint8Array.from(data);
  };
  expect(parseMessage(fragment(MAX_FRAGMENTS)).encrypted?.fragment).toEqual({ number: 1, total: MAX_FRAGMENTS });
  expect(() => parseMessage(fragment(MAX_FRAGMENTS + 1))).toThrow(expect.objectContaining({ code: 'ERR_WIRE_LIMIT' }));
  expect(() => parseMessage(fragment(65_535))).toThrow(expect.objectContaining({ code: 'ERR_WIRE_LIMIT' }));
});
