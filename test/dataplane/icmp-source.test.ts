import { beforeEach, describe, expect, it } from 'vitest';
import { HEADER_BASE, HEADER_ICMP4, HEADER_ICMP6 } from '../../assembly/layout/records.ts';
import type { TrafficSelector } from '../../src/contract.ts';
import { IcmpSource } from '../../src/dataplane/icmp-source.ts';
import { createMemory } from '../../src/dataplane/kernel.ts';
import { addressText } from '../../src/dataplane/selector.ts';

const HOST = ['203.0.113.5', '10.1.0.1', '2001:db8::5', 'fd01::1'];

const selector = (from: string, to: string): TrafficSelector => {
  const side = { addresses: { from, to }, ports: { from: 0, to: 65_535 } };
  return { protocol: 0, local: side, remote: side };
};
const LAN4 = selector('10.1.0.0', '10.1.255.255');
const LAN6 = selector('fd01::', 'fd01::ffff');

describe('the source of ICMP errors', () => {
  let memory: ReturnType<typeof createMemory>;
  const source = (field: number, length: number) =>
    addressText(memory.bytes.slice(HEADER_BASE + field, HEADER_BASE + field + length));
  const source6 = () => source(HEADER_ICMP6, 16);

  beforeEach(() => {
    memory = createMemory(1 << 20);
  });

  it('is the first IPv6 address of the device', () => {
    new IcmpSource(memory, ['10.9.0.1/24', 'fd09::1/64', 'fd08::1/64'], () => HOST).learn(LAN6);
    expect(source6()).toBe('fd09::1');
  });

  it('is the address of the host inside what is protected', () => {
    const icmp = new IcmpSource(memory, [], () => HOST);
    expect(source6()).toBe('::');
    icmp.learn(LAN4);
    expect(source6()).toBe('::');
    icmp.learn(LAN6);
    expect(source6()).toBe('fd01::1');
  });

  it('is another address of the host if it has none inside', () => {
    new IcmpSource(memory, [], () => HOST).learn(selector('fd77::', 'fd77::ffff'));
    expect(source6()).toBe('2001:db8::5');
  });

  it("stays the packet's own destination on a host without IPv6, and always for IPv4", () => {
    const icmp = new IcmpSource(memory, ['10.9.0.1/24'], () => ['203.0.113.5', '10.1.0.1']);
    icmp.learn(LAN6);
    icmp.learn(LAN4);
    expect([source(HEADER_ICMP4, 4), source6()]).toEqual(['0.0.0.0', '::']);
  });
});
