/** The two configurations of the demo: a user may start a gateway of their own from what they see here. */
import { randomBytes } from 'node:crypto';
import type { ConfigInput } from '../control/config/schema.ts';
import { ADDRESSES, NETWORKS } from './bed.ts';

/** One side as its peer sees it. */
export interface Side {
  readonly id: string;
  readonly address: string;
  readonly networks: readonly string[];
}

export const SIDES: readonly [Side, Side] = [
  { id: 'a.demo.example', address: ADDRESSES.wanA[0], networks: NETWORKS.A },
  { id: 'b.demo.example', address: ADDRESSES.wanB[0], networks: NETWORKS.B },
];

/** Name of the connection and of its child, for `up` and `down`. */
export const CONNECTION = 'demo';
export const CHILD = 'net';

export interface DemoGateway {
  readonly backend: string;
  readonly socket: string;
  /** IKE and NAT traversal; left out for 500 and 4500. */
  readonly ports?: readonly [number, number];
}

/** @returns a secret that lives as long as the demo */
export const newSecret = (): string => randomBytes(24).toString('base64url');

/** @returns what `local`, whose peer is `remote`, is to be started with; as YAML it makes a file */
export function configuration(local: Side, remote: Side, secret: string, gateway: DemoGateway): ConfigInput {
  const [ike, natTraversal] = gateway.ports ?? [];
  return {
    gateway: {
      device: 'espalier0',
      backend: gateway.backend,
      ...(ike !== undefined && { port: ike, port_nat_t: natTraversal, listen: [local.address] }),
    },
    control: { socket: gateway.socket },
    connections: {
      [CONNECTION]: {
        local_addrs: [local.address],
        remote_addrs: [remote.address],
        // Ports of one's own speak NAT traversal's form from the first message on: nothing has to move.
        ...(natTraversal !== undefined && { local_port: natTraversal, remote_port: natTraversal }),
        proposals: ['aes128gcm16-prfsha256-x25519'],
        encap: true,
        local: { auth: 'psk', id: local.id, secret },
        remote: { auth: 'psk', id: remote.id },
        children: {
          [CHILD]: {
            local_ts: [...local.networks],
            remote_ts: [...remote.networks],
            esp_proposals: ['aes128gcm16'],
          },
        },
      },
    },
  };
}
