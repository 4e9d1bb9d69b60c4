/** Secrets, certificates, revocation lists and keys: from files beside the configuration, or PEM in it. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import * as pem from '../auth/pem.ts';
import { isKeyOf } from '../auth/public-key.ts';
import type { ResolveContext } from './context.ts';
import type { KeyPath } from './error.ts';
import { valueError } from './values.ts';

const MAX_FILE_BYTES = 4 << 20;
/** Bits of a file's mode that let others than its owner and group in. */
const OTHERS = 0o007;

const isInline = (text: string): boolean => text.includes('-----BEGIN ');

/** @throws EspalierError that says why the file cannot be read */
function read(context: ResolveContext, name: string): Buffer {
  const file = resolve(context.directory, name);
  try {
    if (statSync(file).size > MAX_FILE_BYTES) throw valueError(`${file} is larger than 4 MiB`);
    return readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw valueError(`there is no file ${file}; names are relative to the configuration's folder`);
    if (code === 'EACCES') throw valueError(`${file} may not be read by this user`);
    if (code === 'EISDIR') throw valueError(`${file} is a folder`);
    throw error;
  }
}

function warnIfOpen(context: ResolveContext, path: KeyPath, name: string): void {
  const file = resolve(context.directory, name);
  if ((statSync(file).mode & OTHERS) !== 0)
    context.warn(path, `${file} can be read by every user; run chmod 600 on it`);
}

/** @returns the secret in a file; a line feed at its end does not count */
export function readSecret(context: ResolveContext, path: KeyPath, name: string): Uint8Array | undefined {
  return context.attempt(path, () => {
    const bytes = read(context, name);
    warnIfOpen(context, path, name);
    const length = bytes.at(-1) === 0x0a ? bytes.length - (bytes.at(-2) === 0x0d ? 2 : 1) : bytes.length;
    if (length === 0) throw valueError(`${resolve(context.directory, name)} is empty`);
    return Uint8Array.from(bytes.subarray(0, length));
  });
}

/** @returns contents of the file, or the PEM text itself, and what to call it in messages */
function open(context: ResolveContext, name: string): [contents: Uint8Array, called: string] {
  return isInline(name) ? [Buffer.from(name), 'the PEM text'] : [read(context, name), name];
}

type Reader = (contents: Uint8Array, called: string) => Uint8Array[];

function readEach(context: ResolveContext, path: KeyPath, names: readonly string[], reader: Reader): Uint8Array[] {
  return names.flatMap((name, index) => {
    const place = names.length > 1 ? [...path, index] : path;
    return context.attempt(place, () => reader(...open(context, name))) ?? [];
  });
}

/** @returns certificates, DER, each one readable */
export const readCertificates = (context: ResolveContext, path: KeyPath, names: readonly string[]): Uint8Array[] =>
  readEach(context, path, names, pem.readCertificates);

/** @returns revocation lists, DER, each one readable */
export const readCrls = (context: ResolveContext, path: KeyPath, names: readonly string[]): Uint8Array[] =>
  readEach(context, path, names, pem.readCrls);

/**
 * @param passphrase of an encrypted key
 * @param owner the certificate it must belong to, DER
 * @returns the key as PKCS#8 DER
 */
export function readPrivateKey(
  context: ResolveContext,
  path: KeyPath,
  name: string,
  passphrase: string | undefined,
  owner: Uint8Array | undefined,
): Uint8Array | undefined {
  return context.attempt(path, () => {
    const key = pem.readPrivateKey(...open(context, name), passphrase);
    if (!isInline(name)) warnIfOpen(context, path, name);
    if (owner && !isKeyOf(owner, key)) throw valueError('is not the key of the first certificate in "certs"');
    return key;
  });
}
