import { Command, InvalidArgumentError, Option } from 'commander';
import type { DemoOptions } from '../../demo/demo.ts';
import { Exit } from '../exit.ts';
import { examples } from '../help.ts';

function seconds(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 3600) return value;
  throw new InvalidArgumentError('seconds are a number above 0, up to 3600');
}

export const demoCommand = (): Command =>
  new Command('demo')
    .description('Run two gateways against each other, with real packets, and remove every trace.')
    .option('--json', 'print one JSON object and nothing else on standard output', false)
    .option('--seconds <n>', 'length of the bulk transfer', seconds, 3)
    .option('--backend <name>', 'crypto backend of both gateways', 'wasm')
    .addOption(new Option('--mode <mode>', 'default: the best that works').choices(['netns', 'userns', 'in-process']))
    .addOption(new Option('--inside').hideHelp())
    .addHelpText(
      'after',
      examples(
        ['espalier demo', 'as root in network namespaces, else in a user namespace, else in this process'],
        ['espalier demo --json --backend openssl', 'for scripts'],
      ),
    )
    .action(async (options: DemoOptions) => {
      const { runDemo } = await import('../../demo/demo.ts');
      const status = await runDemo(options);
      if (status !== 0) throw new Exit(status);
    });
