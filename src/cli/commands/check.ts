import { Command } from 'commander';
import { problemText } from '../../control/config/error.ts';
import { type LoadedConfig, loadConfig } from '../../control/config/load.ts';
import { examples } from '../help.ts';
import { configOption } from '../options.ts';

export const checkCommand = (): Command =>
  new Command('check')
    .description('Check a configuration without running it; exit code 78 if something is wrong.')
    .addOption(configOption())
    .addHelpText('after', examples(['espalier check -c gateway.yaml', 'names file, line and key of every problem']))
    .action(({ config: file }: { config: string }) => {
      const { config, warnings } = loadConfig(file);
      for (const warning of warnings) process.stderr.write(`warning: ${problemText(file, warning)}\n`);
      process.stdout.write(`${file}: ${summary(config)}\n`);
    });

function summary({ connections, manual, policies }: LoadedConfig['config']): string {
  const children = connections.reduce((sum, connection) => sum + connection.children.length, 0);
  const parts = [
    count(connections.length, 'connection'),
    count(children, 'child', 'children'),
    count(manual.length, 'manual SA'),
    count(policies.length, 'policy', 'policies'),
  ];
  return `correct: ${parts.filter((part) => !part.startsWith('0 ')).join(', ') || 'nothing configured yet'}`;
}

const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;
