/** What ARCHITECTURE.md promises of the tree, held by reading it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packagePath } from '../src/package-root.ts';

const root = packagePath();
const MAX_LINES = 420;

interface Source {
  /** `src/control/wire/header.ts` */
  readonly file: string;
  readonly text: string;
  /** Files of the tree, and names of packages and of Node's modules. */
  readonly imports: readonly string[];
}

function sources(folder: string): Source[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const file = join(folder, name);
      const text = readFileSync(join(root, file), 'utf8');
      const imports = Array.from(text.matchAll(/(?:from|import\()\s*['"]([^'"]+)['"]/g), ([, name]) =>
        name!.startsWith('.') ? relative(root, resolve(root, dirname(file), name!)) : name!,
      );
      return { file, text, imports };
    });
}

/** @returns `a.ts imports b.ts` for every import that `forbidden` is true of */
const crossings = (folder: string, forbidden: (imported: string) => boolean): string[] =>
  sources(folder).flatMap(({ file, imports }) => imports.filter(forbidden).map((name) => `${file} imports ${name}`));

const isIn =
  (...folders: readonly string[]) =>
  (name: string) =>
    folders.some((folder) => name.startsWith(folder));

describe('the tree', () => {
  it('lets the control plane and the data plane meet in src/contract.ts only', () => {
    expect(crossings('src/control', isIn('src/dataplane/', 'assembly/'))).toEqual([]);
    expect(crossings('src/dataplane', isIn('src/control/'))).toEqual([]);
  });

  it('keeps both planes free of what is built on them', () => {
    const above = isIn('src/cli/', 'src/demo/', 'src/observe/', 'src/gateway.ts', 'src/index.ts', 'src/main.ts');
    expect(crossings('src/control', above)).toEqual([]);
    expect(crossings('src/dataplane', above)).toEqual([]);
    expect(crossings('src/observe', isIn('src/dataplane/', 'src/cli/', 'src/gateway.ts'))).toEqual([]);
  });

  it('keeps the protocol core free of clocks, sockets, files and its own randomness', () => {
    const folders = ['src/control/ike', 'src/control/child', 'src/control/wire', 'src/control/proposals'];
    for (const folder of folders) expect(crossings(folder, isIn('node:'))).toEqual([]);
    const impure = /\b(Date\.now|Math\.random|setTimeout|setInterval|performance\.now|process\.)\b/;
    const found = folders
      .flatMap(sources)
      .filter(({ text }) => impure.test(text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')));
    expect(found.map(({ file }) => file)).toEqual([]);
  });

  it('knows only the wire in src/control/wire', () => {
    const others = isIn('src/control/');
    const allowed = isIn('src/control/wire/');
    expect(crossings('src/control/wire', (name) => others(name) && !allowed(name))).toEqual([]);
  });

  it('opens each operation of IKE with its exchange in RFC notation', () => {
    const silent = sources('src/control/ike/tasks').filter(({ text }) => {
      const opening = /^\/\*\*[\s\S]*?\*\//.exec(text)?.[0] ?? '';
      return !/HDR.*-->/.test(opening) || !/<-- HDR/.test(opening);
    });
    expect(silent.map(({ file }) => file)).toEqual([]);
  });

  it('has no file that is too long to read at one sitting', () => {
    const long = ['src', 'assembly', 'bench', 'test']
      .flatMap(sources)
      .filter(({ file }) => !file.includes('.gen.') && !file.startsWith('test/vectors/'))
      .map(({ file, text }) => ({ file, lines: text.split('\n').length }))
      .filter(({ lines }) => lines > MAX_LINES);
    expect(long).toEqual([]);
  });
});
