import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { intAuth, intermediateAuth, signedOctets } from '../../../src/control/auth/octets.ts';
import { createProvider } from '../../../src/control/crypto/index.ts';
import { makeProtection } from '../../../src/control/crypto/protection.ts';
import { PRF } from '../../../src/control/crypto/registry.ts';
import { EXCHANGE } from '../../../src/control/wire/iana.ts';
import { emitPayloads, openMessage, parseMessage, sealMessage, sealPart } from '../../../src/control/wire/message.ts';
import type { Payload } from '../../../src/control/wire/payloads/index.ts';

const provider = createProvider('node');
const prf = provider.prf(PRF.HMAC_SHA2_256)!;
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s+/g, ''), 'hex'));
const hmac = (key: Uint8Array, ...parts: Uint8Array[]): Uint8Array =>
  new Uint8Array(createHmac('sha256', key).update(Buffer.concat(parts)).digest());

const skP = hex('aa'.repeat(32));
const HEADER = {
  spiI: 0x0102030405060708n,
  spiR: 0x1112131415161718n,
  exchange: EXCHANGE.IKE_INTERMEDIATE,
  fromInitiator: true,
  response: false,
  messageId: 1,
};
const KE: Payload[] = [{ kind: 'KE', method: 36, data: hex('c0'.repeat(100)) }];
const inner = `00 00 00 6c 0024 0000 ${'c0'.repeat(100)}`;

/** RFC 9242 §3.3.2: the header with the length of what is inside, and an SK header that counts nothing else. */
const covered = hex(`
  0102030405060708 1112131415161718 2e 20 2b 08 00000001 0000008c
  22 00 0070`);

describe('IntAuth (RFC 9242 §3.3.2)', () => {
  const cipher = provider.cipher(20, 128)!;
  const keys = { encryption: new Uint8Array(20).fill(7), integrity: new Uint8Array() };
  const protection = makeProtection({ cipher }, keys, provider.random);
  const expected = hmac(skP, covered, hex(inner));

  it('covers header, SK header with adjusted lengths, and the payloads, but no IV, padding or checksum', () => {
    const message = parseMessage(sealMessage(HEADER, KE, protection));
    const opened = openMessage(message, protection);
    expect(intermediateAuth(prf, skP, undefined, message, opened)).toEqual(expected);
  });

  it('is the same when the message came in fragments', () => {
    const { firstPayload, plaintext } = emitPayloads(KE);
    const fragment = { number: 1, total: 3 };
    const first = sealPart(HEADER, { kind: 'SKF', firstPayload, fragment }, plaintext.subarray(0, 40), protection);
    const whole = { firstPayload, plaintext };
    expect(intermediateAuth(prf, skP, undefined, parseMessage(first), whole)).toEqual(expected);
  });

  it('is the same for cipher suites with padding', () => {
    const cbc = provider.cipher(12, 256)!;
    const integrity = provider.integrity(12)!;
    const padded = makeProtection(
      { cipher: cbc, integrity },
      { encryption: new Uint8Array(32), integrity: new Uint8Array(32) },
      provider.random,
    );
    const message = parseMessage(sealMessage(HEADER, KE, padded));
    expect(intermediateAuth(prf, skP, undefined, message, openMessage(message, padded))).toEqual(expected);
  });

  it('chains the messages of one side, each under the SK_p of its time', () => {
    const next = hex('bb'.repeat(32));
    const message = parseMessage(sealMessage(HEADER, KE, protection));
    const opened = openMessage(message, protection);
    expect(intermediateAuth(prf, next, expected, message, opened)).toEqual(hmac(next, expected, covered, hex(inner)));
  });

  it('ends with the message ID of IKE_AUTH, and stands at the end of what AUTH covers', () => {
    const both = intAuth(hex('01'), hex('02'), 3);
    expect(both).toEqual(hex('010200000003'));
    const inputs = { prf, initMessage: hex('0a'), otherNonce: hex('0b'), skP, id: { idType: 2, data: hex('6777') } };
    const macedId = hmac(skP, hex('02000000 6777'));
    expect(signedOctets(inputs)).toEqual(Uint8Array.from([0x0a, 0x0b, ...macedId]));
    expect(signedOctets({ ...inputs, intAuth: both })).toEqual(Uint8Array.from([0x0a, 0x0b, ...macedId, ...both]));
  });
});
