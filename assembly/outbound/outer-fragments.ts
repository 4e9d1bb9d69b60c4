/**
 * Fragmentation after IPsec, on raw lanes (for UDP sockets the system does it): the parts of the outer
 * packet, each behind a header of its own, go behind the batch's output.
 */
import { countDrop } from "../arena";
import { OutSendError } from "../drops";
import { copyBlocks, storeIpv4Checksum } from "../ip/checksum";
import { Ip, IPV6_HEADER, parseIp } from "../ip/packet";
import { IPPROTO_FRAGMENT } from "../ip/protocols";
import { LANE_RAW4 } from "../layout/arena";
import { SA_FLAG_AH, SA_FLAGS, SA_PATH_MTU } from "../layout/records";
import { Batch, PIECE_START, RUN_FIRST, RUN_LENGTH, RUN_SA } from "./batch";
import { addBytes, addMessage, hasMessageRoom } from "./messages";

const FRAGMENT_HEADER: u32 = 8;
const MORE_FRAGMENTS: u32 = 0x2000;
/** Where their headers have the sequence number. */
const ESP_SEQUENCE: u32 = 4;
const AH_SEQUENCE: u32 = 8;

/** Sends the run's one packet as fragments of the SA's path MTU, written behind the batch's output. */
export function addFragments(arena: usize, run: usize, lane: u32): void {
  const packet: usize = load<u32>(load<u32>(run, RUN_FIRST), PIECE_START);
  const sa: usize = load<u32>(run, RUN_SA);
  parseIp(packet, load<u32>(run, RUN_LENGTH));
  // What stands in front of ESP or AH is what routers read: of IPv6 the part that is not fragmented (RFC 8200 §4.5).
  const header = Ip.header;
  const extended = lane == LANE_RAW4 ? header : header + FRAGMENT_HEADER;
  const length = load<u32>(run, RUN_LENGTH) - header;
  const size = (load<u32>(sa, SA_PATH_MTU) - extended) & ~7;
  // A sequence number is as good an Identification as any.
  const identification = load<u32>(packet + header + (load<u32>(sa, SA_FLAGS) & SA_FLAG_AH ? AH_SEQUENCE : ESP_SEQUENCE));
  for (let offset: u32 = 0; offset < length; offset += size) {
    const chunk = min(length - offset, size);
    const at = Batch.output;
    if (at + extended + chunk > Batch.outputEnd || !hasMessageRoom(arena)) return countDrop(arena, OutSendError);
    copyBlocks(at, packet, header);
    if (lane == LANE_RAW4) writeFragment4(at, extended + chunk, offset, offset + chunk < length);
    else writeFragment6(at, chunk, offset, offset + chunk < length, identification);
    copyBlocks(at + extended, packet + header + offset, chunk);
    Batch.output = at + extended + chunk;
    addBytes(<u32>at, extended + chunk);
    addMessage(arena, run, lane, 1);
  }
}

function writeFragment4(at: usize, length: u32, offset: u32, more: bool): void {
  store<u16>(at, bswap<u16>(<u16>length), 2);
  store<u16>(at, bswap<u16>(<u16>((offset >>> 3) | (more ? MORE_FRAGMENTS : 0))), 6);
  storeIpv4Checksum(at);
}

function writeFragment6(at: usize, chunk: u32, offset: u32, more: bool, identification: u32): void {
  const fragment = at + Ip.header;
  store<u16>(at, bswap<u16>(<u16>(Ip.header - IPV6_HEADER + FRAGMENT_HEADER + chunk)), 4);
  store<u16>(fragment, load<u8>(at + Ip.transportNext));
  store<u8>(at + Ip.transportNext, IPPROTO_FRAGMENT);
  store<u16>(fragment, bswap<u16>(<u16>(offset | <u32>more)), 2);
  store<u32>(fragment, identification, 4);
}
