/** Logs: pino, as JSON lines for machines or as text for a terminal. */
import { type DestinationStream, destination, type Logger, levels, pino, stdTimeFunctions } from 'pino';
import type { LogLevel } from '../control/config/model.ts';

export type LogFormat = 'json' | 'text';

export interface LogOptions {
  readonly level?: LogLevel;
  /** Default: text on a terminal, else JSON. */
  readonly format?: LogFormat;
  /** Default: standard output. */
  readonly stream?: DestinationStream;
}

export function createLogger({ level = 'info', format, stream }: LogOptions = {}): Logger {
  const out = stream ?? destination({ fd: 1, sync: true });
  const text = format === undefined ? stream === undefined && process.stdout.isTTY === true : format === 'text';
  return pino({ level, base: null, timestamp: stdTimeFunctions.isoTime }, text ? new TextStream(out) : out);
}

/** `12:34:56.789 INFO  IKE_SA established  connection=home` */
class TextStream implements DestinationStream {
  readonly #out: DestinationStream;

  constructor(out: DestinationStream) {
    this.#out = out;
  }

  write(line: string): void {
    const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
    const name = (levels.labels[Number(level)] ?? String(level)).toUpperCase().padEnd(5);
    const rest = Object.entries(fields).map(([key, value]) => `  ${key}=${fieldText(value)}`);
    this.#out.write(`${String(time).slice(11, 23)} ${name} ${oneLine(`${msg ?? ''}${rest.join('')}`)}\n`);
  }
}

const fieldText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** What a peer sends may be in a message, and must not look like a line of its own. */
const oneLine = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
