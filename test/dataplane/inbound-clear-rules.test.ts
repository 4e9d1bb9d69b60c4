import { describe, expect, it } from 'vitest';
import type { TrafficSelector } from '../../src/contract.ts';
import { clearRules, type Entry, steps, unite } from '../../src/dataplane/inbound-clear-rules.ts';
import { addressText } from '../../src/ip-address.ts';

const ANY_PORT = { from: 0, to: 65_535 };
const side = (text: string, ports = ANY_PORT) => {
  const [from = '', to = from] = text.split('-');
  return { addresses: { from, to }, ports };
};
const selector = (local: string, remote: string, more: Partial<TrafficSelector> = {}): TrafficSelector => ({
  protocol: 0,
  local: side(local),
  remote: side(remote),
  ...more,
});
const protect = (priority: number, selector: TrafficSelector): Entry => ({ action: 'protect', priority, selector });
const discard = (priority: number, selector: TrafficSelector): Entry => ({ action: 'discard', priority, selector });
const bypass = (priority: number, selector: TrafficSelector): Entry => ({ action: 'bypass', priority, selector });

const HERE = selector('10.1.0.0-10.1.0.255', '10.2.0.0-10.2.0.255');
const kinds = (entries: readonly Entry[]) =>
  steps(entries).map((step) =>
    step.action === 'protect' ? `protect ${step.protocol} ${step.local.map(({ from }) => from)}` : step.action,
  );

describe('the SPD as rules', () => {
  it('has one for all children whose selectors differ in addresses only', () => {
    const children = Array.from({ length: 5000 }, (_, child) =>
      protect(1000 + (child % 99), selector(`10.1.${child % 250}.0`, `10.2.${child % 250}.${child % 200}`)),
    );
    expect(steps(children)).toHaveLength(1);
    expect(steps([...children, protect(1000, selector('fd01::', 'fd02::'))])).toHaveLength(2);
  });

  it('keeps the order of priorities between what is let pass and what is protected', () => {
    const tcp = { protocol: 6, local: side('10.1.0.1', { from: 443, to: 443 }) };
    expect(
      kinds([
        bypass(1500, HERE),
        protect(2000, selector('10.1.9.0', '10.2.0.0')),
        protect(1000, HERE),
        protect(1200, selector('10.1.0.1', '10.2.0.0', tcp)),
        bypass(100, HERE),
      ]),
    ).toEqual(['bypass', 'protect 0 10.1.0.0', 'protect 6 10.1.0.1', 'bypass', 'protect 0 10.1.9.0']);
  });

  it('keeps the order in which others of one priority came, and never puts them together', () => {
    expect(kinds([bypass(100, HERE), discard(100, HERE), discard(100, HERE), bypass(99, HERE)])).toEqual([
      'bypass',
      'bypass',
      'discard',
      'discard',
    ]);
    expect(kinds([discard(100, HERE), bypass(100, HERE)])).toEqual(['discard', 'bypass']);
  });

  it('protects first where priorities are equal', () => {
    expect(kinds([bypass(100, HERE), protect(100, HERE)])).toEqual(['protect 0 10.1.0.0', 'bypass']);
  });

  it('stays short with thousands of kinds of selectors, whose protocols and ports then count no more', () => {
    const ports = Array.from({ length: 3000 }, (_, port) =>
      protect(
        1000,
        selector('10.1.0.1', '10.2.0.1', { protocol: 6, local: side('10.1.0.1', { from: port, to: port }) }),
      ),
    );
    expect(kinds(ports.slice(0, 64))).toHaveLength(64);
    expect(steps(ports)).toMatchObject([{ action: 'protect', family: 4, protocol: 0, localPorts: ANY_PORT }]);
  });

  it('has none for ports that no packet shows', () => {
    const opaque = (protocol: number, from: number, to: number) =>
      protect(1000, selector('10.1.0.1', '10.2.0.1', { protocol, local: side('10.1.0.1', { from, to }) }));
    const rules = (entry: Entry) =>
      clearRules([entry], { chain: 'in', refusals: { protect: 'refusal', discard: 'discard' }, device: 2, ports: [] })
        .sets.length;
    expect(rules(opaque(17, 53, 53))).toBe(1);
    expect(rules(opaque(17, 65_535, 0))).toBe(0);
    expect(rules(opaque(47, 1, 2))).toBe(0);
  });
});

describe('a set of addresses', () => {
  it.each([
    [
      'overlapping, touching and repeated ranges as one',
      ['10.0.0.9-10.0.0.20', '10.0.0.0-10.0.0.9', '10.0.0.21', '10.0.0.3'],
      ['10.0.0.0-10.0.0.22'],
    ],
    [
      'ranges apart as they are, sorted',
      ['10.0.0.7', '9.255.255.255', '10.0.0.5'],
      ['9.255.255.255-10.0.0.0', '10.0.0.5-10.0.0.6', '10.0.0.7-10.0.0.8'],
    ],
    ['the last address without one behind it', ['0.0.0.0-255.255.255.255', '10.0.0.1'], ['0.0.0.0-']],
    ['IPv6', ['fd01::-fd01::ffff', 'fd01::1:0-fd01::1:1'], ['fd01::-fd01::1:2']],
  ])('has %s', (_, ranges, expected) => {
    const united = unite(ranges.map((range) => side(range).addresses));
    expect(united.map(({ from, end }) => `${addressText(from)}-${end === undefined ? '' : addressText(end)}`)).toEqual(
      expected,
    );
  });
});
