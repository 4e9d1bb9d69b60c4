/** NAT detection (RFC 7296 §2.23) and the two UDP ports that follow from it. */
import type { Endpoint } from '../../contract.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { addressBytes } from '../wire/address.ts';
import { equalBytes, Writer } from '../wire/bytes.ts';
import { HASH, NOTIFY } from '../wire/iana.ts';
import { findAll } from '../wire/message.ts';
import type { Payload } from '../wire/payloads/index.ts';
import { type NotifyPayload, notification } from '../wire/payloads/notify.ts';

interface Spis {
  readonly spiI: bigint;
  readonly spiR: bigint;
}

/** SHA-1 of SPIs, address and port, in their order in the header (RFC 7296 §2.23). */
export function natHash(crypto: CryptoProvider, { spiI, spiR }: Spis, { address, port }: Endpoint): Uint8Array {
  const bytes = addressBytes(address);
  const out = new Writer(16 + bytes.length + 2);
  out.u64(spiI);
  out.u64(spiR);
  out.put(bytes);
  out.u16(port);
  return crypto.hash(HASH.SHA1, out.bytes);
}

/**
 * @param pretend say something else than our own address, so that both sides take it for a NAT's and
 *   encapsulate ESP in UDP (`encap`)
 */
export function natDetection(
  crypto: CryptoProvider,
  spis: Spis,
  local: Endpoint,
  remote: Endpoint,
  pretend: boolean,
): NotifyPayload[] {
  const source = pretend ? crypto.random(20) : natHash(crypto, spis, local);
  return [
    notification(NOTIFY.NAT_DETECTION_SOURCE_IP, source),
    notification(NOTIFY.NAT_DETECTION_DESTINATION_IP, natHash(crypto, spis, remote)),
  ];
}

export interface NatFindings {
  /** The peer sent both kinds of notification; else nothing is known and nothing is done. */
  readonly supported: boolean;
  /** We are behind a NAT. */
  readonly local: boolean;
  readonly remote: boolean;
}

/** @returns what the peer's notifications say about the path between `local` and `remote` as we see them */
export function findNat(
  crypto: CryptoProvider,
  spis: Spis,
  payloads: readonly Payload[],
  local: Endpoint,
  remote: Endpoint,
): NatFindings {
  const notifies = findAll(payloads, 'N');
  const sources = notifies.filter(({ notify }) => notify === NOTIFY.NAT_DETECTION_SOURCE_IP);
  const destinations = notifies.filter(({ notify }) => notify === NOTIFY.NAT_DETECTION_DESTINATION_IP);
  if (sources.length === 0 || destinations.length === 0) return { supported: false, local: false, remote: false };
  const here = natHash(crypto, spis, local);
  const there = natHash(crypto, spis, remote);
  return {
    supported: true,
    local: !destinations.some(({ data }) => equalBytes(data, here)),
    remote: !sources.some(({ data }) => equalBytes(data, there)),
  };
}
