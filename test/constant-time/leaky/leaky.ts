/** The leaky module, compiled and decoded. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packagePath } from '../../../src/package-root.ts';
import { compile } from '../kernel.ts';

/** Its exports, instantiated. */
export interface Leaky {
  readonly memory: WebAssembly.Memory;
  /** Address of 64 KiB to work in. */
  readonly data: { readonly value: number };
  initialise(): void;
  setupKey(key: number): void;
  encrypt(blocks: number, count: number): void;
  equal(a: number, b: number, length: number): number;
}

/** The source has a name of its own, as it is AssemblyScript outside of assembly/. */
export function compileLeaky(): Uint8Array<ArrayBuffer> {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-leaky-'));
  try {
    const source = join(folder, 'aes-table.ts');
    cpSync(packagePath('test', 'constant-time', 'leaky', 'aes-table.as'), source);
    return compile(folder, source, '--runtime', 'stub', '--noAssert', '-O3', '--use', 'abort=');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function instantiateLeaky(bytes: Uint8Array<ArrayBuffer>): Promise<Leaky> {
  const instance = new WebAssembly.Instance(await WebAssembly.compile(bytes), {});
  return instance.exports as unknown as Leaky;
}
