/** What the steps from values to a configuration share: where files are looked for, and the list of findings. */
import { EspalierError } from '../../errors.ts';
import type { KeyPath } from './error.ts';
import type { Finding } from './schema.ts';

export class ResolveContext {
  readonly problems: Finding[] = [];
  readonly warnings: Finding[] = [];
  /** File names in the configuration are relative to this. */
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  report(path: KeyPath, message: string): void {
    this.problems.push({ path, message });
  }

  warn(path: KeyPath, message: string): void {
    this.warnings.push({ path, message });
  }

  /** @returns what `step` returns, or undefined after its error has been reported */
  attempt<T>(path: KeyPath, step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof EspalierError)) throw error;
      this.report(path, error.message);
      return undefined;
    }
  }
}
