/** The command `espalier`: parses arguments, calls the library, prints what comes back. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { packagePath } from '../package-root.ts';
import { backendCommand } from './commands/backend.ts';
import { checkCommand } from './commands/check.ts';
import { controlCommands } from './commands/control.ts';
import { demoCommand } from './commands/demo.ts';
import { explainCommand } from './commands/explain.ts';
import { pkiCommand } from './commands/pki.ts';
import { runCommand } from './commands/run.ts';
import { statusCommand } from './commands/status.ts';
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
  const subcommands = [
    runCommand(),
    checkCommand(),
    statusCommand(),
    ...controlCommands(),
    backendCommand(),
    explainCommand(),
    pkiCommand(),
    demoCommand(),
  ];
  for (const subcommand of subcommands) command.addCommand(inherit(subcommand, command));
  return command;
}

/** Errors of arguments are told alike at every level, and never end the process by themselves. */
function inherit(command: Command, parent: Command): Command {
  command
    .copyInheritedSettings(parent)
    .showHelpAfterError(`(espalier ${command.name()} --help shows options and examples)`);
  for (const child of command.commands) child.copyInheritedSettings(command);
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
