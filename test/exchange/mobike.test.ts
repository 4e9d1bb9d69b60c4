import { describe, expect, test } from 'vitest';
import { parseHeader } from '../../src/control/wire/header.ts';
import { EXCHANGE } from '../../src/control/wire/iana.ts';
import { LEFT, type Network, type Node, pair, RIGHT, type Sides } from './network.ts';

const NEW = '192.0.2.77';

function established(sides: Sides = { left: { mobike: true }, right: { mobike: true } }) {
  const made = pair(sides);
  made.network.command(made.left, 'initiate', 'right');
  made.network.settle();
  return made;
}

/** Puts a NAT in front of `left`, whose outside port can change. */
function nat(network: Network, left: Node) {
  const outside = { address: '203.0.113.7', shift: 20_000 };
  network.addresses.set(outside.address, left);
  network.tamper = (datagram, from) => {
    if (from === left) {
      return { ...datagram, local: { address: outside.address, port: datagram.local.port + outside.shift } };
    }
    return {
      ...datagram,
      remote: { address: LEFT, port: datagram.remote.port > 10_000 ? 4500 : datagram.remote.port },
    };
  };
  return outside;
}

describe('MOBIKE (RFC 4555)', () => {
  test('is agreed on in IKE_AUTH, and ports change over to 4500', () => {
    const { network, left } = established();
    expect(left.trace[2]).toContain('N(MOBIKE_SUPPORTED)');
    expect(network.sent.at(-1)!.local.port).toBe(4500);
  });

  test('moves the IKE SA and its children to a new address, and checks that it is the peer who is there', () => {
    const { network, left, right } = established();
    network.addresses.delete(LEFT);
    network.addresses.set(NEW, left);
    network.feed(left, { type: 'addresses', addresses: [NEW] });
    network.settle();
    expect(left.trace.slice(4)).toEqual([
      'sent INFORMATIONAL 2: HDR, SK {N(UPDATE_SA_ADDRESSES), N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DESTINATION_IP)} -->',
      'received INFORMATIONAL 2: <-- HDR, SK {N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DESTINATION_IP)}',
      'received INFORMATIONAL 0: HDR, SK {N(COOKIE2)} -->',
      'sent INFORMATIONAL 0: <-- HDR, SK {N(COOKIE2)}',
    ]);
    for (const sa of left.sas.values()) expect(sa.local.address).toBe(NEW);
    for (const sa of right.sas.values()) expect(sa.remote.address).toBe(NEW);
    expect(left.core.status(network.now)[0]!.local.address).toBe(NEW);
  });

  test('moves in the middle of a rekeying: the peer is told over the new SA', () => {
    for (const moveAfter of [0, 5, 15]) {
      const { network, left, right } = established();
      network.command(left, 'rekey', 'right');
      network.pass(moveAfter);
      network.addresses.delete(LEFT);
      network.addresses.set(NEW, left);
      network.feed(left, { type: 'addresses', addresses: [NEW] });
      network.pass(10_000);
      for (const node of [left, right]) expect(node.core.status(network.now).length).toBe(1);
      for (const sa of right.sas.values()) expect(sa.remote.address).toBe(NEW);
    }
  });

  test('from behind a NAT to in front of it takes ESP out of UDP, and back (RFC 4555 §3.5)', () => {
    const { network, left, right } = pair({ left: { mobike: true }, right: { mobike: true, remote_addrs: [] } });
    const plain = network.tamper;
    nat(network, left);
    const behind = network.tamper;
    network.command(left, 'initiate', 'right');
    network.settle();
    network.addresses.set(NEW, left);
    for (const [address, tamper] of [
      [NEW, plain],
      [LEFT, behind],
    ] as const) {
      network.tamper = tamper;
      network.feed(left, { type: 'addresses', addresses: [address] });
      network.settle();
      const all = [left, right].flatMap(({ sas }) => [...sas.values()]);
      expect(all.map(({ udpEncapsulation }) => udpEncapsulation)).toEqual(Array(4).fill(address === LEFT));
    }
  });

  test('a NAT whose mapping changed is noticed also where the peer has rekeyed the IKE SA since', () => {
    const made = pair({ left: { mobike: true, dpd_delay: 10 }, right: { mobike: true, remote_addrs: [] } });
    const { network, left, right } = made;
    const outside = nat(network, left);
    network.command(left, 'initiate', 'right');
    network.settle();
    network.command(right, 'rekey', 'left');
    network.pass(25_000);
    outside.shift = 30_000;
    network.pass(25_000);
    expect(right.installed('out')[0]!.remote.port).toBe(34_500);
  });

  test('an address that stays is left alone', () => {
    const { network, left } = established();
    const before = network.sent.length;
    network.feed(left, { type: 'addresses', addresses: [NEW, LEFT] });
    network.settle();
    expect(network.sent.length).toBe(before);
  });

  test('the responder does not follow a message from elsewhere without UPDATE_SA_ADDRESSES', () => {
    const { network, left, right } = established();
    network.tamper = (datagram, from) =>
      from === left ? { ...datagram, local: { ...datagram.local, address: NEW } } : datagram;
    network.addresses.set(NEW, left);
    network.command(left, 'rekey', 'net');
    network.settle();
    expect(right.core.status(network.now)[0]!.remote.address).toBe(LEFT);
  });

  test.each([
    ['after', 25_000],
    ['before', 5_000],
  ])('a NAT whose mapping changed %s the first liveness check is noticed by it, and the peer is told', (_, quiet) => {
    const made = pair({ left: { mobike: true, dpd_delay: 10 }, right: { mobike: true, remote_addrs: [] } });
    const { network, left, right } = made;
    const outside = nat(network, left);
    network.command(left, 'initiate', 'right');
    network.settle();
    network.pass(quiet);
    expect(right.core.status(network.now)[0]!.remote.port).toBe(24_500);
    outside.shift = 30_000;
    network.pass(25_000);
    expect(right.core.status(network.now)[0]!.remote.port).toBe(34_500);
    expect(right.installed('out')[0]!.remote.port).toBe(34_500);
  });
});

describe('a responder whose addresses change (RFC 4555 §3.6)', () => {
  const OTHER = '198.51.100.77';
  const move = ({ network, right }: ReturnType<typeof established>, from: string, to: string) => {
    network.addresses.delete(from);
    network.addresses.set(to, right);
    network.feed(right, { type: 'addresses', addresses: [to] });
  };
  const expectAt = ({ left, right }: ReturnType<typeof established>, address: string) => {
    expect([left.sas.size, right.sas.size]).toEqual([2, 2]);
    for (const sa of left.sas.values()) expect(sa.remote.address).toBe(address);
    for (const sa of right.sas.values()) expect(sa.local.address).toBe(address);
  };

  test('tells from where it is now, and the initiator moves the SA there', () => {
    const made = established();
    move(made, RIGHT, OTHER);
    made.network.settle();
    expect(made.right.trace.slice(4, 8)).toEqual([
      'sent INFORMATIONAL 0: HDR, SK {N(NO_ADDITIONAL_ADDRESSES)} -->',
      'received INFORMATIONAL 0: <-- HDR, SK {}',
      'received INFORMATIONAL 2: HDR, SK {N(UPDATE_SA_ADDRESSES), N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DESTINATION_IP)} -->',
      'sent INFORMATIONAL 2: <-- HDR, SK {N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DESTINATION_IP)}',
    ]);
    expectAt(made, OTHER);
  });

  test('is found again when it comes back before the initiator could go there', () => {
    for (const stay of [0, 5, 12, 25, 45]) {
      const made = established();
      move(made, RIGHT, OTHER);
      made.network.pass(stay);
      move(made, OTHER, RIGHT);
      made.network.pass(20_000);
      expectAt(made, RIGHT);
    }
  });

  test('sends from where it is what was rekeyed elsewhere, though the initiator never heard of that place', () => {
    const made = established();
    const { network, right } = made;
    network.tamper = (datagram, from) =>
      from === right && parseHeader(datagram.data).exchange === EXCHANGE.INFORMATIONAL ? undefined : datagram;
    network.command(right, 'rekey', 'net');
    move(made, RIGHT, OTHER);
    network.pass(25);
    move(made, OTHER, RIGHT);
    network.tamper = (datagram) => datagram;
    network.pass(20_000);
    expectAt(made, RIGHT);
  });

  test('is found in the middle of a rekeying by either side', () => {
    for (const by of ['left', 'right'] as const)
      for (const after of [0, 5, 15, 25]) {
        const made = established();
        made.network.command(made[by], 'rekey', by === 'left' ? 'right' : 'left');
        made.network.pass(after);
        move(made, RIGHT, OTHER);
        made.network.pass(20_000);
        expectAt(made, OTHER);
        const states = made.left.core.status(made.network.now).map(({ state }) => state);
        expect(states.filter((state) => state === 'ESTABLISHED')).toHaveLength(1);
      }
  });
});

describe('a peer with several addresses', () => {
  const SECOND = '198.51.100.2';

  test('tells when one of those that it does not use has come or gone, in either role', () => {
    const sides = { left: { mobike: true }, right: { mobike: true } };
    for (const [own, address, second] of [
      ['left', LEFT, NEW],
      ['right', RIGHT, SECOND],
    ] as const) {
      const made = established({ ...sides, [`${own}Gateway`]: { listen: [address, second] } });
      const tell = (addresses: readonly string[]) => {
        const before = made[own].trace.length;
        made.network.feed(made[own], { type: 'addresses', addresses });
        made.network.settle();
        return made[own].trace.slice(before).filter((line) => line.startsWith('sent'));
      };
      expect(tell([address])).toEqual([expect.stringContaining('HDR, SK {N(NO_ADDITIONAL_ADDRESSES)} -->')]);
      expect(tell([address, '192.0.2.200'])).toEqual([]);
      expect(tell([address, second])).toEqual([expect.stringContaining('HDR, SK {N(ADDITIONAL_IP4_ADDRESS)} -->')]);
    }
  });

  test('is found at another one when the first no longer answers (RFC 4555 §3.10)', () => {
    const { network, left, right } = pair({
      left: { mobike: true, dpd_delay: 10 },
      right: { mobike: true, local_addrs: [] },
      rightGateway: { listen: [RIGHT, SECOND] },
    });
    network.addresses.set(SECOND, right);
    network.command(left, 'initiate', 'right');
    network.settle();
    expect(left.trace[3]).toContain('N(ADDITIONAL_IP4_ADDRESS)');
    network.command(right, 'rekey', 'left');
    network.settle();
    network.addresses.delete(RIGHT);
    network.pass(60_000);
    expect(left.core.status(network.now)[0]!.remote.address).toBe(SECOND);
    for (const sa of left.sas.values()) expect(sa.remote.address).toBe(SECOND);
    for (const sa of right.sas.values()) expect(sa.local.address).toBe(SECOND);
  });
});

describe('over IPv6', () => {
  test('the exchanges are the same', () => {
    const [a, b] = ['2001:db8::a', '2001:db8::b'];
    const { network, left, right } = pair({
      left: { local_addrs: [a], remote_addrs: [b], encap: true },
      right: { local_addrs: [b], remote_addrs: [a] },
      control: { fragment_size: 600 },
    });
    network.addresses.set(a, left).set(b, right);
    network.command(left, 'initiate', 'right');
    network.settle();
    network.command(right, 'rekey', 'left');
    network.pass(6_000);
    expect(left.core.status(network.now)).toMatchObject([
      { remote: { address: b, port: 4500 }, children: [{ encapsulation: 'udp' }] },
    ]);
    expect(right.sas.size).toBe(2);
  });
});

describe('NAT rebinding without MOBIKE (RFC 7296 §2.23)', () => {
  test('an authentic message from the new mapping moves the peer', () => {
    const { network, left, right } = pair({ left: { dpd_delay: 10 }, right: { remote_addrs: [] } });
    const outside = nat(network, left);
    network.command(left, 'initiate', 'right');
    network.settle();
    outside.shift = 30_000;
    network.pass(12_000);
    expect(right.core.status(network.now)[0]!.remote.port).toBe(34_500);
    expect(right.installed('out')[0]!.remote.port).toBe(34_500);
  });

  test('so does an authentic packet of ESP, but only of a peer behind a NAT', () => {
    const { network, left, right } = pair({ right: { remote_addrs: [] } });
    nat(network, left);
    network.command(left, 'initiate', 'right');
    network.settle();
    const remote = { address: '203.0.113.7', port: 55_555 };
    const [key] = [...right.sas].find(([, { direction }]) => direction === 'in')!;
    network.feed(right, { type: 'mapping', sa: key, remote });
    expect(right.installed('out')[0]!.remote).toEqual(remote);

    const plain = established({});
    const [inbound] = [...plain.right.sas].find(([, { direction }]) => direction === 'in')!;
    plain.network.feed(plain.right, { type: 'mapping', sa: inbound, remote });
    expect(plain.right.installed('out')[0]!.remote.address).toBe(LEFT);
  });

  test('a late packet for an IKE SA that is gone moves nothing, and nothing is sent for it any more', () => {
    const { network, left, right } = pair({ right: { remote_addrs: [], encap: true }, control: { keep_alive: 20 } });
    nat(network, left);
    network.command(left, 'initiate', 'right');
    network.settle();
    // Of the old child, packets that are on their way are still taken.
    network.command(left, 'rekey', 'net');
    network.settle();
    network.command(right, 'terminate', 'left');
    network.settle();
    const [key] = [...right.sas.keys()];
    network.feed(right, { type: 'mapping', sa: key!, remote: { address: '203.0.113.7', port: 55_555 } });
    const before = network.sent.length;
    network.pass(60_000);
    expect(network.sent.length).toBe(before);
    expect(right.timerAt).toBeUndefined();
  });

  test('the side behind the NAT keeps the mapping alive', () => {
    const { network, left } = pair({ right: { remote_addrs: [] }, control: { keep_alive: 20 } });
    nat(network, left);
    network.command(left, 'initiate', 'right');
    network.settle();
    const before = network.sent.length;
    network.pass(100_000);
    const later = network.sent.slice(before);
    expect(later.length).toBe(5);
    expect(later.every(({ data, remote }) => data.length === 1 && data[0] === 0xff && remote.address === RIGHT)).toBe(
      true,
    );
  });
});
