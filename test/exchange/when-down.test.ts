/** What is to be protected is led into the device, up or not: there it is dropped (RFC 4301 §5.1). */
import { describe, expect, test } from 'vitest';
import { type Node, pair, RIGHT, type Sides } from './network.ts';

const routes = (node: Node) => [...node.routes];
const NET = ['10.2.0.0/16'];

function started(sides: Sides = {}) {
  const made = pair(sides);
  for (const node of [made.left, made.right]) made.network.feed(node, { type: 'start' });
  made.network.settle();
  return made;
}

describe('the traffic of a child goes nowhere else', () => {
  test('from the start on, though it is not up and is not to come up by itself', () => {
    const { left, right } = started();
    expect([left.sas.size, left.policies.size]).toEqual([0, 0]);
    expect(routes(left)).toEqual(NET);
    expect(routes(right)).toEqual(['10.1.0.0/16']);
  });

  test('while it is tried in vain', () => {
    const { network, left } = pair({ leftChild: { start_action: 'start' } });
    network.addresses.delete(RIGHT);
    network.feed(left, { type: 'start' });
    expect(routes(left)).toEqual(NET);
    network.pass(600_000);
    expect(left.sas.size).toBe(0);
    expect(routes(left)).toEqual(NET);
  });

  test('when the peer has closed it', () => {
    const { network, left, right } = started();
    network.command(left, 'initiate', 'net');
    network.settle();
    network.command(right, 'terminate', 'net');
    network.settle();
    network.pass(1_000);
    expect(routes(left)).toEqual(NET);
    expect(routes(right)).toEqual([]);
  });

  test('until the user takes it down, and again when it is wanted again', () => {
    const { network, left } = started();
    network.command(left, 'terminate', 'net');
    network.settle();
    expect(routes(left)).toEqual([]);
    network.command(left, 'initiate', 'net');
    expect(routes(left)).toEqual(NET);
    network.settle();
    expect([left.sas.size, left.policies.size]).toEqual([2, 1]);
    network.command(left, 'terminate', 'net');
    network.settle();
    expect(routes(left)).toEqual([]);
  });

  test('until the gateway stops', () => {
    const { network, left } = started();
    network.feed(left, { type: 'stop', request: left.nextRequest() });
    network.settle();
    expect(routes(left)).toEqual([]);
  });
});

describe('the traffic of a child may pass', () => {
  test('with when_down: pass, unless it is up', () => {
    const { network, left } = started({ leftChild: { when_down: 'pass' } });
    expect(routes(left)).toEqual([]);
    network.command(left, 'initiate', 'net');
    network.settle();
    expect(routes(left)).toEqual(NET);
    network.command(network.nodes[1]!, 'terminate', 'net');
    network.settle();
    expect(routes(left)).toEqual([]);
  });

  test('where the peer may come from anywhere', () => {
    const { left } = started({ left: { remote_addrs: [] } });
    expect(routes(left)).toEqual([]);
  });
});
