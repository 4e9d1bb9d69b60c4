/** Two gateways that have an IKE SA and a child, and what is expected of them after it was rekeyed. */
import { expect } from 'vitest';
import { type Datagram, LEFT, type Network, type Node, pair, type Sides } from './network.ts';

/** Two gateways whose child `net` is up. */
export function established(sides?: Sides) {
  const made = pair(sides);
  made.network.command(made.left, 'initiate', 'right');
  made.network.settle();
  return made;
}

/** Two gateways that have no SA yet, of which the left one calls from wherever it is. @returns also what moves it */
export function roaming() {
  const moved = '192.0.2.77';
  let address = LEFT;
  const made = pair({
    left: { local_addrs: [], mobike: true },
    right: { remote_addrs: [] },
    options: { sourceAddress: () => address },
  });
  const { network, left } = made;
  const move = () => {
    network.addresses.delete(LEFT);
    network.addresses.set(moved, left);
    address = moved;
    network.feed(left, { type: 'addresses', addresses: [moved] });
    network.settle();
  };
  return { ...made, moved, move };
}

/** Everything on both sides is one IKE SA with one child, and both agree on all SPIs. */
export function expectOneChild(network: Network, left: Node, right: Node): void {
  const [a, b] = [left.core.status(network.now), right.core.status(network.now)];
  expect(a.length).toBe(1);
  expect(b.length).toBe(1);
  expect([a[0]!.spiI, a[0]!.spiR]).toEqual([b[0]!.spiI, b[0]!.spiR]);
  expect(a[0]!.state).toBe('ESTABLISHED');
  expect(a[0]!.children.length).toBe(1);
  expect(b[0]!.children.length).toBe(1);
  expect(a[0]!.children[0]!.state).toBe('INSTALLED');
  expect(a[0]!.children[0]!.spiIn).toBe(b[0]!.children[0]!.spiOut);
  expect(a[0]!.children[0]!.spiOut).toBe(b[0]!.children[0]!.spiIn);
  for (const node of [left, right]) {
    expect(node.sas.size).toBe(2);
    expect(node.policies.size).toBe(1);
    const [policy] = [...node.policies.values()];
    expect(node.sas.get(policy!.sa!)?.direction).toBe('out');
  }
}

/** Holds back datagrams of one side until they are let go. */
export function holding(network: Network, from: Node) {
  const held: Datagram[] = [];
  network.tamper = (datagram, sender) => {
    if (sender !== from) return datagram;
    held.push(datagram);
    return undefined;
  };
  return () => {
    network.tamper = (datagram) => datagram;
    for (const datagram of held) network.wire.push({ at: network.now, from, datagram });
  };
}
