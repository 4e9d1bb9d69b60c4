/**
 * Packets made by Espalier are opened by scapy, and the other way round: every algorithm that both
 * have × {ESP, AH} × {tunnel, transport} × {IPv4, IPv6} × {raw, in UDP} × {ESN, not}.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type CipherSuite, ENCR, INTEG } from '../../src/algorithms.ts';
import { type Case, cases, Ends } from '../dataplane/matrix.ts';
import { isChecksumRight } from '../dataplane/packets.ts';

/** Debian's own, which python3-scapy is installed for. */
const PYTHON = '/usr/bin/python3';
const PEER = fileURLToPath(new URL('scapy-peer.py', import.meta.url));

const CRYPT: Readonly<Record<number, string>> = {
  [ENCR.NULL]: 'NULL',
  [ENCR.AES_CBC]: 'AES-CBC',
  [ENCR.AES_CTR]: 'AES-CTR',
  [ENCR.AES_GCM_16]: 'AES-GCM',
  [ENCR.AES_CCM_16]: 'AES-CCM',
  [ENCR.CHACHA20_POLY1305]: 'CHACHA20-POLY1305',
};
const AUTH: Readonly<Record<number, string>> = {
  [INTEG.NONE]: 'NULL',
  [INTEG.HMAC_SHA1_96]: 'HMAC-SHA1-96',
  [INTEG.HMAC_SHA2_256_128]: 'SHA2-256-128',
  [INTEG.HMAC_SHA2_384_192]: 'SHA2-384-192',
  [INTEG.HMAC_SHA2_512_256]: 'SHA2-512-256',
};

const scapyKnows = ({ encr, integ }: CipherSuite) =>
  AUTH[integ] !== undefined && (encr === undefined || CRYPT[encr] !== undefined);

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

type Answer = string | { readonly error: string };

function request(op: 'seal' | 'open', { sa }: Case, sequence: bigint, packet: Uint8Array) {
  return {
    op,
    protocol: sa.protocol,
    spi: sa.spi,
    crypt: sa.suite.encr === undefined ? null : CRYPT[sa.suite.encr],
    cryptKey: hex(sa.keys.encryption),
    auth: AUTH[sa.suite.integ],
    authKey: hex(sa.keys.integrity),
    tunnel: sa.mode === 'tunnel' ? [sa.local.address, sa.remote.address] : null,
    natT: sa.udpEncapsulation ? [sa.local.port, sa.remote.port] : null,
    esn: sa.esn,
    sequence: Number(sequence),
    packet: hex(packet),
  };
}

function ask(requests: readonly object[]): Answer[] {
  const { stdout, stderr, error } = spawnSync(PYTHON, [PEER], {
    input: JSON.stringify(requests),
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (error) throw error;
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Answer[];
}

/** The header of what travels in UDP is the system's own in transport mode. */
const isOuterLost = ({ sa }: Case) => sa.udpEncapsulation && sa.mode === 'transport';
const headerOf = ({ packet }: Case) => (packet[0]! >> 4 === 4 ? 20 : 40);

const ends = await Ends.open();
/** scapy leaves the high half of the number out of ESP's ICV, where that is not the cipher's own (RFC 4303 §2.2.1). */
const all = cases((suite) => ends.knows(suite) && scapyKnows(suite)).filter(
  ({ sa }) => !(sa.esn && sa.protocol === 'esp' && sa.suite.integ !== INTEG.NONE),
);

describe('scapy', () => {
  it('opens what the kernel seals', () => {
    const answers = ask(all.map((each) => request('open', each, ends.first(each), ends.seal(each))));
    all.forEach((each, index) => {
      const answer = answers[index]!;
      expect(typeof answer, `${each.name}: ${JSON.stringify(answer)}`).toBe('string');
      // Of IPv6, scapy leaves the UDP header standing there.
      if (isOuterLost(each)) expect((answer as string).endsWith(hex(each.packet.subarray(headerOf(each))))).toBe(true);
      else expect(answer, each.name).toBe(hex(each.packet));
    });
  });

  it('seals what the kernel opens', () => {
    const answers = ask(all.map((each) => request('seal', each, ends.first(each), each.packet)));
    all.forEach((each, index) => {
      const answer = answers[index]!;
      expect(typeof answer, `${each.name}: ${JSON.stringify(answer)}`).toBe('string');
      const opened = ends.open(each, Buffer.from(answer as string, 'hex'));
      expect(opened, `${each.name} ${JSON.stringify(ends.in.drops())}`).toHaveLength(1);
      const kept = isOuterLost(each) ? headerOf(each) : 0;
      expect(hex(opened[0]!.subarray(kept)), each.name).toBe(hex(each.packet.subarray(kept)));
      expect(isChecksumRight(opened[0]!), each.name).toBe(true);
    });
  });
});
