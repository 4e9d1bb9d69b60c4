import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/control/config/error.ts';
import { configFromObject, configFromText } from '../../../src/control/config/load.ts';
import { everyKey } from '../../../src/control/config/schema.ts';
import { packagePath } from '../../../src/package-root.ts';

const examples = readdirSync(packagePath('examples'))
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => readFileSync(packagePath('examples', name), 'utf8'));

/** Pieces that mean something to YAML, to the schema or to JavaScript. */
const pieces = fc.oneof(
  fc.constantFrom(
    ': ',
    '- ',
    '\n',
    '  ',
    '[',
    ']',
    '{',
    '}',
    '&a ',
    '*a',
    '!!x ',
    '? ',
    '|',
    '"',
    "'",
    '#',
    '%',
    '\t',
    '\0',
    ',',
  ),
  fc.constantFrom('__proto__', 'constructor', 'null', '~', '0x', '0s', '%any', 'dynamic', '-1', '1e999', 'ÿ', '\u2028'),
  fc.constantFrom(...everyKey().map((key) => key.split('.').at(-1)!)),
  fc.string({ maxLength: 8 }),
);

/** One change: where, how much goes, what comes. */
const change = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), remove: fc.nat(12), insert: pieces });

/** @returns what is wrong with it; anything but a ConfigError fails the test */
function problemsOf(load: () => unknown): ConfigError['problems'] {
  try {
    load();
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
}

describe('a configuration that is not one', () => {
  it('is refused with places inside the file, whatever is done to an example', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...examples),
        fc.array(change, { minLength: 1, maxLength: 6 }),
        (example, changes) => {
          const text = changes.reduce((before, { at, remove, insert }) => {
            const from = Math.floor(at * before.length);
            return before.slice(0, from) + insert + before.slice(from + remove);
          }, example);
          const lines = text.split(/\r\n|\n|\r/).length;
          for (const { position, message } of problemsOf(() => configFromText(text, 'fuzz.yaml'))) {
            expect(position!.line).toBeGreaterThanOrEqual(1);
            expect(position!.line).toBeLessThanOrEqual(lines);
            expect(message).not.toMatch(/undefined|\[object|NaN/);
          }
        },
      ),
      { numRuns: 1500 },
    );
  });

  it('is refused with key paths, whatever object a program gives', () => {
    const key = fc.constantFrom(...new Set(everyKey().flatMap((path) => path.split('.'))), '__proto__', 'x');
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.oneof(
          fc.string(),
          fc.integer(),
          fc.double(),
          fc.boolean(),
          fc.constant(null),
          fc.constant(undefined),
          fc.bigInt(),
        ),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(key, tie('value'), { maxKeys: 6 }),
      ),
    }));
    const top = fc.record(
      { gateway: value, control: value, connections: value, sas: value, policies: value },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(top, (object) => {
        for (const { message } of problemsOf(() => configFromObject(object as never))) {
          expect(message).not.toMatch(/\[object/);
        }
      }),
      { numRuns: 1500 },
    );
  });
});
