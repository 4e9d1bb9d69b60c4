// Compiles the kernel (AssemblyScript to three WebAssembly builds) and the TypeScript around it.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name) => join(root, 'node_modules', '.bin', name);

function run(command, ...args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

mkdirSync(join(root, 'build'), { recursive: true });
for (const target of ['plain', 'relaxed', 'wide']) run(bin('asc'), '--config', 'asconfig.json', '--target', target);
run(bin('tsc'), '-p', 'tsconfig.build.json');
const main = join(root, 'dist/src/main.js');
if (existsSync(main)) chmodSync(main, 0o755);
