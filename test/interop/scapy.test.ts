/**
 * Packets made by Espalier are opened by others, and the other way round: {ESP, AH} × {tunnel, transport} ×
 * {IPv4, IPv6}, outside and inside × {raw, in UDP} × {ESN, not}, of scapy with every algorithm that it has, and of
 * a program by the RFCs with all.
 */
import { describe, expect, it } from 'vitest';
import { type CipherSuite, ENCR, ENCRYPTION, INTEG, INTEGRITY } from '../../src/algorithms.ts';
import { cases, Ends } from '../dataplane/matrix.ts';
import { AUTH, tryEachWay } from './packet-peer.ts';

const UNKNOWN_TO_SCAPY: readonly number[] = [
  ENCR.AES_GCM_8,
  ENCR.AES_GCM_12,
  ENCR.AES_CCM_8,
  ENCR.AES_CCM_12,
  ENCR.NULL_AUTH_AES_GMAC,
];

const scapyKnows = ({ encr, integ }: CipherSuite) =>
  AUTH[integ] !== 'AES-GMAC' && (encr === undefined || !UNKNOWN_TO_SCAPY.includes(encr));

const ends = await Ends.open();
const all = cases((suite) => ends.knows(suite));

describe('scapy', () => {
  // It leaves the high half of the number out of ESP's ICV, where that is not the cipher's own (RFC 4303 §2.2.1).
  const some = all.filter(
    ({ sa }) => scapyKnows(sa.suite) && !(sa.esn && sa.protocol === 'esp' && sa.suite.integ !== INTEG.NONE),
  );
  tryEachWay('scapy-peer.py', ends, some);
});

describe('a peer by the RFCs', () => {
  tryEachWay('book-peer.py', ends, all);

  it('has every algorithm, in every combination', () => {
    const suites = all.map(({ sa }) => sa.suite);
    expect(ENCRYPTION.filter(({ id }) => !suites.some(({ encr }) => encr === id))).toEqual([]);
    expect(INTEGRITY.filter(({ id }) => !suites.some(({ integ }) => integ === id))).toEqual([]);
    expect(all).toHaveLength(1284);
  });
});
