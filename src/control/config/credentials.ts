/** Secrets, certificates, revocation lists and keys: from files beside the configuration, or PEM in it. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
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

/** @returns the DER of every PEM block with that label, or the whole file if it is not PEM */
function derBlocks(context: ResolveContext, name: string, label: string): Uint8Array[] {
  const bytes = isInline(name) ? Buffer.from(name) : read(context, name);
  const pem = bytes.toString('latin1');
  if (!isInline(pem)) return [Uint8Array.from(bytes)];
  const block = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, 'g');
  const found = [...pem.matchAll(block)].map(([, base64]) => Uint8Array.from(Buffer.from(base64!, 'base64')));
  if (found.length === 0) throw valueError(`${isInline(name) ? 'the PEM text' : name} has no "BEGIN ${label}" in it`);
  return found;
}

/** @returns certificates, DER, each one readable */
export function readCertificates(context: ResolveContext, path: KeyPath, names: readonly string[]): Uint8Array[] {
  return names.flatMap((name, index) => {
    const place = names.length > 1 ? [...path, index] : path;
    return (
      context.attempt(place, () =>
        derBlocks(context, name, 'CERTIFICATE').map((der) => {
          certificate(der, name);
          return der;
        }),
      ) ?? []
    );
  });
}

function certificate(der: Uint8Array, name: string): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch {
    throw valueError(`${isInline(name) ? 'the PEM text' : name} is not an X.509 certificate in PEM or DER`);
  }
}

export function readCrls(context: ResolveContext, path: KeyPath, names: readonly string[]): Uint8Array[] {
  return names.flatMap(
    (name, index) =>
      context.attempt(names.length > 1 ? [...path, index] : path, () => derBlocks(context, name, 'X509 CRL')) ?? [],
  );
}

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
    const bytes = isInline(name) ? Buffer.from(name) : read(context, name);
    if (!isInline(name)) warnIfOpen(context, path, name);
    const key = parseKey(bytes, isInline(name) ? 'the PEM text' : name, passphrase);
    if (owner && !new X509Certificate(owner).checkPrivateKey(key)) {
      throw valueError('is not the key of the first certificate in "certs"');
    }
    return Uint8Array.from(key.export({ format: 'der', type: 'pkcs8' }));
  });
}

function parseKey(bytes: Buffer, name: string, passphrase: string | undefined): KeyObject {
  const options = passphrase === undefined ? {} : { passphrase };
  const isPem = isInline(bytes.toString('latin1'));
  try {
    return isPem
      ? createPrivateKey({ key: bytes, format: 'pem', ...options })
      : createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8', ...options });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ERR_MISSING_PASSPHRASE')
      throw valueError(`${name} is encrypted; give its passphrase in "key_secret"`);
    throw valueError(`${name} is not a private key in PKCS#8, or "key_secret" is wrong`);
  }
}
