// Installs and builds what is missing or older than its sources, and says so; silent otherwise. With --build it
// builds in any case.
// Everything it prints goes to stderr, so that `--json` output stays clean.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => join(root, ...parts);
const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function newest(path) {
  if (!existsSync(path)) return 0;
  const entry = statSync(path);
  if (!entry.isDirectory()) return entry.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function step(what, command, ...args) {
  const started = Date.now();
  process.stderr.write(`espalier: ${what} …\n`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (error || status !== 0) {
    process.stderr.write(`espalier: ${what} failed${error ? `: ${error.message}` : ''}\n`);
    process.exit(status || 1);
  }
  process.stderr.write(`espalier: ${what} done in ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
}

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`espalier: needs Node.js 20.19 or later, this is ${process.versions.node}\n`);
  process.exit(1);
}
const installed = at('node_modules', '.package-lock.json');
if (modified(installed) < modified(at('package-lock.json'))) {
  step('installing dependencies (npm ci)', 'npm', 'ci', '--no-fund', '--no-audit', '--no-json', '--loglevel=error');
}
const stamp = at('dist', '.built');
const sources = [
  'assembly',
  'src',
  'bench',
  'test/simulation',
  'asconfig.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'package-lock.json',
];
if (process.argv.includes('--build') || modified(stamp) < Math.max(...sources.map((path) => newest(at(path))))) {
  step('building', process.execPath, 'scripts/build.mjs');
  writeFileSync(stamp, '');
}
