import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { program } from '../../src/cli/program.ts';
import { COMMAND, espalier, folder } from './command.ts';

const TRACE = /^\s+at |node:internal|Error:/m;

/** @returns the words of every command and subcommand */
const paths = (command: Command, words: readonly string[] = []): string[][] =>
  command.commands.flatMap((each) => [[...words, each.name()], ...paths(each, [...words, each.name()])]);

describe('espalier', () => {
  it('shows commands and examples when it is asked for help', async () => {
    const { code, stdout } = await espalier(['--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Commands:[\s\S]*run[\s\S]*Examples:/);
  });

  it('has a description of every command, and examples of those that do something', () => {
    for (const words of paths(program())) {
      const command = words.reduce<Command>((at, word) => at.commands.find((each) => each.name() === word)!, program());
      expect(command.description(), words.join(' ')).not.toBe('');
      let help = '';
      command
        .configureOutput({
          writeOut: (text) => {
            help += text;
          },
        })
        .outputHelp();
      if (words.at(-1) !== 'list') expect(help, words.join(' ')).toMatch(/Examples:\n {2}espalier /);
    }
  });

  it.each([
    [[], 64, /Usage: espalier/],
    [['rnu'], 64, /Did you mean run\?/],
    [['run'], 64, /required option '-c, --config <file>'[\s\S]*espalier run --help/],
    [['check', '-c', 'x', '--jsn'], 64, /unknown option '--jsn'/],
    [['up'], 64, /missing required argument 'name'/],
    [['backend', 'shadow'], 64, /missing required argument 'name'/],
    [['backend', 'set'], 64, /missing required argument 'name'/],
    [['status', '-s', '/nowhere/espalier.sock'], 69, /no gateway answers on \/nowhere\/espalier\.sock; start one/],
    [['up', 'home', '-s', '/nowhere/espalier.sock'], 69, /no gateway answers/],
    [['run', '-c', '/nowhere/gateway.yaml'], 78, /\/nowhere\/gateway\.yaml: there is no such file/],
    [['explain-proposal', 'aes128gmc16'], 1, /did you mean "aes128gcm16"/],
    [['pki', 'cert', '-s', 'CN=a', '--ca', '/nowhere/ca', '-o', '/nowhere/a'], 1, /cannot read \/nowhere\/ca\.pem/],
    [['backend', 'test', 'nothing'], 1, /no backend 'nothing': use one of wasm/],
  ] as const)('ends %j with exit code %i and a sentence', async (args, exit, sentence) => {
    const { code, stdout, stderr } = await espalier(args);
    expect(`${stdout}${stderr}`).toMatch(sentence);
    expect(stderr).not.toMatch(TRACE);
    expect(code).toBe(exit);
  });

  it.each([['backend', 'test', 'noble'], ['explain-proposal', 'default'], ['--help'], ['run', '--help']])(
    'ends quietly when its reader goes away: %j',
    async (...args) => {
      const { code, stderr } = await new Promise<{ code: number | null; stderr: string }>((resolve) => {
        const child = spawn(process.execPath, [COMMAND, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
        let stderr = '';
        child.stdout.destroy();
        child.stderr.on('data', (text) => {
          stderr += text;
        });
        child.on('close', (code) => resolve({ code, stderr }));
      });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    },
  );

  it('takes the socket of the gateway from the environment', async () => {
    const { stderr } = await espalier(['status'], { env: { ...process.env, ESPALIER_SOCKET: '/from/environment' } });
    expect(stderr).toContain('/from/environment');
  });

  it('explains a proposal', async () => {
    const { code, stdout } = await espalier(['explain-proposal', '-p', 'esp', 'aes256gcm16-x25519']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/ENCR_AES_GCM_16, Key Length 256 .* MUST \(RFC 8221 §5\)/);
  });

  it('tells which backends there are', async () => {
    const { stdout } = await espalier(['backend', 'list']);
    expect(stdout).toMatch(/^wasm +\S.*\n(.*\n)*node +/);
  });

  it('says why a backend that cannot be made does not conform', async () => {
    const cwd = folder({ 'mine.mjs': "export function createBackend() { throw new Error('no accelerator'); }" });
    const { code, stdout, stderr } = await espalier(['backend', 'test', './mine.mjs'], { cwd });
    expect(stdout).toMatch(
      /^FAIL {2}can be made: .*mine\.mjs: createBackend throws no accelerator\nIt does not conform/,
    );
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
  });
});

describe('espalier pki', () => {
  it('makes a CA, a certificate under it that OpenSSL verifies, and a revocation list', async () => {
    const cwd = folder({});
    const pki = (...args: string[]) => espalier(['pki', ...args], { cwd });
    expect(await pki('ca', '-s', 'CN=Laboratory CA, O=Example', '-o', 'ca', '-k', 'ed25519')).toMatchObject({
      code: 0,
      stdout: 'ca.key\nca.pem\n',
    });
    expect(
      await pki('cert', '--ca', 'ca', '-s', 'CN=gw', '-n', 'gw.example.org', '-n', '192.0.2.1', '-o', 'gw'),
    ).toMatchObject({ code: 0 });
    const [ca, gw] = ['ca.pem', 'gw.pem'].map((name) => new X509Certificate(readFileSync(join(cwd, name))));
    expect(gw!.verify(ca!.publicKey)).toBe(true);
    expect(gw!.checkHost('gw.example.org')).toBe('gw.example.org');
    expect(gw!.checkIP('192.0.2.1')).toBe('192.0.2.1');
    expect(statSync(join(cwd, 'gw.key')).mode & 0o777).toBe(0o600);
    expect(await pki('crl', '--ca', 'ca', '-o', 'ca.crl', 'gw.pem')).toMatchObject({ code: 0 });
    expect(readFileSync(join(cwd, 'ca.crl'), 'utf8')).toMatch(/^-----BEGIN X509 CRL-----/);
  });

  it('does not write over a key unless it is told to', async () => {
    const cwd = folder({});
    writeFileSync(join(cwd, 'ca.key'), 'precious');
    const again = await espalier(['pki', 'ca', '-s', 'CN=x', '-o', 'ca'], { cwd });
    expect(again).toMatchObject({ code: 1, stderr: 'espalier: ca.key is there already; --force replaces it\n' });
    expect(readFileSync(join(cwd, 'ca.key'), 'utf8')).toBe('precious');
    expect(await espalier(['pki', 'ca', '-s', 'CN=x', '-o', 'ca', '--force'], { cwd })).toMatchObject({ code: 0 });
  });
});
