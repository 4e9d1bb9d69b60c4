import { Command } from 'commander';
import { examples } from '../help.ts';
import { client, type SocketOptions, socketOption } from '../options.ts';
import { statusText } from '../status-text.ts';

export const statusCommand = (): Command =>
  new Command('status')
    .description('Show the SAs of the running gateway, their traffic, and what was dropped.')
    .option('-j, --json', 'as one JSON object')
    .addOption(socketOption())
    .addHelpText(
      'after',
      examples(
        ['espalier status', 'for people'],
        ['espalier status --json | jq .drops', 'for programs'],
        ['espalier status -s /run/other.sock', 'of a gateway with another control.socket'],
      ),
    )
    .action(async (options: SocketOptions & { json?: true }) => {
      const status = await client(options).status();
      process.stdout.write(options.json ? `${JSON.stringify(status, undefined, 2)}\n` : statusText(status));
    });
