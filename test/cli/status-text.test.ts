import { describe, expect, it } from 'vitest';
import { statusText } from '../../src/cli/status-text.ts';
import type { BackendInfo } from '../../src/contract.ts';
import type { GatewayStatus } from '../../src/index.ts';

const STATUS: GatewayStatus = {
  version: '1.2.3',
  node: '20.19.0',
  pid: 4711,
  uptimeSeconds: 93_784,
  dataPlane: {
    workers: 2,
    backend: 'wasm',
    backends: [{ name: 'wasm', connections: [], counters: {} }],
    kernel: 'relaxed',
    device: { name: 'espalier0', mtu: 1400 },
    ports: { ike: 500, natTraversal: 4500 },
    missing: ['UDP_GRO is not known to this kernel'],
  },
  ikeSas: [
    {
      connection: 'home',
      id: 1,
      state: 'ESTABLISHED',
      initiator: true,
      local: { address: '192.0.2.1', port: 4500, id: 'a.example.org' },
      remote: { address: '192.0.2.2', port: 4500 },
      spiI: '00000000000000a1',
      spiR: '00000000000000b2',
      proposal: 'aes128gcm16-prfsha256-x25519',
      natLocal: true,
      natRemote: false,
      establishedSeconds: 61,
      rekeySeconds: 14_000,
      children: [
        {
          name: 'net',
          id: 2,
          state: 'INSTALLED',
          protocol: 'esp',
          mode: 'tunnel',
          encapsulation: 'udp',
          algorithm: 'aes128gcm16',
          esn: true,
          spiIn: '00001001',
          spiOut: '00001002',
          localTs: ['10.1.0.0/24'],
          remoteTs: ['10.2.0.0/24'],
          installedSeconds: 5,
          in: { packets: 10, bytes: 1536, lastUsed: 0, sequence: 10, replayDrops: 1, integrityDrops: 2 },
        },
      ],
    },
  ],
  trapped: [{ connection: 'home', name: 'voice', localTs: ['10.1.0.0/24'], remoteTs: ['10.3.0.0/24'] }],
  manualSas: [],
  policies: [],
  drops: { OutNoPolicy: 3 },
};

describe('the status for people', () => {
  it('shows backends of connections, and what the shadow has found', () => {
    const backends: BackendInfo[] = [
      { name: 'wasm', connections: [], counters: { shadow_packets: 12, shadow_disagreements: 1 } },
      { name: 'openssl', connections: ['home', 'office'], counters: {} },
    ];
    expect(statusText({ ...STATUS, dataPlane: { ...STATUS.dataPlane, shadow: 'noble', backends } })).toContain(`
  backend wasm of the gateway; noble checks it, shadow packets 12, shadow disagreements 1
  backend openssl of home, office; noble checks it

`);
  });

  it('shows SAs, traffic, what is missing and what was dropped', () => {
    expect(statusText(STATUS)).toBe(`\
espalier 1.2.3, up 1d 2h, Node.js 20.19.0, process 4711
device espalier0 (MTU 1400), backend wasm, kernel relaxed, 2 workers, UDP 500 and 4500
  missing: UDP_GRO is not known to this kernel

home: #1 ESTABLISHED, initiator, 00000000000000a1_i 00000000000000b2_r
  local  'a.example.org' @ 192.0.2.1[4500]
  remote '%any' @ 192.0.2.2[4500]; this side behind a NAT
  aes128gcm16-prfsha256-x25519, established 1m 1s ago, rekeying in 3h 53m
  net: #2 INSTALLED, TUNNEL, ESP in UDP, aes128gcm16, ESN
    installed 5s ago
    in  00001001  10 packets, 1.5 KiB, refused 1 replays, 2 forgeries
    out 00001002  no traffic
    10.1.0.0/24 === 10.2.0.0/24
home: voice TRAPPED, 10.1.0.0/24 === 10.3.0.0/24

dropped: OutNoPolicy 3
`);
  });

  it('says so where there is nothing', () => {
    expect(statusText({ ...STATUS, ikeSas: [], trapped: [], drops: {} })).toMatch(/\nno SAs\n\ndropped: nothing\n$/);
  });
});
