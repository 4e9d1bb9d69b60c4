/** Policies belong to selectors, not to children: who needs one, and what a packet meets in it (RFC 4301 §4.4.1). */
import { describe, expect, test } from 'vitest';
import type { ChildSa } from '../../../src/control/child/child-sa.ts';
import { hostSelector } from '../../../src/control/child/narrowing.ts';
import { PolicyTable } from '../../../src/control/child/policies.ts';
import { configFromObject } from '../../../src/control/config/load.ts';
import type { Effect } from '../../../src/control/ike/effects.ts';

const { config } = configFromObject({
  connections: Object.fromEntries(
    ['first', 'second'].map((name, index) => [
      name,
      {
        local_addrs: ['192.0.2.1'],
        remote_addrs: [`198.51.100.${index + 1}`],
        local: { auth: 'psk', secret: 'a secret' },
        remote: { auth: 'psk', secret: 'a secret' },
        children: { [`${name}-net`]: { local_ts: ['10.1.0.1/32'], remote_ts: ['10.2.0.1/32'] } },
      },
    ]),
  ),
});
const [first, second] = config.connections.map((connection) => ({ connection, child: connection.children[0]! }));
const NET = { local: [hostSelector('10.1.0.1')], remote: [hostSelector('10.2.0.1')] };

/** A table, and what comes out of it put into effect. */
function table() {
  let id = 0;
  const effects: Effect[] = [];
  let routesWanted = true;
  const policies = new PolicyTable({
    push: (effect) => effects.push(effect),
    nextId: () => ++id,
    installRoutes: () => routesWanted,
  });
  const installed = new Map<number, number | undefined>();
  const routes = new Set<string>();
  /** Ends a step. @returns what happened in it */
  const step = (): string[] => {
    policies.sweep();
    return effects.splice(0).map((effect) => {
      if (effect.type === 'install-policy' || effect.type === 'set-policy-sa') installed.set(effect.key, effect.sa);
      if (effect.type === 'remove-policy') installed.delete(effect.key);
      if (effect.type === 'add-route') routes.add(effect.prefix);
      if (effect.type === 'remove-route') routes.delete(effect.prefix);
      return effect.type;
    });
  };
  const keyOf = () => [...installed.keys()][0]!;
  /** @returns the outbound SAs that packets meet, one for each policy; `undefined` for a trap or a drop */
  const met = () => [...installed.values()];
  return { policies, step, met, keyOf, routes, setRoutes: (wanted: boolean) => (routesWanted = wanted) };
}

let lastKey = 100;
const child = ({ child: own }: typeof first & object, agreement: object = NET): ChildSa =>
  ({ config: own, agreement, keyOut: ++lastKey, sending: false }) as never;

describe('a policy that several children need', () => {
  test('is the newest one’s that was put to use, and falls back when that goes', () => {
    const { policies, step, met } = table();
    const [a, b] = [child(first!), child(second!)];
    policies.use(a);
    policies.use(b);
    step();
    expect(met()).toEqual([b.keyOut]);
    policies.release(b);
    step();
    expect(met()).toEqual([a.keyOut]);
    policies.release(a);
    expect(step()).toContain('remove-policy');
    expect(met()).toEqual([]);
  });

  test('stays the new one’s when the old one goes', () => {
    const { policies, step, met } = table();
    const [old, fresh] = [child(first!), child(first!)];
    policies.use(old);
    policies.admit(fresh);
    policies.use(fresh);
    step();
    policies.release(old);
    expect(step()).toEqual([]);
    expect(met()).toEqual([fresh.keyOut]);
  });

  test('falls to one that waits for a sign of the peer, if there is no other', () => {
    const { policies, step, met } = table();
    const [used, waiting] = [child(first!), child(first!)];
    policies.use(used);
    policies.admit(waiting);
    step();
    expect(met()).toEqual([used.keyOut]);
    policies.release(used);
    step();
    expect(met()).toEqual([waiting.keyOut]);
    expect(waiting.sending).toBe(true);
  });

  test('goes to one that waits with all of its selectors', () => {
    const { policies, step, met } = table();
    const wider = { ...NET, remote: [...NET.remote, hostSelector('10.2.0.2')] };
    const [used, waiting] = [child(first!), child(first!, wider)];
    policies.use(used);
    policies.admit(waiting);
    policies.release(used);
    step();
    expect(met()).toEqual([waiting.keyOut, waiting.keyOut]);
  });
});

describe('a trap', () => {
  test('that two children have for the same selectors is there until both let go', () => {
    const { policies, step, met, keyOf } = table();
    policies.trap({ ...first!, ...NET });
    policies.trap({ ...second!, ...NET });
    step();
    expect(policies.trapOf(keyOf())?.child.name).toBe('first-net');
    policies.untrap(second!.connection, second!.child);
    expect(step()).toEqual([]);
    expect(policies.trapOf(keyOf())?.child.name).toBe('first-net');
    policies.trap({ ...second!, ...NET });
    policies.untrap(first!.connection, first!.child);
    expect(step()).toEqual([]);
    expect(policies.trapOf(keyOf())?.child.name).toBe('second-net');
    policies.untrap(second!.connection, second!.child);
    step();
    expect(met()).toEqual([]);
  });

  test('stands again when the child that used its policy goes', () => {
    const { policies, step, met } = table();
    const up = child(first!);
    policies.trap({ ...first!, ...NET });
    policies.use(up);
    step();
    expect(met()).toEqual([up.keyOut]);
    policies.release(up);
    expect(step()).toEqual(['set-policy-sa']);
    expect(met()).toEqual([undefined]);
  });

  test('that is set again for other selectors leaves none of the old ones', () => {
    const { policies, step, met } = table();
    policies.trap({ ...first!, ...NET });
    step();
    policies.trap({ ...first!, ...NET, remote: [hostSelector('10.2.0.9')] });
    expect(step()).toEqual(['install-policy', 'add-route', 'remove-policy', 'remove-route']);
    expect(met()).toEqual([undefined]);
  });
});

describe('what changes hands within a step', () => {
  test('is there all the time, policy and route', () => {
    const { policies, step, met, routes } = table();
    policies.trap({ ...first!, ...NET });
    policies.hold({ ...first!, ...NET });
    step();
    policies.untrap(first!.connection, first!.child);
    policies.unhold(first!.connection, first!.child);
    policies.hold({ ...first!, ...NET });
    policies.trap({ ...first!, ...NET });
    expect(step()).toEqual([]);
    expect(met()).toEqual([undefined]);
    expect([...routes]).toEqual(['10.2.0.1/32']);
  });

  test('goes at its end, the route last', () => {
    const { policies, step } = table();
    policies.trap({ ...first!, ...NET });
    step();
    policies.untrap(first!.connection, first!.child);
    expect(step()).toEqual(['remove-policy', 'remove-route']);
  });
});

describe('a lost child', () => {
  test('keeps its policy as a drop, though it had never been put to use', () => {
    const { policies, step, met } = table();
    const [old, heir] = [child(first!), child(first!)];
    policies.use(old);
    policies.admit(heir);
    policies.block(first!.connection, heir);
    policies.release(heir);
    policies.release(old);
    step();
    expect(met()).toEqual([undefined]);
    policies.unblock(first!.connection, first!.child);
    step();
    expect(met()).toEqual([]);
  });
});

describe('install_routes', () => {
  test('takes effect on routes that are needed already', () => {
    const { policies, step, routes, setRoutes } = table();
    policies.trap({ ...first!, ...NET });
    step();
    setRoutes(false);
    policies.reroute();
    step();
    expect([...routes]).toEqual([]);
    setRoutes(true);
    policies.reroute();
    step();
    expect([...routes]).toEqual(['10.2.0.1/32']);
  });
});
