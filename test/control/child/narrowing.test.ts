import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  contains,
  intersect,
  isNarrowed,
  MAX_SELECTORS,
  narrow,
  pairs,
  withoutRedundant,
} from '../../../src/control/child/narrowing.ts';
import { PolicyTable } from '../../../src/control/child/policies.ts';
import { prefixesOf } from '../../../src/control/child/routes.ts';
import type { ChildConfig, ConnectionConfig } from '../../../src/control/config/model.ts';
import { parseRange } from '../../../src/control/wire/address.ts';
import { formatSelector, type Selector } from '../../../src/control/wire/payloads/ts.ts';

const selector = (range: string, protocol = 0, from = 0, to = 65_535): Selector => ({
  protocol,
  addresses: parseRange(range),
  ports: { from, to },
});

const OPAQUE = { from: 65_535, to: 0 };

/** Small spaces, so that selectors meet often. */
const arbitrary: fc.Arbitrary<Selector> = fc
  .tuple(
    fc.integer({ min: 0, max: 31 }),
    fc.integer({ min: 0, max: 31 }),
    fc.constantFrom(0, 6, 17),
    fc.integer({ min: 0, max: 9 }),
    fc.integer({ min: 0, max: 9 }),
  )
  .map(([a, b, protocol, p, q]) => ({
    protocol,
    addresses: { from: `10.0.0.${Math.min(a, b)}`, to: `10.0.0.${Math.max(a, b)}` },
    ports: { from: Math.min(p, q), to: Math.max(p, q) },
  }));

const takes = ({ protocol, addresses, ports }: Selector, host: number, proto: number, port: number): boolean => {
  const [from, to] = [addresses.from, addresses.to].map((text) => Number(text.split('.')[3]));
  return (
    (protocol === 0 || protocol === proto) && host >= from! && host <= to! && port >= ports.from && port <= ports.to
  );
};

const packet = fc.tuple(fc.integer({ min: 0, max: 31 }), fc.constantFrom(6, 17), fc.integer({ min: 0, max: 9 }));

describe('traffic selectors (RFC 7296 §2.9)', () => {
  test('an intersection takes exactly the packets that both take', () => {
    fc.assert(
      fc.property(arbitrary, arbitrary, packet, (a, b, [host, proto, port]) => {
        const both = intersect(a, b);
        const inBoth = takes(a, host, proto, port) && takes(b, host, proto, port);
        expect(both !== undefined && takes(both, host, proto, port)).toBe(inBoth);
      }),
    );
  });

  test('what is narrowed lies within what was offered, and takes all that is common', () => {
    const lists = fc.array(arbitrary, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(lists, lists, packet, (offered, allowed, [host, proto, port]) => {
        const result = narrow(offered, allowed);
        const some = (list: readonly Selector[]) => list.some((each) => takes(each, host, proto, port));
        expect(some(result)).toBe(some(offered) && some(allowed));
        if (result.length > 0) expect(isNarrowed(result, offered)).toBe(true);
      }),
    );
  });

  test('OPAQUE ports are taken by ANY and by OPAQUE, not by a range (RFC 4301 §4.4.1.1)', () => {
    const opaque = { ...selector('10.0.0.0/8', 6), ports: OPAQUE };
    expect(intersect(opaque, selector('10.0.0.0/8'))?.ports).toEqual(OPAQUE);
    expect(intersect(opaque, opaque)?.ports).toEqual(OPAQUE);
    expect(intersect(opaque, selector('10.0.0.0/8', 6, 80, 90))).toBeUndefined();
  });

  test('IPv4 and IPv6 have nothing in common, and are not paired', () => {
    expect(intersect(selector('0.0.0.0/0'), selector('::/0'))).toBeUndefined();
    expect(pairs([selector('10.0.0.0/8'), selector('2001:db8::/32')], [selector('::/0')]).length).toBe(1);
  });

  test('a selector that another one contains is left out, but never both', () => {
    const wide = selector('10.0.0.0/8');
    expect(withoutRedundant([selector('10.1.0.0/16'), wide, selector('10.0.0.0/8')])).toEqual([wide]);
    expect(contains(wide, selector('10.1.0.0/16', 6, 80, 80))).toBe(true);
  });

  test('the packet that asked for a child does not stay as a selector of its own', () => {
    const result = narrow([selector('10.1.0.5', 6, 40_000, 40_000), selector('10.1.0.0/16')], [selector('10.0.0.0/8')]);
    expect(result.map(formatSelector)).toEqual(['10.1.0.0/16']);
  });

  test('are bounded, however many a peer sends', () => {
    const many = Array.from({ length: 250 }, (_, index) => selector(`10.0.${index}.0/24`, 6, index, index));
    expect(narrow(many, [selector('10.0.0.0/8')]).length).toBeLessThanOrEqual(MAX_SELECTORS);
  });
});

describe('routes', () => {
  test.each([
    ['10.1.0.0/16', ['10.1.0.0/16']],
    ['10.1.0.4-10.1.0.9', ['10.1.0.4/30', '10.1.0.8/31']],
    ['0.0.0.0/0', ['0.0.0.0/0']],
    ['::/0', ['::/0']],
    ['2001:db8::1', ['2001:db8::1/128']],
    ['10.0.0.1-10.0.0.6', ['10.0.0.1/32', '10.0.0.2/31', '10.0.0.4/31', '10.0.0.6/32']],
  ])('%s are the prefixes that cover it exactly', (range, prefixes) => {
    expect(prefixesOf(parseRange(range))).toEqual(prefixes);
  });
});

describe('policies', () => {
  test('of narrower selectors are looked up first, among children of one priority', () => {
    const priorities = ['10.1.2.3', '10.1.2.0/24', '10.1.0.0/16', '0.0.0.0/0'].map((range) => {
      let found = -1;
      const table = new PolicyTable({
        push: (effect) => {
          if (effect.type === 'install-policy') found = effect.parameters.priority;
        },
        nextId: () => 1,
        installRoutes: () => false,
      });
      const child = { name: 'net', priority: 1000 } as ChildConfig;
      const connection = { name: 'gw' } as ConnectionConfig;
      table.trap({ connection, child, local: [selector('10.9.0.0/16')], remote: [selector(range)] });
      return found;
    });
    expect(priorities).toEqual([...priorities].sort((a, b) => a - b));
    expect(new Set(priorities).size).toBe(4);
    expect(Math.max(...priorities)).toBeLessThan(1100);
  });
});
