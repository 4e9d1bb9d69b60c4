/**
 * The kinds of values a configuration has, each as text → value. A YAML file gives every scalar as
 * text; a program may give numbers and booleans as well.
 */
import { z } from 'zod';
import { BACKENDS } from '../../contract.ts';
import { EspalierError } from '../../errors.ts';
import { addressBytes, canonicalAddress, parseRange } from '../wire/address.ts';
import { nearest } from './nearest.ts';

export type Scalar = string | number | boolean;

const scalar = z.custom<Scalar>(
  (value) => typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean',
  {
    error: ({ input }) =>
      input === undefined ? 'is missing' : input === null ? 'has no value' : 'must be one value, not a list or a map',
  },
);

/** What a parser throws to say what to change. */
export const valueError = (message: string): EspalierError => new EspalierError('ERR_VALUE', message);

type Issue = { readonly message: string; readonly path?: (string | number)[] };

function attempt<T>(
  parse: (text: string) => T,
  value: Scalar,
  report: (issue: Issue) => void,
  path: (string | number)[] = [],
): T {
  try {
    return parse(String(value).trim());
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    report({ message: error.message, path });
    return z.NEVER;
  }
}

/** @returns a schema for one value in the form that `parse` takes; it throws EspalierError for others */
export const parsed = <T>(parse: (text: string) => T) =>
  scalar.transform((value, context) =>
    attempt(parse, value, (issue) => context.addIssue({ code: 'custom', ...issue })),
  );

/**
 * @param split whether text may hold several values with commas between
 * @returns a schema for a list of values, or one value
 */
export const listOf = <T>(parse: (text: string) => T, { split = true } = {}) =>
  z
    .union([z.array(scalar), scalar], {
      error: ({ input }) => (input === null ? 'has no value' : 'must be a value or a list of values'),
    })
    .transform((given, context) => {
      const inline = !Array.isArray(given);
      const items = inline ? (split ? String(given).split(',') : [given]) : given;
      return items.map((item, index) =>
        attempt(parse, item, (issue) =>
          context.addIssue({ code: 'custom', message: issue.message, path: inline ? [] : [index] }),
        ),
      );
    });

/** swanctl takes these spellings. */
const BOOLEANS: Readonly<Record<string, boolean>> = {
  yes: true,
  true: true,
  on: true,
  enabled: true,
  1: true,
  no: false,
  false: false,
  off: false,
  disabled: false,
  0: false,
};

export const bool = parsed((text) => {
  const value = BOOLEANS[text.toLowerCase()];
  if (value === undefined) throw valueError(`"${text}" is neither yes nor no`);
  return value;
});

/** What becomes of the inner Don't Fragment bit (RFC 4301 §8.1): `yes` copies it, `no` clears it, `set` sets it. */
export const df = parsed((text) => {
  const value = text.toLowerCase();
  if (value === 'set') return 'set';
  if (BOOLEANS[value] === undefined) throw valueError(`"${text}" is none of yes, no and set`);
  return BOOLEANS[value] ? 'copy' : 'clear';
});

export const text = parsed((value) => {
  if (value === '') throw valueError('is empty');
  return value;
});

/**
 * @param words that stand for something else than a backend
 * @returns a schema for a crypto backend's name, or the path of a module: `./mine.js`
 */
export const backend = (...words: readonly string[]) =>
  parsed((value) => {
    const names = [...BACKENDS, ...words];
    if (names.includes(value) || value.startsWith('.') || value.startsWith('/')) return value;
    const close = nearest(value, names);
    const hint = close ? `did you mean "${close}"?` : 'name a module as ./mine.js';
    throw valueError(`"${value}" is not one of ${names.join(', ')}; ${hint}`);
  });

/** @returns a schema for one of several words */
export const oneOf = <const W extends string>(...words: readonly W[]) =>
  parsed((value) => {
    const word = words.find((each) => each === value.toLowerCase());
    if (word !== undefined) return word;
    const close = nearest(value, words);
    throw valueError(`"${value}" is not one of ${words.join(', ')}${close ? `; did you mean "${close}"?` : ''}`);
  });

/** @returns a schema for a whole number, decimal or 0x… */
export const integer = (min: number, max: number) => parsed((value) => parseInteger(value, min, max));

export function parseInteger(value: string, min: number, max: number): number {
  const number = /^(\d+|0x[0-9a-f]+)$/i.test(value) ? Number(value) : Number.NaN;
  if (!(number >= min && number <= max)) throw valueError(`"${value}" is not a whole number from ${min} to ${max}`);
  return number;
}

/** @returns a schema for a number that need not be whole */
export const decimal = (min: number, max: number) =>
  parsed((value) => {
    const number = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= min && number <= max)) throw valueError(`"${value}" is not a number from ${min} to ${max}`);
    return number;
  });

const SECONDS: Readonly<Record<string, number>> = { '': 1, ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** `90`, `90s`, `30m`, `4h`, `1d` → seconds. */
export const duration = parsed((value) => {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)$/.exec(value) ?? [];
  if (number === undefined) throw valueError(`"${value}" is not a time; write e.g. 30s, 15m, 4h or 1d`);
  return Number(number) * SECONDS[unit!]!;
});

const BYTES: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** `1048576`, `512K`, `500M`, `1G` → bytes or packets; multiples of 1024 as swanctl's. */
export const size = parsed((value) => {
  const [, number, unit] = /^(\d+)\s*([kmgt]?)(?:i?b)?$/i.exec(value) ?? [];
  const total = Number(number) * (BYTES[(unit ?? '').toLowerCase()] ?? Number.NaN);
  if (!Number.isSafeInteger(total)) throw valueError(`"${value}" is not a size; write e.g. 1000000, 500M or 1G`);
  return total;
});

const MOST_DSCP = 63;

/** `46=34, 10=0`: the outer DSCP for an inner one (RFC 4301 §4.4.1.2). */
export const dscpMap = listOf((value): [number, number] => {
  const [, inner, outer] = /^([^=]+)=([^=]+)$/.exec(value) ?? [];
  if (inner === undefined) throw valueError(`"${value}" is no pair of DSCPs; write e.g. 46=34`);
  return [parseInteger(inner.trim(), 0, MOST_DSCP), parseInteger(outer!.trim(), 0, MOST_DSCP)];
}).transform((pairs): Readonly<Record<number, number>> => Object.fromEntries(pairs));

/** A single address in canonical form. */
export const address = parsed(canonicalAddress);

const ANY_ADDRESS: readonly string[] = ['%any', '%any4', '%any6'];
/** At least two labels, the last with a letter: `192.0.2.300` is an address with a mistake in it. */
const HOST_NAME = /^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?\.?$/i;

export const isHostName = (entry: string): boolean => HOST_NAME.test(entry);

function addressOrRange(value: string): string {
  const isRange = value.includes('-') || value.includes('/');
  if (isRange) parseRange(value);
  return isRange ? value.replaceAll(' ', '') : canonicalAddress(value);
}

const addressList = (parse: (value: string) => string) =>
  listOf((value) => (ANY_ADDRESS.includes(value) ? undefined : parse(value))).transform((list) =>
    list.includes(undefined) ? [] : list.filter((each) => each !== undefined),
  );

/** Addresses, prefixes and ranges; `%any` stands for all and leaves the list empty. */
export const addresses = addressList(addressOrRange);

/** The same, and host names, in lower case. */
export const peers = addressList((value) =>
  isHostName(value) ? value.toLowerCase().replace(/\.$/, '') : addressOrRange(value),
);

/** `10.1.0.1/24`: an interface's address with its prefix length. */
export const interfaceAddress = (value: string): string => {
  const [host = '', bits = '', ...more] = value.split('/');
  const width = addressBytes(host).length * 8;
  if (more.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > width) {
    throw valueError(`"${value}" needs a prefix length; write e.g. ${host}/${width === 32 ? 24 : 64}`);
  }
  return `${canonicalAddress(host)}/${Number(bits)}`;
};

/** A secret: text as it is, `0x` and hexadecimal digits, or `0s` and base64, as swanctl writes them. */
export const secret = parsed((value) => {
  const bytes = parseSecret(value);
  if (bytes.length === 0) throw valueError('is empty; write a long random text, or 0x… or 0s…');
  return bytes;
});

function parseSecret(value: string): Uint8Array {
  if (/^0x/i.test(value)) return hexBytes(value);
  if (!/^0s/.test(value)) return Uint8Array.from(Buffer.from(value, 'utf8'));
  const digits = value.slice(2);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(digits)) throw valueError('has characters behind "0s" that are not base64');
  return Uint8Array.from(Buffer.from(digits, 'base64'));
}

/** `0x00112233`, with colons or without. */
export function hexBytes(value: string): Uint8Array {
  const digits = value.replace(/^0x/i, '').replaceAll(':', '');
  if (!/^([0-9a-f]{2})+$/i.test(digits)) throw valueError('needs pairs of hexadecimal digits behind "0x"');
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}

/** `192.0.2.1:4500`, `[2001:db8::1]:4500`. */
export const endpoint = parsed((value) => {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(value) ?? [];
  if (port === undefined) throw valueError(`"${value}" is not an address and a port; write e.g. 127.0.0.1:9500`);
  return { address: canonicalAddress(bracketed ?? plain!), port: parseInteger(port, 1, 65_535) };
});
