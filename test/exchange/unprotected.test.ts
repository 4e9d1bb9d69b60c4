/** Answers to IKE_SA_INIT, which prove nothing about who sent them (RFC 7296 §2.21.1). */
import { describe, expect, test } from 'vitest';
import { EXCHANGE, NOTIFY, PROTOCOL, TRANSFORM } from '../../src/control/wire/iana.ts';
import { buildMessage } from '../../src/control/wire/message.ts';
import type { Payload } from '../../src/control/wire/payloads/index.ts';
import { notification } from '../../src/control/wire/payloads/notify.ts';
import { pair, type Sides } from './network.ts';

describe('what anybody could have sent in answer to IKE_SA_INIT', () => {
  const GROUPS = { left: { proposals: ['aes128gcm16-prfsha256-x25519-ecp256-ecp384'] } };
  const answered = (request: Uint8Array, payloads: readonly Payload[]): Uint8Array => {
    const spiI = new DataView(request.buffer, request.byteOffset).getBigUint64(0);
    const { IKE_SA_INIT: exchange } = EXCHANGE;
    return buildMessage({ spiI, spiR: 5n, exchange, fromInitiator: false, response: true, messageId: 0 }, payloads);
  };
  /** The forged answer is there before the peer's own, to the n-th request. */
  const forging = (sides: Sides, forged: readonly Payload[], lost = false, nth = 0) => {
    const made = pair(sides);
    const { network, left } = made;
    let requests = 0;
    network.tamper = (datagram, from) => {
      if (from !== left || datagram.data[18] !== EXCHANGE.IKE_SA_INIT || requests++ !== nth) return datagram;
      const { local: remote, remote: local, data } = datagram;
      network.wire.push({
        at: network.now,
        from: made.right,
        datagram: { local, remote, data: answered(data, forged) },
      });
      return lost ? undefined : datagram;
    };
    const request = network.command(left, 'initiate', 'right');
    return { ...made, request };
  };
  const group = (id: number) => [notification(NOTIFY.INVALID_KE_PAYLOAD, Uint8Array.of(0, id))];
  const complete = (id: number, method: number, length: number): readonly Payload[] => [
    {
      kind: 'SA',
      proposals: [
        {
          number: 1,
          protocol: PROTOCOL.IKE,
          spi: new Uint8Array(),
          transforms: [
            { type: TRANSFORM.ENCR, id, keyBits: 128 },
            { type: TRANSFORM.PRF, id: 5 },
            { type: TRANSFORM.KE, id: 31 },
          ],
        },
      ],
    },
    { kind: 'KE', method, data: new Uint8Array(length) },
    { kind: 'NONCE', data: new Uint8Array(32) },
  ];
  const nonsense: readonly (readonly [string, string, readonly Payload[]])[] = [
    ['an error', 'ERR_PEER_NO_PROPOSAL_CHOSEN', [notification(NOTIFY.NO_PROPOSAL_CHOSEN)]],
    ['a group that was not offered', 'ERR_BAD_GROUP', group(14)],
    ['half a group', 'ERR_BAD_GROUP', [notification(NOTIFY.INVALID_KE_PAYLOAD, Uint8Array.of(19))]],
    ['a cookie of no bytes', 'ERR_BAD_COOKIE', [notification(NOTIFY.COOKIE)]],
    ['a proposal that was not offered', 'ERR_BAD_PROPOSAL', complete(12, 31, 32)],
    ["another group's value", 'ERR_BAD_GROUP', complete(20, 19, 64)],
    ['a value of the wrong length', 'ERR_WIRE_KEY_EXCHANGE', complete(20, 31, 31)],
    ['a value of small order', 'ERR_WIRE_KEY_EXCHANGE', complete(20, 31, 32)],
  ];

  test.each(nonsense)('does not stand in for the answer: %s', (_what, _code, forged) => {
    const { network, left, request } = forging(GROUPS, forged);
    network.pass(3_000);
    expect(left.completed.get(request)).toBeUndefined();
    expect(left.completed.has(request)).toBe(true);
    expect(left.sas.size).toBe(2);
  });

  test.each(nonsense)('ends the attempt a second later if nothing better comes: %s', (_what, code, forged) => {
    const { network, left, request } = forging(GROUPS, forged, true);
    network.pass(900);
    expect(left.completed.has(request)).toBe(false);
    network.pass(200);
    expect(left.completed.get(request)).toMatchObject({ code });
  });

  test('may lead to a group that the peer does not want, and back', () => {
    const right = { proposals: ['aes128gcm16-prfsha256-ecp256'] };
    for (const nth of [0, 1]) {
      const { network, left } = forging({ ...GROUPS, right }, group(20), false, nth);
      network.pass(1_000);
      expect(left.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED', proposal: right.proposals[0] }]);
    }
  });

  test('asks for one retry after the other, and gets so many', () => {
    const { network, left, right } = pair();
    network.tamper = (datagram, from) => {
      if (from !== left) return datagram;
      const { local: remote, remote: local, data } = datagram;
      const cookie = notification(NOTIFY.COOKIE, Uint8Array.of(network.sent.length));
      const forged = { local, remote, data: answered(data, [cookie]) };
      network.wire.push({ at: network.now + 5, from: right, datagram: forged });
      return undefined;
    };
    const request = network.command(left, 'initiate', 'right');
    network.pass(3_000);
    expect(left.completed.get(request)).toMatchObject({ code: 'ERR_TOO_MANY_RETRIES' });
    expect(network.sent.length).toBe(7);
  });

  test.each([
    ['another group', GROUPS, { proposals: ['aes128gcm16-prfsha256-ecp256'] }],
    ['a cookie', { control: { cookie_threshold: 0 } }, {}],
  ])('may be there twice: it asks for %s once', (_what, sides, right) => {
    const { network, left, right: peer } = pair({ ...sides, right });
    network.tamper = (datagram, from) => {
      if (from === peer) network.wire.push({ at: network.now + 11, from, datagram });
      return datagram;
    };
    network.command(left, 'initiate', 'right');
    network.pass(1_000);
    expect(left.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED' }]);
    expect(left.trace.filter((line) => line.startsWith('sent IKE_SA_INIT')).length).toBe(2);
  });
});
