/**
 * Why a packet was dropped: the one table, for the kernel (numbers) and for TypeScript (names, by
 * `import * as drops`). Spelled as in Linux's /proc/net/xfrm_stat where that has a name for it;
 * each is a u64 counter at ARENA_DROPS + 8 × number. They are the "auditable events" of RFC 4301.
 */

// In, in the order in which a packet meets them.
/** Too short, or lengths that contradict each other. */
export const XfrmInHdrError = 1;
/** No SA with that SPI (RFC 4303 §3.4.2). */
export const XfrmInNoStates = 2;
/** The SA is stopped. */
export const XfrmInStateInvalid = 3;
/** A hard limit of the SA was reached. */
export const XfrmInStateExpired = 4;
/** Replayed, or older than the window (RFC 4303 §3.4.3). */
export const XfrmInStateSeqError = 5;
/** The ICV did not verify, or the length does not fit the cipher. */
export const XfrmInStateProtoError = 6;
/** The padding is not 1, 2, 3 … (RFC 4303 §2.4). */
export const InPaddingError = 7;
/** The next header does not fit the mode, or the packet came by the wrong protocol or encapsulation. */
export const XfrmInStateModeError = 8;
/** The inner packet is malformed. */
export const InInnerError = 9;
/** The inner packet does not match the SA's selectors (RFC 4301 §5.2). */
export const XfrmInStateMismatch = 10;
/** A DISCARD policy. */
export const XfrmInPolBlock = 11;
/** Congestion was marked on a packet whose sender cannot hear it (RFC 6040 §4.2). */
export const InEcnError = 12;
/** More packets than a batch holds, or a truncated datagram. */
export const XfrmInBufferError = 13;
/** A dummy packet, next header 59 (RFC 4303 §2.6): discarded as it should be. */
export const InDummy = 14;
/** A NAT keepalive (RFC 3948 §2.3): discarded as it should be. */
export const InKeepalive = 15;
/** A later fragment whose first one has not been seen (RFC 4301 §7). */
export const InFragment = 16;

// Out.
/** Malformed, or not IP. */
export const XfrmOutError = 32;
/** A DISCARD policy. */
export const XfrmOutPolBlock = 33;
/** No policy matches: RFC 4301 §5.1 discards. */
export const OutNoPolicy = 34;
/** A PROTECT policy whose SA is not there; the packet could not be queued. */
export const XfrmOutNoStates = 35;
/** The SA is stopped. */
export const XfrmOutStateInvalid = 36;
/** A hard limit of the SA was reached. */
export const XfrmOutStateExpired = 37;
/** Sequence numbers are used up (RFC 4303 §3.3.3). */
export const XfrmOutStateSeqError = 38;
/** The packet cannot go through this mode: in transport mode it has another family than the SA, or headers that UDP encapsulation has no place for. */
export const XfrmOutStateModeError = 39;
/** The cipher refused. */
export const XfrmOutStateProtoError = 40;
/** Larger than the path allows, and may not be fragmented: the sender was told. */
export const OutTooBig = 41;
/** The queue of packets that wait for an SA is full. */
export const XfrmOutNoQueueSpace = 42;
/** Waited too long for an SA. */
export const XfrmAcquireError = 43;
/** A later fragment whose first one has not been seen (RFC 4301 §7). */
export const OutFragment = 44;
/** The system refused the message that the packet was in (counted by the worker). */
export const OutSendError = 45;
/** The TUN refused the frame that the packet was in (counted by the worker). */
export const InWriteError = 46;
/** Fragments for transport mode that overlap, contradict each other, or whose datagram was not whole in time. */
export const OutReassemblyError = 47;

/** Counters, not one more. */
export const DROP_REASONS = 64;
