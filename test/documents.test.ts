/** The documents say what is so: keys, commands and files that they name exist, and all are named. */
import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { program } from '../src/cli/program.ts';
import { everyKey } from '../src/control/config/schema.ts';
import { packagePath } from '../src/package-root.ts';

const text = (file: string): string => readFileSync(packagePath(file), 'utf8');
const readme = text('README.md');

/** Keys by the heading that they stand under. */
const SECTIONS: readonly (readonly [prefix: string, heading: string])[] = [
  ['gateway.', '### `gateway`'],
  ['control.', '### `control`'],
  ['connections.NAME.children.NAME.', '### `connections.NAME.children.NAME`'],
  ['connections.NAME.local.', '### `connections.NAME`'],
  ['connections.NAME.remote.', '### `connections.NAME`'],
  ['connections.NAME.', '### `connections.NAME`'],
  ['sas.NAME.', '### `sas.NAME`'],
  ['policies.NAME.', '### `sas.NAME`'],
];

function section(heading: string): string {
  const [, below = ''] = readme.split(heading);
  return below.split(/^##/m)[0]!;
}

describe('README.md', () => {
  it.each(everyKey())('has %s in its tables', (key) => {
    const [prefix, heading] = SECTIONS.find(([start]) => key.startsWith(start))!;
    expect(section(heading)).toMatch(new RegExp(`^\\|[^|]*\`${key.slice(prefix.length)}\``, 'm'));
  });

  it('names no key that there is not', () => {
    const known = new Set(everyKey().flatMap((key) => key.split('.')));
    const named = SECTIONS.flatMap(([, heading]) =>
      Array.from(section(heading).matchAll(/^\|([^|]*)\|/gm), ([, cell]) => cell!).flatMap((cell) =>
        Array.from(cell.matchAll(/`([a-z_]+)`/g), ([, key]) => key!),
      ),
    );
    expect(named.filter((key) => !known.has(key))).toEqual([]);
  });

  it('names every command', () => {
    const commands = section('## The command');
    const missing = (command: Command): string[] =>
      command.commands.flatMap((each) =>
        each.commands.length > 0 ? missing(each) : commands.includes(each.name()) ? [] : [each.name()],
      );
    expect(missing(program())).toEqual([]);
  });
});

describe('the documents', () => {
  it.each(['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md'])(
    '%s names only files that exist',
    (file) => {
      const links = Array.from(text(file).matchAll(/\]\(([^)#:]+)\)/g), ([, link]) => link!);
      const quoted = Array.from(
        text(file).matchAll(/`((?:src|assembly|test|bench|examples|scripts)\/[\w./-]*)`/g),
        ([, path]) => path!,
      );
      expect([...links, ...quoted].filter((path) => !existsSync(packagePath(path)))).toEqual([]);
    },
  );
});

describe.each(['docs/ike-tests.md', 'docs/data-plane-tests.md'])('%s', (document) => {
  const rows = text(document).matchAll(/^\| ([^|]+) \| `([^`]+)` \| ([^|]+) \|$/gm);
  it.each(Array.from(rows, ([, ...row]) => row))('%s', (_what, file, words) => {
    expect(text(file!)).toContain(words);
  });
});
