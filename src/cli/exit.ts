/** How the command ends: sysexits.h's codes, a sentence on stderr, never a stack trace. */
import { CommanderError } from 'commander';
import { EspalierError } from '../errors.ts';

export const EXIT = {
  OK: 0,
  FAILED: 1,
  USAGE: 64,
  UNAVAILABLE: 69,
  SOFTWARE: 70,
  NO_PERMISSION: 77,
  CONFIG: 78,
} as const;

/** Codes of errors that do not simply mean "failed". */
const EXIT_BY_CODE: Readonly<Record<string, number>> = {
  ERR_CONFIG: EXIT.CONFIG,
  ERR_NOT_RUNNING: EXIT.UNAVAILABLE,
  ERR_PERMISSION: EXIT.NO_PERMISSION,
  ERR_USAGE: EXIT.USAGE,
};

/** What a command sets its exit code with, its message having been printed already. */
export class Exit extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/**
 * A reader that goes away (`espalier … | head`) is no failure: what is still written goes nowhere, and the
 * command comes to its end, so that what it has made is removed as ever.
 */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}

/** Tells the user what went wrong. @returns the exit code */
export function reportFailure(error: unknown): number {
  if (error instanceof Exit) return error.exitCode;
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
  if (error instanceof EspalierError) {
    // Each line of a configuration's problems begins with its file.
    process.stderr.write(error.code === 'ERR_CONFIG' ? `${error.message}\n` : `espalier: ${error.message}\n`);
    return EXIT_BY_CODE[error.code] ?? EXIT.FAILED;
  }
  const text = error instanceof Error ? error.message : String(error);
  const trace = process.env['ESPALIER_DEBUG'] && error instanceof Error ? `\n${error.stack}` : '';
  process.stderr.write(`espalier: internal error: ${text}; ESPALIER_DEBUG=1 shows where${trace}\n`);
  return EXIT.SOFTWARE;
}
