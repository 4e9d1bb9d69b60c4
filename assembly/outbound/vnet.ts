/**
 * struct virtio_net_hdr, which stands in front of every frame of a TUN with IFF_VNET_HDR
 * (Virtual I/O Device 1.2 §5.1.6). Little-endian.
 *
 *      0       1       2       3       4       5       6       7       8       9
 *     +-------+-------+---------------+---------------+---------------+---------------+
 *     | FLAGS | GSO_  | HDR_LEN       | GSO_SIZE      | CSUM_START    | CSUM_OFFSET   |
 *     |       | TYPE  |               |               |               |               |
 *     +-------+-------+---------------+---------------+---------------+---------------+
 */
export const VNET_FLAGS: usize = 0;
export const VNET_GSO_TYPE: usize = 1;
export const VNET_HDR_LEN: usize = 2;
export const VNET_GSO_SIZE: usize = 4;
export const VNET_CSUM_START: usize = 6;
export const VNET_CSUM_OFFSET: usize = 8;

/** The checksum at CSUM_START + CSUM_OFFSET holds the pseudo-header's sum and is to be completed. */
export const VNET_NEEDS_CSUM: u32 = 1;

export const GSO_NONE: u32 = 0;
export const GSO_TCPV4: u32 = 1;
export const GSO_TCPV6: u32 = 4;
export const GSO_UDP_L4: u32 = 5;
/** A bit of GSO_TYPE: the segments' CWR flag is to be handled as RFC 3168 asks. */
export const GSO_ECN: u32 = 128;
