/** The command `espalier`: parses arguments, calls the library, prints what comes back. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { packagePath } from '../package-root.ts';
import { checkCommand } from './commands/check.ts';
import { explainCommand } from './commands/explain.ts';
import { EXIT, reportFailure } from './exit.ts';
import { examples } from './help.ts';

const { version } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as { version: string };

export function program(): Command {
  const command = new Command('espalier')
    .description('An IPsec gateway that needs no IPsec in the kernel.')
    .version(version, '-V, --version', 'show the version')
    .helpCommand('help [command]', 'show help for a command')
    .showHelpAfterError('(espalier --help shows commands and examples)')
    .exitOverride()
    .addHelpText(
      'after',
      examples(
        ['espalier check -c gateway.yaml', 'is the configuration right?'],
        ['espalier run -c gateway.yaml', 'run the gateway in the foreground'],
        ['espalier status', 'SAs, traffic and drops of the running gateway'],
        ['espalier up home', 'bring a connection or a child up'],
        ['espalier explain-proposal aes128gcm16-prfsha256-x25519', 'what a proposal means'],
      ),
    );
  for (const subcommand of [checkCommand(), explainCommand()]) {
    command.addCommand(subcommand.exitOverride().helpCommand(false));
  }
  return command;
}

/** @returns the exit code */
export async function main(args: readonly string[]): Promise<number> {
  try {
    if (args.length === 0) {
      process.stdout.write(program().helpInformation());
      return EXIT.USAGE;
    }
    await program().parseAsync(args, { from: 'user' });
    return EXIT.OK;
  } catch (error) {
    return reportFailure(error);
  }
}
