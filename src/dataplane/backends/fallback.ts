/**
 * Completes a backend: packets of suites that it does not support go to another one that does.
 *
 *     batch  | A A A | B B | A |        A supported, B not
 *              own     other  own       one call per run of packets
 */
import * as L from '../../../assembly/layout.ts';
import { type CipherSuite, suiteName } from '../../algorithms.ts';
import type { CryptoBackend, KernelMemory } from './backend.ts';
import { KeyCache } from './key-cache.ts';
import { suiteOf } from './suites.ts';

/**
 * @param other supports every suite
 * @param log is told once per suite
 */
export function withFallback(
  backend: CryptoBackend,
  other: CryptoBackend,
  kernel: KernelMemory,
  log: (message: string) => void,
): CryptoBackend {
  const told = new Set<string>();
  const choose = (suite: CipherSuite): CryptoBackend => {
    if (backend.supports(suite)) return backend;
    const name = suiteName(suite);
    if (!told.has(name)) log(`backend '${backend.name}' does not support ${name}; '${other.name}' takes it`);
    told.add(name);
    return other;
  };
  const chosen = new KeyCache(
    kernel,
    (key) => choose(suiteOf(kernel, key)),
    () => {},
  );
  const run = (direction: 'seal' | 'open', descriptors: number, count: number) => {
    const { words } = kernel;
    const end = descriptors + count * L.PACKET_SIZE;
    let from = descriptors;
    let key = 0;
    let current = backend;
    for (let at = descriptors; at < end; at += L.PACKET_SIZE) {
      const next = words[(at + L.PACKET_KEY) >>> 2]!;
      if (next === key) continue;
      key = next;
      const wanted = chosen.get(key);
      if (wanted === current) continue;
      if (at > from) current[direction](from, (at - from) / L.PACKET_SIZE);
      current = wanted;
      from = at;
    }
    if (end > from) current[direction](from, (end - from) / L.PACKET_SIZE);
  };
  return {
    name: backend.name,
    supports: (suite) => backend.supports(suite) || other.supports(suite),
    seal: (descriptors, count) => run('seal', descriptors, count),
    open: (descriptors, count) => run('open', descriptors, count),
    forget(key) {
      chosen.forget(key);
      backend.forget(key);
      other.forget(key);
    },
    close() {
      chosen.clear();
      backend.close();
      other.close();
    },
    ...(backend.counters && { counters: () => backend.counters!() }),
  };
}
