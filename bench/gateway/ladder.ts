/**
 * The ladder of our own rungs: each does all that the one below it does, and something more.
 *
 *   forward   device, system calls, sockets; frames cross as they are
 *   frame     an ESP packet around each piece of a frame
 *   null      the gateway whole, SPD, SADB, segments, checksums, replay window; but nothing is encrypted
 *   full      with a cipher: every other contender of ours
 */
import { ADDRESSES, type Bed, NETWORKS } from '../../src/demo/bed.ts';
import { Speaker } from '../../src/demo/speaker.ts';
import { packagePath } from '../../src/package-root.ts';
import type { Contender } from './contender.ts';
import type { RungName } from './rung-kernel.ts';

const SCRIPT = packagePath('dist', 'bench', 'gateway', 'rung.js');

/** Name of the backend that leaves packets as they are. */
export const NULL = 'null';

/** A pair of the two lowest. */
export function rung(name: RungName): Contender {
  const speakers: Speaker[] = [];
  let home: Bed | undefined;
  return {
    peer: 'espalier',
    algorithm: 'none',
    backend: name,
    async start(bed) {
      home = bed;
      for (const [place, peer, network] of [
        ['gatewayB', ADDRESSES.wanA[0], NETWORKS.A[0]],
        ['gatewayA', ADDRESSES.wanB[0], NETWORKS.B[0]],
      ] as const) {
        const child = bed.spawn(place, process.execPath, [SCRIPT, name, peer, network], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const speaker = new Speaker(child);
        speakers.push(speaker);
        await speaker.line();
      }
    },
    processes: () => speakers.map(({ child }) => child.pid!),
    async stop() {
      await Promise.all(speakers.map(({ child }) => home!.end(child)));
    },
  };
}
