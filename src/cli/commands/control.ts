/** The commands that ask a running gateway: up, down, rekey, reload, metrics. */
import { Command } from 'commander';
import { examples } from '../help.ts';
import { client, type SocketOptions, socketOption } from '../options.ts';

interface NamedCommand {
  readonly word: 'up' | 'down' | 'rekey';
  readonly description: string;
  readonly done: string;
  readonly example: string;
}

const NAMED: readonly NamedCommand[] = [
  {
    word: 'up',
    description: 'Bring up a connection with its children, or one child; wait until it is up.',
    done: 'is up',
    example: 'negotiate with the peer now',
  },
  {
    word: 'down',
    description: 'Delete the SAs of a connection or of one child, and tell the peer.',
    done: 'is down',
    example: 'delete its SAs',
  },
  {
    word: 'rekey',
    description: 'Replace the SAs of a connection or of one child by new ones, without losing a packet.',
    done: 'is rekeyed',
    example: 'new keys now, not when their time has come',
  },
];

const namedCommand = ({ word, description, done, example }: NamedCommand): Command =>
  new Command(word)
    .description(description)
    .argument('<name>', 'a connection or a child')
    .addOption(socketOption())
    .addHelpText('after', examples([`espalier ${word} home`, example]))
    .action(async (name: string, options: SocketOptions) => {
      await client(options)[word](name);
      process.stdout.write(`${name} ${done}\n`);
    });

const reloadCommand = (): Command =>
  new Command('reload')
    .description('Read the configuration again; connections that did not change keep their SAs.')
    .addOption(socketOption())
    .addHelpText('after', examples(['espalier reload', 'the same as SIGHUP, but says what is wrong']))
    .action(async (options: SocketOptions) => {
      const { changed, renewed, restart } = await client(options).reload();
      process.stdout.write(changed.length > 0 ? `changed: ${changed.join(', ')}\n` : 'no connection changed\n');
      if (renewed.length > 0) process.stdout.write(`new credentials: ${renewed.join(', ')}\n`);
      if (restart.length > 0) process.stdout.write(`only after a restart: ${restart.join(', ')}\n`);
    });

const metricsCommand = (): Command =>
  new Command('metrics')
    .description('Show metrics in the text format of Prometheus.')
    .addOption(socketOption())
    .addHelpText('after', examples(['espalier metrics | grep dropped', 'why packets were dropped']))
    .action(async (options: SocketOptions) => {
      process.stdout.write(await client(options).metrics());
    });

export const controlCommands = (): Command[] => [...NAMED.map(namedCommand), reloadCommand(), metricsCommand()];
