import { describe, expect, test } from 'vitest';
import { PAYLOAD } from '../../src/control/wire/iana.ts';
import { buildMessage } from '../../src/control/wire/message.ts';
import { type Datagram, LEFT, type Network, pair, RIGHT } from './network.ts';

/** Loses the datagrams for which `lose` says so, counting from 0. */
function losing(network: Network, lose: (index: number, datagram: Datagram) => boolean): void {
  let index = 0;
  network.tamper = (datagram) => (lose(index++, datagram) ? undefined : datagram);
}

/** Is the first payload a notification: a cookie, or an error? */
const isNotify = (data: Uint8Array): boolean => data[16] === PAYLOAD.N;

const half = { control: { cookie_threshold: 0 } };

describe('retransmission', () => {
  test('repeats a request with growing pauses until the answer comes', () => {
    const { network, left } = pair();
    losing(network, (index) => index < 3);
    const start = network.now;
    const times: number[] = [];
    const { tamper } = network;
    network.tamper = (datagram, from) => {
      if (from === left) times.push(network.now - start);
      return tamper(datagram, from);
    };
    network.command(left, 'initiate', 'right');
    network.pass(60_000);
    expect(left.core.status(network.now)[0]!.state).toBe('ESTABLISHED');
    expect(times.slice(0, 4)).toEqual([0, 4_000, 4_000 + 7_200, 4_000 + 7_200 + 12_960]);
  });

  test('gives up after the last try, and says so', () => {
    const { network, left } = pair();
    losing(network, () => true);
    const request = network.command(left, 'initiate', 'right');
    network.pass(170_000);
    expect(network.sent.length).toBe(6);
    expect(left.completed.get(request)).toMatchObject({ code: 'ERR_NO_ANSWER' });
    expect(left.core.status(network.now)).toEqual([]);
  });

  test('a responder never sends an answer twice of its own accord', () => {
    const { network, left, right } = pair();
    losing(network, (index) => index === 1 || index === 5);
    network.command(left, 'initiate', 'right');
    network.pass(60_000);
    const ofRight = network.sent.filter(({ local }) => local.address === RIGHT);
    const ofLeft = network.sent.filter(({ local }) => local.address === LEFT);
    expect(ofRight.length).toBe(ofLeft.length);
    expect(right.core.status(network.now)[0]!.state).toBe('ESTABLISHED');
  });

  test('only the very same request is answered again', () => {
    const { network, left, right } = pair();
    network.command(left, 'initiate', 'right');
    network.settle();
    const request = network.sent[2]!;
    const before = network.sent.length;
    network.deliver(request);
    expect(network.sent.length).toBe(before + 1);
    const altered = request.data.slice();
    altered[altered.length - 1]! ^= 1;
    network.deliver({ ...request, data: altered });
    expect(network.sent.length).toBe(before + 1);
    expect(right.core.status(network.now)[0]!.children.length).toBe(1);
  });

  test('a repeated IKE_SA_INIT makes no second SA', () => {
    const { network, left, right } = pair();
    network.tamper = (datagram) => (network.sent.length === 2 ? undefined : datagram);
    network.command(left, 'initiate', 'right');
    network.pass(10_000);
    expect(right.core.status(network.now).length).toBe(1);
  });
});

describe('messages that prove nothing', () => {
  test('an error in answer to IKE_SA_INIT loses against the genuine answer', () => {
    const { network, left } = pair();
    network.tamper = (datagram, from) => {
      if (from === left && network.sent.length === 1) {
        const spiI = new DataView(datagram.data.buffer).getBigUint64(0);
        const header = { spiI, spiR: 0n, exchange: 34, fromInitiator: false, response: true, messageId: 0 };
        const none = new Uint8Array();
        const data = buildMessage(header, [{ kind: 'N', protocol: 0, spi: none, notify: 14, data: none }]);
        network.wire.push({
          at: network.now,
          from,
          datagram: { local: datagram.remote, remote: datagram.local, data },
        });
      }
      return datagram;
    };
    network.command(left, 'initiate', 'right');
    network.settle();
    network.pass(5_000);
    expect(left.core.status(network.now)[0]!.state).toBe('ESTABLISHED');
  });

  test('an unprotected INVALID_IKE_SPI or Delete leaves an established SA as it is', () => {
    const { network, left, right } = pair();
    network.command(left, 'initiate', 'right');
    network.settle();
    const [{ data }] = [network.sent[2]!];
    const view = new DataView(data.buffer, data.byteOffset);
    const header = {
      spiI: view.getBigUint64(0),
      spiR: view.getBigUint64(8),
      exchange: 37,
      fromInitiator: false,
      response: false,
      messageId: 0,
    };
    const none = new Uint8Array();
    const notify = buildMessage(header, [{ kind: 'N', protocol: 0, spi: none, notify: 4, data: none }]);
    const del = buildMessage(header, [{ kind: 'D', protocol: 1, spis: [] }]);
    const path = { local: { address: RIGHT, port: 500 }, remote: { address: LEFT, port: 500 } };
    network.deliver({ ...path, data: notify });
    network.deliver({ ...path, data: del });
    network.settle();
    expect(left.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED', children: [{ state: 'INSTALLED' }] }]);
    expect(right.sas.size).toBe(2);
  });

  test('a higher major version is answered with INVALID_MAJOR_VERSION, an older one with nothing', () => {
    const { network, left, right } = pair();
    network.command(left, 'initiate', 'right');
    const request = network.sent[0]!;
    network.wire.length = 0;
    for (const version of [0x30, 0x10]) {
      const data = request.data.slice();
      data[17] = version;
      network.deliver({ ...request, data });
    }
    const answers = network.sent.filter(({ local }) => local.address === RIGHT);
    expect(answers.length).toBe(1);
    expect(answers[0]!.data[35]).toBe(5);
    expect(right.core.status(network.now)).toEqual([]);
  });

  test('an unknown critical payload in IKE_SA_INIT is named in the answer', () => {
    const { network, left } = pair();
    network.command(left, 'initiate', 'right');
    const { local, remote, data } = network.sent[0]!;
    network.wire.length = 0;
    const spiI = new DataView(data.buffer).getBigUint64(0);
    const header = { spiI, spiR: 0n, exchange: 34, fromInitiator: true, response: false, messageId: 0 };
    const payload = { kind: 'unknown', type: 200, critical: true, body: new Uint8Array(4) } as const;
    network.deliver({ local, remote, data: buildMessage(header, [payload]) });
    const answer = network.sent.at(-1)!;
    expect(answer.local.address).toBe(RIGHT);
    expect([...answer.data.subarray(-5)]).toEqual([0, 0, 0, 1, 200]);
  });

  test('an SPI that nobody has is answered with INVALID_IKE_SPI, but not without end', () => {
    const { network, left } = pair();
    network.command(left, 'initiate', 'right');
    network.settle();
    const request = network.sent[2]!;
    const data = request.data.slice();
    data[8]! ^= 0xff;
    const before = network.sent.length;
    for (let copy = 0; copy < 100; copy++) network.deliver({ ...request, data });
    const answers = network.sent.length - before;
    expect(answers).toBeGreaterThan(0);
    expect(answers).toBeLessThanOrEqual(20);
  });
});

describe('cookies and limits', () => {
  test('a cookie is asked for before any state is made', () => {
    const { network, left, right } = pair(half);
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.trace[1]).toBe('received IKE_SA_INIT 0: <-- HDR, N(COOKIE)');
    expect(left.trace[2]).toMatch(/^sent IKE_SA_INIT 0: HDR, N\(COOKIE\), SAi1, KEi, Ni/);
    expect(left.sas.size).toBe(2);
    expect(right.trace[0]).toMatch(/^received IKE_SA_INIT 0: HDR, N\(COOKIE\)/);
  });

  test("a cookie of another peer's is not taken", () => {
    const { network, left, right } = pair(half);
    network.command(left, 'initiate', 'right');
    network.settle();
    const withCookie = network.sent[2]!;
    network.deliver({ ...withCookie, local: { address: '203.0.113.9', port: 500 } });
    expect(right.core.status(network.now).length).toBe(1);
  });

  test('half-open SAs are bounded for each address, and forgotten after a while', () => {
    const { network, left, right } = pair({ control: { half_open_per_address: 3 } });
    network.tamper = (datagram, from) => (from === right && !isNotify(datagram.data) ? undefined : datagram);
    for (let attempt = 0; attempt < 6; attempt++) {
      network.command(left, 'initiate', 'right');
      network.settle();
      network.command(left, 'terminate', 'right');
    }
    expect(right.core.status(network.now).length).toBe(3);
    network.pass(70_000);
    expect(right.core.status(network.now)).toEqual([]);
  });

  test('who writes an address on its packets takes no more than half of its places', () => {
    const { network, left, right } = pair();
    const other = pair();
    other.network.command(other.left, 'initiate', 'right');
    const [template] = other.network.sent;
    let spoofed = 0;
    const spoof = () => {
      for (let copy = 0; copy < 5; copy++) {
        const data = template!.data.slice();
        new DataView(data.buffer).setUint32(0, ++spoofed);
        network.deliver({ ...template!, data });
      }
    };
    spoof();
    expect(right.core.status(network.now).length).toBe(2);
    for (let round = 0; round < 4; round++) {
      network.command(left, 'initiate', 'right');
      network.pass(1_000);
      expect(left.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED' }]);
      network.command(left, 'terminate', 'right');
      network.pass(9_000);
      spoof();
    }
  });

  test('an address that keeps failing to authenticate is not listened to for a while', () => {
    const wrong = { auth: 'psk', secret: 'wrong' } as const;
    const { network, left, right } = pair({ left: { local: { ...wrong, id: 'left.example.org' }, remote: wrong } });
    for (let attempt = 0; attempt < 8; attempt++) {
      network.command(left, 'initiate', 'right');
      network.settle();
      network.command(left, 'terminate', 'right');
    }
    const failures = right.trace.filter((line) => line.includes('AUTHENTICATION_FAILED'));
    expect(failures.length).toBe(5);
    network.pass(60_000);
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(right.trace.filter((line) => line.includes('AUTHENTICATION_FAILED')).length).toBe(6);
  });
});

describe('fragmentation', () => {
  const small = {
    control: { fragment_size: 576 },
    left: { proposals: ['aes256-sha256-x25519'] },
    right: { proposals: ['aes256-sha256-x25519'] },
  };
  const wide = { local_ts: Array.from({ length: 20 }, (_, index) => `10.1.${index}.0/24`) };

  test('a long message goes in fragments that each fit, and is put together again', () => {
    const { network, left, right } = pair({ ...small, leftChild: wide });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.trace[2]).toMatch(/^sent IKE_AUTH 1 in 2 fragments/);
    expect(Math.max(...network.sent.slice(2).map(({ data }) => data.length))).toBeLessThanOrEqual(576 - 32);
    expect(right.sas.size).toBe(2);
  });

  test('fragments may come in any order and twice; the answer is repeated for the first fragment only', () => {
    const { network, left, right } = pair({ ...small, leftChild: wide });
    network.command(left, 'initiate', 'right');
    network.settle(15);
    network.settle(15);
    const [first, second] = network.wire.splice(0).map(({ datagram }) => datagram);
    for (const datagram of [second!, second!, first!, first!]) network.deliver(datagram);
    const answers = network.sent.filter(({ local }) => local.address === RIGHT).length;
    network.deliver(second!);
    expect(network.sent.filter(({ local }) => local.address === RIGHT).length).toBe(answers);
    network.deliver(first!);
    expect(network.sent.filter(({ local }) => local.address === RIGHT).length).toBeGreaterThan(answers);
    expect(right.sas.size).toBe(2);
  });

  test('is not used with a peer that did not offer it', () => {
    const { network, left } = pair({ ...small, leftChild: wide, right: { ...small.right, fragmentation: 'no' } });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.trace[2]).toMatch(/^sent IKE_AUTH 1: /);
    expect(left.sas.size).toBe(2);
  });
});
