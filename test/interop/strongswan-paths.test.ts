/** Paths with strongSwan that are not what they seem, or change: NATs, new mappings of them, new addresses (MOBIKE). */
import { afterEach, describe, expect, it } from 'vitest';
import { ping } from './hosts.ts';
import { INSIDE, Nat } from './nat.ts';
import { HOST_B, IMPATIENT, ours, Pair, type PairOptions, theirs, until, WAN_A, WAN_B } from './strongswan-pair.ts';

/** The NAT's other address, and the gateway's. */
const [OTHER_NAT, OTHER_WAN] = ['192.0.2.31', '192.0.2.11'];

let pair: Pair;
let nat: Nat | undefined;

afterEach(async () => {
  nat?.remove();
  nat = undefined;
  await pair.remove();
});

const start = async (mine: string, peers: string, espalierAt: PairOptions['espalierAt'], behindNat: boolean) => {
  pair = new Pair({ espalierAt, strongswan: IMPATIENT.strongswan });
  if (behindNat) nat = new Nat(pair.bed, WAN_A);
  await pair.strongswan.start(peers);
  await pair.espalier.start(mine, IMPATIENT.sections);
};

const reachable = async (from: 'hostA' | 'hostB', to: string) => (await ping(pair.bed, from, to, 56, 1)).received === 1;
const isReachable = () => until(() => reachable('hostA', HOST_B), 15);

/** Exchanges the two ends: Espalier at gateway B, strongSwan at A. */
const SWAPPED = {
  ours: {
    connection: { local_addrs: [WAN_B], remote_addrs: ['%any'] },
    local: { id: 'b.example' },
    remote: { id: 'a.example' },
    child: { local_ts: ['10.2.0.0/24'], remote_ts: ['10.1.0.0/24'] },
  },
  theirs: {
    connection: { local_addrs: '%any', remote_addrs: WAN_B },
    local: { id: 'a.example' },
    remote: { id: 'b.example' },
    child: { local_ts: '10.1.0.0/24', remote_ts: '10.2.0.0/24' },
  },
} as const;

describe('through a NAT', () => {
  it('Espalier initiates from behind it and goes on when its mapping changes', async () => {
    await start(
      ours({ connection: { local_addrs: ['%any'], encap: 'no', dpd_delay: '1s' } }),
      theirs({ connection: { remote_addrs: '%any' } }),
      'gatewayA',
      true,
    );
    await pair.espalier.client.up('net');
    expect(await pair.established()).toMatchObject([
      { natLocal: true, natRemote: expect.any(Boolean), local: { address: INSIDE, port: 4500 } },
    ]);
    await pair.carries();
    const before = (await pair.established())[0]!.spiI;
    nat!.remap(WAN_A, OTHER_NAT);
    expect(await isReachable()).toBe(true);
    await pair.carries();
    expect((await pair.established())[0]!.spiI).toBe(before);
    expect(pair.strongswan.swanctl('--list-sas')).toContain(OTHER_NAT);
  });

  it('strongSwan initiates from behind it, and Espalier follows when the mapping changes', async () => {
    await start(
      ours({ ...SWAPPED.ours, connection: { ...SWAPPED.ours.connection, encap: 'no' } }),
      theirs(SWAPPED.theirs),
      'gatewayB',
      true,
    );
    pair.strongswan.swanctl('--initiate', '--child', 'net');
    expect(await pair.established()).toMatchObject([{ natRemote: true, remote: { address: WAN_A, port: 4500 } }]);
    await pair.carries();
    const [before] = await pair.established();
    nat!.remap(WAN_A, OTHER_NAT);
    // The first packet from the new place tells.
    expect(await isReachable()).toBe(true);
    const [after] = await pair.established();
    expect(after).toMatchObject({ spiI: before!.spiI, remote: { address: OTHER_NAT } });
    expect(after!.remote.port).toBeGreaterThanOrEqual(20_000);
    await pair.carries();
  });
});

describe('MOBIKE', () => {
  /** Gateway A gets another address in place of the one it has. */
  const move = () => {
    // Otherwise other addresses of the network go with its first one.
    pair.bed.sysctl('gatewayA', 'net.ipv4.conf.wan.promote_secondaries', '1');
    pair.bed.run('gatewayA', 'ip', 'address', 'add', `${OTHER_WAN}/24`, 'dev', 'wan');
    pair.bed.run('gatewayA', 'ip', 'address', 'delete', `${WAN_A}/24`, 'dev', 'wan');
  };

  /** @param end the one of Espalier's IKE SA that gateway A is */
  const expectSaMoves = async (end: 'local' | 'remote') => {
    await pair.carries();
    const [before] = await pair.established();
    move();
    expect(await isReachable()).toBe(true);
    expect(await pair.established()).toMatchObject([{ spiI: before!.spiI, [end]: { address: OTHER_WAN } }]);
    expect(await until(() => pair.agrees())).toBe(true);
    await pair.carries();
  };

  it('moves an SA of Espalier to its new address', async () => {
    await start(
      ours({ connection: { local_addrs: ['%any'] } }),
      theirs({ connection: { remote_addrs: '%any' } }),
      'gatewayA',
      false,
    );
    await pair.espalier.client.up('net');
    await expectSaMoves('local');
    expect(pair.strongswan.swanctl('--list-sas')).toContain(OTHER_WAN);
  });

  it('follows a strongSwan that moves', async () => {
    await start(ours(SWAPPED.ours), theirs(SWAPPED.theirs), 'gatewayB', false);
    pair.strongswan.swanctl('--initiate', '--child', 'net');
    await expectSaMoves('remote');
  });

  it('is followed by a strongSwan that had called it, where Espalier moves', async () => {
    await start(ours({ connection: { local_addrs: ['%any'] } }), theirs({}), 'gatewayA', false);
    pair.strongswan.swanctl('--initiate', '--child', 'net');
    await expectSaMoves('local');
    expect(pair.strongswan.swanctl('--list-sas')).toContain(OTHER_WAN);
  });

  it('follows a strongSwan that it had called, where that one moves', async () => {
    await start(
      ours({ ...SWAPPED.ours, connection: { ...SWAPPED.ours.connection, remote_addrs: [WAN_A] } }),
      theirs(SWAPPED.theirs),
      'gatewayB',
      false,
    );
    await pair.espalier.client.up('net');
    await expectSaMoves('remote');
  });
});
