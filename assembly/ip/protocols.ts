/** Numbers of the protocols that a packet's path looks into (IANA "Assigned Internet Protocol Numbers"). */

export const IPPROTO_HOPOPTS: u32 = 0;
export const IPPROTO_ICMP: u32 = 1;
export const IPPROTO_IPIP: u32 = 4;
export const IPPROTO_TCP: u32 = 6;
export const IPPROTO_UDP: u32 = 17;
export const IPPROTO_DCCP: u32 = 33;
export const IPPROTO_IPV6: u32 = 41;
export const IPPROTO_ROUTING: u32 = 43;
export const IPPROTO_FRAGMENT: u32 = 44;
export const IPPROTO_ESP: u32 = 50;
export const IPPROTO_AH: u32 = 51;
export const IPPROTO_ICMPV6: u32 = 58;
export const IPPROTO_NONE: u32 = 59;
export const IPPROTO_DSTOPTS: u32 = 60;
export const IPPROTO_SCTP: u32 = 132;
export const IPPROTO_MH: u32 = 135;
export const IPPROTO_UDPLITE: u32 = 136;

/** A later fragment does not tell which protocol is behind its extension headers: only ANY matches. */
export const PROTOCOL_OPAQUE: u32 = 256;
