/** Two of our own gateways. */
import { join } from 'node:path';
import { packagePath } from '../../src/package-root.ts';
import { Espalier } from '../peers/espalier.ts';
import type { Contender } from './contender.ts';
import { NULL } from './ladder.ts';

export interface Variant {
  readonly algorithm: string;
  readonly backend: string;
  readonly workers: number;
  readonly encapsulation: 'udp' | 'none';
}

const NULL_BACKEND = packagePath('dist', 'bench', 'gateway', 'null-backend.js');

const connections = (local: 'a' | 'b', { algorithm, encapsulation }: Variant) => {
  const [own, peer] = local === 'a' ? [1, 2] : [2, 1];
  return `
connections:
  bench:
    local_addrs: [192.0.2.${own}]
    remote_addrs: [192.0.2.${peer}]
    proposals: [aes128gcm16-prfsha256-x25519]
    encap: ${encapsulation === 'udp'}
    local: {auth: psk, id: ${own}.example, secret: bench}
    remote: {auth: psk, id: ${peer}.example}
    children:
      net:
        local_ts: [10.${own}.0.0/24]
        remote_ts: [10.${peer}.0.0/24]
        esp_proposals: [${algorithm}]
`;
};

export interface EspalierPair extends Contender {
  /** Gateways A and B, once they run. */
  readonly sides: readonly Espalier[];
}

export function espalier(variant: Variant): EspalierPair {
  const { algorithm, backend, workers } = variant;
  let sides: Espalier[] = [];
  return {
    get sides() {
      return sides;
    },
    peer: 'espalier',
    algorithm,
    backend,
    async start(bed, directory) {
      const gateway = `  backend: ${backend === NULL ? NULL_BACKEND : backend}\n  workers: ${workers}\n`;
      const a = new Espalier(bed, 'gatewayA', join(directory, 'a'));
      const b = new Espalier(bed, 'gatewayB', join(directory, 'b'));
      sides = [a, b];
      await b.start(connections('b', variant), { gateway });
      await a.start(connections('a', variant), { gateway });
      a.cli('up', 'net');
    },
    processes: () => sides.map(({ pid }) => pid),
    async stop() {
      await Promise.all(sides.map((side) => side.stop()));
    },
  };
}
