/**
 * The geometry of an SA's packets: what its record says of lengths, alignment and flags, derived
 * from the parameters of the contract.
 *
 *     ESP   | outer IP | UDP | SPI, sequence | IV | inner packet, padding, 2 bytes | ICV |
 *     AH    | outer IP | AH with ICV | inner packet |
 */
import { LANE_RAW4, LANE_RAW6, LANE_UDP4, LANE_UDP6 } from '../../assembly/layout/arena.ts';
import {
  SA_FLAG_AH,
  SA_FLAG_COMBINED,
  SA_FLAG_COPY_DSCP,
  SA_FLAG_COUNTER_IV,
  SA_FLAG_DF_COPY,
  SA_FLAG_DF_SET,
  SA_FLAG_ESN,
  SA_FLAG_INBOUND,
  SA_FLAG_MAP_DSCP,
  SA_FLAG_MULTICAST,
  SA_FLAG_OUTER6,
  SA_FLAG_TUNNEL,
  SA_FLAG_UDP,
} from '../../assembly/layout/records.ts';
import { INTEG, type SuiteLengths, suiteLengths } from '../algorithms.ts';
import type { SaParameters } from '../contract.ts';

/** Bytes that an outer packet may have until something better is learned. */
export const DEFAULT_PATH_MTU = 1500;

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const UDP_HEADER = 8;
/** SPI and sequence number. */
const ESP_HEADER = 8;
/** Pad length and next header. */
const ESP_TRAILER = 2;
/** Without ICV. */
const AH_HEADER = 12;
/** IVs of 8 bytes are counters (GCM, CCM, CTR, ChaCha20-Poly1305, GMAC); those of a block are random. */
const COUNTER_IV = 8;

export interface Geometry extends SuiteLengths {
  readonly flags: number;
  readonly lane: number;
  /** Alignment of the ESP payload, or of the AH header (RFC 4302 §3.3.3.2.1), minus one. */
  readonly blockMask: number;
}

const flag = (condition: boolean, bit: number): number => (condition ? bit : 0);

/** What an SA's geometry follows from. */
type Shape = Pick<
  SaParameters,
  'direction' | 'protocol' | 'mode' | 'local' | 'udpEncapsulation' | 'esn' | 'suite' | 'df' | 'copyDscp' | 'dscpMap'
>;

export function geometryOf(parameters: Shape): Geometry {
  const lengths = suiteLengths(parameters.suite);
  const outer6 = parameters.local.address.includes(':');
  const ah = parameters.protocol === 'ah';
  const flags =
    flag(parameters.direction === 'in', SA_FLAG_INBOUND) |
    flag(ah, SA_FLAG_AH) |
    flag(parameters.mode === 'tunnel', SA_FLAG_TUNNEL) |
    flag(parameters.udpEncapsulation, SA_FLAG_UDP) |
    flag(parameters.esn, SA_FLAG_ESN) |
    flag(outer6, SA_FLAG_OUTER6) |
    flag(parameters.suite.integ === INTEG.NONE, SA_FLAG_COMBINED) |
    flag(lengths.iv === COUNTER_IV, SA_FLAG_COUNTER_IV) |
    flag(parameters.df === 'set', SA_FLAG_DF_SET) |
    flag((parameters.df ?? 'copy') === 'copy', SA_FLAG_DF_COPY) |
    flag(parameters.copyDscp ?? true, SA_FLAG_COPY_DSCP) |
    flag(parameters.dscpMap !== undefined, SA_FLAG_MAP_DSCP) |
    flag(isMulticast(parameters.local.address), SA_FLAG_MULTICAST);
  const udp = parameters.udpEncapsulation;
  return {
    key: lengths.key,
    salt: lengths.salt,
    iv: lengths.iv,
    block: lengths.block,
    icv: lengths.icv,
    integKey: lengths.integKey,
    flags,
    lane: outer6 ? (udp ? LANE_UDP6 : LANE_RAW6) : udp ? LANE_UDP4 : LANE_RAW4,
    blockMask: ah ? (outer6 ? 7 : 3) : lengths.block - 1,
  };
}

/**
 * @returns the largest inner packet (in transport mode: the whole packet before IPsec) that fits `pathMtu`;
 * 0 if not even the headers do
 */
export function innerMtu({ flags, iv, icv, blockMask }: Geometry, pathMtu: number): number {
  const outer = flags & SA_FLAG_OUTER6 ? IPV6_HEADER : IPV4_HEADER;
  const kept = flags & SA_FLAG_TUNNEL ? 0 : outer;
  if (flags & SA_FLAG_AH) return Math.max(0, pathMtu - outer - ahLength(iv, icv, blockMask) + kept);
  const room = pathMtu - outer - (flags & SA_FLAG_UDP ? UDP_HEADER : 0) - ESP_HEADER - iv - icv;
  return Math.max(0, (room & ~blockMask) - ESP_TRAILER + kept);
}

/** @returns bytes of the AH header with its ICV (and IV, RFC 4543 §4) and padding */
function ahLength(iv: number, icv: number, blockMask: number): number {
  return (AH_HEADER + iv + icv + blockMask) & ~blockMask;
}

export function isMulticast(address: string): boolean {
  if (address.includes(':')) return address.toLowerCase().startsWith('ff');
  const first = Number(address.slice(0, address.indexOf('.')));
  return first >= 224 && first <= 239;
}
