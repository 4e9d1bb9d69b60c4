/** What is wrong with a configuration, and where. */
import { EspalierError } from '../../errors.ts';

/** Keys from the top of the configuration down: `['connections', 'home', 'remote_addrs', 0]`. */
export type KeyPath = readonly (string | number)[];

/** A place in a file; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface ConfigProblem {
  readonly path: KeyPath;
  /** Absent for a configuration that was given as an object. */
  readonly position?: Position;
  /** What is wrong and what to write instead. */
  readonly message: string;
}

/** @returns `connections.home.remote_addrs[0]` */
export const pathText = (path: KeyPath): string =>
  path.reduce<string>((text, key) => (typeof key === 'number' ? `${text}[${key}]` : text ? `${text}.${key}` : key), '');

/** Everything that is wrong with one configuration: `code` is `ERR_CONFIG`, the message has a line for each problem. */
export class ConfigError extends EspalierError {
  override readonly name = 'ConfigError';
  readonly file: string;
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    super('ERR_CONFIG', problems.map((problem) => problemText(file, problem)).join('\n'));
    this.file = file;
    this.problems = problems;
  }
}

/** @returns `gateway.yaml:12:5: connections.home.remote_addrs: …` */
export function problemText(file: string, { path, position, message }: ConfigProblem): string {
  const place = position ? `${file}:${position.line}:${position.column}` : file;
  return path.length > 0 ? `${place}: ${pathText(path)}: ${message}` : `${place}: ${message}`;
}
