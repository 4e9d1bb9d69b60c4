/** The two sides of an IKE benchmark, as configurations. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { toPem } from '../../src/control/auth/pem.ts';
import { createCa, createCertificate } from '../../src/control/auth/pki.ts';

export type AuthKind = 'psk' | 'ecdsa';

export interface Handshake {
  readonly auth: AuthKind;
  /** IKE proposal in swanctl's keywords. */
  readonly proposal: string;
}

const INITIATOR = 'client.bench.example';
const RESPONDER = 'server.bench.example';
const SECRET = 'a secret for benchmarks only';
/** Room for every SA of a run, and no throttling: one address makes them all. */
const LIMITS = { cookie_threshold: 100_000, half_open_per_address: 100_000, half_open: 100_000, ike_sas: 50_000 };
const FILES = { ca: 'ca.pem', initiator: 'client', responder: 'server' } as const;

/** Writes a CA and both sides' certificates to `directory`. */
export function writeCertificates(directory: string): void {
  const ca = createCa({ subject: 'CN=Benchmark CA', kind: 'ecp256' });
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text, { mode: 0o600 });
  write(FILES.ca, toPem('CERTIFICATE', ca.certificate));
  for (const [file, name] of [
    [FILES.initiator, INITIATOR],
    [FILES.responder, RESPONDER],
  ] as const) {
    const made = createCertificate({ issuer: ca, subject: `CN=${name}`, names: [name], kind: 'ecp256' });
    write(`${file}.pem`, toPem('CERTIFICATE', made.certificate));
    write(`${file}.key`, toPem('PRIVATE KEY', made.privateKey));
  }
}

function side(auth: AuthKind, role: 'initiator' | 'responder', directory: string) {
  const [own, peer] = role === 'initiator' ? [INITIATOR, RESPONDER] : [RESPONDER, INITIATOR];
  if (auth === 'psk') return { local: { auth, id: own, secret: SECRET }, remote: { auth, id: peer } };
  const file = join(directory, FILES[role]);
  return {
    local: { auth: 'pubkey', id: own, certs: `${file}.pem`, key: `${file}.key` },
    remote: { auth: 'pubkey', id: peer, cacerts: join(directory, FILES.ca) },
  };
}

/** @returns the one connection of a side, as it stands under `connections` */
function connection({ auth, proposal }: Handshake, role: 'initiator' | 'responder', directory: string) {
  const initiates = role === 'initiator';
  return {
    local_addrs: initiates ? '192.0.2.1' : '192.0.2.2',
    remote_addrs: initiates ? '192.0.2.2' : '192.0.2.1',
    proposals: proposal,
    encap: true,
    unique: 'never',
    ...side(auth, role, directory),
    children: {
      net: {
        local_ts: initiates ? '10.100.0.0/32' : '10.2.0.0/16',
        remote_ts: initiates ? '10.2.0.0/16' : '10.0.0.0/8',
        esp_proposals: 'aes128gcm16',
      },
    },
  };
}

export const initiatorYaml = (handshake: Handshake, directory: string): string =>
  stringify({ control: LIMITS, connections: { bench: connection(handshake, 'initiator', directory) } });

/** @returns everything but `gateway` and `control` */
export const responderYaml = (handshake: Handshake, directory: string): string =>
  stringify({ connections: { bench: connection(handshake, 'responder', directory) } });

/** Lines of the responder's `control` section. */
export const responderControl = (crypto: string): string =>
  Object.entries({ crypto, log_level: 'error', ...LIMITS })
    .map(([key, value]) => `  ${key}: ${value}\n`)
    .join('');

/** @returns swanctl.conf of a strongSwan responder; certificates lie in its folders already */
export const strongswanConf = ({ auth, proposal }: Handshake): string => `
connections {
  bench {
    version = 2
    local_addrs = 192.0.2.2
    remote_addrs = 192.0.2.1
    proposals = ${proposal}
    unique = never
    mobike = no
    local {
      auth = ${auth === 'psk' ? 'psk' : 'pubkey'}
      id = ${RESPONDER}
      ${auth === 'psk' ? '' : 'certs = server.pem'}
    }
    remote {
      auth = ${auth === 'psk' ? 'psk' : 'pubkey'}
      id = ${INITIATOR}
    }
    children {
      net {
        local_ts = 10.2.0.0/16
        remote_ts = 10.0.0.0/8
        esp_proposals = aes128gcm16
      }
    }
  }
}
secrets {
  ike-1 {
    secret = "${SECRET}"
  }
}
`;
