/** Encoders and decoders of ESP and AH that are not ours: Python programs that seal and open packets on request. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../../src/algorithms.ts';
import type { Case, Ends } from '../dataplane/matrix.ts';
import { isChecksumRight } from '../dataplane/packets.ts';

/** Debian's own, which its packages are installed for. */
const PYTHON = '/usr/bin/python3';

/** scapy's names, and in its manner those of what it does not have. */
const CRYPT: Readonly<Record<number, string>> = {
  [ENCR.NULL]: 'NULL',
  [ENCR.AES_CBC]: 'AES-CBC',
  [ENCR.AES_CTR]: 'AES-CTR',
  [ENCR.AES_GCM_8]: 'AES-GCM',
  [ENCR.AES_GCM_12]: 'AES-GCM',
  [ENCR.AES_GCM_16]: 'AES-GCM',
  [ENCR.AES_CCM_8]: 'AES-CCM',
  [ENCR.AES_CCM_12]: 'AES-CCM',
  [ENCR.AES_CCM_16]: 'AES-CCM',
  [ENCR.NULL_AUTH_AES_GMAC]: 'AES-GMAC',
  [ENCR.CHACHA20_POLY1305]: 'CHACHA20-POLY1305',
};
export const AUTH: Readonly<Record<number, string>> = {
  [INTEG.NONE]: 'NULL',
  [INTEG.HMAC_SHA1_96]: 'HMAC-SHA1-96',
  [INTEG.HMAC_SHA2_256_128]: 'SHA2-256-128',
  [INTEG.HMAC_SHA2_384_192]: 'SHA2-384-192',
  [INTEG.HMAC_SHA2_512_256]: 'SHA2-512-256',
  [INTEG.AES_128_GMAC]: 'AES-GMAC',
  [INTEG.AES_192_GMAC]: 'AES-GMAC',
  [INTEG.AES_256_GMAC]: 'AES-GMAC',
};

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const cryptOf = ({ encr }: CipherSuite) => (encr === undefined ? null : CRYPT[encr]);

type Answer = string | { readonly error: string };

function request(op: 'seal' | 'open', { sa }: Case, sequence: bigint, packet: Uint8Array) {
  return {
    op,
    protocol: sa.protocol,
    spi: sa.spi,
    crypt: cryptOf(sa.suite),
    cryptKey: hex(sa.keys.encryption),
    auth: AUTH[sa.suite.integ],
    authKey: hex(sa.keys.integrity),
    icv: suiteLengths(sa.suite).icv,
    tunnel: sa.mode === 'tunnel' ? [sa.local.address, sa.remote.address] : null,
    natT: sa.udpEncapsulation ? [sa.local.port, sa.remote.port] : null,
    esn: sa.esn,
    sequence: Number(sequence),
    packet: hex(packet),
  };
}

function ask(peer: string, requests: readonly object[]): Answer[] {
  const { stdout, stderr, error } = spawnSync(PYTHON, [fileURLToPath(new URL(peer, import.meta.url))], {
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

/** Defines the tests with one peer. @param peer name of its program, here */
export function tryEachWay(peer: string, ends: Ends, all: readonly Case[]): void {
  it('opens what the kernel seals', () => {
    const answers = ask(
      peer,
      all.map((each) => request('open', each, ends.first(each), ends.seal(each))),
    );
    all.forEach((each, index) => {
      const answer = answers[index]!;
      expect(typeof answer, `${each.name}: ${JSON.stringify(answer)}`).toBe('string');
      // Of IPv6, scapy leaves the UDP header standing there.
      if (isOuterLost(each)) expect((answer as string).endsWith(hex(each.packet.subarray(headerOf(each))))).toBe(true);
      else expect(answer, each.name).toBe(hex(each.packet));
    });
  });

  it('seals what the kernel opens', () => {
    const answers = ask(
      peer,
      all.map((each) => request('seal', each, ends.first(each), each.packet)),
    );
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

  it('and the kernel take no packet whose number is right in its low half only', () => {
    const esn = all.filter(({ sa }) => sa.esn);
    expect(esn.length).toBeGreaterThan(0);
    const wrong = (each: Case) => ends.first(each) + (1n << 32n);
    const answers = ask(peer, [
      ...esn.map((each) => request('open', each, wrong(each), ends.seal(each))),
      ...esn.map((each) => request('seal', each, wrong(each), each.packet)),
    ]);
    esn.forEach((each, index) => {
      expect(answers[index], each.name).toHaveProperty('error');
      const before = ends.in.drops().XfrmInStateProtoError ?? 0;
      expect(ends.open(each, Buffer.from(answers[esn.length + index] as string, 'hex')), each.name).toHaveLength(0);
      expect(ends.in.drops().XfrmInStateProtoError, each.name).toBe(before + 1);
    });
  });
}
