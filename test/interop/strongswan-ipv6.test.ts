/** IPv6 with strongSwan: IKE and ESP in UDP over it, from either side, and networks of either family within. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADDRESSES, NETWORKS } from '../../src/demo/bed.ts';
import { ping, transfer } from './hosts.ts';
import { IMPATIENT, ours, Pair, theirs, until } from './strongswan-pair.ts';

const MEGABYTE = 1 << 20;

const [A, B] = [ADDRESSES.wanA[1], ADDRESSES.wanB[1]];
const children = (here: readonly [string, string], there: readonly [string, string]) => ({
  net: { local_ts: [here[0]], remote_ts: [there[0]] },
  net6: { local_ts: [here[1]], remote_ts: [there[1]] },
});

/**
 * What a router says of its multicast groups (RFC 3810) has no policy, and comes before anybody reads the device.
 * What is too long is not fragmented over IPv6: its sender is told.
 */
const EXPECTED: readonly string[] = ['OutNoPolicy', 'OutQueueFull', 'OutTooBig'];

describe('over IPv6 with a strongSwan peer', () => {
  let pair: Pair;

  beforeEach(async () => {
    pair = new Pair({ strongswan: IMPATIENT.strongswan });
    pair.bed.sysctl('gatewayA', 'net.ipv6.conf.all.forwarding', '1');
    await pair.strongswan.start(
      theirs({ connection: { local_addrs: B, remote_addrs: A }, children: children(NETWORKS.B, NETWORKS.A) }),
    );
    await pair.espalier.start(
      ours({ connection: { local_addrs: [A], remote_addrs: [B] }, children: children(NETWORKS.A, NETWORKS.B) }),
      IMPATIENT.sections,
    );
  });

  afterEach(() => pair.remove());

  const WAYS = [
    ['hostA', 'hostB'],
    ['hostB', 'hostA'],
  ] as const;

  const carriesBoth = async () => {
    for (const family of [0, 1] as const) {
      for (const [from, to] of WAYS) {
        const address = ADDRESSES[to][family];
        for (const bytes of [56, 1000, 1400, 2000, 9000]) {
          // How long packets may be, IPv6 hosts are told by our device, by our SA and by the peer's device, one by one.
          if (bytes === 1400) await ping(pair.bed, from, address, bytes, 3);
          expect(await ping(pair.bed, from, address, bytes, 3), `${bytes} bytes to ${address}`).toMatchObject({
            received: 3,
          });
        }
        const { sent, received } = await transfer(pair.bed, from, to, address, 5 * MEGABYTE);
        expect(received).toMatchObject({ bytes: 5 * MEGABYTE, sha256: sent.sha256 });
      }
    }
    const { drops } = await pair.espalier.client.status();
    expect(Object.keys(drops).filter((reason) => !EXPECTED.includes(reason))).toEqual([]);
  };

  const rekeysBoth = async () => {
    const spis = async () =>
      (await pair.established()).flatMap((sa) => [sa.spiI, ...sa.children.map(({ spiIn }) => spiIn)]);
    const before = await spis();
    pair.strongswan.swanctl('--rekey', '--child', 'net6');
    await pair.espalier.client.rekey('net');
    await pair.espalier.client.rekey('peer');
    expect(await until(async () => !(await spis()).some((spi) => before.includes(spi)))).toBe(true);
  };

  it('Espalier initiates, carries both families, and rekeys', async () => {
    await pair.espalier.client.up('peer');
    expect(await pair.established()).toMatchObject([
      { initiator: true, local: { address: A, port: 4500 }, remote: { address: B, port: 4500 } },
    ]);
    await carriesBoth();
    await rekeysBoth();
    await carriesBoth();
  });

  it('Espalier responds, carries both families, and rekeys', async () => {
    pair.strongswan.swanctl('--initiate', '--child', 'net');
    pair.strongswan.swanctl('--initiate', '--child', 'net6');
    expect(await pair.established()).toMatchObject([
      { initiator: false, local: { address: A, port: 4500 }, remote: { address: B, port: 4500 } },
    ]);
    expect((await pair.children()).map(({ encapsulation }) => encapsulation)).toEqual(['udp', 'udp']);
    await carriesBoth();
    await rekeysBoth();
    await carriesBoth();
  });
});
