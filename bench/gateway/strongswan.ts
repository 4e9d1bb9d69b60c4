/** strongSwan with kernel-libipsec, AES-GCM through OpenSSL. */
import { join } from 'node:path';
import { StrongSwan } from '../peers/strongswan.ts';
import type { Contender } from './contender.ts';

const connections = (local: 'a' | 'b', algorithm: string) => {
  const [own, peer] = local === 'a' ? ['1', '2'] : ['2', '1'];
  return `
connections {
  bench {
    version = 2
    local_addrs = 192.0.2.${own}
    remote_addrs = 192.0.2.${peer}
    proposals = aes128gcm16-prfsha256-x25519
    local {
      auth = psk
      id = ${own}.example
    }
    remote {
      auth = psk
      id = ${peer}.example
    }
    children {
      net {
        local_ts = 10.${own}.0.0/24
        remote_ts = 10.${peer}.0.0/24
        esp_proposals = ${algorithm}
      }
    }
  }
}
secrets {
  ike-1 {
    secret = bench
  }
}
`;
};

export function strongswan(algorithm: string): Contender {
  let sides: StrongSwan[] = [];
  return {
    peer: 'strongswan',
    algorithm,
    backend: 'kernel-libipsec',
    async start(bed, directory) {
      const a = new StrongSwan(bed, 'gatewayA', join(directory, 'a'));
      const b = new StrongSwan(bed, 'gatewayB', join(directory, 'b'));
      sides = [a, b];
      await b.start(connections('b', algorithm));
      await a.start(connections('a', algorithm));
      a.swanctl('--initiate', '--child', 'net');
    },
    processes: () => sides.map(({ pid }) => pid),
    async stop() {
      await Promise.all(sides.map((side) => side.stop()));
    },
  };
}
