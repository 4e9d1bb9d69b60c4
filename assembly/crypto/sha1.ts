/**
 * SHA-1 (FIPS 180-4): one message in integer registers, or four at once, one per i32x4 lane.
 *
 * `state` holds word i of lane l at byte 16·i + 4·l, so that both ways can work on the same memory;
 * `schedule` is room for the message schedules. Both hold secrets that the caller wipes.
 */
import { bigEndian32, storeTransposed } from "./lanes";

@inline
function choose(x: u32, y: u32, z: u32): u32 {
  return z ^ (x & (y ^ z));
}

@inline
function parity(x: u32, y: u32, z: u32): u32 {
  return x ^ y ^ z;
}

@inline
function majority(x: u32, y: u32, z: u32): u32 {
  return (x & y) | (z & (x | y));
}

@inline
function rotatex(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(x, bits), i32x4.shr_u(x, 32 - bits));
}

@inline
function choosex(x: v128, y: v128, z: v128): v128 {
  return v128.xor(z, v128.and(x, v128.xor(y, z)));
}

@inline
function parityx(x: v128, y: v128, z: v128): v128 {
  return v128.xor(x, v128.xor(y, z));
}

@inline
function majorityx(x: v128, y: v128, z: v128): v128 {
  return v128.or(v128.and(x, y), v128.and(z, v128.or(x, y)));
}

/** The new e: rotl(a, 5) + f(b, c, d) + e + (K + W). */
@inline
function stepx(a: v128, f: v128, e: v128, kw: v128): v128 {
  return i32x4.add(i32x4.add(rotatex(a, 5), f), i32x4.add(e, kw));
}

/** Writes the initial hash value to one lane of `state`. */
export function sha1Start(state: usize): void {
  store<u32>(state, 0x67452301);
  store<u32>(state, 0xefcdab89, 16);
  store<u32>(state, 0x98badcfe, 32);
  store<u32>(state, 0x10325476, 48);
  store<u32>(state, 0xc3d2e1f0, 64);
}

/** Absorbs `blocks` of 64 bytes into one lane of `state`. */
export function sha1Blocks(state: usize, from: usize, blocks: u32, schedule: usize): void {
  let a = load<u32>(state);
  let b = load<u32>(state, 16);
  let c = load<u32>(state, 32);
  let d = load<u32>(state, 48);
  let e = load<u32>(state, 64);
  for (; blocks != 0; blocks--, from += 64) {
    expand(from, schedule);
    let w = schedule;
    let k: u32;
    k = 0x5a827999;
    for (const end = w + 80; w < end; w += 20) {
      e += rotl<u32>(a, 5) + choose(b, c, d) + k + load<u32>(w); b = rotl<u32>(b, 30);
      d += rotl<u32>(e, 5) + choose(a, b, c) + k + load<u32>(w, 4); a = rotl<u32>(a, 30);
      c += rotl<u32>(d, 5) + choose(e, a, b) + k + load<u32>(w, 8); e = rotl<u32>(e, 30);
      b += rotl<u32>(c, 5) + choose(d, e, a) + k + load<u32>(w, 12); d = rotl<u32>(d, 30);
      a += rotl<u32>(b, 5) + choose(c, d, e) + k + load<u32>(w, 16); c = rotl<u32>(c, 30);
    }
    k = 0x6ed9eba1;
    for (const end = w + 80; w < end; w += 20) {
      e += rotl<u32>(a, 5) + parity(b, c, d) + k + load<u32>(w); b = rotl<u32>(b, 30);
      d += rotl<u32>(e, 5) + parity(a, b, c) + k + load<u32>(w, 4); a = rotl<u32>(a, 30);
      c += rotl<u32>(d, 5) + parity(e, a, b) + k + load<u32>(w, 8); e = rotl<u32>(e, 30);
      b += rotl<u32>(c, 5) + parity(d, e, a) + k + load<u32>(w, 12); d = rotl<u32>(d, 30);
      a += rotl<u32>(b, 5) + parity(c, d, e) + k + load<u32>(w, 16); c = rotl<u32>(c, 30);
    }
    k = 0x8f1bbcdc;
    for (const end = w + 80; w < end; w += 20) {
      e += rotl<u32>(a, 5) + majority(b, c, d) + k + load<u32>(w); b = rotl<u32>(b, 30);
      d += rotl<u32>(e, 5) + majority(a, b, c) + k + load<u32>(w, 4); a = rotl<u32>(a, 30);
      c += rotl<u32>(d, 5) + majority(e, a, b) + k + load<u32>(w, 8); e = rotl<u32>(e, 30);
      b += rotl<u32>(c, 5) + majority(d, e, a) + k + load<u32>(w, 12); d = rotl<u32>(d, 30);
      a += rotl<u32>(b, 5) + majority(c, d, e) + k + load<u32>(w, 16); c = rotl<u32>(c, 30);
    }
    k = 0xca62c1d6;
    for (const end = w + 80; w < end; w += 20) {
      e += rotl<u32>(a, 5) + parity(b, c, d) + k + load<u32>(w); b = rotl<u32>(b, 30);
      d += rotl<u32>(e, 5) + parity(a, b, c) + k + load<u32>(w, 4); a = rotl<u32>(a, 30);
      c += rotl<u32>(d, 5) + parity(e, a, b) + k + load<u32>(w, 8); e = rotl<u32>(e, 30);
      b += rotl<u32>(c, 5) + parity(d, e, a) + k + load<u32>(w, 12); d = rotl<u32>(d, 30);
      a += rotl<u32>(b, 5) + parity(c, d, e) + k + load<u32>(w, 16); c = rotl<u32>(c, 30);
    }
    a += load<u32>(state);
    store<u32>(state, a);
    b += load<u32>(state, 16);
    store<u32>(state, b, 16);
    c += load<u32>(state, 32);
    store<u32>(state, c, 32);
    d += load<u32>(state, 48);
    store<u32>(state, d, 48);
    e += load<u32>(state, 64);
    store<u32>(state, e, 64);
  }
}

/** The message schedule W of one block. */
@inline
function expand(from: usize, schedule: usize): void {
  for (let i: usize = 0; i < 64; i += 4) store<u32>(schedule + i, bswap<u32>(load<u32>(from + i)));
  for (let w = schedule; w < schedule + 256; w += 4) {
    store<u32>(w, rotl<u32>(load<u32>(w) ^ load<u32>(w, 8) ^ load<u32>(w, 32) ^ load<u32>(w, 52), 1), 64);
  }
}

/** Absorbs `blocks` of 64 bytes into 4 lanes; lane i reads at the address in `from` + 4·i. */
export function sha1Blocks4(state: usize, from: usize, blocks: u32, schedule: usize): void {
  for (let at: usize = 0; at < <usize>blocks * 64; at += 64) {
    expand4(from, at, schedule);
    let a = v128.load(state);
    let b = v128.load(state, 16);
    let c = v128.load(state, 32);
    let d = v128.load(state, 48);
    let e = v128.load(state, 64);
    let w = schedule;
    let k: v128;
    k = i32x4.splat(0x5a827999);
    for (const end = w + 320; w < end; w += 80) {
      e = stepx(a, choosex(b, c, d), e, i32x4.add(k, v128.load(w))); b = rotatex(b, 30);
      d = stepx(e, choosex(a, b, c), d, i32x4.add(k, v128.load(w, 16))); a = rotatex(a, 30);
      c = stepx(d, choosex(e, a, b), c, i32x4.add(k, v128.load(w, 32))); e = rotatex(e, 30);
      b = stepx(c, choosex(d, e, a), b, i32x4.add(k, v128.load(w, 48))); d = rotatex(d, 30);
      a = stepx(b, choosex(c, d, e), a, i32x4.add(k, v128.load(w, 64))); c = rotatex(c, 30);
    }
    k = i32x4.splat(0x6ed9eba1);
    for (const end = w + 320; w < end; w += 80) {
      e = stepx(a, parityx(b, c, d), e, i32x4.add(k, v128.load(w))); b = rotatex(b, 30);
      d = stepx(e, parityx(a, b, c), d, i32x4.add(k, v128.load(w, 16))); a = rotatex(a, 30);
      c = stepx(d, parityx(e, a, b), c, i32x4.add(k, v128.load(w, 32))); e = rotatex(e, 30);
      b = stepx(c, parityx(d, e, a), b, i32x4.add(k, v128.load(w, 48))); d = rotatex(d, 30);
      a = stepx(b, parityx(c, d, e), a, i32x4.add(k, v128.load(w, 64))); c = rotatex(c, 30);
    }
    k = i32x4.splat(0x8f1bbcdc);
    for (const end = w + 320; w < end; w += 80) {
      e = stepx(a, majorityx(b, c, d), e, i32x4.add(k, v128.load(w))); b = rotatex(b, 30);
      d = stepx(e, majorityx(a, b, c), d, i32x4.add(k, v128.load(w, 16))); a = rotatex(a, 30);
      c = stepx(d, majorityx(e, a, b), c, i32x4.add(k, v128.load(w, 32))); e = rotatex(e, 30);
      b = stepx(c, majorityx(d, e, a), b, i32x4.add(k, v128.load(w, 48))); d = rotatex(d, 30);
      a = stepx(b, majorityx(c, d, e), a, i32x4.add(k, v128.load(w, 64))); c = rotatex(c, 30);
    }
    k = i32x4.splat(0xca62c1d6);
    for (const end = w + 320; w < end; w += 80) {
      e = stepx(a, parityx(b, c, d), e, i32x4.add(k, v128.load(w))); b = rotatex(b, 30);
      d = stepx(e, parityx(a, b, c), d, i32x4.add(k, v128.load(w, 16))); a = rotatex(a, 30);
      c = stepx(d, parityx(e, a, b), c, i32x4.add(k, v128.load(w, 32))); e = rotatex(e, 30);
      b = stepx(c, parityx(d, e, a), b, i32x4.add(k, v128.load(w, 48))); d = rotatex(d, 30);
      a = stepx(b, parityx(c, d, e), a, i32x4.add(k, v128.load(w, 64))); c = rotatex(c, 30);
    }
    v128.store(state, i32x4.add(a, v128.load(state)));
    v128.store(state, i32x4.add(b, v128.load(state, 16)), 16);
    v128.store(state, i32x4.add(c, v128.load(state, 32)), 32);
    v128.store(state, i32x4.add(d, v128.load(state, 48)), 48);
    v128.store(state, i32x4.add(e, v128.load(state, 64)), 64);
  }
}

/** The message schedules of 4 blocks, word i of each in vector i. */
@inline
function expand4(from: usize, at: usize, schedule: usize): void {
  const a = <usize>load<u32>(from) + at;
  const b = <usize>load<u32>(from, 4) + at;
  const c = <usize>load<u32>(from, 8) + at;
  const d = <usize>load<u32>(from, 12) + at;
  for (let i: usize = 0; i < 64; i += 16) {
    storeTransposed(
      schedule + (i << 2), 16,
      bigEndian32(a + i), bigEndian32(b + i), bigEndian32(c + i), bigEndian32(d + i),
    );
  }
  for (let w = schedule; w < schedule + 1024; w += 16) {
    const older = v128.xor(v128.load(w), v128.load(w, 32));
    v128.store(w, rotatex(v128.xor(older, v128.xor(v128.load(w, 128), v128.load(w, 208))), 1), 256);
  }
}
