/** PEM (RFC 7468) and DER files: certificates, revocation lists, private keys. */
import crypto from 'node:crypto';
import { EspalierError } from '../../errors.ts';
import { parseCertificate } from './certificate.ts';
import { parseCrl } from './crl.ts';

export type PemLabel = 'CERTIFICATE' | 'X509 CRL' | 'PRIVATE KEY';

const LINE_LENGTH = 64;

/** @returns one block of PEM, its end of line included */
export function toPem(label: PemLabel, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString('base64');
  const lines = base64.match(new RegExp(`.{1,${LINE_LENGTH}}`, 'g')) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

const bad = (message: string): EspalierError => new EspalierError('ERR_PEM', message);

/** @returns whether there is any PEM in it */
export const isPem = (file: Uint8Array): boolean => Buffer.from(file).includes('-----BEGIN ');

/** @returns the DER of every block with that label, or the whole file if there is no PEM in it */
function derBlocks(file: Uint8Array, name: string, label: PemLabel): Uint8Array[] {
  if (!isPem(file)) return [Uint8Array.from(file)];
  const block = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, 'g');
  const found = [...Buffer.from(file).toString('latin1').matchAll(block)];
  if (found.length === 0) throw bad(`${name} has no "BEGIN ${label}" in it`);
  return found.map(([, base64]) => Uint8Array.from(Buffer.from(base64!, 'base64')));
}

function readAs(file: Uint8Array, name: string, label: PemLabel, what: string, parse: (der: Uint8Array) => unknown) {
  return derBlocks(file, name, label).map((der) => {
    try {
      parse(der);
      return der;
    } catch (cause) {
      throw new EspalierError('ERR_PEM', `${name} is not ${what} in PEM or DER: ${(cause as Error).message}`, {
        cause,
      });
    }
  });
}

/**
 * @param file PEM or DER @param name of the file, for messages
 * @returns certificates as DER, in the file's order, each of which `parseCertificate` takes
 * @throws EspalierError `ERR_PEM`
 */
export const readCertificates = (file: Uint8Array, name: string): Uint8Array[] =>
  readAs(file, name, 'CERTIFICATE', 'an X.509 certificate', parseCertificate);

/** As `readCertificates`, for revocation lists that `parseCrl` takes. */
export const readCrls = (file: Uint8Array, name: string): Uint8Array[] =>
  readAs(file, name, 'X509 CRL', 'a revocation list', parseCrl);

/**
 * @param file PKCS#8 as PEM or DER, or the older PEM forms of RSA and EC keys
 * @param name of the file, for messages @param passphrase of an encrypted key
 * @returns PKCS#8, DER
 * @throws EspalierError `ERR_PEM`
 */
export function readPrivateKey(file: Uint8Array, name: string, passphrase?: string): Uint8Array {
  const key = Buffer.from(file);
  const lock = passphrase === undefined ? {} : { passphrase };
  const form = isPem(file) ? ({ format: 'pem' } as const) : ({ format: 'der', type: 'pkcs8' } as const);
  try {
    return Uint8Array.from(crypto.createPrivateKey({ key, ...form, ...lock }).export({ format: 'der', type: 'pkcs8' }));
  } catch {
    if (passphrase === undefined && key.includes('ENCRYPTED')) {
      throw bad(`${name} is encrypted; give its passphrase in "key_secret"`);
    }
    throw bad(`${name} is not a private key in PKCS#8, or "key_secret" is wrong`);
  }
}
