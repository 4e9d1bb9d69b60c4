/** YAML text to plain values, with the way back from a key path to line and column. */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { ConfigError, type ConfigProblem, type KeyPath, type Position } from './error.ts';

/** A file of more is not a configuration. */
const MAX_BYTES = 16 << 20;
/** References (`*name`) may not blow a small file up. */
const MAX_NODES = 1_000_000;
const MAX_DEPTH = 64;

/** Where the values of a configuration are from. */
export interface ConfigSource {
  /** For messages. */
  readonly file: string;
  readonly value: unknown;
  /** @returns the place of the nearest key on that path that exists */
  locate(path: KeyPath): Position | undefined;
}

/** @returns a source without lines, for values that a program made */
export const objectSource = (value: unknown, name = 'configuration'): ConfigSource => ({
  file: name,
  value,
  locate: () => undefined,
});

/**
 * Scalars stay the text they are: what `0x10`, `1e3` or `yes` means is for the key to say, not for YAML.
 * @throws ConfigError for what is not YAML
 */
export function yamlSource(text: string, file: string): ConfigSource {
  const lines = new LineCounter();
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const refuse = (problems: readonly ConfigProblem[]): ConfigError => new ConfigError(file, problems);
  if (text.length > MAX_BYTES) throw refuse([{ path: [], message: 'is larger than 16 MiB' }]);

  const document = parseDocument(text, {
    schema: 'failsafe',
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
  });
  const problems = [...document.errors, ...document.warnings].map(({ code, message, pos }) => ({
    path: code === 'DUPLICATE_KEY' ? pathAt(document, pos[0]) : [],
    position: at(pos[0]),
    message: code === 'DUPLICATE_KEY' ? 'is there twice; rename or remove one' : `is not valid YAML: ${plain(message)}`,
  }));
  if (problems.length > 0) throw refuse(problems);

  let nodes = 0;
  const convert = (node: unknown, depth = 0): unknown => {
    if (++nodes > MAX_NODES) throw refuse([{ path: [], message: 'repeats itself too often through references' }]);
    if (depth > MAX_DEPTH) throw refuse([{ path: [], message: 'is nested too deeply' }]);
    const target = isAlias(node) ? node.resolve(document) : node;
    if (isMap(target))
      return new Map(target.items.map(({ key, value }) => [scalarText(key), convert(value, depth + 1)]));
    if (isSeq(target)) return target.items.map((item) => convert(item, depth + 1));
    return isScalar(target) && !isEmpty(target) ? scalarText(target) : null;
  };
  const value = toObjects(convert(document.contents));
  return { file, value, locate: (path) => locate(document, path, at) };
}

const plain = (message: string): string => message.charAt(0).toLowerCase() + message.slice(1);
const scalarText = (node: unknown): string => (isScalar(node) ? String(node.value) : String(node));
/** `key:` with nothing behind it, as against `key: ""`. */
const isEmpty = (node: unknown): boolean => isScalar(node) && node.type === 'PLAIN' && node.value === '';

/** Objects without a prototype, so that a key `__proto__` is a key like any other. */
function toObjects(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toObjects);
  if (!(value instanceof Map)) return value;
  const object: Record<string, unknown> = Object.create(null);
  for (const [key, child] of value) object[key] = toObjects(child);
  return object;
}

function locate(document: Document, path: KeyPath, at: (offset: number) => Position): Position | undefined {
  let node: unknown = document.contents;
  let offset = (node as Node | null)?.range?.[0] ?? 0;
  for (const key of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((each) => scalarText(each.key) === String(key));
      if (!pair) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && node.items[Number(key)]) {
      node = node.items[Number(key)];
      offset = (node as Node).range?.[0] ?? offset;
    } else break;
  }
  return at(offset);
}

/** @returns the path of the key that starts at `offset` */
function pathAt(document: Document, offset: number): KeyPath {
  const search = (node: unknown, path: KeyPath): KeyPath | undefined => {
    const children: [string | number, unknown, unknown][] = isMap(node)
      ? node.items.map(({ key, value }) => [scalarText(key), key, value])
      : isSeq(node)
        ? node.items.map((value, index) => [index, undefined, value])
        : [];
    for (const [name, key, value] of children) {
      if ((key as Node | undefined)?.range?.[0] === offset) return [...path, name];
      const found = search(value, [...path, name]);
      if (found) return found;
    }
    return undefined;
  };
  return search(document.contents, []) ?? [];
}
