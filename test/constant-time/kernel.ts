/** The kernel run by the taint machine: all that is secret is marked, every suite seals and opens. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as L from '../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../../src/algorithms.ts';
import { ALL_SUITES } from '../../src/dataplane/backends/suites.ts';
import { type PacketSpec, type PacketView, type SuiteKeys, Workbench } from '../../src/dataplane/backends/workbench.ts';
import { packagePath } from '../../src/package-root.ts';
import type { Random } from '../crypto/laboratory.ts';
import type { WasmModule } from './wasm/decode.ts';
import { TaintMachine } from './wasm/machine.ts';

/**
 * Runs the AssemblyScript compiler.
 * @param directory whose asconfig.json counts, if it has one
 * @returns the module it writes
 */
export function compile(directory: string, ...options: string[]): Uint8Array<ArrayBuffer> {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-wasm-'));
  const file = join(folder, 'module.wasm');
  try {
    const command = packagePath('node_modules', '.bin', 'asc');
    const asc = spawnSync(command, [...options, '--outFile', file], { cwd: directory, encoding: 'utf8' });
    if (asc.status !== 0) throw new Error(`asc failed: ${asc.stderr}`);
    return new Uint8Array(readFileSync(file));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** These differ from the ones with 16 bytes in nothing but the ICV: one key length is enough. */
const SHORT_ICVS: readonly number[] = [ENCR.AES_GCM_8, ENCR.AES_GCM_12, ENCR.AES_CCM_8, ENCR.AES_CCM_12];

/**
 * Suites enough to go through all code of the ciphers: every encryption algorithm with the shortest
 * and the longest key and one integrity algorithm, and every integrity algorithm alone (AH).
 */
export const WATCHED_SUITES: readonly CipherSuite[] = ALL_SUITES.filter(
  ({ encr, keyBits, integ }) =>
    encr === undefined ||
    (SHORT_ICVS.includes(encr)
      ? keyBits === 128
      : keyBits !== 192 && (integ === INTEG.NONE || integ === INTEG.HMAC_SHA2_256_128)),
);

/** Of a KEY block, bytes that nobody may learn. */
const SECRETS = [
  [L.KEY_SALT, 16],
  [L.KEY_KEY, 32],
  [L.KEY_INTEG_KEY, 64],
] as const;

/** Around lanes and blocks; batches are of one, of fewer than a set of lanes, of one and a rest, of many. */
const LENGTHS = [0, 1, 16, 33, 100, 300, 600];
const COUNTS = [1, 5, 19];
/** Packets of one length: as many as there are lanes of bytes, and of bits. */
const ALIKE = 16;
const ALIKE_SHORT = 32;
/** Those of ESP, and what else the seam allows a combined mode. */
const AAD_LENGTHS = [8, 12, 0, 20, 70];

export class WatchedKernel {
  readonly machine: TaintMachine;
  readonly bench = new Workbench(1 << 20);

  constructor(module: WasmModule) {
    this.machine = new TaintMachine(module, this.bench.kernel.bytes);
    this.machine.call('initialiseCrypto', L.STATIC_END);
    this.bench.expandWith({
      keyStateLength: (encr, keyLength, integ) => this.machine.call('keyStateLength', encr, keyLength, integ),
      setupKey: (key) => {
        for (const [offset, length] of SECRETS) this.machine.mark(key + offset, length);
        this.machine.call('setupKey', key);
      },
    });
  }

  clear(): void {
    this.machine.call('forgetKey', 0);
    this.bench.clear();
    this.machine.secret.fill(0);
  }

  /** Payloads are secret in both directions, ICVs on the wire are not. */
  run(direction: 'seal' | 'open', packets: readonly PacketView[]): void {
    const { byteOffset } = this.bench.kernel.bytes;
    for (const { payload } of packets) this.machine.mark(payload.byteOffset - byteOffset, payload.length);
    this.machine.call(direction === 'seal' ? 'sealBatch' : 'openBatch', packets[0]!.descriptor, packets.length);
  }
}

export function keysOf(suite: CipherSuite, random: Random): SuiteKeys {
  const { key, salt, integKey } = suiteLengths(suite);
  return { key: random.bytes(key), salt: random.bytes(salt), integKey: random.bytes(integKey) };
}

/** Batches of one SA that go through every path of a cipher. */
export function* batchesOf(suite: CipherSuite, key: number, random: Random): Generator<PacketSpec[]> {
  for (const count of COUNTS) {
    yield Array.from({ length: count }, (_, i) =>
      packetOf(suite, key, LENGTHS[(i * 7 + count) % LENGTHS.length]!, random),
    );
  }
  yield Array.from({ length: ALIKE }, () => packetOf(suite, key, 310, random));
  yield Array.from({ length: ALIKE_SHORT }, () => packetOf(suite, key, 64, random));
  // Enough for AES in bits, more than it takes at a time, with an end that is not worth it.
  yield Array.from({ length: 10 }, (_, i) => packetOf(suite, key, 420 + 12 * i, random));
  if (suite.integ !== INTEG.NONE) return;
  // Short ones of one SPI.
  const spi = random.bytes(4);
  const short = () => ({ ...packetOf(suite, key, 60, random), aad: Buffer.concat([spi, random.bytes(4)]) });
  yield Array.from({ length: 9 }, short);
}

export function packetOf(suite: CipherSuite, key: number, length: number, random: Random): PacketSpec {
  const { iv: ivLength, block } = suiteLengths(suite);
  const iv = random.bytes(ivLength);
  const esn = random.below(2) === 1;
  return {
    key,
    iv,
    aad:
      suite.integ === INTEG.NONE
        ? random.bytes(AAD_LENGTHS[random.below(AAD_LENGTHS.length)]!)
        : Buffer.concat([random.bytes(8), iv]),
    payload: random.bytes(length - (block > 4 ? length % block : 0)),
    shift: random.below(64),
    ...(esn && { sequenceHigh: random.below(1000) }),
  };
}
