/**
 * What must never happen to SAs that are there, or because of them, each against the whole protocol core; what
 * must not happen before that is in never.test.ts.
 */
import { describe, expect, test } from 'vitest';
import type { Effect } from '../../src/control/ike/effects.ts';
import { EXCHANGE, NOTIFY, PAYLOAD, PROTOCOL, TRANSFORM } from '../../src/control/wire/iana.ts';
import { findNotify } from '../../src/control/wire/message.ts';
import type { Payload } from '../../src/control/wire/payloads/index.ts';
import { notification } from '../../src/control/wire/payloads/notify.ts';
import { MAX_FRAGMENTS } from '../../src/control/wire/payloads/sk.ts';
import { counting } from './bad-values.ts';
import { answer, established, Forger, halfOpen, notifies, state } from './forge.ts';
import { LEFT, type Network, type Node, type Sides } from './network.ts';
import { child, GCM, held, idI, ikeRekey } from './requests.ts';

const { IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL, IKE_FOLLOWUP_KE } = EXCHANGE;
const NONE = new Uint8Array();
const PROTOCOLS = Array.from({ length: 256 }, (_, protocol) => protocol);
const notify = (type: number, protocol = 0, spi = NONE, data = NONE): Payload => ({
  kind: 'N',
  protocol,
  spi,
  notify: type,
  data,
});

describe('a bad protocol ID is echoed back', () => {
  test('from a Delete', () => {
    for (const protocol of PROTOCOLS.filter((each) => each !== PROTOCOL.IKE)) {
      const { network, forger } = established();
      // D with one SPI that is nobody's, whatever the protocol.
      const body = Uint8Array.of(0, 0, 0, 12, protocol, 4, 0, 1, 0xde, 0xad, 0xbe, 0xef);
      const reply = answer(network, forger, forger.bytes({ exchange: INFORMATIONAL, messageId: 2 }, PAYLOAD.D, body));
      const exists = protocol === PROTOCOL.AH || protocol === PROTOCOL.ESP;
      expect(reply).toEqual(
        exists ? [] : [expect.objectContaining({ notify: NOTIFY.INVALID_SYNTAX, protocol: 0, spi: NONE, data: NONE })],
      );
    }
  });

  test('from REKEY_SA, a notification or a proposal', () => {
    const { network, forger } = established();
    let messageId = 2;
    for (const protocol of PROTOCOLS) {
      const spi = Uint8Array.of(1, 2, 3, 4);
      const [, ...rest] = child();
      const offer: Payload = { kind: 'SA', proposals: [{ number: 1, protocol, spi, transforms: [] }] };
      for (const payloads of [
        [notify(NOTIFY.REKEY_SA, protocol, spi), ...child()],
        [notify(NOTIFY.CHILD_SA_NOT_FOUND, protocol, spi), offer, ...rest],
      ]) {
        const reply = answer(
          network,
          forger,
          forger.message({ exchange: CREATE_CHILD_SA, messageId: messageId++ }, payloads),
        );
        expect(reply).toEqual([expect.objectContaining({ kind: 'N', protocol: 0, spi: NONE })]);
      }
    }
  });
});

describe('state is left behind by a failed look-up', () => {
  const spi = Uint8Array.of(1, 2, 3, 4);
  const address = (last: number): Payload =>
    notify(NOTIFY.ADDITIONAL_IP4_ADDRESS, 0, NONE, Uint8Array.of(203, 0, 113, last));

  test.each<[string, number, readonly Payload[]]>([
    ['of the child that REKEY_SA names', CREATE_CHILD_SA, [notify(NOTIFY.REKEY_SA, PROTOCOL.ESP, spi), ...child()]],
    [
      'of the children that a Delete names',
      INFORMATIONAL,
      [{ kind: 'D', protocol: PROTOCOL.ESP, spis: Array.from({ length: 4_000 }, (_, at) => at + 0x10_0000) }],
    ],
    [
      'of a link to another key exchange',
      IKE_FOLLOWUP_KE,
      [
        { kind: 'KE', method: 31, data: new Uint8Array(32).fill(9) },
        notify(NOTIFY.ADDITIONAL_KEY_EXCHANGE, 0, NONE, new Uint8Array(16)),
      ],
    ],
    [
      'of a child for these selectors',
      CREATE_CHILD_SA,
      child().map((payload) =>
        payload.kind !== 'TSr'
          ? payload
          : {
              ...payload,
              selectors: [{ ...payload.selectors[0]!, addresses: { from: '172.16.0.1', to: '172.16.0.1' } }],
            },
      ),
    ],
    ['of a proposal in common', CREATE_CHILD_SA, child([{ type: TRANSFORM.ENCR, id: 3 }])],
    [
      'of a proposal for the IKE SA',
      CREATE_CHILD_SA,
      [
        { kind: 'SA', proposals: [{ number: 1, protocol: 1, spi: new Uint8Array(8).fill(1), transforms: [] }] },
        ...ikeRekey.slice(1),
      ],
    ],
    [
      'of MOBIKE, which was not agreed',
      INFORMATIONAL,
      [notify(NOTIFY.UPDATE_SA_ADDRESSES), ...Array.from({ length: 100 }, (_, at) => address(at))],
    ],
    [
      'of a cookie that we never asked to be returned',
      INFORMATIONAL,
      [notify(NOTIFY.COOKIE2, 0, NONE, new Uint8Array(64))],
    ],
  ])('%s', (_name, exchange, payloads) => {
    const { network, right, forger } = established();
    const before = held(right);
    for (let messageId = 2; messageId < 12; messageId++)
      answer(network, forger, forger.message({ exchange, messageId }, payloads));
    expect(held(right)).toEqual(before);
  });

  test.each([
    ['a public value of the wrong length', { method: 35, data: new Uint8Array(799) }],
    ['another method', { method: 36, data: new Uint8Array(1184) }],
  ])('or by a second key exchange with %s, with which the SA ends', (_name, ke) => {
    const esp_proposals = ['aes128gcm16-x25519-ke1_mlkem512'];
    const { network, right, forger } = established({ leftChild: { esp_proposals }, rightChild: { esp_proposals } });
    const transforms = [...GCM, { type: TRANSFORM.KE, id: 31 }, { type: TRANSFORM.ADDKE1, id: 35 }];
    const payloads = [...child(transforms), ikeRekey[2]!];
    const reply = answer(network, forger, forger.message({ exchange: CREATE_CHILD_SA, messageId: 2 }, payloads))!;
    const link = findNotify(reply, NOTIFY.ADDITIONAL_KEY_EXCHANGE)!;
    const next = forger.message({ exchange: IKE_FOLLOWUP_KE, messageId: 3 }, [{ kind: 'KE', ...ke }, link]);
    expect(notifies(answer(network, forger, next))).toEqual([NOTIFY.INVALID_SYNTAX]);
    expect(held(right)).toMatchObject({ children: 0, reserved: 1 });
  });

  test('of an SPI, a repeated answer or a connection', () => {
    const { network, right, forger } = established();
    const before = held(right);
    const datagram = forger.message({ exchange: INFORMATIONAL, messageId: 2 }, []);
    for (let at = 0; at < 24; at++) {
      const data = datagram.data.slice();
      data[at]! ^= 0x55;
      network.deliver({ ...datagram, data });
    }
    for (const at of [0, 1, 3, 1_000_000])
      network.deliver(forger.message({ exchange: IKE_AUTH, messageId: at }, [idI]));
    expect(held(right)).toEqual(before);
  });
});

describe('fragments are stored without bound', () => {
  const bytesOf = (node: Node): number =>
    node.core['cx'].table
      .all()
      .flatMap((each) => [...each.reassemblies.values()])
      .reduce((sum, each) => sum + each['parts'].reduce((all, part) => all + (part?.length ?? 0), 0), 0);

  test.each([
    ['before the peer has proved who it is', halfOpen, 1, IKE_AUTH],
    ['and after', established, 2, INFORMATIONAL],
  ] as const)('%s', (_name, make, messageId, exchange) => {
    const { network, right, forger } = make();
    const before = held(right);
    const fragment = (id: number, number: number, total: number, size: number) =>
      forger.part(
        { exchange, messageId: id },
        { kind: 'SKF', firstPayload: number === 1 ? 43 : 0, fragment: { number, total } },
        new Uint8Array(size),
      );
    for (const size of [60_000, 1_000, 1])
      for (const total of [2, 16, MAX_FRAGMENTS, MAX_FRAGMENTS + 1, 65_535])
        for (let number = 2; number <= Math.min(total, MAX_FRAGMENTS); number++) {
          for (const id of [messageId, messageId + 1, messageId + 2, messageId + 1_000])
            network.deliver(fragment(id, number, total, size));
          expect(bytesOf(right)).toBeLessThanOrEqual(65_535);
        }
    expect(held(right)).toMatchObject({ sas: 1 });
    network.tamper = () => undefined;
    network.pass(60_000);
    if (make === halfOpen) expect(held(right)).toMatchObject({ sas: 0, alive: 0 });
    else expect({ ...held(right), ofSas: [] }).toEqual({ ...before, ofSas: [] });
  });

  test('nor is anything kept of those that are not authentic', () => {
    const { network, right, forger } = established();
    const before = held(right);
    for (let number = 1; number <= MAX_FRAGMENTS; number++) {
      const datagram = forger.part(
        { exchange: INFORMATIONAL, messageId: 2 },
        { kind: 'SKF', firstPayload: 0, fragment: { number, total: MAX_FRAGMENTS } },
        new Uint8Array(100),
      );
      datagram.data[datagram.data.length - 1]! ^= 1;
      network.deliver(datagram);
    }
    expect(bytesOf(right)).toBe(0);
    expect(held(right)).toMatchObject({ ...before, ofSas: [[0, expect.any(Number), 1, 0, 0, 0]] });
  });
});

describe('an SA is torn down by a message without protection', () => {
  const errors = [1, 4, 5, 7, 9, 11, 14, 17, 24, 34, 35, 38, 43, 44].map((type) => notify(type));
  const contents: readonly (readonly Payload[])[] = [
    [],
    ...errors.map((each) => [each]),
    [{ kind: 'D', protocol: 1, spis: [] }],
    [{ kind: 'D', protocol: 3, spis: [1] }],
    [notify(NOTIFY.INITIAL_CONTACT)],
    [notification(NOTIFY.COOKIE, new Uint8Array(8))],
  ];
  const exchanges = [34, 35, 36, 37, 43, 44];

  test('that is established, by request or response, from either side', () => {
    const { network, left, right } = established();
    for (const side of ['i', 'r'] as const)
      for (const exchange of exchanges)
        for (const response of [false, true])
          for (const messageId of [0, 1, 2])
            for (const payloads of contents)
              network.deliver(new Forger(left, side).bare({ exchange, messageId, response }, payloads));
    network.pass(10_000);
    for (const node of [left, right])
      expect(node.core.status(network.now)).toMatchObject([
        { state: 'ESTABLISHED', children: [{ state: 'INSTALLED' }] },
      ]);
    expect([left.sas.size, right.sas.size]).toEqual([2, 2]);
  });

  test('that is just being made: whoever sees the answer to IKE_SA_INIT cannot stop what follows', () => {
    const { network, left, right } = halfOpen();
    for (const exchange of exchanges)
      for (const payloads of contents)
        for (const [side, response] of [
          ['r', true],
          ['r', false],
          ['i', false],
        ] as const)
          for (const messageId of [0, 1])
            network.deliver(new Forger(left, side).bare({ exchange, messageId, response }, payloads));
    network.pass(10_000);
    for (const node of [left, right]) expect(state(network, node)).toBe('ESTABLISHED');
  });
});

describe('ESP without integrity is accepted', () => {
  const BARE = [
    [{ type: TRANSFORM.ENCR, id: 12, keyBits: 128 }],
    [{ type: TRANSFORM.ENCR, id: 13, keyBits: 128 }],
    [{ type: TRANSFORM.ENCR, id: 11 }],
  ];
  const transforms = BARE.flatMap((each) => [each, [...each, { type: TRANSFORM.INTEG, id: 0 }]]).map((each) => [
    ...each,
    { type: TRANSFORM.ESN, id: 0 },
  ]);
  const esp_proposals = ['aes128-sha256', 'aes128ctr-sha256', 'null-sha256'];

  test('by who is asked for it', () => {
    for (const each of transforms) {
      const { network, right, forger } = established({ leftChild: { esp_proposals }, rightChild: { esp_proposals } });
      const reply = answer(network, forger, forger.message({ exchange: CREATE_CHILD_SA, messageId: 2 }, child(each)));
      expect(notifies(reply)).toEqual([NOTIFY.NO_PROPOSAL_CHOSEN]);
      expect(right.sas.size).toBe(2);
    }
  });

  test('by who asked for something else', () => {
    for (const each of transforms) {
      const { network, left } = established({ leftChild: { esp_proposals }, rightChild: { esp_proposals } });
      network.tamper = (datagram, from) => (from === left ? datagram : undefined);
      network.command(left, 'rekey', 'net');
      network.wire.length = 0;
      network.deliver(
        new Forger(left, 'r').message({ exchange: CREATE_CHILD_SA, messageId: 2, response: true }, child(each)),
      );
      expect(left.keys.filter(({ kind }) => kind === 'child').length).toBe(2);
    }
  });
});

describe('padding is checked before the ICV', () => {
  test.each(['aes128-sha256', 'aes256-sha512'])(
    'with %s: what is not authentic is not even decrypted, nor answered',
    (suite) => {
      const proposals = [`${suite}-x25519`];
      const counter = counting();
      const { network, right, forger } = established({
        left: { proposals },
        right: { proposals },
        options: { crypto: counter.crypto },
      });
      const { data, ...path } = forger.message({ exchange: INFORMATIONAL, messageId: 2 }, []);
      counter.opened = 0;
      const [sent, logged] = [network.sent.length, right.log.length];
      for (let at = 32; at < data.length; at++) {
        const altered = data.slice();
        altered[at]! ^= 0x80;
        network.deliver({ ...path, data: altered });
      }
      expect([counter.opened, network.sent.length]).toEqual([0, sent]);
      expect(new Set(right.log.slice(logged))).toEqual(
        new Set([`dropped ${data.length} bytes from ${LEFT}: SK payload is not authentic`]),
      );
      network.deliver({ ...path, data });
      expect(counter.opened).toBe(1);
    },
  );
});

describe('old sequence counters come back after a restart', () => {
  const keysOf = (node: Node) =>
    node.keys.flatMap((each) =>
      each.kind === 'child' ? [Buffer.from(each.parameters.keys.encryption).toString('hex')] : [],
    );
  const COUNTERS: readonly string[] = ['sequence', 'sequenceNumber', 'nextSequence', 'replayBitmap', 'iv'];

  test('no key is installed twice, through rekeyings and restarts, and none with a counter', () => {
    // The same randomness after the restart would be the worst case; the system gives other.
    const sides: Sides = { left: { mobike: true }, right: { mobike: true } };
    const { network, left, right } = established(sides);
    for (const name of ['net', 'right', 'net']) {
      network.command(left, 'rekey', name);
      network.pass(10_000);
    }
    const installed = [...left.sas.values()];
    const again = network.restart(left);
    network.command(again, 'initiate', 'right');
    network.pass(10_000);
    expect(state(network, again)).toBe('ESTABLISHED');
    expect(right.core.status(network.now).length).toBe(1);
    const all = [...keysOf(left), ...keysOf(again)];
    expect(new Set(all).size).toBe(all.length);
    for (const parameters of [...installed, ...again.sas.values()])
      expect(Object.keys(parameters).filter((key) => COUNTERS.includes(key))).toEqual([]);
  });

  test('a message of before the restart is nothing to who comes after it', () => {
    const { network, right } = established();
    const old = network.sent.filter(({ remote }) => remote.address !== LEFT);
    const again = network.restart(right);
    for (const datagram of old.slice(1)) network.deliver(datagram);
    expect(again.core.status(network.now)).toEqual([]);
    expect([again.sas.size, right.sas.size]).toEqual([0, 2]);
  });
});

describe('traffic leaves in the clear when an SA is lost', () => {
  /** Every moment between two effects at which nothing stops a packet that was protected before. */
  function leaks(network: Network, node: Node): string[] {
    const found: string[] = [];
    let [wasUp, isFree] = [node.policies.size > 0, false];
    network.observe = (at: Node, effect: Effect) => {
      if (at !== node) return;
      wasUp ||= node.policies.size > 0;
      const covered = [...node.policies.values()].some(({ parameters }) => parameters.action !== 'bypass');
      const routed = node.routes.size > 0;
      if (wasUp && !isFree && !(covered && routed)) found.push(`after ${effect.type}`);
    };
    return found;
  }
  const ACTIONS = ['clear', 'trap', 'restart'] as const;
  const silence = (network: Network, left: Node) => {
    network.tamper = (datagram, from) => (from === left ? undefined : datagram);
  };

  const LOSSES: Readonly<Record<string, (network: Network, left: Node) => void>> = {
    'the peer is dead': (network, left) => silence(network, left),
    'its lifetime ends in the middle of a rekeying that gets no answer': (network, left) => {
      silence(network, left);
      network.command(left, 'rekey', 'net');
      for (const [key] of left.sas) network.feed(left, { type: 'expire', sa: key, kind: 'hard', reason: 'bytes' });
    },
    'it could not be installed': (network, left) => {
      for (const [key] of left.sas) network.feed(left, { type: 'install-failed', sa: key, reason: 'no room' });
    },
    'the peer sends what makes no sense': (network, left) => {
      network.deliver(
        new Forger(left, 'r').bytes({ exchange: INFORMATIONAL, messageId: 0 }, 41, Uint8Array.of(0, 0, 0, 3)),
      );
    },
  };

  test.each(Object.keys(LOSSES).flatMap((how) => ACTIONS.map((action) => [how, action] as const)))(
    '%s, dpd_action %s',
    (how, action) => {
      const { network, left } = established({
        left: { dpd_delay: '5s' },
        leftChild: {
          dpd_action: action,
          close_action: action === 'restart' ? 'start' : action === 'trap' ? 'trap' : 'none',
        },
      });
      const found = leaks(network, left);
      LOSSES[how]!(network, left);
      network.pass(400_000);
      expect(left.events.some(({ type }) => type === 'child-down')).toBe(true);
      expect(found).toEqual([]);
    },
  );
});
