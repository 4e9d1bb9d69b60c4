/** TCP MSS clamping in both directions: no host behind a tunnel need learn the hard way what fits (RFC 9293 §3.7.1). */
import { adjustChecksum } from "./checksum";
import { Ip, IPV4_HEADER, IPV6_HEADER } from "./packet";
import { IPPROTO_TCP } from "./protocols";

const TCP_HEADER: u32 = 20;
const FLAGS: usize = 13;
const CHECKSUM: usize = 16;
const SYN: u32 = 2;
const OPTION_END: u32 = 0;
const OPTION_NOP: u32 = 1;
const OPTION_MSS: u32 = 2;

/**
 * Lowers the MSS option of the SYN that `parseIp` saw last so that its segments fit `mtu`, in place.
 * @param open the checksum holds the pseudo-header's sum and will be completed later
 */
export function clampMss(mtu: u32, open: bool): void {
  if (Ip.protocol != IPPROTO_TCP || Ip.fragment || Ip.length < Ip.header + TCP_HEADER) return;
  const tcp = Ip.at + Ip.header;
  if (!(<u32>load<u8>(tcp, FLAGS) & SYN)) return;
  const headers = TCP_HEADER + (Ip.version == 4 ? IPV4_HEADER : IPV6_HEADER);
  if (mtu <= headers) return;
  const end = tcp + min(((<u32>load<u8>(tcp, 12)) >> 4) << 2, Ip.length - Ip.header);
  for (let option = tcp + TCP_HEADER; option + 4 <= end; ) {
    const kind = <u32>load<u8>(option);
    if (kind == OPTION_END) return;
    if (kind == OPTION_NOP) {
      option++;
      continue;
    }
    const length = <u32>load<u8>(option, 1);
    if (length < 2) return;
    if (kind == OPTION_MSS && length == 4) return lower(tcp, option + 2, mtu - headers, open);
    option += length;
  }
}

function lower(tcp: usize, at: usize, mss: u32, open: bool): void {
  const before = <u32>load<u16>(at);
  if (<u32>bswap<u16>(<u16>before) <= mss) return;
  const after = <u32>bswap<u16>(<u16>mss);
  store<u16>(at, after);
  if (open) return;
  // At an odd place in the header the option's bytes stand in the other halves of their words.
  const odd = ((at - tcp) & 1) != 0;
  const from = odd ? <u32>bswap<u16>(<u16>before) : before;
  const to = odd ? <u32>bswap<u16>(<u16>after) : after;
  store<u16>(tcp, adjustChecksum(load<u16>(tcp, CHECKSUM), from, to), CHECKSUM);
}
