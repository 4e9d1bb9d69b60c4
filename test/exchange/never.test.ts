/**
 * What must never happen before a peer has proved who it is, each against the whole protocol core: what is sent, installed and kept. Each of
 * these was a CVE or a named attack somewhere. What one module prevents alone is in control/never.test.ts.
 */
import crypto from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { der, oid, TAG } from '../../src/control/auth/der.ts';
import { toPem } from '../../src/control/auth/pem.ts';
import { createCa, createCertificate } from '../../src/control/auth/pki.ts';
import type { CryptoProvider } from '../../src/control/crypto/provider.ts';
import { KEY_EXCHANGES } from '../../src/control/crypto/registry.ts';
import { concat } from '../../src/control/wire/bytes.ts';
import { CERT_ENCODING, EXCHANGE, HASH, NOTIFY, TRANSFORM } from '../../src/control/wire/iana.ts';
import { buildMessage, findNotify, parseMessage } from '../../src/control/wire/message.ts';
import type { Payload } from '../../src/control/wire/payloads/index.ts';
import type { Transform } from '../../src/control/wire/payloads/sa.ts';
import { keyOfKind } from '../control/auth/laboratory.ts';
import { PROVIDERS } from '../control/crypto/known.ts';
import { BAD_PUBLIC_VALUES, forging, PKCS1_BLOCKS, signingWith } from './bad-values.ts';
import { answer, established, Forger, halfOpen, notifies, state } from './forge.ts';
import { pair, type Sides } from './network.ts';
import { child, EVERYTHING, held, idI, ikeRekey, stranger } from './requests.ts';

const { IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA } = EXCHANGE;
const NONE = new Uint8Array();

describe('an unauthenticated IKE SA is rekeyed into "established"', () => {
  test.each([
    ['at once', []],
    ['after an IKE_AUTH that failed', [idI, { kind: 'AUTH', method: 2, data: new Uint8Array(32) }]],
  ] as const)('%s', (_name, first) => {
    const { network, right, forger } = halfOpen();
    let messageId = 1;
    if (first.length > 0)
      answer(network, forger, forger.message({ exchange: IKE_AUTH, messageId: messageId++ }, [...first]));
    for (const payloads of [ikeRekey, child()])
      expect(
        answer(network, forger, forger.message({ exchange: CREATE_CHILD_SA, messageId }, payloads)),
      ).toBeUndefined();
    network.tamper = () => undefined;
    network.pass(60_000);
    expect(right.events.filter(({ type }) => /up|rekeyed/.test(type))).toEqual([]);
    expect(right.core.status(network.now)).toEqual([]);
    expect([right.sas.size, right.policies.size, right.reserved.size]).toEqual([0, 0, 0]);
  });
});

describe('internal algorithm numbers are reachable from the wire', () => {
  const KNOWN: Readonly<Record<number, Transform>> = {
    [TRANSFORM.ENCR]: { type: TRANSFORM.ENCR, id: 20, keyBits: 128 },
    [TRANSFORM.PRF]: { type: TRANSFORM.PRF, id: 5 },
    [TRANSFORM.KE]: { type: TRANSFORM.KE, id: 31 },
  };
  const ids = Array.from({ length: 65_536 }, (_, id) => id).filter((id) => id < 300 || id % 1024 < 40 || id > 65_000);

  test.each([
    ['ENCR', TRANSFORM.ENCR, [12, 20]],
    ['PRF', TRANSFORM.PRF, [5]],
    [
      'KE',
      TRANSFORM.KE,
      KEY_EXCHANGES.filter(({ family }) => family !== 'kem')
        .map(({ id }) => id)
        .sort((a, b) => a - b),
    ],
  ])('%s: of all numbers, public, private and reserved, only those that are configured', (_name, type, allowed) => {
    const { network, right } = pair({
      right: { remote_addrs: ['%any'], proposals: EVERYTHING },
      control: { cookie_threshold: 1_000_000 },
    });
    const taken = ids.filter((id) => {
      const own = { ...KNOWN[type]!, id };
      const cbc = type === TRANSFORM.ENCR && id === 12 ? [{ type: TRANSFORM.INTEG, id: 12 }] : [];
      const transforms = [...Object.values({ ...KNOWN, [type]: own }), ...cbc];
      const method = type === TRANSFORM.KE ? id : 31;
      const payloads = stranger(network, transforms, method, new Uint8Array(32).fill(9));
      return payloads === undefined || !notifies(payloads)!.includes(NOTIFY.NO_PROPOSAL_CHOSEN);
    });
    expect(taken).toEqual(allowed);
    expect(right.core.status(network.now).length).toBeLessThanOrEqual(allowed.length);
  });
});

describe('EAP success is accepted before the method finished', () => {
  const success: Payload = { kind: 'EAP', message: Uint8Array.of(3, 1, 0, 4) };

  test.each([
    ['beside an identity', [idI, success]],
    ['beside a wrong AUTH', [idI, success, { kind: 'AUTH', method: 2, data: new Uint8Array(32) }]],
    ['beside an empty AUTH', [idI, { kind: 'AUTH', method: 2, data: NONE }, success]],
    ['alone', [success]],
  ] as const)('by a responder, %s', (_name, payloads) => {
    const { network, right, forger } = halfOpen();
    const reply = answer(
      network,
      forger,
      forger.message({ exchange: IKE_AUTH, messageId: 1 }, payloads as unknown as Payload[]),
    );
    expect(notifies(reply)).toEqual([
      expect.toSatisfy((n) => n === NOTIFY.AUTHENTICATION_FAILED || n === NOTIFY.INVALID_SYNTAX),
    ]);
    expect(right.core.status(network.now)).toEqual([]);
    expect(right.sas.size).toBe(0);
  });

  test('by an initiator', () => {
    const idR: Payload = { kind: 'IDr', idType: 2, data: Buffer.from('right.example.org') };
    for (const payloads of [
      [idR, success],
      [success],
      [idR, success, { kind: 'AUTH', method: 2, data: new Uint8Array(32) } as const],
      [idR, success, ...child().filter(({ kind }) => kind !== 'NONCE')],
    ]) {
      const { network, left } = halfOpen();
      network.deliver(new Forger(left, 'r').message({ exchange: IKE_AUTH, messageId: 1, response: true }, payloads));
      expect(left.events.filter(({ type }) => type.endsWith('-up'))).toEqual([]);
      expect(left.sas.size).toBe(0);
      expect(state(network, left)).not.toBe('ESTABLISHED');
    }
  });
});

/** The network's clock begins shortly after 1970. */
const now = 600;
const CA = createCa({ subject: 'CN=ca', privateKey: keyOfKind('rsa3072'), now });

/** Both sides with certificates; the right one takes signatures without RFC 7427, and believes or does not. */
function meetByRsa(leftCrypto: CryptoProvider, extensions: Parameters<typeof createCertificate>[0]['extensions'] = []) {
  const side = (name: string, peer: string) => {
    const own = createCertificate({
      issuer: CA,
      subject: `CN=${name}`,
      names: [`${name}.example.org`],
      privateKey: keyOfKind('rsa2048'),
      now,
      extensions,
    });
    const key = toPem('PRIVATE KEY', own.privateKey);
    return {
      local: {
        auth: 'pubkey' as const,
        id: `${name}.example.org`,
        certs: [toPem('CERTIFICATE', own.certificate)],
        key,
      },
      remote: { auth: 'pubkey' as const, id: `${peer}.example.org`, cacerts: [toPem('CERTIFICATE', CA.certificate)] },
    };
  };
  const made = pair({ left: side('left', 'right'), right: side('right', 'left'), leftOptions: { crypto: leftCrypto } });
  // Without SIGNATURE_HASH_ALGORITHMS in the answer the left one signs by PKCS#1 v1.5.
  made.network.tamper = (datagram) => {
    const { header, payloads } = parseMessage(datagram.data);
    if (header.exchange !== IKE_SA_INIT || !header.response) return datagram;
    const kept = payloads.filter(
      (payload) => payload.kind !== 'N' || payload.notify !== NOTIFY.SIGNATURE_HASH_ALGORITHMS,
    );
    return { ...datagram, data: buildMessage(header, kept) };
  };
  made.network.command(made.left, 'initiate', 'right');
  made.network.settle();
  return { ...made, believed: made.right.events.some(({ type }) => type === 'ike-up') };
}

describe('lenient PKCS#1 v1.5, SHA-1', () => {
  test.each(Object.entries(PKCS1_BLOCKS))('a signature over %s', (name, block) => {
    expect(meetByRsa(forging(block)).believed).toBe(name === 'the one right block');
  });

  test('a signature with SHA-1 or MD5, right as it is', () => {
    for (const digest of ['sha1', 'md5'])
      expect(meetByRsa(signingWith((key, data) => Uint8Array.from(crypto.sign(digest, data, key)))).believed).toBe(
        false,
      );
    expect(meetByRsa(signingWith((key, data) => Uint8Array.from(crypto.sign('sha256', data, key)))).believed).toBe(
      true,
    );
  });

  test('SHA-1 is not even announced, by either side', () => {
    const { network } = established();
    const announced = network.sent
      .slice(0, 2)
      .map(({ data }) => findNotify(parseMessage(data).payloads, NOTIFY.SIGNATURE_HASH_ALGORITHMS)!.data);
    for (const hashes of announced) {
      const numbers = Array.from(
        { length: hashes.length / 2 },
        (_, at) => (hashes[2 * at]! << 8) | hashes[2 * at + 1]!,
      );
      expect(numbers).toContain(HASH.SHA2_256);
      expect(numbers).not.toContain(HASH.SHA1);
    }
  });
});

describe.each(PROVIDERS)('a bad public value or nonce is computed with (%s provider)', (name) => {
  const options: Sides = {
    options: { crypto: name },
    right: { remote_addrs: ['%any'], proposals: EVERYTHING },
    control: { cookie_threshold: 1_000_000 },
  };

  test.each(BAD_PUBLIC_VALUES.filter(({ family }) => family !== 'kem'))('$keyword, $index', ({ id, data }) => {
    const { network, right } = pair(options);
    const transforms = [
      { type: TRANSFORM.ENCR, id: 20, keyBits: 128 },
      { type: TRANSFORM.PRF, id: 5 },
      { type: TRANSFORM.KE, id },
    ];
    expect(stranger(network, transforms, id, data)).toBeUndefined();
    expect(held(right)).toMatchObject({ sas: 0, alive: 0 });
  });

  test.each(BAD_PUBLIC_VALUES.filter(({ family }) => family === 'kem'))('$keyword, $index', ({ id, keyword, data }) => {
    const proposals = [`aes128gcm16-prfsha256-x25519-ke1_${keyword}`];
    const { network, right, forger } = halfOpen({
      options: { crypto: name },
      left: { proposals },
      right: { proposals },
    });
    const request = forger.message({ exchange: EXCHANGE.IKE_INTERMEDIATE, messageId: 1 }, [
      { kind: 'KE', method: id, data },
    ]);
    expect(notifies(answer(network, forger, request))).toEqual([NOTIFY.INVALID_SYNTAX]);
    expect(right.core.status(network.now)).toEqual([]);
  });

  test('nonces of 0, 15 and 257 bytes (RFC 7296 §2.10)', () => {
    const { network, right } = pair(options);
    const { transforms } = (ikeRekey[0] as Extract<Payload, { kind: 'SA' }>).proposals[0]!;
    for (const length of [0, 1, 15, 257])
      expect(stranger(network, transforms, 31, new Uint8Array(32).fill(9), length)).toBeUndefined();
    expect(held(right)).toMatchObject({ sas: 0 });
    expect(stranger(network, transforms, 31, new Uint8Array(32).fill(9), 16)).toBeDefined();
    expect(held(right)).toMatchObject({ sas: 1 });
  });

  test('in a rekeying: the SA that asked for it ends, and nothing is made of it', () => {
    for (const { data } of BAD_PUBLIC_VALUES.filter(({ id }) => id === 31)) {
      const { network, right, forger } = established({ options: { crypto: name } });
      const payloads = ikeRekey.map((payload) => (payload.kind === 'KE' ? { ...payload, data } : payload));
      expect(
        notifies(answer(network, forger, forger.message({ exchange: CREATE_CHILD_SA, messageId: 2 }, payloads))),
      ).toEqual([NOTIFY.INVALID_SYNTAX]);
      expect(right.events.filter(({ type }) => type === 'ike-rekeyed')).toEqual([]);
      expect(right.sas.size).toBe(0);
    }
  });
});

describe('an address that a certificate or its sender names is connected to', () => {
  let server: Server;
  let connections = 0;
  let url = '';
  beforeAll(async () => {
    server = createServer((socket) => {
      connections++;
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  afterAll(() => server.close());

  const uri = () => der(0x86, Uint8Array.from(Buffer.from(url)));
  /** OCSP responder and issuer (RFC 5280 §4.2.2.1), CRL (§4.2.1.13). */
  const pointers = () => {
    const access = (type: string) => der(TAG.SEQUENCE, oid(type), uri());
    const ways = der(TAG.SEQUENCE, access('1.3.6.1.5.5.7.48.1'), access('1.3.6.1.5.5.7.48.2'));
    const point = der(TAG.SEQUENCE, der(TAG.SEQUENCE, der(0xa0, der(0xa0, uri()))));
    return [
      { type: '1.3.6.1.5.5.7.1.1', critical: false, value: ways },
      { type: '2.5.29.31', critical: false, value: point },
    ];
  };

  test('be the certificate good or forged', async () => {
    const good = signingWith((key, data) => Uint8Array.from(crypto.sign('sha256', data, key)));
    expect(meetByRsa(good, pointers()).believed).toBe(true);
    expect(meetByRsa(forging(PKCS1_BLOCKS['a bare digest']!), pointers()).believed).toBe(false);
    await sleep(50);
    expect(connections).toBe(0);
  });

  test.each([CERT_ENCODING.HASH_AND_URL_X509, CERT_ENCODING.HASH_AND_URL_BUNDLE])(
    'be it encoding %i',
    async (encoding) => {
      const { network, forger, right } = halfOpen({
        right: { remote: { auth: 'pubkey', id: 'left.example.org', cacerts: [toPem('CERTIFICATE', CA.certificate)] } },
      });
      const data = concat(new Uint8Array(20), Uint8Array.from(Buffer.from(url)));
      const payloads: Payload[] = [
        idI,
        { kind: 'CERT', encoding, data },
        { kind: 'AUTH', method: 1, data: new Uint8Array(256) },
      ];
      expect(notifies(answer(network, forger, forger.message({ exchange: IKE_AUTH, messageId: 1 }, payloads)))).toEqual(
        [NOTIFY.AUTHENTICATION_FAILED],
      );
      await sleep(50);
      expect(connections).toBe(0);
      expect(right.core.status(network.now)).toEqual([]);
    },
  );
});

describe("the peer's identity is checked after credentials were sent", () => {
  test.each([
    ['an identity that no connection accepts', { id: 'other.example.org' }],
    ['an accepted identity without its secret', { secret: 'wrong' }],
  ])('%s hears neither who we are nor a proof', (_name, wrong) => {
    const local = { auth: 'psk' as const, id: 'left.example.org', secret: 'a secret of the two', ...wrong };
    const { network, left, right } = pair({ left: { local } });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(right.trace.filter((line) => /^sent IKE_AUTH/.test(line))).toEqual([
      'sent IKE_AUTH 1: <-- HDR, SK {N(AUTHENTICATION_FAILED)}',
    ]);
    expect(right.core.status(network.now)).toEqual([]);
  });

  test('an initiator installs nothing for a responder that is somebody else, and tells it so', () => {
    const { network, left, right } = pair({
      right: { local: { auth: 'psk', id: 'other.example.org', secret: 'a secret of the two' } },
    });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.events.filter(({ type }) => type.endsWith('-up'))).toEqual([]);
    expect([left.sas.size, left.keys.filter(({ kind }) => kind === 'child').length, right.sas.size]).toEqual([0, 0, 0]);
  });
});

describe('a crash inside the log line of a rejection', () => {
  const noise = (length: number) => Uint8Array.from({ length }, (_, at) => (at * 31 + length) & 0xff);
  const tails = ['%s %n %x', '\u001b[2J', '{}', '\u202e', '\ud800', '\0\r\n', '*'].map((text) =>
    Uint8Array.from(Buffer.from(text)),
  );
  const hostile = [
    NONE,
    noise(1),
    noise(4),
    noise(255),
    noise(60_000),
    Uint8Array.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff),
    ...tails,
  ];

  test('whatever identity, authentication or certificate is refused', () => {
    for (const idType of [0, 1, 2, 3, 5, 9, 10, 11, 13, 255])
      for (const data of hostile) {
        const { network, right, forger } = halfOpen();
        const payloads: Payload[] = [
          { kind: 'IDi', idType, data },
          { kind: 'CERT', encoding: 4, data: data.subarray(0, 2_000) },
          { kind: 'AUTH', method: idType, data: data.subarray(0, 2_000) },
        ];
        const reply = answer(network, forger, forger.message({ exchange: IKE_AUTH, messageId: 1 }, payloads));
        expect(notifies(reply)).toEqual([
          expect.toSatisfy((n) => n === NOTIFY.AUTHENTICATION_FAILED || n === NOTIFY.INVALID_SYNTAX),
        ]);
        expect(right.log.filter((line) => /\p{Cc}|\p{Cf}|\p{Cs}/u.test(line) || line.length > 1_000)).toEqual([]);
      }
  });

  test('whatever vendor ID, notification or unknown payload comes', () => {
    const { network, right } = pair({ right: { remote_addrs: ['%any'] } });
    for (const data of hostile) {
      const extra: Payload[] = [
        { kind: 'V', data },
        { kind: 'N', protocol: 0, spi: NONE, notify: 50_000, data },
        { kind: 'unknown', type: 200, critical: false, body: data.subarray(0, 3_000) },
      ];
      stranger(network, [{ type: TRANSFORM.ENCR, id: 3 }], 31, new Uint8Array(32), 32, extra);
      expect(right.log.filter((line) => /\p{Cc}|\p{Cf}|\p{Cs}/u.test(line) || line.length > 1_000)).toEqual([]);
    }
    expect(right.log.length).toBeGreaterThan(hostile.length / 2);
  });
});
