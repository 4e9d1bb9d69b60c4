import { describe, expect, test } from 'vitest';
import { EXCHANGE, NOTIFY, PROTOCOL, TRANSFORM } from '../../src/control/wire/iana.ts';
import type { Payload } from '../../src/control/wire/payloads/index.ts';
import { notification } from '../../src/control/wire/payloads/notify.ts';
import { answer, established, halfOpen, notifies, state } from './forge.ts';
import { RIGHT } from './network.ts';

const { CREATE_CHILD_SA, IKE_AUTH, INFORMATIONAL } = EXCHANGE;

const child = (spi: Uint8Array, transforms: readonly { type: number; id: number; keyBits?: number }[]): Payload[] => [
  { kind: 'SA', proposals: [{ number: 1, protocol: PROTOCOL.ESP, spi, transforms }] },
  { kind: 'NONCE', data: new Uint8Array(32).fill(7) },
  ...(['TSi', 'TSr'] as const).map(
    (kind, index): Payload => ({
      kind,
      unknownTypes: [],
      selectors: [
        {
          protocol: 0,
          ports: { from: 0, to: 65_535 },
          addresses: { from: `10.${index + 1}.0.0`, to: `10.${index + 1}.255.255` },
        },
      ],
    }),
  ),
];

const GCM = [
  { type: TRANSFORM.ENCR, id: 20, keyBits: 128 },
  { type: TRANSFORM.ESN, id: 0 },
];
const SPI = Uint8Array.of(0xc0, 0, 0, 1);

describe('before the peer has authenticated', () => {
  test.each([
    ['CREATE_CHILD_SA', CREATE_CHILD_SA, child(SPI, GCM)],
    [
      'an IKE rekeying',
      CREATE_CHILD_SA,
      [
        { kind: 'SA', proposals: [{ number: 1, protocol: 1, spi: new Uint8Array(8).fill(1), transforms: [] }] },
        { kind: 'NONCE', data: new Uint8Array(32) },
      ],
    ],
    ['INFORMATIONAL', INFORMATIONAL, []],
    ['a Delete', INFORMATIONAL, [{ kind: 'D', protocol: 1, spis: [] }]],
    ['IKE_FOLLOWUP_KE', EXCHANGE.IKE_FOLLOWUP_KE, [{ kind: 'KE', method: 31, data: new Uint8Array(32) }]],
  ] as const)('%s is not even looked at', (_name, exchange, payloads) => {
    const { network, right, forger } = halfOpen();
    expect(answer(network, forger, forger.message({ exchange, messageId: 1 }, payloads as Payload[]))).toBeUndefined();
    expect(state(network, right)).toBe('CONNECTING');
    expect(right.sas.size).toBe(0);
  });

  test('IKE_AUTH without AUTH wants EAP, which nobody here speaks', () => {
    const { network, right, forger } = halfOpen();
    const idI: Payload = { kind: 'IDi', idType: 2, data: Buffer.from('left.example.org') };
    expect(notifies(answer(network, forger, forger.message({ exchange: IKE_AUTH, messageId: 1 }, [idI])))).toEqual([
      NOTIFY.AUTHENTICATION_FAILED,
    ]);
    expect(right.core.status(network.now)).toEqual([]);
  });

  test('an EAP payload, be it a success, makes nobody believe', () => {
    const { network, right, forger } = halfOpen();
    const payloads: Payload[] = [
      { kind: 'IDi', idType: 2, data: Buffer.from('left.example.org') },
      { kind: 'EAP', message: Uint8Array.of(3, 1, 0, 4) },
    ];
    expect(notifies(answer(network, forger, forger.message({ exchange: IKE_AUTH, messageId: 1 }, payloads)))).toEqual([
      NOTIFY.AUTHENTICATION_FAILED,
    ]);
    expect(right.core.status(network.now)).toEqual([]);
  });

  test('IKE_AUTH that leaves out an agreed IKE_INTERMEDIATE is refused', () => {
    const proposals = ['aes128gcm16-prfsha256-x25519-ke1_mlkem512'];
    const { network, right, forger } = halfOpen({ left: { proposals }, right: { proposals } });
    const payloads: Payload[] = [
      { kind: 'IDi', idType: 2, data: Buffer.from('left.example.org') },
      { kind: 'AUTH', method: 2, data: new Uint8Array(32) },
    ];
    expect(notifies(answer(network, forger, forger.message({ exchange: IKE_AUTH, messageId: 1 }, payloads)))).toEqual([
      NOTIFY.AUTHENTICATION_FAILED,
    ]);
    expect(right.core.status(network.now)).toEqual([]);
  });
});

describe('an authentic request', () => {
  test('that is malformed inside is answered with INVALID_SYNTAX and ends the SA (RFC 7296 §2.21.3)', () => {
    const { network, right, forger } = established();
    const broken = Uint8Array.of(0, 0, 0, 3);
    expect(
      notifies(answer(network, forger, forger.bytes({ exchange: INFORMATIONAL, messageId: 2 }, 41, broken))),
    ).toEqual([NOTIFY.INVALID_SYNTAX]);
    expect(right.core.status(network.now)).toEqual([]);
    expect(right.sas.size).toBe(0);
  });

  test('with a payload twice that may be there once is malformed, too', () => {
    const { network, forger } = established();
    const nonce: Payload = { kind: 'NONCE', data: new Uint8Array(32) };
    const payloads = [...child(SPI, GCM), nonce];
    expect(
      notifies(answer(network, forger, forger.message({ exchange: CREATE_CHILD_SA, messageId: 2 }, payloads))),
    ).toEqual([NOTIFY.INVALID_SYNTAX]);
  });

  test('with an unknown critical payload is answered with its type; the SA stays (RFC 7296 §2.5)', () => {
    const { network, right, forger } = established();
    const payload: Payload = { kind: 'unknown', type: 200, critical: true, body: new Uint8Array(4) };
    const reply = answer(network, forger, forger.message({ exchange: INFORMATIONAL, messageId: 2 }, [payload]));
    expect(reply).toMatchObject([{ notify: NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD, data: Uint8Array.of(200) }]);
    expect(state(network, right)).toBe('ESTABLISHED');
  });

  test('with an unknown payload that is not critical is answered as if it were not there', () => {
    const { network, forger } = established();
    const payload: Payload = { kind: 'unknown', type: 200, critical: false, body: new Uint8Array(4) };
    expect(answer(network, forger, forger.message({ exchange: INFORMATIONAL, messageId: 2 }, [payload]))).toEqual([]);
  });

  test('with unknown status notifications is answered as if they were not there', () => {
    const { network, forger } = established();
    const reply = answer(
      network,
      forger,
      forger.message({ exchange: INFORMATIONAL, messageId: 2 }, [notification(40_999)]),
    );
    expect(reply).toEqual([]);
  });

  test('beyond the window, or of the past, is not answered (RFC 7296 §2.3)', () => {
    const { network, forger } = established();
    for (const messageId of [0, 3, 17, 0xffff_ffff]) {
      expect(answer(network, forger, forger.message({ exchange: INFORMATIONAL, messageId }, []))).toBeUndefined();
    }
    expect(answer(network, forger, forger.message({ exchange: INFORMATIONAL, messageId: 2 }, []))).toEqual([]);
  });

  test('with the ID of one that was answered, but other content, is not answered', () => {
    const { network, forger } = established();
    expect(answer(network, forger, forger.message({ exchange: INFORMATIONAL, messageId: 2 }, []))).toEqual([]);
    const other = forger.message({ exchange: INFORMATIONAL, messageId: 2 }, [notification(40_999)]);
    expect(answer(network, forger, other)).toBeUndefined();
  });

  test('a response to nothing changes nothing', () => {
    const { network, right, forger } = established();
    network.deliver(
      forger.message({ exchange: INFORMATIONAL, messageId: 0, response: true }, [{ kind: 'D', protocol: 1, spis: [] }]),
    );
    expect(state(network, right)).toBe('ESTABLISHED');
  });
});

describe('a child that the peer asks for', () => {
  const ask = (payloads: readonly Payload[]) => {
    const made = established();
    const reply = answer(
      made.network,
      made.forger,
      made.forger.message({ exchange: CREATE_CHILD_SA, messageId: 2 }, payloads),
    );
    return { ...made, reply };
  };

  test('without integrity is not made, whatever else it is', () => {
    for (const transforms of [
      [
        { type: TRANSFORM.ENCR, id: 12, keyBits: 128 },
        { type: TRANSFORM.ESN, id: 0 },
      ],
      [
        { type: TRANSFORM.ENCR, id: 11 },
        { type: TRANSFORM.ESN, id: 0 },
      ],
      [{ type: TRANSFORM.ESN, id: 0 }],
      [],
    ]) {
      const { network, right, reply } = ask(child(SPI, transforms));
      expect(notifies(reply)).toEqual([NOTIFY.NO_PROPOSAL_CHOSEN]);
      expect(state(network, right)).toBe('ESTABLISHED');
      expect(right.sas.size).toBe(2);
    }
  });

  test('with a key length, or an attribute, that is not ours is not made', () => {
    for (const keyBits of [undefined, 64, 129, 256]) {
      const transforms = [
        { type: TRANSFORM.ENCR, id: 20, ...(keyBits && { keyBits }) },
        { type: TRANSFORM.ESN, id: 0 },
      ];
      expect(notifies(ask(child(SPI, transforms)).reply)).toEqual([NOTIFY.NO_PROPOSAL_CHOSEN]);
    }
  });

  test('with a reserved SPI is not made, and nothing stays reserved here', () => {
    for (const spi of [Uint8Array.of(0, 0, 0, 0), Uint8Array.of(0, 0, 0, 255), Uint8Array.of(1, 2, 3)]) {
      const { right, reply } = ask(child(spi, GCM));
      expect(reply?.[0]).toMatchObject({ kind: 'N' });
      expect(right.sas.size).toBe(2);
      expect(right.reserved.size).toBe(1);
    }
  });

  test('to rekey an SPI that is not there is CHILD_SA_NOT_FOUND, without an echo of what it named', () => {
    for (const protocol of [PROTOCOL.ESP, PROTOCOL.AH, 77]) {
      const rekey: Payload = {
        kind: 'N',
        protocol,
        spi: Uint8Array.of(1, 2, 3, 4),
        notify: NOTIFY.REKEY_SA,
        data: new Uint8Array(),
      };
      const { reply } = ask([rekey, ...child(SPI, GCM)]);
      expect(notifies(reply)).toEqual([NOTIFY.CHILD_SA_NOT_FOUND]);
      expect(reply?.[0]).toMatchObject({ protocol: 0 });
    }
  });

  test('for a protocol that does not exist is not made', () => {
    const [, ...rest] = child(SPI, GCM);
    const strange: Payload = { kind: 'SA', proposals: [{ number: 1, protocol: 77, spi: SPI, transforms: GCM }] };
    expect(notifies(ask([strange, ...rest]).reply)).toEqual([NOTIFY.NO_PROPOSAL_CHOSEN]);
  });
});

describe('a Delete', () => {
  test('of SPIs that are not there is answered without any', () => {
    const { network, right, forger } = established();
    const payloads: Payload[] = [
      { kind: 'D', protocol: PROTOCOL.ESP, spis: Array.from({ length: 500 }, (_, index) => 0xf000_0000 + index) },
      { kind: 'D', protocol: PROTOCOL.AH, spis: [1, 2] },
    ];
    expect(answer(network, forger, forger.message({ exchange: INFORMATIONAL, messageId: 2 }, payloads))).toEqual([]);
    expect(right.sas.size).toBe(2);
  });
});

describe('mutated messages', () => {
  /** A small generator that always gives the same numbers. */
  function numbers(seed: number): (bound: number) => number {
    let value = seed;
    return (bound) => {
      value = (Math.imul(value, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return (value >>> 8) % bound;
    };
  }

  test('inside and outside of SK leave the gateway standing, and an SA beside it untouched', () => {
    const { network, left, right } = established();
    const below = numbers(4711);
    const samples = network.sent.map(({ data }) => data);
    const path = { local: { address: '203.0.113.99', port: 500 }, remote: { address: RIGHT, port: 500 } };
    for (let round = 0; round < 2_000; round++) {
      const data = samples[below(samples.length)]!.slice();
      for (let flip = 0; flip <= below(4); flip++) data[below(data.length)] = below(256);
      network.deliver({ ...path, data: below(4) === 0 ? data.slice(0, 28 + below(data.length - 28)) : data });
      network.wire.length = 0;
    }
    expect(state(network, right)).toBe('ESTABLISHED');
    expect(right.sas.size).toBe(2);
    network.command(left, 'rekey', 'net');
    network.pass(6_000);
    expect(left.events.filter(({ type }) => type === 'child-rekeyed').length).toBe(1);
  });

  test('with authentic keys end in an answer or in the end of that SA, never in an exception', () => {
    const below = numbers(815);
    const bodies = [child(SPI, GCM), [notification(NOTIFY.REKEY_SA)], [{ kind: 'D', protocol: 3, spis: [1] } as const]];
    for (let round = 0; round < 60; round++) {
      const { network, right, forger } = established();
      const exchange = [CREATE_CHILD_SA, INFORMATIONAL, EXCHANGE.IKE_FOLLOWUP_KE, IKE_AUTH][below(4)]!;
      for (let messageId = 2; messageId < 6; messageId++) {
        const payloads = bodies[below(bodies.length)]!;
        const sealed = forger.message({ exchange, messageId }, payloads as Payload[]);
        // Take the plaintext as it would be, alter it, and seal it again: it is authentic, but wrong.
        const plain = Uint8Array.from({ length: 8 + below(120) }, () => below(256));
        const altered = below(2) === 0 ? sealed : forger.bytes({ exchange, messageId }, 33 + below(16), plain);
        network.deliver(altered);
        network.wire.length = 0;
      }
      expect(['ESTABLISHED', undefined]).toContain(state(network, right));
    }
  });
});
