/** Reads the response files of NIST's Cryptographic Algorithm Validation Program, as Debian packages them. */
import { readFileSync } from 'node:fs';

const FOLDER = '/usr/lib/python3/dist-packages/cryptography_vectors/ciphers';

/** A case's values by name, those of its section included; a bare word (`FAIL`) has an empty value. */
export type CavpCase = Readonly<Record<string, string>>;

/**
 * @param file below the package's `ciphers` folder
 * @param first the name that every case begins with
 */
export function readCavp(file: string, first: string): CavpCase[] {
  const cases: Record<string, string>[] = [];
  let section: Record<string, string> = {};
  let current = section;
  let inSection = false;
  for (const raw of readFileSync(`${FOLDER}/${file}`, 'latin1').split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const bracket = /^\[(.*)\]$/.exec(line);
    const [name, value = ''] = (bracket?.[1] ?? line).split('=').map((part) => part.trim()) as [string, string?];
    if (bracket !== null) {
      // Consecutive bracket lines make one section; a new one begins after a case.
      if (!inSection) section = {};
      section[name] = value;
      inSection = true;
      continue;
    }
    inSection = false;
    if (name === first) {
      current = { ...section };
      cases.push(current);
    }
    current[name] = value;
  }
  return cases;
}
