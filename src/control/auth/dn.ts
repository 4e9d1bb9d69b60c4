/**
 * Distinguished names (RFC 5280 §4.1.2.4): text ↔ DER, and matching. Text has the order of the DER,
 * as swanctl writes it: `C=CH, O=Example, CN=gw.example.org`.
 */
import { EspalierError } from '../../errors.ts';
import { toHex } from '../wire/bytes.ts';
import { der, oid, oidText, readAll, readOnly, TAG } from './der.ts';

/** One AttributeTypeAndValue. */
interface Attribute {
  /** Dotted. */
  readonly type: string;
  /** Undefined where the value is no character string. */
  readonly text: string | undefined;
  /** The value's DER. */
  readonly bytes: Uint8Array;
}

/** A RelativeDistinguishedName: nearly always one attribute. */
type Rdn = readonly Attribute[];

const NAMES: Readonly<Record<string, string>> = {
  CN: '2.5.4.3',
  surname: '2.5.4.4',
  serialNumber: '2.5.4.5',
  C: '2.5.4.6',
  L: '2.5.4.7',
  ST: '2.5.4.8',
  street: '2.5.4.9',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  title: '2.5.4.12',
  givenName: '2.5.4.42',
  UID: '0.9.2342.19200300.100.1.1',
  DC: '0.9.2342.19200300.100.1.25',
  E: '1.2.840.113549.1.9.1',
};
const ALIASES: Readonly<Record<string, string>> = { S: 'ST', EMAIL: 'E', EMAILADDRESS: 'E' };

const OID_OF = new Map(Object.entries(NAMES).map(([name, type]) => [name.toUpperCase(), type]));
const NAME_OF = new Map(Object.entries(NAMES).map(([name, type]) => [type, name]));
/** RFC 5280 appendix A: these two are always IA5String. */
const IA5_TYPES = new Set([NAMES['DC'], NAMES['E']]);
const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/;

/**
 * @param text `CN=gw, O=Example`; `\` escapes one character, double quotes a whole value
 * @returns the Name as DER
 * @throws EspalierError `ERR_IDENTITY`
 */
export function parseDn(text: string): Uint8Array {
  const rdns = splitOutside(text, ',').map((rdn) =>
    der(TAG.SET, ...splitOutside(rdn, '+').map(parseAttribute).sort(Buffer.compare)),
  );
  return der(TAG.SEQUENCE, ...rdns);
}

const bad = (text: string, why: string): EspalierError =>
  new EspalierError('ERR_IDENTITY', `"${text}" ${why}; write a distinguished name as CN=gw.example.org, O=Example`);

/** Cuts at every separator that is neither escaped nor quoted. */
function splitOutside(text: string, separator: string): string[] {
  const parts = [''];
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const char = text[index]!;
    if (char === '"') quoted = !quoted;
    if (char === separator && !quoted) {
      parts.push('');
      continue;
    }
    parts[parts.length - 1] += char === '\\' ? char + (text[++index] ?? '') : char;
  }
  return parts;
}

function parseAttribute(text: string): Uint8Array {
  const equals = text.indexOf('=');
  const name = text.slice(0, equals).trim();
  const upper = name.toUpperCase();
  const type = /^[012](\.\d{1,9})+$/.test(name) ? name : OID_OF.get(ALIASES[upper] ?? upper);
  if (equals < 1 || type === undefined) throw bad(text.trim(), 'begins with no attribute we know');
  const value = unescaped(text.slice(equals + 1).trim());
  if (value === '') throw bad(text.trim(), 'has no value');
  const tag = IA5_TYPES.has(type) ? TAG.IA5_STRING : PRINTABLE.test(value) ? TAG.PRINTABLE_STRING : TAG.UTF8_STRING;
  return der(TAG.SEQUENCE, oid(type), der(tag, Buffer.from(value, 'utf8')));
}

function unescaped(value: string): string {
  const inner = value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
  return inner.replace(/\\(.)/gsu, '$1');
}

/** @throws EspalierError `ERR_DER` */
function readDn(bytes: Uint8Array): Rdn[] {
  return readAll(readOnly(bytes, TAG.SEQUENCE).value).map((rdn) => {
    const attributes = readAll(readOnly(rdn.bytes, TAG.SET).value).map(readAttribute);
    if (attributes.length === 0) throw new EspalierError('ERR_DER', 'DER name has an empty part');
    return attributes;
  });
}

function readAttribute({ bytes }: { readonly bytes: Uint8Array }): Attribute {
  const [type, value, ...more] = readAll(readOnly(bytes, TAG.SEQUENCE).value);
  if (type?.tag !== TAG.OID || value === undefined || more.length > 0) {
    throw new EspalierError('ERR_DER', 'DER name has a broken attribute');
  }
  return { type: oidText(type.value), text: stringOf(value.tag, value.value), bytes: value.bytes };
}

function stringOf(tag: number, value: Uint8Array): string | undefined {
  const buffer = Buffer.from(value);
  switch (tag) {
    case TAG.UTF8_STRING:
      return buffer.toString('utf8');
    case TAG.PRINTABLE_STRING:
    case TAG.IA5_STRING:
    case TAG.T61_STRING:
      return buffer.toString('latin1');
    case TAG.BMP_STRING:
      return buffer.length % 2 === 0 ? buffer.swap16().toString('utf16le') : undefined;
    default:
      return undefined;
  }
}

/** @returns whether the bytes are a Name */
export function isDn(bytes: Uint8Array): boolean {
  try {
    readDn(bytes);
    return true;
  } catch {
    return false;
  }
}

/** @returns e.g. `C=CH, CN=gw`; hexadecimal for what is no Name. Never throws: it is for logs. */
export function dnText(bytes: Uint8Array): string {
  try {
    return readDn(bytes)
      .map((rdn) => rdn.map(attributeText).join('+'))
      .join(', ');
  } catch {
    return `#${toHex(bytes)}`;
  }
}

function attributeText({ type, text, bytes }: Attribute): string {
  const value = text === undefined ? `#${toHex(bytes)}` : text.replace(/[,+"\\<>;=]/g, '\\$&');
  return `${NAME_OF.get(type) ?? type}=${value}`;
}

/** RFC 5280 §7.1, coarsely: letter case and the amount of white space do not count. */
const folded = (text: string): string => text.normalize('NFKC').toLowerCase().trim().replace(/\s+/g, ' ');

/** @returns the same text for names that match each other without wildcards; undefined for what is no Name */
export function dnKey(bytes: Uint8Array): string | undefined {
  if (!isDn(bytes)) return undefined;
  const parts = readDn(bytes).map((rdn) =>
    rdn.map(({ type, text, bytes: value }) => [type, text === undefined ? [toHex(value)] : folded(text)]),
  );
  return JSON.stringify(parts);
}

/**
 * Compares part by part, in order; whatever string types were used. A value `*` in the pattern
 * stands for any one value.
 * @param pattern DER @param actual DER, may be anything
 */
export function matchDn(pattern: Uint8Array, actual: Uint8Array, wildcards = true): boolean {
  if (!isDn(actual) || !isDn(pattern)) return false;
  const wanted = readDn(pattern);
  const found = readDn(actual);
  return wanted.length === found.length && wanted.every((rdn, index) => matchRdn(rdn, found[index]!, wildcards));
}

function matchRdn(wanted: Rdn, found: Rdn, wildcards: boolean): boolean {
  return (
    wanted.length === found.length &&
    wanted.every((attribute, index) => matchAttribute(attribute, found[index]!, wildcards))
  );
}

function matchAttribute(wanted: Attribute, found: Attribute, wildcards: boolean): boolean {
  if (wanted.type !== found.type) return false;
  if (wildcards && wanted.text === '*') return true;
  if (wanted.text === undefined || found.text === undefined) return Buffer.compare(wanted.bytes, found.bytes) === 0;
  return folded(wanted.text) === folded(found.text);
}

/** @returns whether `name` begins with all parts of `base` (RFC 5280 §4.2.1.10, directoryName) */
export function isWithinDn(base: Uint8Array, name: Uint8Array): boolean {
  if (!isDn(base) || !isDn(name)) return false;
  const wanted = readDn(base);
  const found = readDn(name);
  return wanted.length <= found.length && wanted.every((rdn, index) => matchRdn(rdn, found[index]!, false));
}

/** @returns whether the Name has no parts */
export const isEmptyDn = (bytes: Uint8Array): boolean => bytes.length === 2 && bytes[0] === TAG.SEQUENCE;
