import { describe, expect, test } from 'vitest';
import { parseHeader } from '../../src/control/wire/header.ts';
import { EXCHANGE } from '../../src/control/wire/iana.ts';
import { established, expectOneChild, holding } from './established.ts';
import { type Datagram, LATENCY } from './network.ts';

describe('both sides make a child at once', () => {
  test('and rekey one of the two before both hear of the other: one is left', () => {
    for (let round = 0; round < 12; round++) {
      const { network, left, right } = established();
      network.command(left, 'terminate', 'net');
      network.settle();
      // The left side's request is late: the right one has its own child, and rekeys it, when that comes.
      const late: Datagram[] = [];
      network.tamper = (datagram, from) => {
        if (from !== left || parseHeader(datagram.data).response) return datagram;
        late.push(datagram);
        return undefined;
      };
      network.command(left, 'initiate', 'net');
      network.command(right, 'initiate', 'net');
      network.settle();
      network.tamper = (datagram) => datagram;
      network.startTraffic();
      network.command(right, 'rekey', 'net');
      for (const datagram of late) network.deliver(datagram);
      network.pass(40_000);
      expect(network.lost).toEqual([]);
      expectOneChild(network, left, right);
    }
  });

  test('and reauthenticate before one of the two is gone: one is made in the new IKE SA', () => {
    for (let round = 0; round < 8; round++) {
      const { network, left, right } = established({ left: { reauth_time: 100, rand_time: 0 } });
      // Of an equal configuration nothing is the same object as before.
      network.feed(left, { type: 'reload', config: structuredClone(left.config) });
      network.command(left, 'terminate', 'net');
      network.pass(99_800);
      network.command(left, 'initiate', 'net');
      network.command(right, 'initiate', 'net');
      network.pass(30_000);
      expect(left.trace.filter((line) => line.startsWith('sent IKE_AUTH')).length).toBe(2);
      expectOneChild(network, left, right);
    }
  });
});

describe('both sides rekey a child at once', () => {
  test('and end with one child, whoever has the lowest nonce', () => {
    for (let round = 0; round < 12; round++) {
      const { network, left, right } = established();
      network.startTraffic();
      network.command(left, 'rekey', 'net');
      network.command(right, 'rekey', 'net');
      network.pass(20_000);
      expect(network.lost).toEqual([]);
      expectOneChild(network, left, right);
      const deletes = [left, right].map(
        (node) => node.trace.filter((line) => /^sent .*D\(ESP\)\} -->/.test(line)).length,
      );
      expect(deletes).toEqual([1, 1]);
    }
  });

  test('and nobody sends on a child that the peer has not heard of, when an answer is late', () => {
    for (let round = 0; round < 8; round++) {
      const { network, left, right } = established();
      network.startTraffic();
      network.tamper = (datagram, from) =>
        from === left && parseHeader(datagram.data).response ? undefined : datagram;
      network.command(left, 'rekey', 'net');
      network.command(right, 'rekey', 'net');
      network.pass(1_000);
      network.tamper = (datagram) => datagram;
      network.pass(30_000);
      expect(network.lost).toEqual([]);
      expectOneChild(network, left, right);
    }
  });

  test('and end with one child when one request comes too late', () => {
    for (let round = 0; round < 4; round++) {
      const { network, left, right } = established();
      network.startTraffic();
      const release = holding(network, left);
      network.command(left, 'rekey', 'net');
      network.pass(5);
      network.tamper = (datagram, from) => (from === left && network.sent.length < 6 ? undefined : datagram);
      network.command(right, 'rekey', 'net');
      network.pass(2_000);
      release();
      network.pass(30_000);
      expect(network.lost).toEqual([]);
      expectOneChild(network, left, right);
    }
  });

  test('and the loser stays while the old one is to be deleted by us, too, and that waits for the window', () => {
    const esp = { esp_proposals: ['aes256gcm16-x25519-ke1_mlkem512'] };
    const more = (own: 1 | 2) => ({
      more: { local_ts: [`172.16.${own}.0/24`], remote_ts: [`172.16.${3 - own}.0/24`], ...esp },
    });
    for (let round = 0; round < 8; round++) {
      const { network, left, right } = established({
        leftChild: esp,
        rightChild: esp,
        leftChildren: more(1),
        rightChildren: more(2),
      });
      network.startTraffic();
      const late: Datagram[] = [];
      const busy: Datagram[] = [];
      network.tamper = (datagram, from) => {
        const { response } = parseHeader(datagram.data);
        const isRekeyed = right.events.some(({ type }) => type === 'child-rekeyed');
        if (!response || (from === left && !isRekeyed)) return datagram;
        (from === right ? late : busy).push(datagram);
        return undefined;
      };
      network.command(left, 'rekey', 'net');
      network.pass(LATENCY / 2);
      // Ours is over first. What deletes the old one waits behind the rekeying of another child.
      network.command(right, 'rekey', 'net');
      network.command(right, 'rekey', 'more');
      network.pass(100);
      expect([late.length, busy.length]).toEqual([1, 1]);
      // The peer's gets to an end at our side alone; then there is room for deletions.
      network.deliver(late.shift()!);
      network.pass(100);
      expect(late.length).toBe(1);
      network.tamper = (datagram, from) => {
        if (from === left || !parseHeader(datagram.data).response) return datagram;
        late.push(datagram);
        return undefined;
      };
      network.deliver(busy.shift()!);
      network.pass(500);
      network.tamper = (datagram) => datagram;
      for (const datagram of late) network.deliver(datagram);
      network.pass(30_000);
      expect(network.lost).toEqual([]);
      for (const node of [left, right]) {
        expect(
          node.core
            .status(network.now)[0]!
            .children.map(({ name }) => name)
            .sort(),
        ).toEqual(['more', 'net']);
        expect(node.sas.size).toBe(4);
      }
    }
  });

  describe('and one of them once more, before the other one has been heard of', () => {
    const esp = { esp_proposals: ['aes256gcm16-x25519-ke1_mlkem512'] };
    const FOLLOWUP = EXCHANGE.IKE_FOLLOWUP_KE;

    /** The left side's is done, and rekeyed by it once more, when the right one's goes on. */
    function rekeyedAgain({ traffic }: { readonly traffic: boolean }) {
      const made = established({ leftChild: esp, rightChild: esp });
      const { network, left, right } = made;
      if (traffic) network.startTraffic();
      const late: Datagram[] = [];
      network.tamper = (datagram, from) => {
        if (from === right || !parseHeader(datagram.data).response) return datagram;
        late.push(datagram);
        return undefined;
      };
      network.command(right, 'rekey', 'net');
      network.command(left, 'rekey', 'net');
      network.pass(200);
      expect(left.events.filter(({ type }) => type === 'child-rekeyed').length).toBe(1);
      network.tamper = (datagram) => datagram;
      network.command(left, 'rekey', 'net');
      for (const datagram of late) network.deliver(datagram);
      return made;
    }

    function expectQuietEnd({ network, left, right }: ReturnType<typeof rekeyedAgain>) {
      network.pass(40_000);
      expect(network.lost).toEqual([]);
      expect([left, right].flatMap(({ events }) => events.filter(({ type }) => type === 'child-down'))).toEqual([]);
      expectOneChild(network, left, right);
    }

    test('what is made of the one that goes is no rival of the one that stays', () => {
      for (let round = 0; round < 12; round++) expectQuietEnd(rekeyedAgain({ traffic: true }));
    });

    test('nor where that one is rekeyed once more, too, and no packet shows which is in use', () => {
      for (let round = 0; round < 12; round++) {
        const made = rekeyedAgain({ traffic: false });
        const { network, left, right } = made;
        const busy: Datagram[] = [];
        network.tamper = (datagram, from) => {
          const { exchange, response } = parseHeader(datagram.data);
          if (from !== left || response || exchange !== FOLLOWUP) return datagram;
          busy.push(datagram);
          return undefined;
        };
        network.pass(2 * LATENCY + 5);
        network.command(right, 'rekey', 'net');
        network.pass(2 * LATENCY + 5);
        network.tamper = (datagram) => datagram;
        for (const datagram of busy) network.deliver(datagram);
        expectQuietEnd(made);
      }
    });

    test('and what is made of it goes with it on the side that hears of the loss later', () => {
      for (let round = 0; round < 12; round++) {
        const made = rekeyedAgain({ traffic: true });
        const { network, left } = made;
        const late: Datagram[] = [];
        network.tamper = (datagram, from) => {
          const { exchange, response } = parseHeader(datagram.data);
          if (from !== left || !response || exchange !== FOLLOWUP) return datagram;
          late.push(datagram);
          return undefined;
        };
        network.pass(500);
        network.tamper = (datagram) => datagram;
        for (const datagram of late) network.deliver(datagram);
        expectQuietEnd(made);
      }
    });
  });

  test('while the other one deletes it: it is gone, or there is a new one, on both sides', () => {
    const { network, left, right } = established();
    network.command(left, 'rekey', 'net');
    network.command(right, 'terminate', 'net');
    network.pass(30_000);
    expect(left.sas.size).toBe(right.sas.size);
    const [a, b] = [left.core.status(network.now)[0]!, right.core.status(network.now)[0]!];
    expect(a.children.length).toBe(b.children.length);
  });
});
