import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import * as R from '../../assembly/layout/records.ts';
import type { PolicyHandle, PolicyParameters, TrafficSelector } from '../../src/contract.ts';
import { SA } from './bed.ts';
import { ALL4, ALL6, ANY_PORT, OutboundBed, selector } from './outbound-bed.ts';
import { frame, ip, pattern, tcp, udp } from './packets.ts';

let bed: OutboundBed;
beforeEach(async () => {
  bed = await OutboundBed.open(16_384);
});

const policy = (parameters: Partial<PolicyParameters>): PolicyParameters => ({
  direction: 'out',
  priority: 100,
  action: 'discard',
  selector: selector(ALL4, ALL4),
  name: 'test',
  ...parameters,
});

/** Which of the policies counted the packet? */
function hit(handles: readonly PolicyHandle[], packet: Uint8Array): PolicyHandle | undefined {
  const before = handles.map((handle) => bed.spd.counters(handle)!.packets);
  bed.send(frame(packet));
  return handles.find((handle, i) => bed.spd.counters(handle)!.packets > before[i]!);
}

const ports = (from: number, to = from) => ({ from, to });
const tcpTo = (destination: string, destinationPort: number) =>
  ip(tcp(new Uint8Array(), { destinationPort }), { destination, protocol: 6 });

describe('the SPD', () => {
  it('takes the first match by priority, then the older policy', () => {
    const handles = [
      bed.spd.install(policy({ priority: 20 })),
      bed.spd.install(policy({ priority: 10, selector: selector('10.1.0.1', ALL4) })),
      bed.spd.install(policy({ priority: 10, selector: selector(ALL4, '10.2.0.0-10.2.255.255') })),
      bed.spd.install(policy({ priority: 5, selector: selector(ALL4, '10.2.0.9') })),
    ];
    expect(hit(handles, ip(udp(pattern(5))))).toBe(handles[1]);
    expect(hit(handles, ip(udp(pattern(5)), { source: '10.1.0.2' }))).toBe(handles[2]);
    expect(hit(handles, ip(udp(pattern(5)), { destination: '10.2.0.9' }))).toBe(handles[3]);
    expect(hit(handles, ip(udp(pattern(5)), { source: '10.9.9.9', destination: '10.9.9.9' }))).toBe(handles[0]);
  });

  it('forgets what a flow met when a policy comes or goes', () => {
    const wide = bed.spd.install(policy({}));
    const packet = ip(udp(pattern(5)));
    expect(hit([wide], packet)).toBe(wide);
    const narrow = bed.spd.install(policy({ priority: 1, selector: selector('10.1.0.1', '10.2.0.1') }));
    expect(hit([wide, narrow], packet)).toBe(narrow);
    bed.spd.remove(narrow);
    expect(hit([wide], packet)).toBe(wide);
    bed.spd.remove(wide);
    bed.send(frame(packet));
    expect(bed.drops()).toEqual({ XfrmOutPolBlock: 3, OutNoPolicy: 1 });
  });

  it('looks at protocol, ports, ICMP type and code, and OPAQUE', () => {
    const side = (from: string, range = ANY_PORT as { from: number; to: number }) => ({
      addresses: { from, to: from === '0.0.0.0' ? '255.255.255.255' : from },
      ports: range,
    });
    const any = side('0.0.0.0');
    const of = (protocol: number, local: TrafficSelector['local'], remote: TrafficSelector['remote'], priority = 1) =>
      bed.spd.install(policy({ priority, selector: { protocol, local, remote } }));
    const web = of(6, any, side('0.0.0.0', ports(80)));
    const high = of(6, any, side('0.0.0.0', ports(1000, 2100)));
    const echo = of(1, side('0.0.0.0', ports(8 * 256)), any);
    const unreachable = of(1, side('0.0.0.0', ports(3 * 256, 3 * 256 + 255)), any);
    const gre = of(47, any, any);
    const opaque = of(132, side('0.0.0.0', ports(65_535, 0)), side('0.0.0.0', ports(65_535, 0)), 0);
    const rest = bed.spd.install(policy({ priority: 9 }));
    const handles = [web, high, echo, unreachable, gre, opaque, rest];
    expect(hit(handles, tcpTo('10.2.0.1', 80))).toBe(web);
    expect(hit(handles, tcpTo('10.2.0.1', 999))).toBe(rest);
    expect(hit(handles, tcpTo('10.2.0.1', 1000))).toBe(high);
    expect(hit(handles, tcpTo('10.2.0.1', 2100))).toBe(high);
    expect(hit(handles, tcpTo('10.2.0.1', 2101))).toBe(rest);
    expect(hit(handles, ip(udp(pattern(3), 40_000, 80)))).toBe(rest);
    expect(hit(handles, ip(Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0), { protocol: 1 }))).toBe(echo);
    expect(hit(handles, ip(Uint8Array.of(3, 7, 0, 0, 0, 0, 0, 0), { protocol: 1 }))).toBe(unreachable);
    expect(hit(handles, ip(Uint8Array.of(11, 0, 0, 0, 0, 0, 0, 0), { protocol: 1 }))).toBe(rest);
    expect(hit(handles, ip(pattern(20), { protocol: 47 }))).toBe(gre);
    expect(hit(handles, ip(pattern(20), { protocol: 132 }))).toBe(rest);
    expect(hit(handles, ip(pattern(20), { protocol: 132, fragment: 0x0010 }))).toBe(opaque);
  });

  it('gives a later fragment the policy of its first, and drops it if that was not seen (RFC 4301 §7)', () => {
    const toDns = {
      protocol: 17,
      local: selector(ALL4, ALL4).local,
      remote: { ...selector(ALL4, ALL4).remote, ports: ports(53) },
    };
    const dns = bed.spd.install(policy({ priority: 1, selector: toDns }));
    const rest = bed.spd.install(policy({ priority: 9 }));
    const handles = [dns, rest];
    const first = (id: number, port = 53) => ip(udp(pattern(64), 40_000, port), { id, fragment: 0x2000 });
    const later = (id: number) => ip(pattern(64), { id, fragment: 9 });
    expect(hit(handles, later(1))).toBeUndefined();
    expect(hit(handles, first(1))).toBe(dns);
    expect(hit(handles, later(1))).toBe(dns);
    expect(hit(handles, first(2, 80))).toBe(rest);
    expect(hit(handles, later(2))).toBe(rest);
    expect(hit(handles, later(3))).toBeUndefined();
    bed.now = 1_700_000_031_000;
    expect(hit(handles, later(1))).toBeUndefined();
    expect(bed.drops()).toEqual({ OutFragment: 3, XfrmOutPolBlock: 4 });
    // Where no policy asks for ports, fragments need no first one.
    bed.spd.remove(dns);
    expect(hit([rest], later(4))).toBe(rest);
  });

  it('reads ports and protocol behind IPv6 extension headers, also those of fragments', () => {
    const all = selector(ALL6, ALL6);
    const dns = bed.spd.install(
      policy({ priority: 1, selector: { ...all, protocol: 17, remote: { ...all.remote, ports: ports(53) } } }),
    );
    const rest = bed.spd.install(policy({ priority: 9, selector: all }));
    const v6 = { source: '2001:db8:1::1', destination: '2001:db8:2::1' };
    const extended = (next: number, ...headers: number[][]) =>
      ip(udp(pattern(40)), { ...v6, protocol: next, options: Uint8Array.from(headers.flat()) });
    const options = (next: number) => [next, 1, 1, 12, ...Array(12).fill(0)];
    const fragment = (next: number, field: number, id: number) => [next, 0, field >>> 8, field & 255, 0, 0, 0, id];
    expect(hit([dns, rest], extended(0, options(43), [60, 0, 4, 0, 0, 0, 0, 0], options(17)))).toBe(dns);
    expect(hit([dns, rest], extended(44, fragment(17, 1, 1)))).toBe(dns);
    expect(hit([dns, rest], extended(44, fragment(17, 80, 1)))).toBe(dns);
    expect(hit([dns, rest], extended(44, fragment(60, 1, 2), options(17)))).toBe(dns);
    expect(hit([dns, rest], extended(44, fragment(60, 80, 2)))).toBe(dns);
    expect(hit([dns, rest], extended(44, fragment(60, 80, 3)))).toBeUndefined();
    expect(hit([dns, rest], extended(44, fragment(58, 80, 4)))).toBe(undefined);
    expect(bed.drops()).toMatchObject({ OutFragment: 2 });
  });

  it('refuses what it cannot hold or do', () => {
    const sa = bed.sad.install(SA);
    const raised = (code: string) => expect.objectContaining({ code });
    expect(() => bed.spd.install(policy({ action: 'bypass', sa }))).toThrow(raised('ERR_POLICY'));
    expect(() => bed.spd.install(policy({ action: 'protect', sa: 999 }))).toThrow(raised('ERR_POLICY'));
    expect(() => bed.spd.install(policy({ priority: -1 }))).toThrow(raised('ERR_POLICY'));
    expect(() => bed.spd.install(policy({ selector: selector(ALL4, ALL6) }))).toThrow(raised('ERR_ADDRESS'));
    for (let i = 0; i < 16_384; i++) bed.spd.install(policy({}));
    expect(() => bed.spd.install(policy({}))).toThrow(raised('ERR_SPD_FULL'));
  });

  it('finds one policy in 10,000 by looking at a few, and installs them quickly', () => {
    const address = (i: number, network: number) => `10.${network + (i >>> 16)}.${(i >>> 8) & 255}.${i & 255}`;
    const handles: PolicyHandle[] = [];
    const start = process.cpuUsage();
    for (let i = 0; i < 10_000; i++) {
      handles.push(bed.spd.install(policy({ selector: selector(address(i, 1), address(i, 100)) })));
    }
    // Of a core of its own: other tests run at the same time.
    const { user, system } = process.cpuUsage(start);
    expect(10_000 / ((user + system) / 1e6)).toBeGreaterThan(5000);
    const out = bed.memory.words[(R.HEADER_BASE + R.HEADER_SPD_OUT) >>> 2]!;
    expect(bed.memory.words[(out + R.SPD_TUPLE_COUNT) >>> 2]).toBe(1);
    for (const i of [0, 1, 4999, 9999]) {
      bed.send(frame(ip(udp(pattern(5)), { source: address(i, 1), destination: address(i, 100) })));
      expect(bed.spd.counters(handles[i]!)!.packets).toBe(1);
    }
    for (const handle of handles) bed.spd.remove(handle);
    expect(bed.spd.size).toBe(0);
    expect(bed.memory.words[(out + R.SPD_TUPLE_COUNT) >>> 2]).toBe(0);
  });
});

describe('the classifier, against a list searched from the top', () => {
  interface Rule {
    readonly priority: number;
    readonly protocol: number;
    readonly local: readonly [number, number];
    readonly remote: readonly [number, number];
    readonly localPorts: readonly [number, number];
    readonly remotePorts: readonly [number, number];
  }
  interface Probe {
    readonly protocol: number;
    readonly local: number;
    readonly remote: number;
    readonly ports: readonly [number, number];
  }
  const range = (limit: number) =>
    fc.oneof(
      fc.constant([0, limit] as const),
      fc.tuple(fc.nat(limit), fc.nat(limit)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const),
      fc.nat(limit).map((a) => [a, a] as const),
    );
  const rule: fc.Arbitrary<Rule> = fc.record({
    priority: fc.nat(5),
    protocol: fc.constantFrom(0, 6, 17),
    local: range(15),
    remote: range(15),
    localPorts: fc.oneof(fc.constant([0, 65_535] as const), range(7)),
    remotePorts: fc.oneof(fc.constant([0, 65_535] as const), range(7)),
  });
  const probe: fc.Arbitrary<Probe> = fc.record({
    protocol: fc.constantFrom(6, 17),
    local: fc.nat(15),
    remote: fc.nat(15),
    ports: fc.tuple(fc.nat(7), fc.nat(7)),
  });
  const within = (x: number, [from, to]: readonly [number, number]) => x >= from && x <= to;
  const matches = (r: Rule, p: Probe) =>
    (r.protocol === 0 || r.protocol === p.protocol) &&
    within(p.local, r.local) &&
    within(p.remote, r.remote) &&
    within(p.ports[0], r.localPorts) &&
    within(p.ports[1], r.remotePorts);

  it.each(['10.1.0.', '2001:db8::'])('agrees over %s, whatever comes and goes', async (prefix) => {
    const host = (i: number) => `${prefix}${i.toString(prefix.includes(':') ? 16 : 10)}`;
    const toSelector = (r: Rule): TrafficSelector => ({
      protocol: r.protocol,
      local: { addresses: { from: host(r.local[0]), to: host(r.local[1]) }, ports: ports(...r.localPorts) },
      remote: { addresses: { from: host(r.remote[0]), to: host(r.remote[1]) }, ports: ports(...r.remotePorts) },
    });
    const toPacket = (p: Probe) => {
      const addresses = { source: host(p.local), destination: host(p.remote), protocol: p.protocol };
      return p.protocol === 6
        ? ip(tcp(new Uint8Array(), { sourcePort: p.ports[0], destinationPort: p.ports[1] }), addresses)
        : ip(udp(new Uint8Array(), ...p.ports), addresses);
    };
    const step = fc.oneof(
      rule.map((value) => ({ kind: 'install' as const, value })),
      fc.nat().map((value) => ({ kind: 'remove' as const, value })),
      probe.map((value) => ({ kind: 'probe' as const, value })),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const model: { rule: Rule; handle: PolicyHandle }[] = [];
        for (const { kind, value } of steps) {
          if (kind === 'install') {
            const handle = bed.spd.install(policy({ priority: value.priority, selector: toSelector(value) }));
            model.push({ rule: value, handle });
          } else if (kind === 'remove') {
            const [gone] = model.splice(value % Math.max(1, model.length), 1);
            if (gone) bed.spd.remove(gone.handle);
          } else {
            const expected = model
              .filter((entry) => matches(entry.rule, value))
              .sort((a, b) => a.rule.priority - b.rule.priority || a.handle - b.handle)[0]?.handle;
            const handles = model.map(({ handle }) => handle);
            expect(hit(handles, toPacket(value))).toBe(expected);
          }
        }
        for (const { handle } of model) bed.spd.remove(handle);
      }),
      { numRuns: 300 },
    );
  });

  it('agrees when there are more kinds of policies than it has room for', () => {
    const rules: { priority: number; handle: PolicyHandle; remote: string; port: number }[] = [];
    // Every rule looks at other bits: 32 prefix lengths × 17 of ports and more.
    for (let i = 0; i < 700; i++) {
      const bits = i % 32;
      const to = `10.2.${((2 ** bits - 1) >>> 8) & 255}.${(2 ** bits - 1) & 255}`;
      const low = 2 ** (i % 16);
      const side = (from: string, last: string, port: number) => ({
        addresses: { from, to: bits < 16 ? last : '10.2.255.255' },
        ports: ports(port & ~(low - 1), (port & ~(low - 1)) + low - 1),
      });
      const handle = bed.spd.install(
        policy({
          priority: 1000 - i,
          selector: {
            protocol: i % 3 === 0 ? 0 : 6,
            local: { addresses: { from: '10.1.0.0', to: `10.1.0.${2 ** (i % 7) - 1}` }, ports: ANY_PORT },
            remote: side('10.2.0.0', to, i * 64),
          },
        }),
      );
      rules.push({ priority: 1000 - i, handle, remote: '10.2.0.0', port: i * 64 });
    }
    const handles = rules.map(({ handle }) => handle);
    for (const { remote, port, handle } of rules.slice(690)) {
      const packet = ip(tcp(new Uint8Array(), { destinationPort: port }), {
        source: '10.1.0.0',
        destination: remote,
        protocol: 6,
      });
      const found = hit(handles, packet)!;
      expect(found).toBeGreaterThanOrEqual(handle);
      expect(bed.spd.parameters(found)!.priority).toBeLessThanOrEqual(bed.spd.parameters(handle)!.priority);
    }
    for (const handle of handles) bed.spd.remove(handle);
    const out = bed.memory.words[(R.HEADER_BASE + R.HEADER_SPD_OUT) >>> 2]!;
    expect(bed.memory.words[(out + R.SPD_TUPLE_COUNT) >>> 2]).toBe(0);
  });
});
