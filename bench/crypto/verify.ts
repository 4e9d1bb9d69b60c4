/** Nobody is timed who does not agree with everybody else. */
import { type CipherSuite, suiteName } from '../../src/algorithms.ts';
import type { CryptoBackend } from '../../src/dataplane/backends/backend.ts';
import type { PacketView, Workbench } from '../../src/dataplane/backends/workbench.ts';
import { layOutBatches } from './timing.ts';

const LENGTHS = [64, 256, 576, 1024, 1408, 8192, 0, 1, 15, 16, 17, 63, 65, 1500];

/** @throws if two backends seal differently, or one does not open what another sealed */
export function verify(bench: Workbench, suite: CipherSuite, backends: readonly CryptoBackend[]): void {
  bench.clear();
  const { batches } = layOutBatches(bench, suite, LENGTHS, 0);
  const batch = batches[0]!;
  const plain = snapshot(batch);
  const first = backends[0]!;
  first.seal(batch[0]!.descriptor, batch.length);
  const sealed = snapshot(batch);
  for (const backend of backends) {
    restore(batch, sealed);
    backend.open(batch[0]!.descriptor, batch.length);
    demand(batch, plain, `${backend.name} does not open what ${first.name} sealed`, suite);
    backend.seal(batch[0]!.descriptor, batch.length);
    demand(batch, sealed, `${backend.name} and ${first.name} seal differently`, suite);
  }
}

interface Snapshot {
  readonly payload: Uint8Array;
  readonly icv: Uint8Array;
}

const snapshot = (batch: readonly PacketView[]): Snapshot[] =>
  batch.map(({ payload, icv }) => ({ payload: payload.slice(), icv: icv.slice() }));

function restore(batch: readonly PacketView[], from: readonly Snapshot[]): void {
  for (const [i, packet] of batch.entries()) {
    packet.payload.set(from[i]!.payload);
    packet.icv.set(from[i]!.icv);
  }
}

function demand(
  batch: readonly PacketView[],
  wanted: readonly Snapshot[],
  complaint: string,
  suite: CipherSuite,
): void {
  const sealed = wanted[0]!.icv.some((byte) => byte !== 0);
  for (const [i, packet] of batch.entries()) {
    const same =
      packet.status() === 0 &&
      Buffer.compare(packet.payload, wanted[i]!.payload) === 0 &&
      (!sealed || Buffer.compare(packet.icv, wanted[i]!.icv) === 0);
    if (!same) throw new Error(`${suiteName(suite)}, ${packet.payload.length} bytes: ${complaint}`);
  }
}
