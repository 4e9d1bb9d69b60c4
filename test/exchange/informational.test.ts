import { describe, expect, test } from 'vitest';
import { pair, type Sides } from './network.ts';

function established(sides?: Sides) {
  const made = pair(sides);
  made.network.command(made.left, 'initiate', 'right');
  made.network.settle();
  return made;
}

describe('liveness', () => {
  test('is checked when nothing was heard for dpd_delay', () => {
    const { network, left } = established({ left: { dpd_delay: 10 } });
    network.pass(11_000);
    expect(left.trace.slice(-2)).toEqual([
      'sent INFORMATIONAL 2: HDR, SK {} -->',
      'received INFORMATIONAL 2: <-- HDR, SK {}',
    ]);
  });

  test('is not checked while packets come in', () => {
    const { network, left } = established({ left: { dpd_delay: 10 } });
    const [key] = [...left.sas].find(([, { direction }]) => direction === 'in')!;
    for (let second = 0; second < 30; second++) {
      network.pass(1_000);
      const busy = { packets: 1, bytes: 1, lastUsed: network.now, sequence: 1, replayDrops: 0, integrityDrops: 0 };
      left.counters.set(key, busy);
    }
    expect(left.trace.filter((line) => line.includes('INFORMATIONAL'))).toEqual([]);
  });

  test('with a silent peer everything goes, and dpd_action restart begins anew', () => {
    const { network, left, right } = established({ left: { dpd_delay: 10 }, leftChild: { dpd_action: 'restart' } });
    const [before] = left.core.status(network.now);
    network.tamper = () => undefined;
    network.pass(180_000);
    expect(left.events.map(({ type }) => type)).toContain('ike-down');
    expect(left.events.filter(({ type }) => type === 'child-down').length).toBe(1);
    network.tamper = (datagram) => datagram;
    network.pass(120_000);
    const [after] = left.core.status(network.now);
    expect(after).toMatchObject({ state: 'ESTABLISHED', children: [{ state: 'INSTALLED' }] });
    expect(after!.id).not.toBe(before!.id);
    expect(right.core.status(network.now).filter(({ state }) => state === 'ESTABLISHED').length).toBe(1);
  });

  test('dpd_action trap leaves the policy, without an SA: nothing goes out in the clear', () => {
    const { network, left } = established({ left: { dpd_delay: 10 }, leftChild: { dpd_action: 'trap' } });
    network.tamper = () => undefined;
    network.pass(180_000);
    expect(left.sas.size).toBe(0);
    expect([...left.policies.values()]).toMatchObject([{ parameters: { action: 'protect' }, sa: undefined }]);
    expect(left.routes.size).toBe(1);
    expect(left.core.trapped()).toMatchObject([{ connection: 'right', name: 'net' }]);
  });
});

describe('deletion', () => {
  test('of the IKE SA takes the children with it, on both sides', () => {
    const { network, left, right } = established();
    network.command(left, 'terminate', 'right');
    network.settle();
    expect(left.trace.slice(-2)).toEqual([
      'sent INFORMATIONAL 2: HDR, SK {D(IKE)} -->',
      'received INFORMATIONAL 2: <-- HDR, SK {}',
    ]);
    for (const node of [left, right]) {
      expect(node.sas.size + node.policies.size).toBe(0);
      expect(node.core.status(network.now)).toEqual([]);
    }
    // Whose user did not ask for it does not let go what was protected.
    expect([left.routes.size, right.routes.size]).toEqual([0, 1]);
  });

  test('of a child names the SPIs of both sides and leaves the IKE SA', () => {
    const { network, left, right } = established();
    network.command(right, 'terminate', 'net');
    network.settle();
    expect(right.trace.slice(-2)).toEqual([
      'sent INFORMATIONAL 0: HDR, SK {D(ESP)} -->',
      'received INFORMATIONAL 0: <-- HDR, SK {D(ESP)}',
    ]);
    for (const node of [left, right]) {
      expect(node.sas.size + node.policies.size).toBe(0);
      expect(node.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED', children: [] }]);
    }
    expect([left.routes.size, right.routes.size]).toEqual([1, 0]);
  });

  test('by both at once is answered without naming the SPIs again (RFC 7296 §1.4.1)', () => {
    const { network, left, right } = established();
    network.command(left, 'terminate', 'net');
    network.command(right, 'terminate', 'net');
    network.settle();
    expect(left.trace).toContain('sent INFORMATIONAL 0: <-- HDR, SK {}');
    expect(right.trace).toContain('sent INFORMATIONAL 2: <-- HDR, SK {}');
    expect(left.sas.size + right.sas.size).toBe(0);
  });

  test('of the IKE SA by both at once ends on both sides', () => {
    const { network, left, right } = established();
    network.command(left, 'terminate', 'right');
    network.command(right, 'terminate', 'left');
    network.settle();
    expect(left.core.status(network.now).length + right.core.status(network.now).length).toBe(0);
    expect(left.timerAt).toBeDefined();
  });

  test('is still answered when the request is repeated after the SA has gone', () => {
    const { network, left, right } = established();
    const count = network.sent.length;
    let lost = false;
    network.tamper = (datagram, from) => {
      if (from === right && !lost) {
        lost = true;
        return undefined;
      }
      return datagram;
    };
    network.command(left, 'terminate', 'right');
    network.pass(10_000);
    expect(network.sent.length - count).toBe(4);
    expect(left.core.status(network.now)).toEqual([]);
  });

  test('at a stop goes to every peer, and the stop waits for the answers', () => {
    const { network, left, right } = established();
    const request = left.nextRequest();
    network.feed(left, { type: 'stop', request });
    expect(left.completed.has(request)).toBe(false);
    network.settle();
    expect(left.completed.has(request)).toBe(true);
    expect(left.sas.size + right.sas.size).toBe(0);
    expect(left.policies.size).toBe(0);
  });

  test('close_action start brings the child up again', () => {
    const { network, left, right } = established({ leftChild: { close_action: 'start' } });
    network.command(right, 'terminate', 'left');
    network.settle();
    network.pass(1_000);
    expect(left.core.status(network.now)).toMatchObject([{ state: 'ESTABLISHED', children: [{ name: 'net' }] }]);
    expect(right.core.status(network.now).length).toBe(1);
  });
});
