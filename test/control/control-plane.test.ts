import { EventEmitter } from 'node:events';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { monotonic } from '../../src/clock.ts';
import type {
  DataPlane,
  DataPlaneEvents,
  IkeDatagram,
  PolicyHandle,
  PolicyParameters,
  SaHandle,
  SaParameters,
} from '../../src/contract.ts';
import { configFromObject } from '../../src/control/config/load.ts';
import type { ConfigInput } from '../../src/control/config/schema.ts';
import { ControlPlane } from '../../src/control/control-plane.ts';

/** A data plane that installs into maps and carries IKE to the other one in this process. */
class Recorder extends EventEmitter<DataPlaneEvents> implements DataPlane {
  readonly sas = new Map<SaHandle, SaParameters>();
  readonly policies = new Map<PolicyHandle, PolicyParameters>();
  readonly routes = new Set<string>();
  peer: Recorder | undefined;
  failure: Error | undefined;
  private last = 1000;

  reserveSpi = () => ++this.last;
  releaseSpi = () => undefined;
  moveSa = () => undefined;
  counters = () => undefined;

  installSa(parameters: SaParameters): SaHandle {
    if (this.failure) throw this.failure;
    const keys = { encryption: parameters.keys.encryption.slice(), integrity: parameters.keys.integrity.slice() };
    this.sas.set(++this.last, { ...parameters, keys });
    return this.last;
  }

  removeSa(sa: SaHandle): void {
    this.sas.delete(sa);
  }

  installPolicy(parameters: PolicyParameters): PolicyHandle {
    this.policies.set(++this.last, parameters);
    return this.last;
  }

  setPolicySa(policy: PolicyHandle, sa: SaHandle | undefined): void {
    const { sa: _before, ...rest } = this.policies.get(policy)!;
    this.policies.set(policy, sa === undefined ? rest : { ...rest, sa });
  }

  removePolicy(policy: PolicyHandle): void {
    this.policies.delete(policy);
  }

  addRoute(prefix: string): void {
    this.routes.add(prefix);
  }

  removeRoute(prefix: string): void {
    this.routes.delete(prefix);
  }

  sendIke({ local, remote, data }: IkeDatagram): void {
    setImmediate(() => this.peer?.emit('ike', { local: remote, remote: local, data }));
  }
}

const silent = Object.fromEntries(['trace', 'debug', 'info', 'warn', 'error'].map((level) => [level, () => undefined]));
const logger = silent as unknown as ConstructorParameters<typeof ControlPlane>[0]['logger'];

const side = (here: string, there: string, extra: object = {}, child: object = {}): ConfigInput => ({
  connections: {
    tunnel: {
      local_addrs: [here],
      remote_addrs: [there],
      local: { auth: 'psk', secret: 'shared' },
      remote: { auth: 'psk', secret: 'shared' },
      children: { net: { local_ts: ['10.1.0.0/16'], remote_ts: ['10.1.0.0/16'], ...child } },
      ...extra,
    },
  },
});

const running: ControlPlane[] = [];

function gateways(leftChild: object = {}, right: object = {}) {
  const [a, b] = [new Recorder(), new Recorder()];
  [a.peer, b.peer] = [b, a];
  const make = (dataPlane: Recorder, config: ConfigInput) => {
    const plane = new ControlPlane({ dataPlane, logger, config: configFromObject(config).config });
    running.push(plane);
    return plane;
  };
  const left = make(a, side('192.0.2.1', '192.0.2.2', {}, leftChild));
  const rightPlane = make(b, side('192.0.2.2', '192.0.2.1', right));
  rightPlane.start();
  left.start();
  return { a, b, left, right: rightPlane };
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((plane) => plane.stop()));
});

describe('ControlPlane', () => {
  test('brings a connection up, and takes everything out again at a stop', async () => {
    const { a, b, left, right } = gateways();
    await left.initiate('tunnel');
    expect(left.status()).toMatchObject([{ state: 'ESTABLISHED', children: [{ name: 'net', state: 'INSTALLED' }] }]);
    const [out] = [...a.sas.values()].filter(({ direction }) => direction === 'out');
    const [into] = [...b.sas.values()].filter(({ direction }) => direction === 'in');
    expect(out!.keys.encryption).toEqual(into!.keys.encryption);
    expect([...a.policies.values()][0]!.sa).toBeDefined();
    await left.stop();
    expect(right.status()).toEqual([]);
    for (const plane of [a, b]) expect(plane.sas.size + plane.policies.size).toBe(0);
    // The peer's packets for us go nowhere until it stops, too.
    expect([a.routes.size, b.routes.size]).toEqual([0, 1]);
    await right.stop();
    expect(b.routes.size).toBe(0);
  });

  test('wipes the keys that it handed to the data plane', async () => {
    const { a, left } = gateways();
    const seen: Uint8Array[] = [];
    const install = a.installSa.bind(a);
    a.installSa = (parameters) => {
      seen.push(parameters.keys.encryption);
      return install(parameters);
    };
    await left.initiate('net');
    expect(seen.length).toBe(2);
    expect(seen.every((key) => key.every((byte) => byte === 0))).toBe(true);
  });

  test('rejects with a code and a reason that says what to change', async () => {
    const { left } = gateways(
      {},
      { remote: { auth: 'psk', secret: 'other' }, local: { auth: 'psk', secret: 'other' } },
    );
    await expect(left.initiate('tunnel')).rejects.toMatchObject({
      code: 'ERR_PEER_AUTHENTICATION_FAILED',
      message: expect.stringContaining('compare local.id here'),
    });
    await expect(left.initiate('nothing')).rejects.toMatchObject({
      code: 'ERR_UNKNOWN_NAME',
      message: expect.stringContaining('there are tunnel, net'),
    });
  });

  test('a packet at a trap brings the child up', async () => {
    const { a, left } = gateways({ start_action: 'trap' });
    expect(left.trapped()).toMatchObject([{ connection: 'tunnel', name: 'net' }]);
    const [[handle]] = [...a.policies] as [[PolicyHandle, PolicyParameters]];
    const host = (address: string) => ({ addresses: { from: address, to: address }, ports: { from: 1, to: 1 } });
    const up = new Promise((resolve) => left.on('event', (event) => event.type === 'child-up' && resolve(event)));
    a.emit('acquire', handle, { protocol: 17, local: host('10.1.0.5'), remote: host('10.1.9.9') });
    await up;
    expect(a.policies.get(handle)!.sa).toBeDefined();
  });

  test('a child that the data plane cannot install is deleted at the peer too', async () => {
    const { a, b, left } = gateways();
    a.failure = new Error('the SAD is full');
    await left.initiate('tunnel').catch(() => undefined);
    await vi.waitFor(() => expect(b.sas.size).toBe(0), 5_000);
    expect(left.status()).toMatchObject([{ state: 'ESTABLISHED', children: [] }]);
  });

  test('a reload replaces only the connection that changed', async () => {
    const { left } = gateways();
    await left.initiate('tunnel');
    const { id } = left.status()[0]!;
    left.reload(configFromObject(side('192.0.2.1', '192.0.2.2')).config);
    expect(left.status()).toMatchObject([{ id, state: 'ESTABLISHED' }]);
    left.reload(configFromObject(side('192.0.2.1', '192.0.2.2', { dpd_delay: 60 })).config);
    await vi.waitFor(() => expect(left.status()).toEqual([]), 5_000);
    await left.initiate('tunnel');
    expect(left.status()[0]!.id).not.toBe(id);
  });

  test.each([-1, 1])('asks a silent peer in time though the time of day is set by %d h meanwhile', async (hours) => {
    const { a, left } = gateways();
    left.reload(configFromObject(side('192.0.2.1', '192.0.2.2', { dpd_delay: '1s' })).config);
    await left.initiate('tunnel');
    a.peer = undefined;
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + hours * 3_600_000 });
    onTestFinished(() => void vi.useRealTimers());
    const send = vi.spyOn(a, 'sendIke');
    expect(left.status()).toMatchObject([{ state: 'ESTABLISHED', establishedSeconds: 0 }]);
    await vi.waitFor(() => expect(send).toHaveBeenCalledTimes(1), 3_000);
  });

  test('tells when an SA was last used by the time of day', async () => {
    const { a, left } = gateways();
    await left.initiate('tunnel');
    const rest = { packets: 1, bytes: 1, sequence: 1, replayDrops: 0, integrityDrops: 0 };
    a.counters = () => ({ ...rest, lastUsed: monotonic() - 5000 }) as never;
    const [child] = left.status()[0]!.children;
    expect(Math.abs(Date.now() - 5000 - child!.in!.lastUsed)).toBeLessThan(100);
  });

  test('lives on after a bug of its own, and says that it is one', async () => {
    const { a, left } = gateways();
    await left.initiate('tunnel');
    const removeSa = a.removeSa.bind(a);
    a.removeSa = () => {
      throw new TypeError('a slip of the pen');
    };
    await left.terminate('net');
    a.removeSa = removeSa;
    await left.initiate('net');
    expect(left.status()).toMatchObject([{ state: 'ESTABLISHED', children: [{ name: 'net' }] }]);
  });
});
