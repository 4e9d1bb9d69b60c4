import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Command, Option } from 'commander';
import type { Logger } from 'pino';
import { loadConfig } from '../../control/config/load.ts';
import type { LogLevel } from '../../control/config/model.ts';
import { EspalierError } from '../../errors.ts';
import type { Gateway } from '../../gateway.ts';
import type { LogFormat } from '../../observe/log.ts';
import { EXIT, Exit } from '../exit.ts';
import { examples } from '../help.ts';
import { absolute, configOption } from '../options.ts';

/** Milliseconds after the start by which there is nothing left to be started. */
const SETTLED = 10_000;

interface RunOptions {
  readonly config: string;
  readonly backend?: string;
  readonly shadow?: string;
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
}

export const runCommand = (): Command =>
  new Command('run')
    .description(
      'Run a gateway in the foreground. SIGINT and SIGTERM stop it cleanly, SIGHUP reads the configuration again.',
    )
    .addOption(configOption())
    .option('-b, --backend <name>', 'crypto backend, in place of gateway.backend', absolute)
    .option('--shadow <name>', 'backend that checks a sample of packets, in place of gateway.shadow', absolute)
    .addOption(
      new Option('-l, --log-level <level>', 'in place of control.log_level').choices([
        'fatal',
        'error',
        'warn',
        'info',
        'debug',
        'trace',
        'silent',
      ]),
    )
    .addOption(new Option('--log-format <format>', 'default: text on a terminal, else JSON').choices(['text', 'json']))
    .addHelpText(
      'after',
      examples(
        ['espalier run -c gateway.yaml', 'until Ctrl-C'],
        ['espalier run -c gateway.yaml -l debug', 'with every exchange in RFC notation'],
        ['espalier run -c gateway.yaml -b openssl', 'with another crypto backend'],
        ['espalier run -c gateway.yaml --shadow noble', 'a sample of packets done over again by noble'],
      ),
    )
    .action(run);

async function run({ config, backend, shadow, logLevel, logFormat }: RunOptions): Promise<void> {
  // Only this command needs the gateway; the others start sooner without it.
  const [{ Gateway }, { createLogger }] = await Promise.all([
    import('../../gateway.ts'),
    import('../../observe/log.ts'),
  ]);
  const level = logLevel ?? loadConfig(config).config.control.logLevel;
  const logger = createLogger({ level, ...(logFormat && { format: logFormat }) });
  const gateway = await Gateway.start(config, {
    logger,
    ...(backend !== undefined && { backend }),
    ...(shadow !== undefined && { shadow }),
  });
  setTimeout(giveBackMemory, SETTLED).unref();
  const failed = await ending(gateway, logger);
  await gateway.stop();
  if (failed) throw new Exit(EXIT.SOFTWARE);
}

/**
 * A fifth of the memory is what starting has used. V8 would find the time to give it back on a machine at
 * rest, and a busy gateway's is not. Packets are not held up: workers have heaps of their own.
 */
function giveBackMemory(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/** @returns whether it was a failure that ended the wait for a signal */
function ending(gateway: Gateway, logger: Logger): Promise<boolean> {
  return new Promise((resolve) => {
    const stop = (signal: NodeJS.Signals): void => {
      logger.info({ signal }, 'stopping; once more to stop at once');
      for (const each of ['SIGINT', 'SIGTERM'] as const) process.once(each, () => process.exit(EXIT.FAILED));
      resolve(false);
    };
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    process.on('SIGHUP', () => {
      gateway.reload().catch((error: unknown) => {
        if (error instanceof EspalierError) logger.error({ code: error.code }, `not reloaded: ${error.message}`);
        else logger.error({ err: String(error) }, 'not reloaded');
      });
    });
    process.once('uncaughtException', (error) => {
      logger.fatal(
        { err: error.message, ...(process.env['ESPALIER_DEBUG'] && { stack: error.stack }) },
        'internal error',
      );
      resolve(true);
    });
  });
}
