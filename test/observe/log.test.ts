import { describe, expect, it } from 'vitest';
import { createLogger, type LogFormat } from '../../src/observe/log.ts';

const lines = (
  format: LogFormat,
  level: 'info' | 'debug' = 'info',
): { logger: ReturnType<typeof createLogger>; written: string[] } => {
  const written: string[] = [];
  return { logger: createLogger({ format, level, stream: { write: (line: string) => written.push(line) } }), written };
};

describe('the log', () => {
  it('is one JSON object a line for machines', () => {
    const { logger, written } = lines('json');
    logger.info({ connection: 'home' }, 'is up');
    expect(JSON.parse(written[0]!)).toEqual({
      level: 30,
      time: expect.stringMatching(/^\d{4}-/),
      connection: 'home',
      msg: 'is up',
    });
  });

  it('is text with its fields behind the message for people', () => {
    const { logger, written } = lines('text');
    logger.warn({ connection: 'home', tries: 3 }, 'no answer');
    expect(written[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} WARN {2}no answer {2}connection=home {2}tries=3\n$/);
  });

  it('keeps what is below its level to itself, until the level changes', () => {
    const { logger, written } = lines('text');
    logger.debug({}, 'HDR, SAi1, KEi, Ni -->');
    logger.level = 'debug';
    logger.debug({}, 'HDR, SAr1, KEr, Nr <--');
    expect(written).toHaveLength(1);
  });

  it('does not let a message of a peer end its line', () => {
    const { logger, written } = lines('text');
    logger.info({ id: 'a\n12:00:00.000 INFO  forged' }, 'peer said x\ny');
    expect(written[0]!.trimEnd()).not.toContain('\n');
  });
});
