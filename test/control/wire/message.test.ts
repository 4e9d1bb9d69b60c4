import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createProvider } from '../../../src/control/crypto/index.ts';
import { makeProtection } from '../../../src/control/crypto/protection.ts';
import { WireError } from '../../../src/control/wire/error.ts';
import { NOTIFY, PAYLOAD } from '../../../src/control/wire/iana.ts';
import {
  buildMessage,
  find,
  findAll,
  findNotify,
  MAX_PAYLOADS,
  openMessage,
  parseMessage,
  sealMessage,
  sealPart,
} from '../../../src/control/wire/message.ts';
import { notification } from '../../../src/control/wire/payloads/notify.ts';
import { HANDSHAKES } from '../captured.ts';
import { header, payloadsOf } from './arbitraries.ts';

const HEADER = { spiI: 1n, spiR: 0n, exchange: 34, fromInitiator: true, response: false, messageId: 0 };
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s+/g, ''), 'hex'));

/** @returns the error that parsing throws, or what was parsed */
function refusal(data: Uint8Array): unknown {
  try {
    return parseMessage(data);
  } catch (error) {
    return error;
  }
}

/** A message with `chain` behind the header. */
function message(firstPayload: number, chain: string): Uint8Array {
  const bytes = buildMessage(HEADER, []);
  const data = Buffer.concat([bytes, hex(chain)]);
  data[16] = firstPayload;
  data.writeUInt32BE(data.length, 24);
  return Uint8Array.from(data);
}

describe("strongSwan's messages", () => {
  it('are parsed to what strongSwan says is in them', () => {
    const [request, response] = HANDSHAKES[0]!.messages.map(parseMessage);
    expect(request!.payloads.map(({ kind }) => kind)).toEqual(['SA', 'KE', 'NONCE', 'N', 'N', 'N', 'N', 'N']);
    expect(findAll(request!.payloads, 'N').map(({ notify }) => notify)).toEqual([
      NOTIFY.NAT_DETECTION_SOURCE_IP,
      NOTIFY.NAT_DETECTION_DESTINATION_IP,
      NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED,
      NOTIFY.SIGNATURE_HASH_ALGORITHMS,
      NOTIFY.REDIRECT_SUPPORTED,
    ]);
    expect(find(request!.payloads, 'SA')!.proposals).toEqual([
      {
        number: 1,
        protocol: 1,
        spi: new Uint8Array(),
        transforms: [
          { type: 1, id: 20, keyBits: 256 },
          { type: 2, id: 6 },
          { type: 4, id: 31 },
        ],
      },
    ]);
    expect(find(response!.payloads, 'KE')).toMatchObject({ method: 31, data: { length: 32 } });
    expect(findNotify(response!.payloads, NOTIFY.CHILDLESS_IKEV2_SUPPORTED)).toBeDefined();
    expect(response!.header).toMatchObject({ exchange: 34, response: true, fromInitiator: false, messageId: 0 });
  });

  it.each(HANDSHAKES)('are written again byte for byte ($note)', ({ messages }) => {
    for (const data of messages.slice(0, 2)) {
      const { header: parsed, payloads } = parseMessage(data);
      expect(buildMessage(parsed, payloads)).toEqual(data);
    }
  });
});

describe('a message', () => {
  it('comes back as it was sent', () => {
    fc.assert(
      fc.property(header, payloadsOf, (sent, payloads) => {
        const data = buildMessage(sent, payloads);
        const parsed = parseMessage(data);
        expect(parsed.header).toMatchObject(sent);
        expect(parsed.payloads).toEqual(payloads);
        expect(parsed.encrypted).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it('comes back as it was sealed, and what stands outside of SK is kept apart', () => {
    const provider = createProvider('node');
    const cipher = provider.cipher(20, 128)!;
    const keys = { encryption: new Uint8Array(20).fill(7), integrity: new Uint8Array() };
    const protection = makeProtection({ cipher }, keys, provider.random);
    fc.assert(
      fc.property(header, payloadsOf, (sent, payloads) => {
        const parsed = parseMessage(sealMessage(sent, payloads, protection));
        expect(parsed.payloads).toEqual([]);
        expect(openMessage(parsed, protection).payloads).toEqual(payloads);
      }),
      { numRuns: 200 },
    );
  });

  it('does not alias the datagram it came in', () => {
    const data = buildMessage(HEADER, [{ kind: 'NONCE', data: new Uint8Array(32).fill(1) }]);
    const parsed = parseMessage(data);
    data.fill(0xee, 28);
    expect(find(parsed.payloads, 'NONCE')!.data).toEqual(new Uint8Array(32).fill(1));
  });

  it('in a Buffer is parsed like one in a plain array', () => {
    const data = HANDSHAKES[0]!.messages[0]!;
    expect(parseMessage(Buffer.from(data)).payloads).toEqual(parseMessage(data).payloads);
  });
});

describe('the IKE header', () => {
  const good = buildMessage(HEADER, []);
  const changed = (at: number, value: number): Uint8Array => good.map((byte, index) => (index === at ? value : byte));

  it('is refused when it is cut off, or says another length than the datagram has', () => {
    for (let length = 0; length < 28; length++) expect(refusal(good.slice(0, length))).toBeInstanceOf(WireError);
    for (const length of [0, 27, 29, 255]) expect(refusal(changed(27, length))).toBeInstanceOf(WireError);
    expect(refusal(Uint8Array.from([...good, 0]))).toBeInstanceOf(WireError);
  });

  it('of another version is answered only if the version is higher (RFC 7296 §2.5)', () => {
    expect(refusal(changed(17, 0x30))).toMatchObject({
      code: 'ERR_WIRE_VERSION',
      notify: NOTIFY.INVALID_MAJOR_VERSION,
    });
    expect(refusal(changed(17, 0x10))).toMatchObject({ code: 'ERR_WIRE_VERSION', notify: undefined });
  });

  it('may have a higher minor version and any reserved flag', () => {
    expect(refusal(changed(17, 0x2f))).toMatchObject({ header: { minorVersion: 15 } });
    expect(refusal(changed(19, 0xff))).toMatchObject({ header: { higherVersion: true, response: true } });
  });

  it("with 0 as the initiator's SPI is refused", () => {
    expect(refusal(buildMessage({ ...HEADER, spiI: 0n }, []))).toBeInstanceOf(WireError);
  });
});

describe('the chain of payloads', () => {
  it.each([
    ['a payload shorter than its header', PAYLOAD.N, '00000003'],
    ['a payload longer than the message', PAYLOAD.N, '000000ff 0000400e'],
    ['bytes behind the last payload', PAYLOAD.V, '00000004 00'],
    ['a payload that is announced but missing', PAYLOAD.V, '29000004'],
    ['a nonce below 16 bytes', PAYLOAD.NONCE, `00000013${'00'.repeat(15)}`],
    ['a nonce above 256 bytes', PAYLOAD.NONCE, `00000105${'00'.repeat(257)}`],
    ['key exchange data of no bytes', PAYLOAD.KE, '00000008 001f0000'],
    ['an SPI longer than its notification', PAYLOAD.N, '00000008 01084000'],
    ['no selector', PAYLOAD.TSi, '00000008 00000000'],
    ['a selector that ends before it begins', PAYLOAD.TSi, '00000018 01000000 07000010 0000ffff 0a000001 0a000000'],
    ['a selector with ports in the wrong order', PAYLOAD.TSr, '00000018 01000000 07000010 00500001 0a000000 0a000001'],
    [
      'a selector of IPv4 with the length of IPv6',
      PAYLOAD.TSi,
      `00000030 01000000 07000028 0000ffff ${'00'.repeat(32)}`,
    ],
    ['more selectors than there are', PAYLOAD.TSi, '00000018 02000000 07000010 0000ffff 0a000000 0a000001'],
    ['a deletion of a protocol without SAs', PAYLOAD.D, '00000008 00000000'],
    ['a deletion with SPIs of 3 bytes', PAYLOAD.D, '0000000b 03030001 010203'],
    ['a deletion of more SPIs than there are', PAYLOAD.D, '0000000c 0304ffff 01020304'],
    ['a deletion of an IKE SA with an SPI', PAYLOAD.D, '00000010 01080001 0102030405060708'],
    ['an SA without proposals', PAYLOAD.SA, '00000004'],
    ['a proposal shorter than its header', PAYLOAD.SA, '0000000c 00000007 01010000'],
    ['a proposal that says more transforms than it has', PAYLOAD.SA, '00000014 00000010 01010002 00000008 01000014'],
    ['a proposal that is followed by none', PAYLOAD.SA, '00000014 02000010 01010001 00000008 01000014'],
    ['an attribute that is cut off', PAYLOAD.SA, '00000016 00000012 01010001 0000000a 01000014 800e'],
    ['a configuration attribute that is cut off', PAYLOAD.CP, '0000000c 01000000 00010004'],
    ['fragment 0', PAYLOAD.SKF, `00000010 00000001 ${'00'.repeat(8)}`],
    ['fragment 2 of 1', PAYLOAD.SKF, `00000010 00020001 ${'00'.repeat(8)}`],
    ['SK that is not the last payload', PAYLOAD.SK, `21000008 00000000 00000004`],
  ])('with %s is malformed', (_what, type, chain) => {
    expect(refusal(message(type, chain))).toMatchObject({ code: 'ERR_WIRE_SYNTAX', notify: NOTIFY.INVALID_SYNTAX });
  });

  it('passes over unknown payloads that are not critical, and names a critical one (RFC 7296 §2.5)', () => {
    expect(refusal(message(200, '00000006 abcd'))).toMatchObject({
      payloads: [{ kind: 'unknown', type: 200, body: hex('abcd') }],
    });
    expect(refusal(message(200, '00800006 abcd'))).toMatchObject({
      code: 'ERR_WIRE_CRITICAL',
      notify: NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD,
      data: Uint8Array.of(200),
    });
    // RFC 7296 §3.2: the critical bit of a payload we know means nothing.
    expect(refusal(message(PAYLOAD.V, '00800006 abcd'))).toMatchObject({ payloads: [{ kind: 'V' }] });
  });

  it('is bounded: in payloads, in proposals, in fragments, and nothing is answered beyond', () => {
    const limit = { code: 'ERR_WIRE_LIMIT', notify: undefined };
    const many = (count: number) => message(PAYLOAD.V, `${'2b000004'.repeat(count - 1)}00000004`);
    expect(refusal(many(MAX_PAYLOADS))).not.toBeInstanceOf(Error);
    expect(refusal(many(MAX_PAYLOADS + 1))).toMatchObject(limit);
    const proposals = `${'0200000801010000'.repeat(128)}0000000801010000`;
    expect(
      refusal(message(PAYLOAD.SA, `0000${(4 + 129 * 8).toString(16).padStart(4, '0')}${proposals}`)),
    ).toMatchObject(limit);
    expect(refusal(message(PAYLOAD.SKF, `00000010 00010041 ${'00'.repeat(8)}`))).toMatchObject(limit);
  });

  it('keeps what it does not know of a proposal from being chosen (RFC 7296 §3.3.6)', () => {
    const parsed = parseMessage(message(PAYLOAD.SA, '00000018 00000014 01010001 0000000c 01000014 8063 0080'));
    expect(find(parsed.payloads, 'SA')!.proposals[0]!.transforms).toEqual([
      { type: 1, id: 20, unknownAttribute: true },
    ]);
    const twice = parseMessage(message(PAYLOAD.SA, '0000001c 00000018 01010001 00000010 01000014 800e0080 800e0100'));
    expect(find(twice.payloads, 'SA')!.proposals[0]!.transforms[0]).toMatchObject({
      keyBits: 128,
      unknownAttribute: true,
    });
  });

  it('leaves out selectors of types it does not know (RFC 7296 §2.9)', () => {
    const chain = '00000020 02000000 09000008 abcdabcd 07000010 0000ffff 0a000000 0a0000ff';
    expect(find(parseMessage(message(PAYLOAD.TSi, chain)).payloads, 'TSi')).toMatchObject({
      selectors: [{ addresses: { from: '10.0.0.0', to: '10.0.0.255' } }],
      unknownTypes: [9],
    });
  });

  it('inside SK holds no further SK', () => {
    const provider = createProvider('node');
    const keys = { encryption: new Uint8Array(20).fill(7), integrity: new Uint8Array() };
    const protection = makeProtection({ cipher: provider.cipher(20, 128)! }, keys, provider.random);
    const nested = sealPart(
      HEADER,
      { kind: 'SK', firstPayload: PAYLOAD.SK },
      hex('00000010000000000000000000000000'),
      protection,
    );
    expect(() => openMessage(parseMessage(nested), protection)).toThrow(/stands inside another/);
  });
});

describe('writing', () => {
  it('refuses what no payload can hold', () => {
    expect(() => buildMessage(HEADER, [{ kind: 'V', data: new Uint8Array(65_532) }])).toThrow(RangeError);
    expect(buildMessage(HEADER, [{ kind: 'V', data: new Uint8Array(65_531) }])).toHaveLength(28 + 65_535);
  });

  it('leaves the reserved bits and the critical bit 0', () => {
    const data = buildMessage(HEADER, [notification(NOTIFY.INITIAL_CONTACT)]);
    expect(Buffer.from(data.slice(28)).toString('hex')).toBe('0000000800004000');
  });
});
