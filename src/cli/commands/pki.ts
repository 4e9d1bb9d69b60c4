/** `espalier pki`: a certification authority for a laboratory. */
import { readFileSync, writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { readCertificates, readPrivateKey, toPem } from '../../control/auth/pem.ts';
import {
  type Credentials,
  createCa,
  createCertificate,
  createCrl,
  KEY_KINDS,
  type KeyKind,
} from '../../control/auth/pki.ts';
import { EspalierError } from '../../errors.ts';
import { examples } from '../help.ts';

interface MakeOptions {
  readonly subject: string;
  readonly out: string;
  readonly kind: KeyKind;
  readonly days?: number;
  readonly force?: true;
}

export const pkiCommand = (): Command =>
  new Command('pki')
    .description(
      'Make a CA, keys and certificates for a laboratory. In production, keep a CA somewhere safer than a file.',
    )
    .addHelpText(
      'after',
      examples(
        ['espalier pki ca -s "CN=Laboratory CA" -o ca', 'writes ca.pem and ca.key'],
        ['espalier pki cert --ca ca -s "CN=gw-a" -n gw-a.example.org -o gw-a', 'writes gw-a.pem and gw-a.key'],
        ['espalier pki crl --ca ca -o ca.crl gw-b.pem', 'revokes gw-b.pem'],
      ),
    )
    .addCommand(caCommand())
    .addCommand(certCommand())
    .addCommand(crlCommand());

const subject = (): Option => new Option('-s, --subject <dn>', 'distinguished name').makeOptionMandatory();
const out = (): Option => new Option('-o, --out <name>', 'writes NAME.pem and NAME.key').makeOptionMandatory();
const kind = (): Option => new Option('-k, --kind <kind>', 'kind of key').choices(KEY_KINDS).default('ecp256');
const days = (): Option => new Option('-d, --days <days>', 'days it is valid').argParser(positive);
const force = (): Option => new Option('-f, --force', 'replace files that are there');

function positive(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1 to 99999.');
  return Number(text);
}

const collect = (text: string, before: readonly string[]): string[] => [...before, text];

const caCommand = (): Command =>
  new Command('ca')
    .description('Make a CA: a root, or with --ca one below another.')
    .addOption(subject())
    .addOption(out())
    .addOption(kind())
    .addOption(days())
    .addOption(force())
    .option('--ca <name>', 'the CA above it, NAME.pem and NAME.key')
    .addHelpText('after', examples(['espalier pki ca -s "CN=Laboratory CA, O=Example" -o ca -k ed25519', 'a root']))
    .action(({ subject: dn, ca, days: valid, ...options }: MakeOptions & { ca?: string }) => {
      const issuer = ca === undefined ? undefined : load(ca);
      write(
        options,
        createCa({
          subject: dn,
          kind: options.kind,
          ...(valid !== undefined && { days: valid }),
          ...(issuer && { issuer }),
        }),
      );
    });

const certCommand = (): Command =>
  new Command('cert')
    .description('Make a key and a certificate for a gateway or a user.')
    .addOption(subject())
    .requiredOption('--ca <name>', 'the CA that signs it, NAME.pem and NAME.key')
    .option(
      '-n, --name <name>',
      'who it stands for: a host name, an address, a mail address; may be repeated',
      collect,
      [],
    )
    .addOption(out())
    .addOption(kind())
    .addOption(days())
    .addOption(force())
    .addHelpText(
      'after',
      examples(['espalier pki cert --ca ca -s "CN=gw-a" -n gw-a.example.org -n 192.0.2.1 -o gw-a', 'for a gateway']),
    )
    .action(({ subject: dn, ca, name, days: valid, ...options }: MakeOptions & { ca: string; name: string[] }) => {
      const made = createCertificate({
        issuer: load(ca),
        subject: dn,
        names: name,
        kind: options.kind,
        ...(valid !== undefined && { days: valid }),
      });
      write(options, made);
    });

const crlCommand = (): Command =>
  new Command('crl')
    .description('Make a revocation list.')
    .argument('[certificates...]', 'certificates that are no longer valid, PEM or DER')
    .requiredOption('--ca <name>', 'the CA that issued them, NAME.pem and NAME.key')
    .requiredOption('-o, --out <file>', 'file to write, replaced if it is there')
    .addOption(days())
    .addHelpText('after', examples(['espalier pki crl --ca ca -o ca.crl gw-b.pem', 'name it in remote.crls']))
    .action((files: string[], { ca, out: file, days: valid }: { ca: string; out: string; days?: number }) => {
      const revoked = files.flatMap((name) => readCertificates(read(name), name));
      const crl = createCrl({ issuer: load(ca), revoked, ...(valid !== undefined && { days: valid }) });
      writeFileSync(file, toPem('X509 CRL', crl));
      process.stdout.write(`${file}\n`);
    });

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new EspalierError('ERR_FILE', `cannot read ${file}: ${(error as Error).message}`);
  }
}

function load(name: string): Credentials {
  const [certificate] = readCertificates(read(`${name}.pem`), `${name}.pem`);
  return { certificate: certificate!, privateKey: readPrivateKey(read(`${name}.key`), `${name}.key`) };
}

function write(
  { out: name, force: replace }: Pick<MakeOptions, 'out' | 'force'>,
  { certificate, privateKey }: Credentials,
): void {
  const files: [string, string, number][] = [
    [`${name}.key`, toPem('PRIVATE KEY', privateKey), 0o600],
    [`${name}.pem`, toPem('CERTIFICATE', certificate), 0o644],
  ];
  for (const [file, text, mode] of files) {
    try {
      writeFileSync(file, text, { mode, flag: replace ? 'w' : 'wx' });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new EspalierError(
        'ERR_FILE',
        code === 'EEXIST' ? `${file} is there already; --force replaces it` : message,
      );
    }
    process.stdout.write(`${file}\n`);
  }
}
