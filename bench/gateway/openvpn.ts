/** OpenVPN with a pre-shared TLS identity, AES-128-GCM, without the kernel's data channel offload. */
import type { ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ADDRESSES, type Bed, command, NETWORKS } from '../../src/demo/bed.ts';
import type { Contender } from './contender.ts';

const COMMON =
  '--dev tun0 --dev-type tun --proto udp --port 1194 --topology p2p --data-ciphers AES-128-GCM --disable-dco ' +
  '--sndbuf 4194304 --rcvbuf 4194304 --verb 1';

const fingerprint = (certificate: string): string =>
  command('openssl', 'x509', '-in', certificate, '-noout', '-fingerprint', '-sha256').trim().split('=')[1]!;

export function openvpn(): Contender {
  const children: ChildProcess[] = [];
  let home: Bed | undefined;
  return {
    peer: 'openvpn',
    algorithm: 'aes128gcm16',
    backend: 'openvpn',
    async start(bed, directory) {
      home = bed;
      const file = (name: string) => join(directory, name);
      for (const name of ['a', 'b']) {
        command(
          ...([
            'openssl',
            'req',
            '-x509',
            '-newkey',
            'ec',
            '-pkeyopt',
            'ec_paramgen_curve:prime256v1',
            '-nodes',
          ] as const),
          ...['-keyout', file(`${name}.key`), '-out', file(`${name}.crt`), '-days', '2', '-subj', `/CN=${name}`],
        );
      }
      const start = (place: 'gatewayA' | 'gatewayB', own: string, peer: string, extra: string) => {
        const output = openSync(file(`${place}.log`), 'a');
        const args = [
          ...COMMON.split(' '),
          ...[
            '--cert',
            file(`${own}.crt`),
            '--key',
            file(`${own}.key`),
            '--peer-fingerprint',
            fingerprint(file(`${peer}.crt`)),
          ],
          ...extra.split(' '),
        ];
        children.push(bed.spawn(place, 'openvpn', args, { stdio: ['ignore', output, output] }));
      };
      start('gatewayB', 'b', 'a', '--tls-server --dh none --ifconfig 10.9.0.2 10.9.0.1');
      start('gatewayA', 'a', 'b', `--tls-client --remote ${ADDRESSES.wanB[0]} --ifconfig 10.9.0.1 10.9.0.2`);
      await sleep(3000);
      bed.run('gatewayA', 'ip', 'route', 'add', NETWORKS.B[0], 'dev', 'tun0');
      bed.run('gatewayB', 'ip', 'route', 'add', NETWORKS.A[0], 'dev', 'tun0');
    },
    processes: () => children.map((child) => child.pid!),
    async stop() {
      await Promise.all(children.map((child) => home!.end(child)));
      children.length = 0;
    },
  };
}
