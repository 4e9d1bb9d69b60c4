/** `npm run bench -- …`: measures what it has verified first, prints a table, writes JSON and pictures. */
import { Command } from 'commander';
import { outliveReaders } from '../src/cli/exit.ts';
import { register as crypto } from './crypto/index.ts';
import { register as gateway } from './gateway/index.ts';
import { register as soak } from './gateway/soak.ts';
import { register as ike } from './ike/index.ts';
import { register as scale } from './scale/index.ts';

outliveReaders();
const program = new Command('bench').description('Benchmarks of Espalier').showHelpAfterError();
// One folder a benchmark; each registers its command.
for (const register of [crypto, gateway, soak, ike, scale]) register(program);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
