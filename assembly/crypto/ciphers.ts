/**
 * The registry: which IANA number is which cipher. A cipher joins here and nowhere else; the
 * contract of its functions is in suite.ts.
 */
import { CRYPTO_SCRATCH_SIZE, PACKET_LENGTH } from "../layout";
import { gcmOpen, gcmSeal, gcmSetup, gcmStateLength } from "./gcm";
import { chachaOpen, chachaSeal, chachaStateLength } from "./chacha20poly1305";
import { GROUPING_SIZE } from "./grouping";
import { SHA1, SHA256, SHA384, SHA512 } from "./hash";
import { HMAC_STATE_SIZE, hmacRun, hmacSetup } from "./hmac";
import { accept } from "./verdict";

/** IANA "Transform Type 1" numbers; ENCR_NONE stands for AH and is ours. */
export const ENCR_NONE: u32 = 0;
export const ENCR_NULL: u32 = 11;
export const ENCR_AES_CBC: u32 = 12;
export const ENCR_AES_CTR: u32 = 13;
export const ENCR_AES_CCM_8: u32 = 14;
export const ENCR_AES_CCM_12: u32 = 15;
export const ENCR_AES_CCM_16: u32 = 16;
export const ENCR_AES_GCM_8: u32 = 18;
export const ENCR_AES_GCM_12: u32 = 19;
export const ENCR_AES_GCM_16: u32 = 20;
export const ENCR_NULL_AUTH_AES_GMAC: u32 = 21;
export const ENCR_CHACHA20_POLY1305: u32 = 28;

/** IANA "Transform Type 3" numbers. */
export const INTEG_NONE: u32 = 0;
export const INTEG_HMAC_SHA1_96: u32 = 2;
export const INTEG_AES_128_GMAC: u32 = 9;
export const INTEG_AES_192_GMAC: u32 = 10;
export const INTEG_AES_256_GMAC: u32 = 11;
export const INTEG_HMAC_SHA2_256_128: u32 = 12;
export const INTEG_HMAC_SHA2_384_192: u32 = 13;
export const INTEG_HMAC_SHA2_512_256: u32 = 14;

/** What `keyStateLength` says of a suite that the kernel does not have. */
export const UNKNOWN_SUITE: u32 = 0xffffffff;

/** Bytes of scratch a cipher may use. */
export const CIPHER_SCRATCH_SIZE: usize = <usize>CRYPTO_SCRATCH_SIZE - GROUPING_SIZE;

// ─── What dispatch wants to know ──────────────────────────────────────────────────────────────

/** Does the cipher do all of it alone: no separate integrity algorithm behind it? */
@inline
export function isCombined(encr: u32, integ: u32): bool {
  return integ == INTEG_NONE;
}

/** Can one call take packets of different KEYs? Every lane then loads its own key. */
@inline
export function mixesKeys(encr: u32): bool {
  return encr == ENCR_NONE || encr == ENCR_NULL || encr == ENCR_CHACHA20_POLY1305;
}

/** Does the cipher profit from a list sorted by length, short packets first? */
@inline
export function wantsOrder(encr: u32): bool {
  return encr >= ENCR_AES_GCM_8 && encr <= ENCR_CHACHA20_POLY1305;
}

/** Can the cipher process this packet's LENGTH at all? */
@inline
export function acceptsLength(encr: u32, packet: usize): bool {
  return encr != ENCR_AES_CBC || (load<u32>(packet, PACKET_LENGTH) & 15) == 0;
}

// ─── Encryption and combined modes ────────────────────────────────────────────────────────────

/** @returns bytes of STATE, a multiple of 64, or UNKNOWN_SUITE */
export function cipherStateLength(encr: u32, keyLength: u32): u32 {
  switch (encr) {
    case ENCR_NONE:
    case ENCR_NULL:
      return 0;
    case ENCR_AES_GCM_8:
    case ENCR_AES_GCM_12:
    case ENCR_AES_GCM_16:
      return gcmStateLength(keyLength);
    case ENCR_CHACHA20_POLY1305:
      return chachaStateLength();
    default:
      return UNKNOWN_SUITE;
  }
}

export function cipherSetup(encr: u32, key: usize, scratch: usize): void {
  switch (encr) {
    case ENCR_AES_GCM_8:
    case ENCR_AES_GCM_12:
    case ENCR_AES_GCM_16:
      return gcmSetup(key, scratch);
  }
}

export function cipherSeal(encr: u32, list: usize, count: i32, scratch: usize): void {
  switch (encr) {
    case ENCR_NONE:
    case ENCR_NULL:
      return acceptAll(list, count);
    case ENCR_AES_GCM_8:
    case ENCR_AES_GCM_12:
    case ENCR_AES_GCM_16:
      return gcmSeal(list, count, scratch);
    case ENCR_CHACHA20_POLY1305:
      return chachaSeal(list, count, scratch);
  }
}

export function cipherOpen(encr: u32, list: usize, count: i32, scratch: usize): void {
  switch (encr) {
    case ENCR_NONE:
    case ENCR_NULL:
      return acceptAll(list, count);
    case ENCR_AES_GCM_8:
    case ENCR_AES_GCM_12:
    case ENCR_AES_GCM_16:
      return gcmOpen(list, count, scratch);
    case ENCR_CHACHA20_POLY1305:
      return chachaOpen(list, count, scratch);
  }
}

function acceptAll(list: usize, count: i32): void {
  for (let i = 0; i < count; i++) accept(load<u32>(list + (i << 2)));
}

// ─── Integrity ────────────────────────────────────────────────────────────────────────────────

/** @returns the hash under the HMAC with that number, 0 if it is none */
function hashOf(integ: u32): u32 {
  switch (integ) {
    case INTEG_HMAC_SHA1_96:
      return SHA1;
    case INTEG_HMAC_SHA2_256_128:
      return SHA256;
    case INTEG_HMAC_SHA2_384_192:
      return SHA384;
    case INTEG_HMAC_SHA2_512_256:
      return SHA512;
    default:
      return 0;
  }
}

/** @returns bytes of STATE, a multiple of 64, or UNKNOWN_SUITE */
export function integStateLength(integ: u32): u32 {
  if (integ == INTEG_NONE) return 0;
  return hashOf(integ) != 0 ? HMAC_STATE_SIZE : UNKNOWN_SUITE;
}

/** @param offset of the integrity algorithm's STATE from `key`, in bytes */
export function integSetup(integ: u32, key: usize, offset: u32, scratch: usize): void {
  const hash = hashOf(integ);
  if (hash != 0) hmacSetup(hash, key, key + offset, scratch);
}

/** Writes each packet's ICV. */
export function integSeal(integ: u32, list: usize, count: i32, offset: u32, scratch: usize): void {
  hmacRun(hashOf(integ), list, count, offset, scratch, true);
}

/** Verifies each packet's ICV and sets its STATUS; zeroes what fails. */
export function integOpen(integ: u32, list: usize, count: i32, offset: u32, scratch: usize): void {
  hmacRun(hashOf(integ), list, count, offset, scratch, false);
}
