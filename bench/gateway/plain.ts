/** No tunnel at all: the kernel forwards between the gateways. The ceiling of the machine. */
import { ADDRESSES, type Bed, NETWORKS } from '../../src/demo/bed.ts';
import type { Contender } from './contender.ts';

export function plain(): Contender {
  return {
    peer: 'plain',
    algorithm: 'none',
    backend: 'kernel',
    async start(bed: Bed) {
      bed.run('gatewayA', 'ip', 'route', 'add', NETWORKS.B[0], 'via', ADDRESSES.wanB[0]);
      bed.run('gatewayB', 'ip', 'route', 'add', NETWORKS.A[0], 'via', ADDRESSES.wanA[0]);
    },
    processes: () => [],
    stop: async () => {},
  };
}
