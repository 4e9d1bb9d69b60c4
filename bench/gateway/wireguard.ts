/** wireguard-go: WireGuard in user space, over a TUN device of its own. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ADDRESSES, type Bed, NETWORKS, type Place } from '../../src/demo/bed.ts';
import type { Contender } from './contender.ts';

const PORT = '51820';
const SIDES = [
  { place: 'gatewayA', peer: 'gatewayB', endpoint: ADDRESSES.wanB[0], networks: NETWORKS.B[0] },
  { place: 'gatewayB', peer: 'gatewayA', endpoint: ADDRESSES.wanA[0], networks: NETWORKS.A[0] },
] as const;

const wg = (input: string | undefined, ...args: readonly string[]): string =>
  spawnSync('wg', args, { input, encoding: 'utf8' }).stdout.trim();

/** @param binary the wireguard-go to run; another build than the system's may be compared */
export function wireguard(binary = 'wireguard-go', peer = 'wireguard-go'): Contender {
  const children: ChildProcess[] = [];
  let home: Bed | undefined;
  return {
    peer,
    algorithm: 'chacha20poly1305',
    backend: 'wireguard-go',
    async start(bed, directory) {
      home = bed;
      const keys = new Map<Place, { file: string; publicKey: string }>();
      for (const { place } of SIDES) {
        const key = wg(undefined, 'genkey');
        const file = join(directory, `${place}.key`);
        writeFileSync(file, key, { mode: 0o600 });
        keys.set(place, { file, publicKey: wg(key, 'pubkey') });
      }
      for (const { place, peer: other, endpoint, networks } of SIDES) {
        // Its control socket lies under /var/run by name, so names differ from bed to bed.
        const device = `${bed.name.slice(0, 11)}${place === 'gatewayA' ? 'a' : 'b'}`;
        const output = openSync(join(directory, `${place}.log`), 'a');
        children.push(bed.spawn(place, binary, ['-f', device], { stdio: ['ignore', output, output] }));
        await sleep(500);
        const { file } = keys.get(place)!;
        const { publicKey } = keys.get(other)!;
        bed.run(place, 'wg', 'set', device, 'private-key', file, 'listen-port', PORT);
        bed.run(
          place,
          'wg',
          'set',
          device,
          'peer',
          publicKey,
          'endpoint',
          `${endpoint}:${PORT}`,
          'allowed-ips',
          networks,
        );
        bed.run(place, 'ip', 'link', 'set', device, 'mtu', '1420', 'up');
        bed.run(place, 'ip', 'route', 'add', networks, 'dev', device);
      }
    },
    processes: () => children.map((child) => child.pid!),
    async stop() {
      await Promise.all(children.map((child) => home!.end(child)));
      children.length = 0;
    },
  };
}
