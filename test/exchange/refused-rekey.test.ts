/** A peer that does not rekey, or makes no more SAs: what is up stays up all the same. */
import { describe, expect, test } from 'vitest';
import { Failure } from '../../src/control/ike/failure.ts';
import { parseHeader } from '../../src/control/wire/header.ts';
import { EXCHANGE, NOTIFY } from '../../src/control/wire/iana.ts';
import type { Payload } from '../../src/control/wire/payloads/index.ts';
import { established, expectOneChild } from './established.ts';
import { Forger } from './forge.ts';
import { type Node, pair } from './network.ts';

// Private members are meant to be out of reach; what makes a peer refuse lies there.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Any = any;

/** The node answers with that error whenever it would make a new IKE SPI, or reserve an SPI, as long as `applies`. */
function refusing(node: Node, what: 'newSpi' | 'reserveSpi', notify: number, applies: () => boolean = () => true) {
  const { cx } = node.core as Any;
  const object = what === 'newSpi' ? cx : cx.environment;
  const original = object[what].bind(object);
  object[what] = () => {
    if (applies()) throw new Failure('ERR_REFUSED', 'the peer has its reasons', notify);
    return original();
  };
}

const NO_CHILD_REKEY = { rekey_time: 0 };

describe('an IKE SA that the peer does not rekey', () => {
  test.each([
    ['NO_ADDITIONAL_SAS', NOTIFY.NO_ADDITIONAL_SAS],
    ['NO_PROPOSAL_CHOSEN', NOTIFY.NO_PROPOSAL_CHOSEN],
  ])('has a new one take over, without a packet lost: %s', (_name, notify) => {
    const { network, left, right } = established({
      left: { rekey_time: 100, rand_time: 0, over_time: 10 },
      right: { rekey_time: 0 },
      leftChild: NO_CHILD_REKEY,
      rightChild: NO_CHILD_REKEY,
    });
    const isRekeyed = () => left.core.status(network.now).every(({ state }) => state !== 'CONNECTING');
    refusing(right, 'newSpi', notify, isRekeyed);
    network.startTraffic();
    network.pass(130_000);
    expect(network.lost).toEqual([]);
    expectOneChild(network, left, right);
    expect(left.events.filter(({ type }) => type === 'child-down')).toEqual([]);
    expect(left.log).toContainEqual(expect.stringContaining('a new IKE SA takes over'));
  });

  test('but answers with what was not offered has a new one take over', () => {
    const { network, left, right } = established({ leftChild: NO_CHILD_REKEY, rightChild: NO_CHILD_REKEY });
    const forger = new Forger(left, 'r');
    const nonsense: Payload[] = [
      { kind: 'SA', proposals: [{ number: 1, protocol: 1, spi: new Uint8Array(8).fill(1), transforms: [] }] },
      { kind: 'NONCE', data: new Uint8Array(32) },
      { kind: 'KE', method: 31, data: new Uint8Array(32).fill(9) },
    ];
    let forged = 0;
    network.tamper = (datagram, from) => {
      const { exchange, messageId } = parseHeader(datagram.data);
      if (from !== right || exchange !== EXCHANGE.CREATE_CHILD_SA || forged++ > 0) return datagram;
      return forger.message({ exchange, messageId, response: true }, nonsense);
    };
    network.startTraffic();
    network.command(left, 'rekey', 'right');
    network.pass(10_000);
    expect(forged).toBeGreaterThan(0);
    expect(network.lost).toEqual([]);
    // The peer believes that it was rekeyed: what it has made of that is its own affair.
    expect(left.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED', children: [{ state: 'INSTALLED' }] }]);
    expect(left.events.filter(({ type }) => type === 'child-down')).toEqual([]);
  });
});

describe('a child SA that the peer does not rekey', () => {
  test('goes on in a new IKE SA, without a packet lost: NO_ADDITIONAL_SAS', () => {
    const { network, left, right } = established();
    let refused = 0;
    refusing(right, 'reserveSpi', NOTIFY.NO_ADDITIONAL_SAS, () => refused++ === 0);
    network.startTraffic();
    network.pass(100);
    const request = network.command(left, 'rekey', 'net');
    network.pass(20_000);
    expect(refused).toBeGreaterThan(0);
    expect(left.completed.has(request)).toBe(true);
    expect(left.completed.get(request)).toBeUndefined();
    expect(network.lost).toEqual([]);
    expectOneChild(network, left, right);
  });
});

describe('a peer that makes children for pairs of addresses alone', () => {
  const selectors = (own: number) => ({ local_ts: [`10.${own}.0.0/16`], remote_ts: [`10.${7 - own}.0.0/16`] });
  const packet = (port: number): Any => ({
    protocol: 6,
    local: { addresses: { from: '10.3.0.5', to: '10.3.0.5' }, ports: { from: port, to: port } },
    remote: { addresses: { from: '10.4.0.9', to: '10.4.0.9' }, ports: { from: 80, to: 80 } },
  });

  test('is asked for one for all that the two talk of (RFC 7296 §2.9)', () => {
    const { network, left, right } = pair({
      leftChildren: { more: { ...selectors(3), start_action: 'trap' } },
      rightChildren: { more: selectors(4) },
    });
    network.command(left, 'initiate', 'net');
    network.feed(left, { type: 'start' });
    network.settle();
    let asked = 0;
    refusing(right, 'reserveSpi', NOTIFY.SINGLE_PAIR_REQUIRED, () => asked++ === 0);
    const [trap] = [...left.policies].find(([, { sa }]) => sa === undefined)!;
    for (let port = 40_000; port < 40_004; port++) {
      network.feed(left, { type: 'acquire', policy: trap, packet: packet(port) });
      network.pass(3_000);
    }
    expect(asked).toBe(2);
    const [sa] = left.core.status(network.now);
    expect(sa!.children.filter(({ name }) => name === 'more')).toMatchObject([
      { localTs: ['10.3.0.5'], remoteTs: ['10.4.0.9'] },
    ]);
  });
});
