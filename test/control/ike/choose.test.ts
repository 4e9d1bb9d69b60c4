import { describe, expect, it } from 'vitest';
import type { ConnectionConfig } from '../../../src/control/config/model.ts';
import { byAddress } from '../../../src/control/ike/choose.ts';

const connection = (name: string, remoteAddrs: readonly string[], localAddrs: readonly string[] = []) =>
  ({ name, localAddrs, remoteAddrs }) as unknown as ConnectionConfig;

const CONNECTIONS = [
  connection('anybody', []),
  connection('network', ['192.0.2.0/24']),
  connection('site', ['192.0.2.7', '2001:DB8::7']),
  connection('twin', ['192.0.2.7'], ['198.51.100.1']),
  connection('elsewhere', ['192.0.2.8', '192.0.2.8']),
  connection('mixed', ['192.0.2.7', '203.0.113.0/24']),
];

const names = (local: string, remote: string) => byAddress(CONNECTIONS, local, remote).map(({ name }) => name);

describe('connections for a path', () => {
  it('are those that name the address first, then networks, then those for anybody', () => {
    expect(names('198.51.100.9', '192.0.2.7')).toEqual(['site', 'mixed', 'network', 'anybody']);
    expect(names('198.51.100.9', '203.0.113.5')).toEqual(['mixed', 'anybody']);
    expect(names('198.51.100.9', '10.0.0.1')).toEqual(['anybody']);
  });

  it('name our own address before those that do not', () => {
    expect(names('198.51.100.1', '192.0.2.7')).toEqual(['twin', 'site', 'mixed', 'network', 'anybody']);
  });

  it('are found once, however often they name an address, and however it is written', () => {
    expect(names('198.51.100.9', '192.0.2.8')).toEqual(['elsewhere', 'network', 'anybody']);
    expect(names('2001:db8::1', '2001:db8::7')).toEqual(['site', 'anybody']);
  });
});
