import { describe, expect, test } from 'vitest';
import { parseHeader } from '../../src/control/wire/header.ts';
import { EXCHANGE } from '../../src/control/wire/iana.ts';
import { established, expectOneChild, holding } from './established.ts';
import type { Datagram } from './network.ts';

describe('a child SA is rekeyed', () => {
  test('before the old one is broken, and the initiator deletes the old one', () => {
    const { network, left, right } = established();
    network.command(left, 'rekey', 'net');
    network.settle();
    expect(left.trace.slice(4)).toEqual([
      'sent CREATE_CHILD_SA 2: HDR, SK {N(REKEY_SA), SA, Ni, TSi, TSr} -->',
      'received CREATE_CHILD_SA 2: <-- HDR, SK {SA, Nr, TSi, TSr}',
      'sent INFORMATIONAL 3: HDR, SK {D(ESP)} -->',
      'received INFORMATIONAL 3: <-- HDR, SK {D(ESP)}',
    ]);
    network.pass(6_000);
    expectOneChild(network, left, right);
    expect(left.events.filter(({ type }) => type === 'child-down')).toEqual([]);
    expect(left.events.filter(({ type }) => type === 'child-rekeyed').length).toBe(1);
  });

  test('with a fresh key exchange where the proposal has one', () => {
    const esp = { esp_proposals: ['aes128gcm16-x25519'] };
    const { network, left, right } = established({ leftChild: esp, rightChild: esp });
    network.command(right, 'rekey', 'net');
    network.settle();
    expect(right.trace[4]).toBe('sent CREATE_CHILD_SA 0: HDR, SK {N(REKEY_SA), SA, Ni, KEi, TSi, TSr} -->');
    network.pass(6_000);
    expectOneChild(network, left, right);
  });

  test('with the group the peer wants, if the first guess was another', () => {
    const { network, left, right } = established({
      leftChild: { esp_proposals: ['aes128gcm16-x25519-ecp256'] },
      rightChild: { esp_proposals: ['aes128gcm16-ecp256'] },
    });
    network.command(left, 'rekey', 'net');
    network.settle();
    expect(left.trace[5]).toBe('received CREATE_CHILD_SA 2: <-- HDR, SK {N(INVALID_KE_PAYLOAD)}');
    network.pass(6_000);
    expectOneChild(network, left, right);
    expect(right.reserved.size).toBeLessThanOrEqual(4);
  });

  test('without losing a packet, whoever begins', () => {
    for (const who of ['left', 'right'] as const) {
      const { network, ...nodes } = established();
      network.startTraffic();
      network.pass(100);
      for (let round = 0; round < 3; round++) {
        network.command(nodes[who], 'rekey', 'net');
        network.pass(7_000);
      }
      expect(network.lost).toEqual([]);
      expect(network.delivered).toBeGreaterThan(10_000);
      expectOneChild(network, nodes.left, nodes.right);
    }
  });

  test('when its time has come, and again', () => {
    const { network, left, right } = established({ leftChild: { rekey_time: 100, rand_time: 10 } });
    network.pass(350_000);
    expect(left.events.filter(({ type }) => type === 'child-rekeyed').length).toBeGreaterThanOrEqual(3);
    expectOneChild(network, left, right);
  });

  test('when the data plane says that a limit is near', () => {
    const { network, left, right } = established();
    const [key] = [...left.sas].find(([, { direction }]) => direction === 'out')!;
    network.feed(left, { type: 'expire', sa: key, kind: 'soft', reason: 'packets' });
    network.pass(6_000);
    expect(left.events.filter(({ type }) => type === 'child-rekeyed').length).toBe(1);
    expectOneChild(network, left, right);
  });

  test('again later, if the peer is busy', () => {
    const { network, left, right } = established();
    const release = holding(network, right);
    network.command(right, 'rekey', 'left');
    network.settle();
    network.command(left, 'rekey', 'net');
    network.settle();
    release();
    network.settle();
    network.pass(20_000);
    expectOneChild(network, left, right);
    expect(left.trace.filter((line) => line.includes('TEMPORARY_FAILURE')).length).toBeGreaterThan(0);
  });

  test('only once the peer is known to have it, when that began the making of it', () => {
    const { network, left, right } = established();
    network.startTraffic();
    network.pass(100);
    // The answer is lost: the left side does not know of the new child that the right one then rekeys.
    const isAnswer = ({ data }: Datagram) => parseHeader(data).response;
    network.tamper = (datagram, from) => (from === right && isAnswer(datagram) ? undefined : datagram);
    network.command(left, 'rekey', 'net');
    network.pass(100);
    const request = network.command(right, 'rekey', 'net');
    network.pass(100);
    network.tamper = (datagram) => datagram;
    network.pass(20_000);
    expect(right.completed.has(request)).toBe(true);
    expect(right.completed.get(request)).toBeUndefined();
    expect(network.lost).toEqual([]);
    expect([left, right].flatMap(({ trace }) => trace.filter((line) => /NOT_FOUND|TEMPORARY/.test(line)))).toEqual([]);
    expect(right.events.filter(({ type }) => type === 'child-rekeyed').length).toBe(2);
    expectOneChild(network, left, right);
  });

  test('or made anew, if the peer has lost it', () => {
    const { network, left, right } = established();
    // The peer's Delete is lost for good: it believes that the child is gone.
    network.tamper = (datagram, from) => (from === right ? undefined : datagram);
    network.command(right, 'terminate', 'net');
    network.settle();
    const lost = left.sas.size;
    expect(lost).toBe(2);
    network.tamper = (datagram, from) => (from === left ? datagram : undefined);
    network.pass(1);
    network.tamper = (datagram) => datagram;
    network.command(left, 'rekey', 'net');
    network.pass(30_000);
    expect(left.core.status(network.now)[0]!.children.length).toBeLessThanOrEqual(1);
    expect(left.sas.size).toBe(right.sas.size);
  });

  test('or made anew, if the peer has taken it down and somebody asks for it before the answer is here', () => {
    const { network, left, right } = established();
    network.command(left, 'rekey', 'net');
    const until = network.now + 500;
    network.tamper = (datagram, from) => {
      const { exchange } = parseHeader(datagram.data);
      return from === right && exchange === EXCHANGE.CREATE_CHILD_SA && network.now < until ? undefined : datagram;
    };
    network.pass(50);
    network.command(right, 'terminate', 'net');
    network.pass(200);
    const request = network.command(left, 'initiate', 'right');
    network.pass(20_000);
    expect(left.completed.get(request)).toBeUndefined();
    expect(left.completed.has(request)).toBe(true);
    expectOneChild(network, left, right);
  });
});

describe('an IKE SA is rekeyed', () => {
  test('and its children go over to the new one', () => {
    const { network, left, right } = established();
    const before = left.core.status(network.now)[0]!;
    network.startTraffic();
    network.command(left, 'rekey', 'right');
    network.pass(1_000);
    expect(left.trace.slice(4)).toEqual([
      'sent CREATE_CHILD_SA 2: HDR, SK {SA, Ni, KEi} -->',
      'received CREATE_CHILD_SA 2: <-- HDR, SK {SA, Nr, KEr}',
      'sent INFORMATIONAL 3: HDR, SK {D(IKE)} -->',
      'received INFORMATIONAL 3: <-- HDR, SK {}',
    ]);
    expectOneChild(network, left, right);
    const after = left.core.status(network.now)[0]!;
    expect(after.spiI).not.toBe(before.spiI);
    expect(after.children[0]!.id).toBe(before.children[0]!.id);
    expect(network.lost).toEqual([]);
  });

  test('by the responder, who is then the initiator of the new one; both can go on with it', () => {
    const { network, left, right } = established();
    network.command(right, 'rekey', 'left');
    network.settle();
    expect(right.core.status(network.now)[0]!.initiator).toBe(true);
    network.command(left, 'rekey', 'net');
    network.pass(6_000);
    network.command(left, 'rekey', 'right');
    network.command(right, 'rekey', 'net');
    network.pass(30_000);
    expectOneChild(network, left, right);
  });

  test('by both at once, and one is left', () => {
    for (let round = 0; round < 12; round++) {
      const { network, left, right } = established();
      network.startTraffic();
      network.command(left, 'rekey', 'right');
      network.command(right, 'rekey', 'left');
      network.pass(10_000);
      expect(network.lost).toEqual([]);
      expectOneChild(network, left, right);
    }
  });

  test('by both at once, and what the peer never heard of does not stay for long', () => {
    // Whose nonce is lowest is chance: of so many attempts one at least has ours win.
    const won = Array.from({ length: 16 }, () => {
      const { network, left, right } = established();
      network.tamper = (datagram, from) =>
        from === left && parseHeader(datagram.data).response ? undefined : datagram;
      network.command(left, 'rekey', 'right');
      network.command(right, 'rekey', 'left');
      network.pass(1_000);
      network.tamper = (datagram) => datagram;
      return { network, left, right };
    }).find(({ network, left }) => left.core.status(network.now).some(({ state }) => state === 'PASSIVE'));
    const { network, left, right } = won!;
    network.pass(31_000);
    expectOneChild(network, left, right);
  });

  test('by both at once with a request that comes too late', () => {
    for (let round = 0; round < 4; round++) {
      const { network, left, right } = established();
      const release = holding(network, left);
      network.command(left, 'rekey', 'right');
      network.pass(5);
      network.tamper = (datagram, from) => (from === left && network.sent.length < 6 ? undefined : datagram);
      network.command(right, 'rekey', 'left');
      network.pass(2_000);
      release();
      network.pass(30_000);
      expectOneChild(network, left, right);
    }
  });

  test("by both at once, and the peer's new one goes with the old one if nothing more was heard of it", () => {
    const { network, left, right } = established();
    let asked = false;
    network.tamper = (datagram, from) => {
      if (parseHeader(datagram.data).response) return datagram;
      if (from === left || asked) return undefined;
      asked = true;
      return datagram;
    };
    network.command(left, 'rekey', 'right');
    network.command(right, 'rekey', 'left');
    network.pass(200_000);
    expect(left.core.status(network.now)).toEqual([]);
    // The peer has the new one with its child: it must not take us for having them, too.
    network.tamper = (datagram) => datagram;
    network.command(right, 'rekey', 'net');
    network.pass(1_000);
    expect(left.core.status(network.now)).toEqual([]);
    expect(left.sas.size).toBe(0);
  });

  test('while its deletion is asked for: it is deleted', () => {
    const { network, left, right } = established();
    network.command(left, 'rekey', 'right');
    network.command(left, 'terminate', 'right');
    network.pass(10_000);
    expect(left.core.status(network.now).length + right.core.status(network.now).length).toBe(0);
    expect(left.sas.size + right.sas.size).toBe(0);
  });

  test('but not by a peer that goes on with it while its deletion is under way (RFC 7296 §2.25.2)', () => {
    const hybrid = { proposals: ['aes128gcm16-prfsha256-x25519-ke1_mlkem512'] };
    const { network, left, right } = established({ left: hybrid, right: hybrid });
    const until = network.now + 100;
    network.tamper = (datagram, from) => {
      const { exchange, response } = parseHeader(datagram.data);
      const isLost = from === left ? !response : exchange === EXCHANGE.IKE_FOLLOWUP_KE && network.now < until;
      return isLost ? undefined : datagram;
    };
    network.command(right, 'rekey', 'left');
    network.pass(100);
    network.command(left, 'terminate', 'right');
    network.pass(3_000);
    network.tamper = (datagram) => datagram;
    network.command(left, 'initiate', 'right');
    network.pass(20_000);
    expect(left.events.filter(({ type }) => type === 'ike-rekeyed')).toEqual([]);
    expectOneChild(network, left, right);
  });

  test('when its time has come', () => {
    const { network, left, right } = established({ left: { rekey_time: 100 } });
    network.pass(350_000);
    expect(left.events.filter(({ type }) => type === 'ike-rekeyed').length).toBeGreaterThanOrEqual(3);
    expect(right.events.filter(({ type }) => type === 'ike-down')).toEqual([]);
    expectOneChild(network, left, right);
  });

  test('with fresh authentication after reauth_time, without a packet lost', () => {
    const { network, left, right } = established({ left: { reauth_time: 100, rand_time: 0 } });
    network.startTraffic();
    network.pass(130_000);
    expect(left.trace.filter((line) => line.startsWith('sent IKE_AUTH')).length).toBe(2);
    expect(network.lost).toEqual([]);
    expectOneChild(network, left, right);
    expect(left.events.filter(({ type }) => type === 'child-down')).toEqual([]);
  });
});

describe('an IKE SA is rekeyed by one side, and its child by the other', () => {
  test('at once: they refuse each other, and the IKE SA goes first (RFC 7296 §2.25.2)', () => {
    for (let round = 0; round < 4; round++) {
      const { network, left, right } = established();
      network.startTraffic();
      network.pass(100);
      network.command(left, 'rekey', 'right');
      network.command(right, 'rekey', 'net');
      network.pass(4_500);
      expect(left.events.map(({ type }) => type)).toContain('ike-rekeyed');
      expect(left.events.map(({ type }) => type)).not.toContain('child-rekeyed');
      network.pass(15_000);
      expect(right.events.filter(({ type }) => type === 'child-rekeyed').length).toBe(1);
      expect(left.trace.filter((line) => /TEMPORARY/.test(line)).length).toBe(2);
      expect(network.lost).toEqual([]);
      expectOneChild(network, left, right);
    }
  });
});

describe('several children in one IKE SA', () => {
  const second = (own: 1 | 2) => ({
    more: {
      local_ts: [`172.16.${own}.0/24`],
      remote_ts: [`172.16.${3 - own}.0/24`],
      esp_proposals: ['aes256gcm16-x25519'],
    },
  });

  test('are made one by one, the first in IKE_AUTH', () => {
    const { network, left, right } = established({ leftChildren: second(1), rightChildren: second(2) });
    expect(left.trace[4]).toBe('sent CREATE_CHILD_SA 2: HDR, SK {SA, Ni, KEi, TSi, TSr} -->');
    expect(right.core.status(network.now)[0]!.children.map(({ name }) => name)).toEqual(['net', 'more']);
    expect([...left.routes]).toEqual(['10.2.0.0/16', '172.16.2.0/24']);
  });

  test('live and go on their own', () => {
    const { network, left, right } = established({ leftChildren: second(1), rightChildren: second(2) });
    network.command(right, 'terminate', 'net');
    network.settle();
    expect(left.core.status(network.now)[0]!.children.map(({ name }) => name)).toEqual(['more']);
    network.command(left, 'initiate', 'net');
    network.settle();
    expect(left.core.status(network.now).length).toBe(1);
    expect(right.core.status(network.now)[0]!.children.map(({ name }) => name)).toEqual(['more', 'net']);
  });
});

describe('an IKE SA whose lifetime ends while it is being rekeyed', () => {
  test('lives on in the new one', () => {
    const { network, left, right } = established({ left: { rekey_time: 100, rand_time: 0, over_time: 3 } });
    network.startTraffic();
    let lost = 0;
    // The answer comes after the end of the lifetime.
    network.tamper = (datagram, from) =>
      from === right && network.now < 1_104_000 && ++lost > 0 ? undefined : datagram;
    network.pass(130_000);
    expect(lost).toBeGreaterThan(0);
    expect(left.events.filter(({ type }) => type === 'child-down')).toEqual([]);
    expectOneChild(network, left, right);
    expect(network.lost).toEqual([]);
  });

  test('or while its rekeying waits for another exchange', () => {
    const { network, left, right } = established({ left: { rekey_time: 100, rand_time: 0, over_time: 3 } });
    network.startTraffic();
    network.pass(99_000);
    // The peer has the new child; its answer comes after the end of the lifetime.
    network.tamper = (datagram, from) => (from === right && network.now < 1_104_000 ? undefined : datagram);
    network.command(left, 'rekey', 'net');
    network.pass(31_000);
    expect(left.events.map(({ type }) => type)).toEqual(expect.arrayContaining(['child-rekeyed', 'ike-rekeyed']));
    expect([left, right].flatMap(({ events }) => events.filter(({ type }) => type === 'child-down'))).toEqual([]);
    expectOneChild(network, left, right);
    expect(network.lost).toEqual([]);
  });

  test('answers whoever asked for its children meanwhile', () => {
    const { network, left, right } = established({ left: { rekey_time: 100, rand_time: 0, over_time: 3 } });
    // The answer comes after the end of the lifetime; a new IKE SA is never answered.
    network.tamper = (datagram, from) =>
      (from === right && network.now < 1_104_000) || parseHeader(datagram.data).exchange === EXCHANGE.IKE_SA_INIT
        ? undefined
        : datagram;
    network.pass(103_500);
    const request = network.command(left, 'initiate', 'right');
    network.pass(30_000);
    expect(left.completed.has(request)).toBe(true);
    expect(left.completed.get(request)).toBeUndefined();
  });
});
