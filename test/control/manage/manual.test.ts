/** What the configuration puts into SAD and SPD itself, from one reading of it to the next. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { monotonic } from '../../../src/clock.ts';
import type {
  DataPlane,
  Endpoint,
  IkeDatagram,
  PolicyHandle,
  PolicyParameters,
  SaCounters,
  SaHandle,
  SaParameters,
} from '../../../src/contract.ts';
import { configFromObject } from '../../../src/control/config/load.ts';
import type { ConfigInput } from '../../../src/control/config/schema.ts';
import { ManualEntries } from '../../../src/control/manage/manual.ts';
import { EspalierError } from '../../../src/errors.ts';

/** SAD, SPD and routing as maps, whose every change is told. */
class Plane implements Partial<DataPlane> {
  readonly sas = new Map<SaHandle, SaParameters>();
  readonly policies = new Map<PolicyHandle, PolicyParameters>();
  readonly routes = new Set<string>();
  readonly sent: IkeDatagram[] = [];
  readonly moves: Endpoint[] = [];
  /** Last numbers of SAs, and when they were given out. */
  readonly used = new Map<SaHandle, { readonly sequence: number; readonly lastUsed: number }>();
  changed: () => void = () => {};
  room = Number.POSITIVE_INFINITY;
  #last = 0;

  installSa(parameters: SaParameters): SaHandle {
    if (parameters.direction === 'in' && [...this.sas.values()].some(({ spi }) => spi === parameters.spi))
      throw new EspalierError('ERR_SPI_IN_USE', 'another inbound SA has this SPI');
    this.sas.set(++this.#last, parameters);
    return this.#last;
  }

  removeSa(sa: SaHandle): void {
    this.sas.delete(sa);
    for (const [handle, policy] of this.policies) if (policy.sa === sa) this.setPolicySa(handle, undefined);
  }

  moveSa(_sa: SaHandle, _local: Endpoint, remote: Endpoint): void {
    this.moves.push(remote);
  }

  counters(sa: SaHandle): SaCounters | undefined {
    if (!this.sas.has(sa)) return undefined;
    const { sequence, lastUsed } = this.used.get(sa) ?? { sequence: 0, lastUsed: 0 };
    return { packets: sequence, bytes: 0, lastUsed, sequence, replayDrops: 0, integrityDrops: 0 };
  }

  installPolicy(parameters: PolicyParameters): PolicyHandle {
    if (this.policies.size >= this.room) throw new EspalierError('ERR_SPD_FULL', 'all policies are in use');
    this.policies.set(++this.#last, parameters);
    this.changed();
    return this.#last;
  }

  setPolicySa(policy: PolicyHandle, sa: SaHandle | undefined): void {
    const { sa: _, ...rest } = this.policies.get(policy)!;
    this.policies.set(policy, sa === undefined ? rest : { ...rest, sa });
  }

  removePolicy(policy: PolicyHandle): void {
    this.policies.delete(policy);
    this.changed();
  }

  addRoute(prefix: string): void {
    this.routes.add(prefix);
  }

  removeRoute(prefix: string): void {
    this.routes.delete(prefix);
  }

  sendIke(datagram: IkeDatagram): void {
    this.sent.push(datagram);
  }

  /** @returns what becomes of a packet to 10.2.0.`host` */
  verdict(host: number): string {
    const found = [...this.policies]
      .filter(
        ([, { selector }]) => host >= lastByte(selector.remote, 'from') && host <= lastByte(selector.remote, 'to'),
      )
      .sort(([a, { priority: p }], [b, { priority: q }]) => p - q || a - b)[0]?.[1];
    return found === undefined ? 'none' : found.action;
  }
}

const lastByte = ({ addresses }: PolicyParameters['selector']['remote'], end: 'from' | 'to') =>
  Number(addresses[end].split('.')[3]);

const KEY = '0x000102030405060708090a0b0c0d0e0f10111213';
const OTHER_KEY = '0x202122232425262728292a2b2c2d2e2f30313233';
const OUT = {
  direction: 'out',
  spi: 0x1001,
  local: '192.0.2.1',
  remote: '192.0.2.2',
  encap: true,
  algorithm: 'aes128gcm16',
  key: KEY,
  local_ts: '10.1.0.0/24',
  remote_ts: '10.2.0.0/24',
} as const;
const IN = { ...OUT, direction: 'in', spi: 0x1002, key: OTHER_KEY } as const;

const read = (input: ConfigInput) => configFromObject(input).config;
type Sas = NonNullable<ConfigInput['sas']>;

let plane: Plane;
let entries: ManualEntries;
let ended: SaHandle[];
beforeEach(() => {
  plane = new Plane();
  ended = [];
  entries = new ManualEntries(plane as unknown as DataPlane, (sa) => {
    ended.push(sa);
    entries.expire(sa, 'hard');
  });
});
afterEach(() => {
  entries.clear();
  vi.useRealTimers();
});

const apply = (sas: Sas, more: ConfigInput = {}) => entries.apply(read({ ...more, sas }));
const handles = () => Object.fromEntries([...plane.sas].map(([handle, { name }]) => [name, handle]));
const use = (name: string, sequence = 20) => plane.used.set(handles()[name]!, { sequence, lastUsed: monotonic() });
const refused = expect.objectContaining({
  code: 'ERR_KEY_REUSED',
  message: expect.stringMatching(/new SPI and a new key/),
});

describe('an SA with keys from the configuration', () => {
  it('goes on where something else changes, and under another name', () => {
    apply({ out: OUT, in: IN });
    const before = handles();
    apply(
      { out: OUT, in: IN, more: { ...OUT, spi: 0x1003 } },
      { policies: { no: { action: 'discard', remote_ts: '10.9.0.0/16' } }, gateway: { install_routes: false } },
    );
    expect(handles()).toMatchObject(before);
    apply({ to: OUT, from: IN });
    expect(entries.sas().map(({ name }) => name)).toEqual(['to', 'from']);
    expect([...plane.sas.keys()]).toEqual([before['out'], before['in']]);
  });

  it('goes on where two have changed their names', () => {
    const other = { ...OUT, spi: 0x1003 };
    apply({ a: OUT, b: other });
    const before = [...plane.sas.keys()];
    apply({ a: other, b: OUT });
    expect([...plane.sas.keys()]).toEqual(before);
    expect(plane.verdict(1)).toBe('protect');
  });

  it('is replaced by one with another SPI and key, which its policy names before it goes', () => {
    apply({ out: OUT });
    use('out');
    const [policy] = plane.policies.keys();
    apply({ out: { ...OUT, spi: 0x1003, key: OTHER_KEY } });
    expect([...plane.policies]).toMatchObject([[policy, { sa: handles()['out'] }]]);
    expect(entries.sas()).toMatchObject([{ name: 'out', spi: '00001003' }]);
  });

  it.each([
    ['selectors', { remote_ts: '10.3.0.0/24' }],
    ['limits', { life_packets: 1000 }],
    ['window', { replay_window: 64 }],
  ])('is not to begin again under the same SPI and key: other %s are refused, and change nothing', (_, change) => {
    apply({ out: OUT, in: IN });
    use('in');
    const before = [[...plane.sas.keys()], [...plane.policies.keys()], [...plane.routes]];
    const changed = read({ sas: { out: { ...OUT, spi: 0x1009 }, in: { ...IN, ...change } } });
    expect(() => entries.check(changed)).toThrow(refused);
    expect(() => entries.apply(changed)).toThrow(refused);
    expect([[...plane.sas.keys()], [...plane.policies.keys()], [...plane.routes]]).toEqual(before);
  });

  it('may change in everything as long as no packet has used it', () => {
    apply({ in: IN });
    const before = handles()['in'];
    apply({ in: { ...IN, remote_ts: '10.3.0.0/24' } });
    expect(handles()['in']).not.toBe(before);
  });

  it('may have another key under the same SPI', () => {
    apply({ in: IN });
    use('in');
    apply({ in: { ...IN, key: KEY } });
    expect(plane.sas.size).toBe(1);
    // Back to the old key is back to the old numbers.
    expect(() => apply({ in: IN })).toThrow(refused);
  });

  it('moves to other outer addresses with its sequence numbers', () => {
    apply({ out: OUT });
    use('out');
    const before = handles();
    apply({ out: { ...OUT, remote: '192.0.2.9', remote_port: 4501 } });
    expect(handles()).toEqual(before);
    expect(plane.moves).toEqual([{ address: '192.0.2.9', port: 4501 }]);
  });

  it('does not come back after it was taken out of the configuration, under no name', () => {
    apply({ out: OUT });
    use('out');
    apply({});
    expect(plane.sas.size + plane.policies.size).toBe(0);
    expect(() => apply({ again: OUT })).toThrow(refused);
    apply({ again: { ...OUT, spi: 0x1003 } });
  });

  it('stays ended when its time is up, until it has a new SPI and key', () => {
    vi.useFakeTimers();
    const short = { ...OUT, life_time: '2s' };
    apply({ out: short });
    use('out');
    vi.advanceTimersByTime(2500);
    expect(ended).toHaveLength(1);
    apply({ out: short, in: IN });
    expect(entries.sas().map(({ name }) => name)).toEqual(['in']);
    expect(plane.verdict(1)).toBe('protect');
    expect([...plane.policies.values()][0]).not.toHaveProperty('sa');
    expect(() => apply({ out: OUT })).toThrow(refused);
    apply({ out: { ...short, spi: 0x1003, key: OTHER_KEY } });
    expect([...plane.policies.values()]).toMatchObject([{ sa: handles()['out'] }]);
  });

  it('has its time from when it was installed on, though that changes', () => {
    vi.useFakeTimers();
    apply({ out: { ...OUT, life_time: '10s' } });
    vi.advanceTimersByTime(8000);
    apply({ out: { ...OUT, life_time: '20s' } });
    vi.advanceTimersByTime(11_000);
    expect(ended).toEqual([]);
    vi.advanceTimersByTime(1500);
    expect(ended).toHaveLength(1);
  });

  it('is as it was when another cannot be installed', () => {
    apply({ out: OUT, in: IN });
    use('out');
    const before = [[...plane.sas.keys()], [...plane.policies.keys()], [...plane.routes]];
    plane.room = 1;
    const more = { out: OUT, in: IN, next: { ...OUT, spi: 0x1003, remote_ts: '10.3.0.0/24' } };
    expect(() => apply(more)).toThrow(/policies.next: all policies are in use/);
    plane.room = 9;
    // Somebody else, say IKE, has that SPI.
    plane.sas.set(99, { ...plane.sas.get(handles()['in']!)!, spi: 0x1004 });
    expect(() => apply({ ...more, third: { ...IN, spi: 0x1004 } })).toThrow(/sas.third: another inbound SA/);
    plane.sas.delete(99);
    expect([[...plane.sas.keys()], [...plane.policies.keys()], [...plane.routes]]).toEqual(before);
  });
});

describe('policies of the configuration', () => {
  it('stay with their counters where others change, and keep the order of the file within a priority', () => {
    const policy = (action: 'bypass' | 'discard', host: string) =>
      ({ action, direction: 'out', remote_ts: host }) as const;
    const [a, b, c] = [policy('bypass', '10.2.0.1'), policy('discard', '10.2.0.0/24'), policy('bypass', '10.2.0.2')];
    const change = (policies: ConfigInput['policies']) => {
      entries.apply(read({ policies }));
      return [...plane.policies.keys()];
    };
    const [first, second] = change({ a, b });
    expect(change({ a, b, c })).toMatchObject([first, second, expect.any(Number)]);
    expect(plane.verdict(2)).toBe('discard');
    expect(change({ a, c, b })[0]).toBe(first);
    expect(plane.verdict(2)).toBe('bypass');
    expect(change({ a, b })[0]).toBe(first);
    expect([1, 2].map((host) => plane.verdict(host))).toEqual(['bypass', 'discard']);
  });

  it('are at no moment what a packet meets neither before nor after', () => {
    const action = fc.constantFrom('bypass', 'discard', 'protect' as const);
    const policy = fc.record({ action, priority: fc.integer({ min: 1, max: 4 }), from: fc.nat(6), length: fc.nat(4) });
    const file = fc.array(policy, { maxLength: 7 });
    const asConfig = (policies: readonly (typeof policy extends fc.Arbitrary<infer T> ? T : never)[]): ConfigInput => ({
      sas: { out: OUT },
      policies: Object.fromEntries(
        policies.map(({ action, priority, from, length }, index) => [
          `p${index}`,
          {
            action,
            priority,
            direction: 'out',
            remote_ts: `10.2.0.${from}-10.2.0.${from + length}`,
            ...(action === 'protect' && { sa: 'out' }),
          },
        ]),
      ),
    });
    const HOSTS = Array.from({ length: 12 }, (_, host) => host);
    const verdicts = (of: Plane) => HOSTS.map((host) => of.verdict(host));
    const fresh = (input: ConfigInput) => {
      const alone = new Plane();
      new ManualEntries(alone as unknown as DataPlane, () => {}).apply(read(input));
      return verdicts(alone);
    };
    fc.assert(
      fc.property(fc.array(file, { minLength: 2, maxLength: 4 }), (files) => {
        plane = new Plane();
        entries = new ManualEntries(plane as unknown as DataPlane, () => {});
        entries.apply(read(asConfig(files[0]!)));
        for (const next of files.slice(1)) {
          const before = verdicts(plane);
          const after = fresh(asConfig(next));
          plane.changed = () => {
            for (const [host, verdict] of verdicts(plane).entries())
              expect([before[host], after[host]]).toContain(verdict);
          };
          entries.apply(read(asConfig(next)));
          plane.changed = () => {};
          expect(verdicts(plane)).toEqual(after);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('have routes, ranges too, which go last', () => {
    apply({ out: { ...OUT, remote_ts: '10.2.0.0-10.2.1.7' } });
    expect([...plane.routes]).toEqual(['10.2.0.0/24', '10.2.1.0/29']);
    let policies = -1;
    plane.removeRoute = (prefix) => {
      policies = plane.policies.size;
      plane.routes.delete(prefix);
    };
    apply({});
    expect([plane.routes.size, policies]).toEqual([0, 0]);
  });
});

describe('NAT keepalives (RFC 3948 §4)', () => {
  beforeEach(() => void vi.useFakeTimers());
  const KEEP_ALIVE = { control: { keep_alive: '20s' } } as const;

  it('are sent where SAs send in UDP, from where they send, and only when nothing else was', () => {
    apply(
      {
        out: OUT,
        other: { ...OUT, spi: 0x1003 },
        raw: { ...OUT, spi: 0x1004, remote: '192.0.2.3', encap: false },
        in: IN,
      },
      KEEP_ALIVE,
    );
    vi.advanceTimersByTime(19_000);
    expect(plane.sent).toEqual([]);
    vi.advanceTimersByTime(1000);
    const endpoints = { local: { address: '192.0.2.1', port: 4500 }, remote: { address: '192.0.2.2', port: 4500 } };
    expect(plane.sent).toEqual([{ ...endpoints, data: Uint8Array.of(0xff) }]);
    vi.advanceTimersByTime(10_000);
    use('other');
    vi.advanceTimersByTime(19_000);
    expect(plane.sent).toHaveLength(1);
    vi.advanceTimersByTime(1000);
    expect(plane.sent).toHaveLength(2);
  });

  it('are sent in time, and an SA has its time, though the clock is set back by an hour', () => {
    apply({ out: { ...OUT, life_time: '70s' } }, KEEP_ALIVE);
    vi.setSystemTime(Date.now() - 3_600_000);
    vi.advanceTimersByTime(30_000);
    expect(plane.sent).toHaveLength(1);
    vi.setSystemTime(Date.now() - 3_600_000);
    apply({ out: { ...OUT, life_time: '50s' } }, KEEP_ALIVE);
    vi.advanceTimersByTime(22_000);
    expect(ended).toHaveLength(1);
  });

  it('are sent no more when the SA has ended, or the configuration wants none', () => {
    apply({ out: { ...OUT, life_time: '50s' } }, KEEP_ALIVE);
    vi.advanceTimersByTime(200_000);
    expect(plane.sent).toHaveLength(2);
    apply({ next: { ...OUT, spi: 0x1003 } }, { control: { keep_alive: '0s' } });
    vi.advanceTimersByTime(100_000);
    expect(plane.sent).toHaveLength(2);
  });
});
