/**
 * What rules of nf_tables are made of. A rule loads a field into the one register that is used here and compares it;
 * a field that the packet does not have, or a comparison that fails, ends the rule, and the next one is looked at.
 * Attributes bear the numbers of linux/netfilter/nf_tables.h.
 */
import { encodeAttributes } from './netlink.ts';
import { cString, u32be, value } from './nftables.ts';

const REGISTER_VERDICT = 0;
const REGISTER = 1;

const EXPRESSION_NAME = 1;
const EXPRESSION_DATA = 2;

const expression = (name: string, attributes: Parameters<typeof encodeAttributes>[0]): Uint8Array =>
  encodeAttributes([
    [EXPRESSION_NAME, cString(name)],
    [EXPRESSION_DATA, encodeAttributes(attributes)],
  ]);

// ─── Loads ────────────────────────────────────────────────────────────────────────────────────

const meta = (key: number): Uint8Array =>
  expression('meta', [
    [1, u32be(REGISTER)],
    [2, u32be(key)],
  ]);

/** Index of the device that the packet came by, a u32 in host order. */
export const inputDevice = meta(4);
/** NFPROTO_IPV4 or NFPROTO_IPV6, a byte. */
export const family = meta(15);
/** Of the last header, a byte; later fragments show it too. */
export const upperProtocol = meta(16);

const payload = (base: number, offset: number, length: number): Uint8Array =>
  expression('payload', [
    [1, u32be(REGISTER)],
    [2, u32be(base)],
    [3, u32be(offset)],
    [4, u32be(length)],
  ]);

/** From the IP header on. */
export const networkBytes = (offset: number, length: number): Uint8Array => payload(1, offset, length);
/** From the header behind IP's and its extensions on; later fragments have none. */
export const transportBytes = (offset: number, length: number): Uint8Array => payload(2, offset, length);

/** From the first extension header of IPv6 of that kind on; where there is none, the rule does not match. */
export const extensionBytes = (kind: number, offset: number, length: number): Uint8Array =>
  expression('exthdr', [
    [1, u32be(REGISTER)],
    [2, Uint8Array.of(kind)],
    [3, u32be(offset)],
    [4, u32be(length)],
  ]);

const FIB_SOURCE = 1;
const FIB_DESTINATION = 2;

const fib = (result: number, flags: number): Uint8Array =>
  expression('fib', [
    [1, u32be(REGISTER)],
    [2, u32be(result)],
    [3, u32be(flags)],
  ]);

/** Index of the device by which a packet without a mark would go to this one's source, a u32 in host order. */
export const wayBack = fib(1, FIB_SOURCE);
/** Index of the device by which this one goes on, a u32 in host order; none for this host's own. */
export const wayOn = fib(1, FIB_DESTINATION);
/** RTN_* of the destination, a u32 in host order: is it this host's? */
export const destinationType = fib(3, FIB_DESTINATION);

// ─── Comparisons ──────────────────────────────────────────────────────────────────────────────

const compare = (operation: number, bytes: Uint8Array): Uint8Array =>
  expression('cmp', [
    [1, u32be(REGISTER)],
    [2, u32be(operation)],
    [3, value(bytes)],
  ]);

export const equals = (bytes: Uint8Array): Uint8Array => compare(0, bytes);
export const differs = (bytes: Uint8Array): Uint8Array => compare(1, bytes);

/** From the one to the other, as numbers in network order, both included. */
export const within = (from: Uint8Array, to: Uint8Array): Uint8Array =>
  expression('range', [
    [1, u32be(REGISTER)],
    [2, u32be(0)],
    [3, value(from)],
    [4, value(to)],
  ]);

export const inSet = (name: string): Uint8Array =>
  expression('lookup', [
    [1, cString(name)],
    [2, u32be(REGISTER)],
  ]);

// ─── What to do ───────────────────────────────────────────────────────────────────────────────

export const count = (counter: string): Uint8Array =>
  expression('objref', [
    [1, u32be(1)],
    [2, cString(counter)],
  ]);

const verdict = (code: number, chain?: string): Uint8Array =>
  expression('immediate', [
    [1, u32be(REGISTER_VERDICT)],
    [
      2,
      encodeAttributes([
        [2, encodeAttributes([[1, u32be(code)], ...(chain === undefined ? [] : [[2, cString(chain)] as const])])],
      ]),
    ],
  ]);

export const drop = verdict(0);
export const accept = verdict(1);
export const goTo = (chain: string): Uint8Array => verdict(-4, chain);
