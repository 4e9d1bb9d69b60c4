import { resolve } from 'node:path';
import { Command } from 'commander';
import { EXIT, Exit } from '../exit.ts';
import { examples } from '../help.ts';
import { client, type SocketOptions, socketOption } from '../options.ts';

export const backendCommand = (): Command =>
  new Command('backend')
    .description('Crypto backends: list them, swap that of the running gateway, test one of your own.')
    .addHelpText(
      'after',
      examples(
        ['espalier backend list', 'the names'],
        ['espalier backend set openssl', 'swap it under running traffic'],
        ['espalier backend test ./my-backend.js', 'does it do what a backend must?'],
      ),
    )
    .addCommand(listCommand())
    .addCommand(setCommand())
    .addCommand(testCommand());

const listCommand = (): Command =>
  new Command('list').description('List the backends that come with Espalier.').action(async () => {
    const { describeBackends } = await backends();
    const entries = Object.entries(describeBackends());
    const width = Math.max(...entries.map(([name]) => name.length));
    for (const [name, about] of entries) process.stdout.write(`${name.padEnd(width)}  ${about}\n`);
  });

const setCommand = (): Command =>
  new Command('set')
    .description('Swap the crypto backend of the running gateway; no packet is lost.')
    .argument('<name>', 'wasm, openssl, …, a module, or NAME+OTHER to check a sample of packets with OTHER')
    .addOption(socketOption())
    .addHelpText('after', examples(['espalier backend set wasm+noble', 'wasm, with a sample checked by noble']))
    .action(async (name: string, options: SocketOptions) => {
      await client(options).setBackend(absolute(name));
      process.stdout.write(`backend is ${name}\n`);
    });

const testCommand = (): Command =>
  new Command('test')
    .description('Check whether a backend does what the seam asks of it; exit code 1 if not.')
    .argument('<name>', 'a name or the path of a module')
    .addHelpText('after', examples(['espalier backend test ./my-backend.js', 'a module that exports createBackend']))
    .action(async (name: string) => {
      const { runConformance } = await backends();
      let failures = 0;
      for await (const { ok, name: sentence, detail } of runConformance(absolute(name))) {
        if (!ok) failures++;
        process.stdout.write(`${ok ? 'ok  ' : 'FAIL'}  ${sentence}: ${detail}\n`);
      }
      process.stdout.write(failures === 0 ? 'It conforms.\n' : `It does not conform: ${failures} checks failed.\n`);
      if (failures > 0) throw new Exit(EXIT.FAILED);
    });

/** Not before they are needed: the other commands start sooner without them. */
const backends = () => import('../../dataplane/backends/index.ts');

/** The gateway runs in another folder than this command. */
const absolute = (name: string): string =>
  name
    .split('+')
    .map((part) => (part.startsWith('.') ? resolve(part) : part))
    .join('+');
