/** The message array that recvmmsg fills: what is fixed for ever, and what each call spoils. */
import {
  IN_CONTROL_SIZE,
  IN_CONTROLS,
  IN_IOVECS,
  IN_MESSAGES,
  IN_NAME_SIZE,
  IN_NAMES,
  IN_SLOT_DATA,
  IN_SLOT_ROOM,
  IN_SLOTS,
  MMSGHDR_SIZE,
  SLOT_SIZE,
  SLOTS,
} from "../layout/arena";
import { HEADER_ABSOLUTE, HEADER_BASE } from "../layout/records";

// struct mmsghdr { struct msghdr { name, namelen, iov, iovlen, control, controllen, flags }; unsigned len; }
export const MSG_NAME: usize = 0;
export const MSG_NAMELEN: usize = 8;
export const MSG_IOV: usize = 16;
export const MSG_IOVLEN: usize = 24;
export const MSG_CONTROL: usize = 32;
export const MSG_CONTROLLEN: usize = 40;
export const MSG_FLAGS: usize = 48;
export const MSG_LEN: usize = 56;

// struct iovec { base, len }
export const IOV_BASE: usize = 0;
export const IOV_LEN: usize = 8;
export const IOV_SIZE: usize = 16;

/** The address that the operating system knows a place in linear memory by. */
@inline
export function absolute(address: usize): u64 {
  return load<u64>(HEADER_BASE, HEADER_ABSOLUTE) + <u64>address;
}

/** Prepares what is fixed in the inbound half of an arena. */
export function initialiseInbound(arena: usize): void {
  for (let slot: usize = 0; slot < <usize>SLOTS; slot++) {
    const iovec = arena + IN_IOVECS + slot * IOV_SIZE;
    store<u64>(iovec, absolute(arena + IN_SLOTS + slot * SLOT_SIZE + IN_SLOT_DATA), IOV_BASE);
    store<u64>(iovec, IN_SLOT_ROOM, IOV_LEN);
    const message = arena + IN_MESSAGES + slot * MMSGHDR_SIZE;
    store<u64>(message, absolute(arena + IN_NAMES + slot * IN_NAME_SIZE), MSG_NAME);
    store<u64>(message, absolute(iovec), MSG_IOV);
    store<u64>(message, 1, MSG_IOVLEN);
    store<u64>(message, absolute(arena + IN_CONTROLS + slot * IN_CONTROL_SIZE), MSG_CONTROL);
  }
  inboundArm(arena, SLOTS);
}

/** See `KernelExports`. */
export function inboundArm(arena: usize, count: u32): void {
  for (let slot: u32 = 0; slot < count; slot++) {
    const message = arena + IN_MESSAGES + <usize>slot * MMSGHDR_SIZE;
    store<u32>(message, IN_NAME_SIZE, MSG_NAMELEN);
    store<u64>(message, IN_CONTROL_SIZE, MSG_CONTROLLEN);
    store<u32>(message, 0, MSG_FLAGS);
  }
}
