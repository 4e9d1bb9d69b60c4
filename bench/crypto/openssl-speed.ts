/** The native limit: what the system's `openssl speed` says of one cipher in a loop. */
import { spawnSync } from 'node:child_process';
import { type CipherSuite, ENCR, suiteName } from '../../src/algorithms.ts';
import type { Direction } from '../../src/dataplane/backends/backend.ts';
import type { Result } from './run.ts';

/** `openssl speed`'s name of a combined mode; others have no figure to compare with. */
function nameOf({ encr, keyBits }: CipherSuite): string | undefined {
  if (encr === ENCR.AES_GCM_16) return `aes-${keyBits}-gcm`;
  if (encr === ENCR.AES_CCM_16) return `aes-${keyBits}-ccm`;
  return encr === ENCR.CHACHA20_POLY1305 ? 'chacha20-poly1305' : undefined;
}

/** A second of each; without `openssl` there are no rows. */
export function* opensslSpeed(
  suites: readonly CipherSuite[],
  lengths: readonly number[],
  log: (line: string) => void,
): Generator<Result> {
  const version = spawnSync('openssl', ['version'], { encoding: 'utf8' });
  if (version.status !== 0) return log('openssl-speed: left out, there is no openssl command');
  for (const suite of suites) {
    const name = nameOf(suite);
    if (name === undefined) continue;
    log(`${suiteName(suite)}: openssl speed (${version.stdout.trim()})`);
    for (const direction of ['seal', 'open'] as const) {
      for (const bytes of lengths) {
        const mbps = measure(name, direction, bytes);
        if (mbps === undefined) continue;
        yield {
          suite: 'aead',
          algorithm: suiteName(suite),
          backend: 'openssl-speed',
          direction,
          bytes,
          batch: 1,
          mbps: { min: mbps, median: mbps, max: mbps },
        };
      }
    }
  }
}

function measure(name: string, direction: Direction, bytes: number): number | undefined {
  const decrypt = direction === 'open' ? ['-decrypt'] : [];
  const options = ['-seconds', '1', '-bytes', String(bytes), '-aead', '-evp', name];
  const { stdout } = spawnSync('openssl', ['speed', ...decrypt, ...options], { encoding: 'utf8' });
  // "AES-128-GCM    2576753.22k": thousands of bytes a second.
  const found = /^\S+\s+([\d.]+)k\s*$/m.exec(stdout ?? '');
  return found ? Math.round(Number(found[1]) / 100) / 10 : undefined;
}
