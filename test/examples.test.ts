import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { packagePath } from '../src/package-root.ts';
import { espalier, folder } from './cli/command.ts';

const EXAMPLES = packagePath('examples');
const files = readdirSync(EXAMPLES, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'));

/** @returns every value of a key, wherever it stands */
function valuesOf(node: unknown, key: string): string[] {
  if (typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([name, value]) =>
    name === key && typeof value === 'string' ? [value] : valuesOf(value, key),
  );
}

/** Makes the files that an example names, with the commands that a reader would use. */
async function provide(cwd: string, example: unknown): Promise<void> {
  for (const name of valuesOf(example, 'secret_file'))
    writeFileSync(join(cwd, name), 'a secret of the required length', { mode: 0o600 });
  const run = async (...args: string[]) => expect(await espalier(['pki', ...args], { cwd })).toMatchObject({ code: 0 });
  if (valuesOf(example, 'cacerts').length > 0) await run('ca', '-s', 'CN=Laboratory CA', '-o', 'ca');
  for (const name of valuesOf(example, 'certs').map((each) => each.replace('.pem', ''))) {
    await run('cert', '--ca', 'ca', '-s', `CN=${name}`, '-n', `${name}.example.org`, '-o', name);
  }
  for (const name of valuesOf(example, 'crls')) await run('crl', '--ca', 'ca', '-o', name);
}

describe('the examples', () => {
  it.each(files)('%s is a configuration without problems', async (name) => {
    const cwd = folder({});
    copyFileSync(join(EXAMPLES, name), join(cwd, 'gateway.yaml'));
    await provide(cwd, parse(readFileSync(join(EXAMPLES, name), 'utf8')));
    const { code, stderr } = await espalier(['check', '-c', 'gateway.yaml'], { cwd });
    expect({ code, stderr: stderr.replace(/^warning: .*chmod 600.*\n/m, '') }).toEqual({ code: 0, stderr: '' });
  });
});
