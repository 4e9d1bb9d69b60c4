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
  const lines = Array.from({ length: Math.ceil(base64.length / LINE_LENGTH) }, (_, index) =>
    base64.slice(index * LINE_LENGTH, (index + 1) * LINE_LENGTH),
  );
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

interface Block {
  readonly label: string;
  readonly pem: string;
  readonly der: Uint8Array;
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----/g;

function blocksOf(file: Uint8Array): Block[] {
  const text = Buffer.from(file).toString('latin1');
  return Array.from(text.matchAll(BLOCK), ([pem, label, base64]) => ({
    label: label!,
    pem,
    der: Uint8Array.from(Buffer.from(base64!, 'base64')),
  }));
}

/** @returns the DER of all blocks of that label in a PEM file, or the file itself if it is DER */
function readDer(file: Uint8Array, label: PemLabel): Uint8Array[] {
  const isDer = file[0] === 0x30;
  const found = isDer
    ? [Uint8Array.from(file)]
    : blocksOf(file).flatMap((block) => (block.label === label ? [block.der] : []));
  if (found.length === 0)
    throw new EspalierError('ERR_PEM', `there is no "-----BEGIN ${label}-----" in it, and it is not DER`);
  return found;
}

/**
 * @param file contents of a PEM or DER file
 * @returns its certificates as DER, in order, each of which `parseCertificate` takes
 * @throws EspalierError `ERR_PEM`, `ERR_CERTIFICATE` or `ERR_DER`
 */
export function readCertificates(file: Uint8Array): Uint8Array[] {
  const certificates = readDer(file, 'CERTIFICATE');
  certificates.forEach(parseCertificate);
  return certificates;
}

/** As `readCertificates`, for revocation lists. @throws EspalierError `ERR_PEM`, `ERR_CRL` or `ERR_DER` */
export function readCrls(file: Uint8Array): Uint8Array[] {
  const crls = readDer(file, 'X509 CRL');
  crls.forEach(parseCrl);
  return crls;
}

/**
 * @param file a private key without a passphrase: PKCS#8 as PEM or DER, or the older PEM forms of RSA and EC keys
 * @returns PKCS#8, DER
 * @throws EspalierError `ERR_PEM`
 */
export function readPrivateKey(file: Uint8Array): Uint8Array {
  try {
    const isDer = file[0] === 0x30;
    const block = blocksOf(file).find(({ label }) => label.endsWith('PRIVATE KEY'));
    const key = isDer
      ? crypto.createPrivateKey({ key: Buffer.from(file), format: 'der', type: 'pkcs8' })
      : crypto.createPrivateKey(block?.pem ?? '');
    return Uint8Array.from(key.export({ format: 'der', type: 'pkcs8' }));
  } catch (cause) {
    const message = 'it is no private key without a passphrase: make one with "openssl pkcs8 -topk8 -nocrypt"';
    throw new EspalierError('ERR_PEM', message, { cause });
  }
}
