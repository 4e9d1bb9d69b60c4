/** A link on the way that neither gateway sees, and that takes shorter packets than theirs. */
import { afterEach, describe, expect, it } from 'vitest';
import type { ManualGatewayOptions } from '../../src/demo/manual-gateway.ts';
import { ManualBed } from './manual-gateways.ts';
import { NarrowPath } from './narrow-path.ts';
import { until } from './strongswan-pair.ts';

const MEGABYTE = 1 << 20;
const NARROW = 1300;

type Options = Omit<ManualGatewayOptions, 'side'>;

/**
 * With the inner MTU that NARROW leaves. ESP: outer header, UDP, 8, IV 8, ICV 16; to a multiple of 4, less 2; in
 * transport mode the header is the packet's own. AH: outer header, 12, ICV 16, to a multiple of 4 or 8.
 */
const WAYS: readonly (readonly [name: string, options: Options, inner: number])[] = [
  ['ESP in UDP over IPv4', {}, 1238],
  ['ESP in UDP over IPv6', { outer: 6 }, 1218],
  ['raw ESP over IPv4', { encapsulation: false }, 1246],
  ['raw ESP over IPv6', { encapsulation: false, outer: 6 }, 1226],
];
const OTHER_WAYS: typeof WAYS = [
  ['AH over IPv4', { protocol: 'ah', suite: 'sha256', encapsulation: false }, 1252],
  ['AH over IPv6', { protocol: 'ah', suite: 'sha256', encapsulation: false, outer: 6 }, 1228],
  ['AH in transport mode over IPv6', { mode: 'transport', protocol: 'ah', suite: 'sha256', outer: 6 }, 1268],
  ['transport mode in UDP over IPv4', { mode: 'transport' }, 1258],
  ['raw transport mode over IPv4', { mode: 'transport', encapsulation: false }, 1266],
  ['raw transport mode over IPv6', { mode: 'transport', encapsulation: false, outer: 6 }, 1266],
];

/** What a host can be told; of IPv6, no less than any link must take (RFC 8200 §5). */
const largest = (family: 4 | 6, inner: number): number => (family === 4 ? inner : Math.max(inner, 1280));

describe('a path that narrows between routers', () => {
  let bed: ManualBed | undefined;
  let path: NarrowPath | undefined;

  const open = async (options: Options, mtu: number) => {
    bed = await ManualBed.create(options, {
      prepare: (made) => {
        path = new NarrowPath(made, mtu);
      },
    });
    return bed;
  };

  afterEach(async () => {
    await bed?.remove();
    path?.remove();
    bed = undefined;
    path = undefined;
  });

  /** TCP segments that the sender has sent so far, however many of them travelled together. */
  const segments = () => {
    const [names, values] = bed!.bed
      .run(bed!.ends[0], 'cat', '/proc/net/snmp')
      .split('\n')
      .filter((line) => line.startsWith('Tcp:'))
      .map((line) => line.split(' '));
    return Number(values![names!.indexOf('OutSegs')]);
  };

  /** What the sender has learned of the way. */
  const learned = (family: 4 | 6) =>
    Number(/mtu (\d+)/.exec(bed!.bed.run(bed!.ends[0], 'ip', 'route', 'get', bed!.address(family)))?.[1]);

  /** Does an echo request that nobody may fragment come back? */
  const probe = (family: 4 | 6, bytes: number) =>
    bed!.bed
      .run(bed!.ends[0], 'sh', '-c', `timeout 0.3 ping -c 1 -M do -s ${bytes} ${bed!.address(family)} || true`)
      .includes(' 1 received');

  it.each([...WAYS, ...OTHER_WAYS])(
    'is learned from ICMP, and passed on to the hosts: %s',
    async (_, options, inner) => {
      await open(options, NARROW);
      for (const family of bed!.families) {
        const header = family === 4 ? 28 : 48;
        const told = largest(family, inner);
        // The first long packet is lost where the path narrows; the gateway is told, and then tells the host.
        // (Of AH over IPv6 the host hears too what the router said to the gateway, and tries that first.)
        const tooLong = [1400, 1400, NARROW].map((length) => probe(family, length - header));
        expect(tooLong).toEqual([false, false, false]);
        expect(learned(family)).toBe(told);
        // What the answers take, the other gateway has to learn as well.
        expect(await until(() => probe(family, told - header))).toBe(true);
      }
      expect((await bed!.a.ask()).drops.OutTooBig).toBeGreaterThan(0);
    },
  );

  const inBothFamilies = WAYS.flatMap(([name, options, inner]) =>
    ([4, 6] as const).map((family) => [name, family, options, inner] as const),
  );
  it.each(inBothFamilies)('lets TCP go on with segments that fill it: %s, IPv%i inside', async (_, family, ...way) => {
    const [options, inner] = way;
    await open(options, 1500);
    const idle = segments();
    const running = bed!.transfer(family, 100 * MEGABYTE);
    expect(await until(() => segments() > idle + 1000)).toBe(true);
    path!.narrow(NARROW);
    expect(await running).toBe(true);
    expect(learned(family)).toBe(largest(family, inner));
    const errors = (await bed!.a.ask()).drops.OutSendError;
    const before = segments();
    const bytes = 20 * MEGABYTE;
    expect(await bed!.transfer(family, bytes)).toBe(true);
    // Of what fits, TCP's header takes 32 with timestamps; a few segments are acknowledgements, or not full.
    const full = inner - (family === 4 ? 20 : 40) - 32;
    expect(bytes / (segments() - before) / full).toBeGreaterThan(0.97);
    expect((await bed!.a.ask()).drops.OutSendError).toBe(errors);
    expect((await bed!.b.ask()).drops).not.toHaveProperty('XfrmInStateProtoError');
  });
});
