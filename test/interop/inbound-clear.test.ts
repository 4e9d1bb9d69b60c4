/** What arrives in the clear past the tunnel, as anybody between the gateways could send it (RFC 4301 §5.2). */
import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_MARK } from '../../src/dataplane/routes.ts';
import { ADDRESSES, NETWORKS } from '../../src/demo/bed.ts';
import { packagePath } from '../../src/package-root.ts';
import { GatewayPair, type PairOptions, until } from './gateway-pair.ts';
import { ping, transfer } from './hosts.ts';

const { hostA, lanA, lanB, wanA, wanB, hostB } = ADDRESSES;
const FAMILIES = [0, 1] as const;

let pair: GatewayPair | undefined;
afterEach(() => pair?.remove());

/** A pair of which gateway A has rules, whether or not a child is up. */
async function startGuarded(options: PairOptions = {}): Promise<GatewayPair> {
  const pair = await start(options);
  await until('the rules are there', () => ruleset(pair).includes('@local1'));
  return pair;
}

async function start(options: PairOptions = {}): Promise<GatewayPair> {
  // What tells that something was taken is its answer, which gateway B takes in whatever way it comes.
  pair = new GatewayPair({ ...options, gateway: { A: options.gateway?.A ?? [], B: ['inbound_clear: accept'] } });
  for (const family of FAMILIES) {
    // A route of its own would take gateway B's network out of everything.
    if (!options.everything) pair.bed.run('gatewayA', 'ip', 'route', 'add', NETWORKS.B[family], 'via', wanB[family]);
    pair.bed.run('gatewayB', 'ip', 'route', 'add', NETWORKS.A[family], 'via', wanA[family]);
  }
  await pair.start();
  await until('it runs', () => pair!.a.log.includes(' runs'));
  return pair;
}

/** The mark is that of outer packets. @returns how many of two are answered */
function forged({ bed }: GatewayPair, from: string, to: string): number {
  const ping = `ping -c 2 -i 0.2 -W 0.5 -m ${DEFAULT_MARK} -I ${from} ${to} || true`;
  return Number(/(\d+) received/.exec(bed.run('gatewayB', 'sh', '-c', ping))![1]);
}

const forgedToHost = (pair: GatewayPair) => FAMILIES.map((family) => forged(pair, lanB[family], hostA[family]));
const forgedToGateway = (pair: GatewayPair) => FAMILIES.map((family) => forged(pair, lanB[family], lanA[family]));

const protectedPings = async ({ bed }: GatewayPair) =>
  Promise.all(FAMILIES.map(async (family) => (await ping(bed, 'hostA', hostB[family], 56, 3, 10)).received));

const dropped = ({ a }: GatewayPair) => a.status().drops['XfrmInTmplMismatch'] ?? 0;
const ruleset = ({ bed }: GatewayPair) => bed.run('gatewayA', 'nft', 'list', 'ruleset');

describe('what arrives in the clear and is to come protected', () => {
  it('is dropped and counted, for hosts and for the gateway itself, and the tunnel goes on', async () => {
    const pair = await startGuarded();
    pair.a.cli('up', 'net');
    expect(forgedToHost(pair)).toEqual([0, 0]);
    expect(forgedToGateway(pair)).toEqual([0, 0]);
    expect(dropped(pair)).toBe(8);
    expect(await protectedPings(pair)).toEqual([3, 3]);
    pair.a.cli('rekey', 'net');
    pair.b.cli('rekey', 'pair');
    const { sent, received } = await transfer(pair.bed, 'hostB', 'hostA', hostA[0], 1_000_000);
    expect(received.sha256).toBe(sent.sha256);
    expect(dropped(pair)).toBe(8);
  });

  it('is dropped by rules that nobody else flushes, and that go with the gateway, even if it is killed', async () => {
    const pair = await startGuarded();
    pair.bed.run('gatewayA', 'nft', 'flush', 'ruleset');
    expect(forgedToHost(pair)).toEqual([0, 0]);
    await pair.a.stop(true);
    expect(ruleset(pair)).toBe('');
  });

  it('is dropped before there is an SA, and taken when it is wanted protected no more', async () => {
    const pair = await startGuarded();
    expect(forgedToHost(pair)).toEqual([0, 0]);
    expect(dropped(pair)).toBe(4);
    pair.a.cli('up', 'net');
    pair.a.cli('down', 'net');
    expect(forgedToHost(pair)).toEqual([2, 2]);
  });

  it('is dropped where a child waits for a packet, though its traffic may go in the clear while it is down', async () => {
    const pair = await startGuarded({ child: ['start_action: trap', 'when_down: pass'] });
    expect(forgedToHost(pair)).toEqual([0, 0]);
    expect(await protectedPings(pair)).toEqual([3, 3]);
  });

  it('is taken while a child is down whose traffic may go in the clear then', async () => {
    expect(forgedToHost(await start({ child: ['when_down: pass'] }))).toEqual([2, 2]);
  });

  it('is taken where the configuration says so, unless rules like those of examples/only-protected.nft see to it', async () => {
    const pair = await start({ gateway: { A: ['inbound_clear: accept'] } });
    pair.a.cli('up', 'net');
    expect(ruleset(pair)).toBe('');
    expect(forgedToHost(pair)).toEqual([2, 2]);
    pair.bed.run('gatewayA', 'nft', '-f', packagePath('examples', 'only-protected.nft'));
    expect(forgedToHost(pair)).toEqual([0, 0]);
    expect(await protectedPings(pair)).toEqual([3, 3]);
    expect(ruleset(pair)).toMatch(/counter packets 4 /);
  });

  it.each([
    ['comes first', 100, [2, 0]],
    ['comes later', 2000, [0, 0]],
  ])('is taken where a BYPASS policy names it that %s', async (_, priority, answered) => {
    const open = `{action: bypass, priority: ${priority}, local_ts: "10.1.0.0/24[icmp/8]", remote_ts: "10.2.0.0/24[icmp/8]"}`;
    const pair = await startGuarded({ sections: `policies:\n  open: ${open}\n` });
    pair.a.cli('up', 'net');
    expect(forgedToHost(pair)).toEqual(answered);
  });
});

describe('what arrives in the clear and a DISCARD policy names', () => {
  const REQUESTS = 'local_ts: "10.1.0.0/24[icmp/8]", remote_ts: "10.2.0.0/24[icmp/8]"';
  const shut = (more: string) => `  shut: {action: discard, ${more}}\n`;
  const open = (more = '') => `  open: {action: bypass, direction: in, ${REQUESTS}${more}}\n`;
  /** Nothing is protected as long as the child is not up. */
  const startWith = async (policies: string) => {
    const pair = await start({ child: ['when_down: pass'], sections: `policies:\n${policies}` });
    await until('the rules are there', () => ruleset(pair).includes('goto discard'));
    return pair;
  };
  const blocked = ({ a }: GatewayPair) => a.status().drops['XfrmInPolBlock'] ?? 0;

  it.each(['in', 'both'])('is dropped and counted, for hosts and for the gateway itself: direction %s', async (way) => {
    const pair = await startWith(shut(`direction: ${way}, ${REQUESTS}`));
    expect(forgedToHost(pair)).toEqual([0, 2]);
    expect(blocked(pair)).toBe(2);
    expect(forgedToGateway(pair)).toEqual([0, 2]);
    expect([blocked(pair), dropped(pair)]).toEqual([4, 0]);
    // It names no answers.
    expect((await ping(pair.bed, 'gatewayA', wanB[0], 56, 2, 10)).received).toBe(2);
  });

  it.each([
    ['by its priority', open(', priority: 99') + shut(REQUESTS), open() + shut(`priority: 99, ${REQUESTS}`)],
    ['in the file', open() + shut(REQUESTS), shut(REQUESTS) + open()],
  ])('is taken where a BYPASS policy comes before %s, and not where it comes later', async (_, before, after) => {
    expect(forgedToHost(await startWith(before))).toEqual([2, 2]);
    await pair!.remove();
    expect(forgedToHost(await startWith(after))).toEqual([0, 2]);
  });

  it('is neither what goes into the tunnel, nor what this host sends to itself, nor IKE and ESP', async () => {
    const remote = (networks: string) => `direction: in, local_ts: [0.0.0.0/0, "::/0"], remote_ts: ${networks}`;
    const pair = await startWith(shut(remote('[10.1.0.0/24, "fd01::/16", 127.0.0.0/8, 192.0.2.0/24]')));
    pair.a.cli('up', 'net');
    expect(await protectedPings(pair)).toEqual([3, 3]);
    expect((await ping(pair.bed, 'gatewayA', '127.0.0.1', 56, 2, 10)).received).toBe(2);
    expect((await ping(pair.bed, 'gatewayA', lanA[0], 56, 2, 10)).received).toBe(2);
    pair.b.cli('rekey', 'pair');
    // All else that the policy names is dropped.
    expect(forged(pair, wanB[0], wanA[0])).toBe(0);
    expect((await ping(pair.bed, 'hostA', lanA[0], 56, 1, 10)).received).toBe(0);
  });
});

describe('what arrives in the clear otherwise', () => {
  it('is taken, where everything remote is protected', async () => {
    const pair = await startGuarded({ everything: true });
    expect(forgedToHost(pair)).toEqual([0, 0]);
    for (const family of FAMILIES) {
      // From a neighbour on the WAN to the gateway itself; within the LAN.
      expect(forged(pair, wanB[family], wanA[family])).toBe(2);
      expect((await ping(pair.bed, 'hostA', lanA[family], 56, 2, 10)).received).toBe(2);
    }
  });
});

describe('in transport mode between the gateways', () => {
  it.each([
    [4, 0],
    [6, 1],
  ] as const)('IKE, ESP and neighbour discovery are taken, and nothing else: IPv%d', async (version, family) => {
    const pair = await start({ between: 'gateways', family: version, child: ['mode: transport'] });
    const { a, b, bed } = pair;
    const way = [wanB[family], wanA[family]] as const;
    a.cli('up', 'net');
    expect(forged(pair, ...way)).toBe(0);
    expect(dropped(pair)).toBe(2);
    for (const gateway of ['gatewayA', 'gatewayB'] as const) bed.run(gateway, 'ip', 'neigh', 'flush', 'all');
    expect((await ping(bed, 'gatewayB', wanA[family], 1400, 3, 10)).received).toBe(3);
    b.cli('rekey', 'net');
    b.cli('rekey', 'pair');
    // Datagrams that come in fragments.
    expect((await ping(bed, 'gatewayB', wanA[family], 4000, 3, 10)).received).toBe(3);
    a.cli('down', 'pair');
    expect(forged(pair, ...way)).toBe(2);
  });
});
