import { describe, expect, it } from 'vitest';
import { configFromObject } from '../../../src/control/config/load.ts';
import { HostNames } from '../../../src/control/manage/host-names.ts';

const SECRET = 'a secret of the required length';
const config = configFromObject({
  connections: {
    home: { remote_addrs: ['198.51.100.0/24', 'VPN.Example.org.'], local: { secret: SECRET } },
    office: {
      remote_addrs: 'office.example.org',
      local: { secret: SECRET },
      children: { lan: { start_action: 'start' } },
    },
    anyone: { local: { secret: SECRET } },
  },
}).config;

const NAMES: Readonly<Record<string, readonly string[]>> = { 'vpn.example.org': ['203.0.113.9', '203.0.113.1'] };

function hostNames(): { names: HostNames; problems: string[] } {
  const problems: string[] = [];
  const look = async (name: string) => NAMES[name] ?? Promise.reject(new Error('not found'));
  return { names: new HostNames((name, reason) => problems.push(`${name}: ${reason}`), look), problems };
}

describe('host names in remote_addrs', () => {
  it('are kept in lower case until they are looked up', () => {
    expect(config.connections[0]!.remoteAddrs).toEqual(['198.51.100.0/24', 'vpn.example.org']);
  });

  it('give way to their addresses, in an order of which name servers have no say', async () => {
    const { names } = hostNames();
    await names.refresh(config.connections);
    expect(names.apply(config).connections[0]!.remoteAddrs).toEqual(['198.51.100.0/24', '203.0.113.1', '203.0.113.9']);
  });

  it('never leave a connection open to everybody because they have no address', async () => {
    const { names, problems } = hostNames();
    await names.refresh(config.connections);
    expect(names.apply(config).connections.map(({ name }) => name)).toEqual(['home', 'anyone']);
    expect(names.isUnknown(config.connections[1]!)).toBe(true);
    expect(problems).toEqual(['office.example.org: not found']);
  });

  it('stand for what was known of them when they cannot be looked up any more', async () => {
    let isUp = true;
    const names = new HostNames(
      () => undefined,
      async () => (isUp ? ['192.0.2.7'] : Promise.reject(new Error('no answer'))),
    );
    await names.refresh(config.connections);
    isUp = false;
    await names.refresh(config.connections);
    expect(names.apply(config).connections[1]!.remoteAddrs).toEqual(['192.0.2.7']);
  });
});
