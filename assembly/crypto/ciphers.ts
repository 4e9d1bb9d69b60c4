/**
 * The registry: which IANA number is which cipher. A cipher joins here and nowhere else; the
 * contract of its functions is in suite.ts.
 */
import { CRYPTO_WORK_SIZE, PACKET_AAD_LENGTH, PACKET_LENGTH } from "../layout";
import { cbcOpen, cbcSeal, cbcSetup, cbcStateLength } from "./aes-cbc";
import { CCM_AAD_LIMIT, ccmRun, ccmSetup, ccmStateLength } from "./aes-ccm";
import { ctrRun, ctrSetup, ctrStateLength } from "./aes-ctr";
import { gcmRun, gcmSetup, gcmStateLength, gmacAhRun, gmacRun, gmacSetup } from "./gcm";
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
export const CIPHER_SCRATCH_SIZE: usize = <usize>CRYPTO_WORK_SIZE - GROUPING_SIZE;

// ─── What dispatch wants to know ──────────────────────────────────────────────────────────────

/** Does the cipher do all of it alone: no separate integrity algorithm behind it? */
@inline
export function isCombined(encr: u32, integ: u32): bool {
  return integ == INTEG_NONE;
}

/** Does the cipher authenticate what it encrypts? */
@inline
export function isAead(encr: u32): bool {
  return encr >= ENCR_AES_CCM_8 && encr <= ENCR_CHACHA20_POLY1305;
}

/** Can one call take packets of different KEYs? Every lane then loads its own key. */
@inline
export function mixesKeys(encr: u32, integ: u32): bool {
  return (encr == ENCR_NONE && !isGmac(integ)) || encr == ENCR_NULL || encr == ENCR_CHACHA20_POLY1305;
}

/**
 * May one call take the packets of several KEYs of one suite, those of each KEY together? What is left over of
 * them then shares lanes.
 */
@inline
export function joinsKeys(encr: u32): bool {
  return isGcm(encr) || encr == ENCR_NULL_AUTH_AES_GMAC;
}

/**
 * Does the cipher profit from a list sorted by length? Those do whose lanes wait for each other, and
 * ChaCha20-Poly1305, which authenticates a packet while it encrypts the next one.
 */
@inline
export function wantsOrder(encr: u32): bool {
  return encr == ENCR_AES_CBC || encr == ENCR_CHACHA20_POLY1305 || isCcm(encr);
}

/** Are there packets that the cipher cannot process? */
@inline
export function limitsLength(encr: u32): bool {
  return encr == ENCR_AES_CBC || isCcm(encr);
}

/** Can the cipher process this packet at all? */
@inline
export function acceptsLength(encr: u32, packet: usize): bool {
  if (encr == ENCR_AES_CBC) return (load<u32>(packet, PACKET_LENGTH) & 15) == 0;
  return !isCcm(encr) || load<u32>(packet, PACKET_AAD_LENGTH) < CCM_AAD_LIMIT;
}

@inline
function isGcm(encr: u32): bool {
  return encr >= ENCR_AES_GCM_8 && encr <= ENCR_AES_GCM_16;
}

@inline
function isCcm(encr: u32): bool {
  return encr >= ENCR_AES_CCM_8 && encr <= ENCR_AES_CCM_16;
}

@inline
function isGmac(integ: u32): bool {
  return integ >= INTEG_AES_128_GMAC && integ <= INTEG_AES_256_GMAC;
}

// ─── Encryption and combined modes ────────────────────────────────────────────────────────────

/** @returns bytes of STATE, a multiple of 64, or UNKNOWN_SUITE */
export function cipherStateLength(encr: u32, keyLength: u32): u32 {
  if (encr == ENCR_NONE || encr == ENCR_NULL) return 0;
  if (encr == ENCR_CHACHA20_POLY1305) return keyLength == 32 ? chachaStateLength() : UNKNOWN_SUITE;
  if (keyLength != 16 && keyLength != 24 && keyLength != 32) return UNKNOWN_SUITE;
  if (isGcm(encr) || encr == ENCR_NULL_AUTH_AES_GMAC) return gcmStateLength(keyLength);
  if (isCcm(encr)) return ccmStateLength(keyLength);
  if (encr == ENCR_AES_CTR) return ctrStateLength(keyLength);
  if (encr == ENCR_AES_CBC) return cbcStateLength(keyLength);
  return UNKNOWN_SUITE;
}

export function cipherSetup(encr: u32, key: usize, scratch: usize): void {
  if (isGcm(encr) || encr == ENCR_NULL_AUTH_AES_GMAC) gcmSetup(key, scratch);
  else if (isCcm(encr)) ccmSetup(key, scratch);
  else if (encr == ENCR_AES_CTR) ctrSetup(key, scratch);
  else if (encr == ENCR_AES_CBC) cbcSetup(key, scratch);
}

export function cipherSeal(encr: u32, list: usize, count: i32, scratch: usize): void {
  if (encr == ENCR_CHACHA20_POLY1305) chachaSeal(list, count, scratch);
  else if (isGcm(encr)) gcmRun(list, count, scratch, true);
  else if (isCcm(encr)) ccmRun(list, count, scratch, true);
  else if (encr == ENCR_NULL_AUTH_AES_GMAC) gmacRun(list, count, scratch, true);
  else if (encr == ENCR_AES_CTR) ctrRun(list, count, scratch);
  else if (encr == ENCR_AES_CBC) cbcSeal(list, count, scratch);
  else acceptAll(list, count);
}

export function cipherOpen(encr: u32, list: usize, count: i32, scratch: usize): void {
  if (encr == ENCR_CHACHA20_POLY1305) chachaOpen(list, count, scratch);
  else if (isGcm(encr)) gcmRun(list, count, scratch, false);
  else if (isCcm(encr)) ccmRun(list, count, scratch, false);
  else if (encr == ENCR_NULL_AUTH_AES_GMAC) gmacRun(list, count, scratch, false);
  else if (encr == ENCR_AES_CTR) ctrRun(list, count, scratch);
  else if (encr == ENCR_AES_CBC) cbcOpen(list, count, scratch);
  else acceptAll(list, count);
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

/** Bytes of GMAC's key, by INTEG number. */
@inline
function gmacKeyLength(integ: u32): u32 {
  return 16 + ((integ - INTEG_AES_128_GMAC) << 3);
}

/** @returns bytes of STATE, a multiple of 64, or UNKNOWN_SUITE; GMAC is for AH alone (RFC 4543 §4) */
export function integStateLength(encr: u32, integ: u32): u32 {
  if (integ == INTEG_NONE) return 0;
  if (isGmac(integ)) return encr == ENCR_NONE ? gcmStateLength(gmacKeyLength(integ)) : UNKNOWN_SUITE;
  return hashOf(integ) != 0 ? HMAC_STATE_SIZE : UNKNOWN_SUITE;
}

/** @param offset of the integrity algorithm's STATE from `key`, in bytes */
export function integSetup(integ: u32, key: usize, offset: u32, scratch: usize): void {
  const hash = hashOf(integ);
  if (hash != 0) hmacSetup(hash, key, key + offset, scratch);
  else if (isGmac(integ)) gmacSetup(key, scratch);
}

/** Writes each packet's ICV. */
export function integSeal(integ: u32, list: usize, count: i32, offset: u32, scratch: usize): void {
  if (isGmac(integ)) gmacAhRun(list, count, scratch, true);
  else hmacRun(hashOf(integ), list, count, offset, scratch, true);
}

/** Verifies each packet's ICV and sets its STATUS; zeroes what fails. */
export function integOpen(integ: u32, list: usize, count: i32, offset: u32, scratch: usize): void {
  if (isGmac(integ)) gmacAhRun(list, count, scratch, false);
  else hmacRun(hashOf(integ), list, count, offset, scratch, false);
}
