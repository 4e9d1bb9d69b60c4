/** Authentication by certificate with strongSwan, each kind of key, from either side; long chains travel in fragments. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { toPem } from '../../src/control/auth/pem.ts';
import {
  type Credentials,
  createCa,
  createCertificate,
  createCrl,
  generateKey,
  type KeyKind,
} from '../../src/control/auth/pki.ts';
import { type Changes, ours, Pair, swanctlConf, theirConnection, until } from './strongswan-pair.ts';

const KINDS: readonly KeyKind[] = ['rsa2048', 'rsa3072', 'ecp256', 'ecp384', 'ecp521', 'ed25519', 'ed448'];

/** Bytes of an IP datagram, the least that IPv4 lets one rely on. */
const SMALL_FRAGMENT = 576;
const SECTIONS = { control: `  fragment_size: ${SMALL_FRAGMENT}` };

/** A certificate under an intermediate CA: its owner has both, the other side only knows the root. */
interface Chain extends Credentials {
  readonly intermediate: Credentials;
}

interface Hierarchy {
  readonly root: Credentials;
  readonly a: Chain;
  readonly b: Chain;
}

function hierarchy(kind: KeyKind): Hierarchy {
  const root = createCa({ subject: `CN=${kind} root, O=Laboratory`, kind });
  const intermediateKey = generateKey(kind);
  const chain = (side: 'a' | 'b'): Chain => {
    const subject = `CN=${kind} intermediate ${side}, O=Laboratory`;
    const intermediate = createCa({ subject, privateKey: intermediateKey, issuer: root });
    const own = { subject: `CN=${side}, O=Laboratory`, names: [`${side}.example`], kind };
    return { ...createCertificate({ issuer: intermediate, ...own }), intermediate };
  };
  return { root, a: chain('a'), b: chain('b') };
}

describe('certificates with a strongSwan peer', () => {
  let pair: Pair;

  beforeAll(async () => {
    pair = new Pair({ strongswan: { charon: `fragment_size = ${SMALL_FRAGMENT}` } });
    await pair.strongswan.start('');
    await pair.espalier.start('connections: {}', SECTIONS);
  });

  afterEach(async () => {
    await pair.espalier.client.down('peer');
    expect(await until(() => pair.peersSas().length === 0)).toBe(true);
  });

  afterAll(() => pair.remove());

  const configure = async (mine: Changes, peers: Changes) => {
    pair.strongswan.load(swanctlConf({ connections: { peer: theirConnection(peers) } }));
    pair.espalier.write(ours(mine), SECTIONS);
    await pair.espalier.client.reload();
  };

  const file = (side: 'espalier' | 'strongswan', name: string, pem: string): string => {
    const path = join(pair[side].directory, name);
    writeFileSync(path, pem, { mode: 0o600 });
    return path;
  };

  /** Gives either side its own chain and the root. @returns what the connections have to say of them */
  const enrol = (kind: string, { root, a, b }: Hierarchy): [Changes, Changes] => {
    const certificate = ({ certificate }: Credentials) => toPem('CERTIFICATE', certificate);
    const certs = file('espalier', `${kind}.pem`, certificate(a) + certificate(a.intermediate));
    const key = file('espalier', `${kind}.key`, toPem('PRIVATE KEY', a.privateKey));
    const cacerts = file('espalier', `${kind}-root.pem`, certificate(root));
    file('strongswan', `x509/${kind}.pem`, certificate(b));
    file('strongswan', `x509/${kind}-intermediate.pem`, certificate(b.intermediate));
    file('strongswan', `x509ca/${kind}-root.pem`, certificate(root));
    file('strongswan', `private/${kind}.pem`, toPem('PRIVATE KEY', b.privateKey));
    return [
      { local: { auth: 'pubkey', certs: [certs], key }, remote: { auth: 'pubkey', cacerts: [cacerts] } },
      {
        local: { auth: 'pubkey', certs: `${kind}.pem` },
        remote: { auth: 'pubkey', cacerts: `${kind}-root.pem` },
      },
    ];
  };

  /** Brings the tunnel up from here and then from there. */
  const bothWays = async () => {
    await pair.espalier.client.up('net');
    expect(await pair.established()).toMatchObject([{ initiator: true, remote: { id: 'b.example' } }]);
    await pair.carries();
    await pair.espalier.client.down('peer');
    expect(await until(() => pair.peersSas().length === 0)).toBe(true);
    pair.strongswan.swanctl('--initiate', '--child', 'net');
    expect(await pair.established()).toMatchObject([{ initiator: false, remote: { id: 'b.example' } }]);
    await pair.carries();
  };

  it.each(KINDS)('authenticates with %s as initiator and as responder', async (kind) => {
    const [mine, peers] = enrol(kind, hierarchy(kind));
    await configure(mine, peers);
    await bothWays();
  });

  it('sends and takes a chain of 4096-bit RSA keys in fragments of 576 bytes', async () => {
    const [mine, peers] = enrol('rsa4096', hierarchy('rsa4096'));
    await configure(mine, peers);
    const before = pair.strongswan.log.length;
    await bothWays();
    const log = pair.strongswan.log.slice(before);
    const counts = (pattern: RegExp) => [...log.matchAll(pattern)].map(([, count]) => Number(count));
    expect(Math.max(...counts(/received fragment #\d+ of (\d+)/g))).toBeGreaterThan(6);
    expect(Math.max(...counts(/splitting IKE message \(\d+ bytes\) into (\d+) fragments/g))).toBeGreaterThan(6);
  });

  it.each(['rsa/pss-sha256', 'rsa/pss-sha512', 'rsa/pkcs1-sha384'])('verifies %s', async (scheme) => {
    const [mine, peers] = enrol('rsa2048', hierarchy('rsa2048'));
    const auth = scheme === 'rsa/pkcs1-sha384' ? 'rsa-sha384' : scheme;
    await configure(mine, { ...peers, local: { ...peers.local, auth } });
    await bothWays();
  });

  it('is understood when it signs with PSS and the hash that its configuration names', async () => {
    const [mine, peers] = enrol('rsa2048', hierarchy('rsa2048'));
    await configure(
      { ...mine, local: { ...mine.local, auth: 'pubkey-sha512' } },
      { ...peers, remote: { ...peers.remote, auth: 'ike:rsa/pss-sha512' } },
    );
    await bothWays();
  });

  it('refuses a revoked peer from either side, and says so', async () => {
    const made = hierarchy('ecp256');
    const [mine, peers] = enrol('ecp256', made);
    const crl = createCrl({ issuer: made.b.intermediate, revoked: [made.b.certificate] });
    const crls = [file('espalier', 'revoked.crl', toPem('X509 CRL', crl))];
    await configure({ ...mine, remote: { ...mine.remote, crls } }, peers);
    await expect(pair.espalier.client.up('net')).rejects.toThrow(/revoked/);
    expect(() => pair.strongswan.swanctl('--initiate', '--child', 'net')).toThrow();
    expect(await until(async () => (await pair.espalier.client.status()).ikeSas.length === 0)).toBe(true);
    expect(pair.espalier.log).toMatch(/revoked/);
  });

  it("refuses a peer whose CA is not the configuration's", async () => {
    const [mine] = enrol('ecp384', hierarchy('ecp384'));
    const [, peers] = enrol('ecp256', hierarchy('ecp256'));
    await configure(mine, peers);
    expect(() => pair.strongswan.swanctl('--initiate', '--child', 'net')).toThrow();
    await expect(pair.espalier.client.up('net')).rejects.toThrow(/AUTHENTICATION_FAILED/);
    expect(await until(async () => (await pair.espalier.client.status()).ikeSas.length === 0)).toBe(true);
  });
});
