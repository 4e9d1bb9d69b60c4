import { Command } from 'commander';
import { EXIT, Exit } from '../exit.ts';
import { examples } from '../help.ts';
import { absolute, client, type SocketOptions, socketOption } from '../options.ts';
import { backendLines } from '../status-text.ts';

export const backendCommand = (): Command =>
  new Command('backend')
    .description('Crypto backends: list them, swap those of the running gateway, test one of your own.')
    .addHelpText(
      'after',
      examples(
        ['espalier backend list', 'the names'],
        ['espalier backend show', 'those that the running gateway uses'],
        ['espalier backend set openssl', 'swap it under running traffic'],
        ['espalier backend shadow noble', 'have a sample of packets checked by noble'],
        ['espalier backend test ./my-backend.js', 'does it do what a backend must?'],
      ),
    )
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(setCommand())
    .addCommand(shadowCommand())
    .addCommand(testCommand());

const listCommand = (): Command =>
  new Command('list')
    .description('List the backends that come with Espalier.')
    .addHelpText('after', examples(['espalier backend list', 'names for gateway.backend, and what each is good for']))
    .action(async () => {
      const { describeBackends } = await backends();
      const entries = Object.entries(describeBackends());
      const width = Math.max(...entries.map(([name]) => name.length));
      for (const [name, about] of entries) process.stdout.write(`${name.padEnd(width)}  ${about}\n`);
    });

const showCommand = (): Command =>
  new Command('show')
    .description('Show the backends that the running gateway uses, and what they have counted.')
    .option('-j, --json', 'as one JSON object')
    .addOption(socketOption())
    .addHelpText('after', examples(['espalier backend show', 'packets that the shadow has compared, disagreements']))
    .action(async (options: SocketOptions & { json?: true }) => {
      const { dataPlane } = await client(options).status();
      const { shadow, backends } = dataPlane;
      const lines = options.json
        ? [JSON.stringify({ ...(shadow !== undefined && { shadow }), backends }, undefined, 2)]
        : backendLines(dataPlane);
      process.stdout.write(`${lines.join('\n')}\n`);
    });

const setCommand = (): Command =>
  new Command('set')
    .description('Swap the crypto backend of the running gateway, or of one connection; no packet is lost.')
    .argument('<name>', "wasm, openssl, …, or the path of a module; default gives a connection the gateway's again")
    .argument(
      '[connection]',
      "by default the gateway's is swapped, which all connections use that have none of their own",
    )
    .addOption(socketOption())
    .addHelpText(
      'after',
      examples(
        ['espalier backend set hybrid', 'of the gateway'],
        ['espalier backend set openssl home', 'of the connection home alone'],
        ['espalier backend set default home', "the gateway's again"],
      ),
    )
    .action(async (name: string, connection: string | undefined, options: SocketOptions) => {
      await client(options).setBackend(absolute(name), connection);
      process.stdout.write(`${connection === undefined ? 'backend' : `backend of ${connection}`} is ${name}\n`);
    });

const shadowCommand = (): Command =>
  new Command('shadow')
    .description('Have another backend do a sample of the packets over again, and count disagreements.')
    .argument('<name>', 'noble, …, or the path of a module; none ends it')
    .addOption(socketOption())
    .addHelpText('after', examples(['espalier backend shadow noble', 'begin'], ['espalier backend shadow none', 'end']))
    .action(async (name: string, options: SocketOptions) => {
      await client(options).setShadow(absolute(name));
      process.stdout.write(`shadow is ${name}\n`);
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
        // Nobody reads any further.
        if (process.stdout.destroyed) break;
      }
      process.stdout.write(failures === 0 ? 'It conforms.\n' : `It does not conform: ${failures} checks failed.\n`);
      if (failures > 0) throw new Exit(EXIT.FAILED);
    });

/** Not before they are needed: the other commands start sooner without them. */
const backends = () => import('../../dataplane/backends/index.ts');
