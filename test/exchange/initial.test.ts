import { describe, expect, test } from 'vitest';
import { LEFT, type Node, pair, RIGHT } from './network.ts';

const INIT_EXTRAS =
  'N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DESTINATION_IP), N(IKEV2_FRAGMENTATION_SUPPORTED), N(SIGNATURE_HASH_ALGORITHMS)';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** What a packet from `from` to `to` is sealed and opened with. */
function expectSameSa(from: Node, to: Node): void {
  const [out] = from.installed('out');
  const [into] = to.installed('in');
  expect(out!.spi).toBe(into!.spi);
  expect(out!.keys.encryption.length).toBe(20);
  expect(hex(out!.keys.encryption)).toBe(hex(into!.keys.encryption));
  expect(out!.suite).toEqual(into!.suite);
  expect(out!.selectors[0]!.local).toEqual(into!.selectors[0]!.remote);
}

describe('IKE_SA_INIT and IKE_AUTH with a pre-shared key', () => {
  test('are two exchanges that make one IKE SA and one child SA', () => {
    const { network, left, right } = pair();
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.trace).toEqual([
      `sent IKE_SA_INIT 0: HDR, SAi1, KEi, Ni, ${INIT_EXTRAS} -->`,
      `received IKE_SA_INIT 0: <-- HDR, SAr1, KEr, Nr, ${INIT_EXTRAS}, N(CHILDLESS_IKEV2_SUPPORTED)`,
      'sent IKE_AUTH 1: HDR, SK {IDi, N(INITIAL_CONTACT), IDr, AUTH, SAi2, TSi, TSr} -->',
      'received IKE_AUTH 1: <-- HDR, SK {IDr, AUTH, SAr2, TSi, TSr}',
    ]);
    expect(right.trace.map((line) => line.replace(/^\w+ /, ''))).toEqual(
      left.trace.map((line) => line.replace(/^\w+ /, '')),
    );
  });

  test('leave both sides with the same SAs, policies and routes', () => {
    const { network, left, right } = pair();
    const request = network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.completed.has(request)).toBe(true);
    expect(left.completed.get(request)).toBeUndefined();
    expectSameSa(left, right);
    expectSameSa(right, left);
    expect([...left.policies.values()]).toMatchObject([
      { parameters: { direction: 'out', action: 'protect', name: 'net' }, sa: expect.any(Number) },
    ]);
    expect([...left.routes]).toEqual(['10.2.0.0/16']);
    expect([...right.routes]).toEqual(['10.1.0.0/16']);
    const [status] = left.core.status(network.now);
    expect(status).toMatchObject({
      connection: 'right',
      state: 'ESTABLISHED',
      initiator: true,
      proposal: 'aes128gcm16-prfsha256-x25519',
      local: { address: LEFT, id: 'left.example.org' },
      remote: { address: RIGHT, id: 'right.example.org' },
      children: [{ name: 'net', state: 'INSTALLED', algorithm: 'aes128gcm16', localTs: ['10.1.0.0/16'] }],
    });
  });

  test('with another secret end in AUTHENTICATION_FAILED, and nothing is installed', () => {
    const { network, left, right } = pair({
      right: {
        local: { auth: 'psk', id: 'right.example.org', secret: 'another' },
        remote: { auth: 'psk', id: 'left.example.org', secret: 'another' },
      },
    });
    const request = network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.trace.at(-1)).toBe('received IKE_AUTH 1: <-- HDR, SK {N(AUTHENTICATION_FAILED)}');
    expect(left.completed.get(request)).toMatchObject({ code: 'ERR_PEER_AUTHENTICATION_FAILED' });
    expect(right.log).toContainEqual(expect.stringContaining('make the secret the same on both sides'));
    for (const node of [left, right]) {
      expect(node.sas.size + node.policies.size).toBe(0);
      expect(node.core.status(network.now)).toEqual([]);
    }
    expect(left.reserved.size).toBe(0);
  });

  test('end when the responder is somebody else: the initiator tells it, and installs nothing', () => {
    const { network, left, right } = pair({
      left: { remote: { auth: 'psk', id: '*.example.net', secret: 'a secret of the two' } },
    });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.log).toContainEqual(expect.stringContaining('says it is "right.example.org"'));
    expect(right.trace.at(-1)).toBe('sent INFORMATIONAL 2: <-- HDR, SK {}');
    expect(left.trace.at(-1)).toBe('sent INFORMATIONAL 2: HDR, SK {N(AUTHENTICATION_FAILED)} -->');
    expect(left.sas.size + right.sas.size).toBe(0);
  });

  test('refuse an identity that no connection accepts', () => {
    const { network, left, right } = pair({
      right: { remote: { auth: 'psk', id: 'other.example.org', secret: 'a secret of the two' } },
    });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(right.log).toContainEqual(expect.stringContaining('none of "left" accepts that'));
    expect(left.sas.size + right.sas.size).toBe(0);
  });
});

describe('proposals', () => {
  test('another group than the one guessed is asked for with INVALID_KE_PAYLOAD', () => {
    const { network, left, right } = pair({
      left: { proposals: ['aes128gcm16-prfsha256-x25519-ecp256'] },
      right: { proposals: ['aes128gcm16-prfsha256-ecp256'] },
    });
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.sas.size).toBe(2);
    expect(right.core.status(network.now)[0]!.proposal).toBe('aes128gcm16-prfsha256-ecp256');
    expect(left.trace[1]).toBe('received IKE_SA_INIT 0: <-- HDR, N(INVALID_KE_PAYLOAD)');
    expect(left.trace[2]).toMatch(/^sent IKE_SA_INIT 0/);
  });

  test('nothing in common is NO_PROPOSAL_CHOSEN, and the log says what to change', () => {
    const { network, left, right } = pair({ right: { proposals: ['aes256gcm16-prfsha256-x25519'] } });
    const request = network.command(left, 'initiate', 'right');
    network.settle();
    network.pass(2_000);
    expect(left.completed.get(request)).toMatchObject({ code: 'ERR_PEER_NO_PROPOSAL_CHOSEN' });
    expect(right.log).toContainEqual(
      expect.stringContaining(
        'the peer offered aes128gcm16-prfsha256-x25519; proposals allows aes256gcm16-prfsha256-x25519; add "aes128gcm16" to proposals',
      ),
    );
    expect(right.core.status(network.now)).toEqual([]);
  });

  test('a child without a common proposal leaves the IKE SA up', () => {
    const { network, left, right } = pair({ rightChild: { esp_proposals: ['chacha20poly1305'] } });
    const request = network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.trace.at(-1)).toBe('received IKE_AUTH 1: <-- HDR, SK {IDr, AUTH, N(NO_PROPOSAL_CHOSEN)}');
    expect(left.completed.get(request)).toMatchObject({ code: 'ERR_PEER_NO_PROPOSAL_CHOSEN' });
    expect(left.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED', children: [] }]);
    expect(left.reserved.size + right.reserved.size).toBe(0);
  });
});

describe('traffic selectors', () => {
  test('are narrowed to what both sides allow', () => {
    const { network, left, right } = pair({
      leftChild: { remote_ts: ['10.0.0.0/8'] },
      rightChild: { local_ts: ['10.2.3.0/24', '10.2.4.0/24[tcp/80]'] },
    });
    network.command(left, 'initiate', 'right');
    network.settle();
    const [child] = left.core.status(network.now)[0]!.children;
    expect(child!.remoteTs).toEqual(['10.2.3.0/24', '10.2.4.0/24[tcp/80]']);
    // What the peer does not take goes nowhere.
    expect([...left.routes]).toEqual(['10.0.0.0/8', '10.2.3.0/24', '10.2.4.0/24']);
    expect(right.installed('in')[0]!.selectors.length).toBe(2);
  });

  test('without anything in common are TS_UNACCEPTABLE, and the log names both sides', () => {
    const { network, left, right } = pair({ rightChild: { local_ts: ['172.16.0.0/12'] } });
    const request = network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.completed.get(request)).toMatchObject({ code: 'ERR_PEER_TS_UNACCEPTABLE' });
    expect(right.log).toContainEqual(
      expect.stringContaining('the peer offered 10.1.0.0/16 on its side and 10.2.0.0/16 on ours'),
    );
    expect(left.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED', children: [] }]);
  });
});

describe('NAT traversal', () => {
  test('without a NAT ports and ESP stay as they are', () => {
    const { network, left } = pair();
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.installed('out')[0]).toMatchObject({ udpEncapsulation: false });
    expect(network.sent.every(({ local }) => local.port === 500)).toBe(true);
  });

  test('forced encapsulation makes both sides use UDP 4500', () => {
    const { network, left, right } = pair({ left: { encap: true } });
    network.command(left, 'initiate', 'right');
    network.settle();
    for (const node of [left, right]) {
      expect(node.installed('out')[0]).toMatchObject({
        udpEncapsulation: true,
        local: { port: 4500 },
        remote: { port: 4500 },
      });
    }
    expect(network.sent.map(({ local }) => local.port)).toEqual([500, 500, 4500, 4500]);
  });

  test('a NAT on the way is found, and the responder answers to the address behind which the initiator is', () => {
    const { network, left, right } = pair({ right: { remote_addrs: [] } });
    const outside = '203.0.113.7';
    network.addresses.set(outside, left);
    network.tamper = (datagram, from) =>
      from === left
        ? { ...datagram, local: { address: outside, port: datagram.local.port + 20_000 } }
        : { ...datagram, remote: { address: LEFT, port: datagram.remote.port - 20_000 } };
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.core.status(network.now)).toMatchObject([{ natLocal: true, natRemote: false }]);
    expect(right.core.status(network.now)).toMatchObject([{ natLocal: false, natRemote: true }]);
    expect(right.installed('out')[0]).toMatchObject({
      udpEncapsulation: true,
      remote: { address: outside, port: 24_500 },
    });
  });
});
