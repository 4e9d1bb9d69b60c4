/** A backend that is wrong about everything. */
import type { CryptoBackend } from '../../src/dataplane/backends/backend.ts';

export default function createBackend(): CryptoBackend {
  return { name: 'wrong', supports: () => true, seal() {}, open() {}, forget() {}, close() {} };
}
