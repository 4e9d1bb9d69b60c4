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
  const source4 = () => source(HEADER_ICMP4, 4);
  const source6 = () => source(HEADER_ICMP6, 16);

  beforeEach(() => {
    memory = createMemory(1 << 20);
  });

  it('is the first address of the device in each family', () => {
    const icmp = new IcmpSource(memory, ['10.9.0.1/24', '10.8.0.1/24', 'fd09::1/64'], () => HOST);
    icmp.learn(LAN4);
    icmp.learn(LAN6);
    expect([source4(), source6()]).toEqual(['10.9.0.1', 'fd09::1']);
  });

  it('is the address of the host inside what is protected', () => {
    const icmp = new IcmpSource(memory, [], () => HOST);
    expect([source4(), source6()]).toEqual(['0.0.0.0', '::']);
    icmp.learn(LAN4);
    icmp.learn(LAN6);
    expect([source4(), source6()]).toEqual(['10.1.0.1', 'fd01::1']);
  });

  it('is another address of the host if it has none inside', () => {
    const icmp = new IcmpSource(memory, [], () => HOST);
    icmp.learn(selector('10.77.0.0', '10.77.255.255'));
    expect([source4(), source6()]).toEqual(['203.0.113.5', '::']);
  });

  it("stays the packet's own destination on a host without addresses of that family", () => {
    const icmp = new IcmpSource(memory, [], () => ['203.0.113.5']);
    icmp.learn(LAN6);
    expect([source4(), source6()]).toEqual(['0.0.0.0', '::']);
  });
});
