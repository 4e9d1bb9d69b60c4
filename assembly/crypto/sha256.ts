/**
 * SHA-256 (FIPS 180-4): one message in integer registers, or four at once, one per i32x4 lane.
 *
 * `state` holds word i of lane l at byte 16·i + 4·l, so that both ways can work on the same memory;
 * `schedule` is room for the message schedules. Both hold secrets that the caller wipes.
 */
import { bigEndian32, storeTransposed } from "./lanes";

const K: usize = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5,
  0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
  0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
  0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
  0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
  0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
  0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
  0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);
const H256: usize = memory.data<u32>([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]);

@inline
function sum0(x: u32): u32 {
  return rotr<u32>(x, 2) ^ rotr<u32>(x, 13) ^ rotr<u32>(x, 22);
}

@inline
function sum1(x: u32): u32 {
  return rotr<u32>(x, 6) ^ rotr<u32>(x, 11) ^ rotr<u32>(x, 25);
}

@inline
function sigma0(x: u32): u32 {
  return rotr<u32>(x, 7) ^ rotr<u32>(x, 18) ^ (x >> 3);
}

@inline
function sigma1(x: u32): u32 {
  return rotr<u32>(x, 17) ^ rotr<u32>(x, 19) ^ (x >> 10);
}

@inline
function choose(x: u32, y: u32, z: u32): u32 {
  return z ^ (x & (y ^ z));
}

@inline
function majority(x: u32, y: u32, z: u32): u32 {
  return (x & y) | (z & (x | y));
}

@inline
function rotate(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shr_u(x, bits), i32x4.shl(x, 32 - bits));
}

@inline
function sum0x(x: v128): v128 {
  return v128.xor(rotate(x, 2), v128.xor(rotate(x, 13), rotate(x, 22)));
}

@inline
function sum1x(x: v128): v128 {
  return v128.xor(rotate(x, 6), v128.xor(rotate(x, 11), rotate(x, 25)));
}

@inline
function sigma0x(x: v128): v128 {
  return v128.xor(rotate(x, 7), v128.xor(rotate(x, 18), i32x4.shr_u(x, 3)));
}

@inline
function sigma1x(x: v128): v128 {
  return v128.xor(rotate(x, 17), v128.xor(rotate(x, 19), i32x4.shr_u(x, 10)));
}

@inline
function choosex(x: v128, y: v128, z: v128): v128 {
  return v128.xor(z, v128.and(x, v128.xor(y, z)));
}

@inline
function majorityx(x: v128, y: v128, z: v128): v128 {
  return v128.or(v128.and(x, y), v128.and(z, v128.or(x, y)));
}

/** T1 of FIPS 180-4 §6.2.2; `kw` is K[t] + W[t]. */
@inline
function t1(e: u32, f: u32, g: u32, h: u32, kw: u32): u32 {
  return h + sum1(e) + choose(e, f, g) + kw;
}

/** T2 of FIPS 180-4 §6.2.2. */
@inline
function t2(a: u32, b: u32, c: u32): u32 {
  return sum0(a) + majority(a, b, c);
}

@inline
function t1x(e: v128, f: v128, g: v128, h: v128, w: v128, k: v128): v128 {
  return i32x4.add(i32x4.add(i32x4.add(h, i32x4.add(w, k)), choosex(e, f, g)), sum1x(e));
}

@inline
function t2x(a: v128, b: v128, c: v128): v128 {
  return i32x4.add(sum0x(a), majorityx(a, b, c));
}

/** Writes the initial hash value of SHA-256 to one lane of `state`. */
export function sha256Start(state: usize): void {
  for (let i: usize = 0; i < 8; i++) store<u32>(state + (i << 4), load<u32>(H256 + i * 4));
}

/** Absorbs `blocks` of 64 bytes into one lane of `state`. */
export function sha256Blocks(state: usize, from: usize, blocks: u32, schedule: usize): void {
  let a = load<u32>(state);
  let b = load<u32>(state, 16);
  let c = load<u32>(state, 32);
  let d = load<u32>(state, 48);
  let e = load<u32>(state, 64);
  let f = load<u32>(state, 80);
  let g = load<u32>(state, 96);
  let h = load<u32>(state, 112);
  for (; blocks != 0; blocks--, from += 64) {
    expand(from, schedule);
    for (let w = schedule, k = K; w < schedule + 256; w += 32, k += 32) {
      let t: u32;
      t = t1(e, f, g, h, load<u32>(w) + load<u32>(k)); d += t; h = t + t2(a, b, c);
      t = t1(d, e, f, g, load<u32>(w, 4) + load<u32>(k, 4)); c += t; g = t + t2(h, a, b);
      t = t1(c, d, e, f, load<u32>(w, 8) + load<u32>(k, 8)); b += t; f = t + t2(g, h, a);
      t = t1(b, c, d, e, load<u32>(w, 12) + load<u32>(k, 12)); a += t; e = t + t2(f, g, h);
      t = t1(a, b, c, d, load<u32>(w, 16) + load<u32>(k, 16)); h += t; d = t + t2(e, f, g);
      t = t1(h, a, b, c, load<u32>(w, 20) + load<u32>(k, 20)); g += t; c = t + t2(d, e, f);
      t = t1(g, h, a, b, load<u32>(w, 24) + load<u32>(k, 24)); f += t; b = t + t2(c, d, e);
      t = t1(f, g, h, a, load<u32>(w, 28) + load<u32>(k, 28)); e += t; a = t + t2(b, c, d);
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
    f += load<u32>(state, 80);
    store<u32>(state, f, 80);
    g += load<u32>(state, 96);
    store<u32>(state, g, 96);
    h += load<u32>(state, 112);
    store<u32>(state, h, 112);
  }
}

/** The message schedule W of one block. */
@inline
function expand(from: usize, schedule: usize): void {
  for (let i: usize = 0; i < 64; i += 4) store<u32>(schedule + i, bswap<u32>(load<u32>(from + i)));
  for (let w = schedule; w < schedule + 192; w += 4) {
    const next = load<u32>(w) + sigma0(load<u32>(w, 4)) + load<u32>(w, 36) + sigma1(load<u32>(w, 56));
    store<u32>(w, next, 64);
  }
}

/** Absorbs `blocks` of 64 bytes into 4 lanes; lane i reads at the address in `from` + 4·i. */
export function sha256Blocks4(state: usize, from: usize, blocks: u32, schedule: usize): void {
  for (let at: usize = 0; at < <usize>blocks * 64; at += 64) {
    expand4(from, at, schedule);
    let a = v128.load(state);
    let b = v128.load(state, 16);
    let c = v128.load(state, 32);
    let d = v128.load(state, 48);
    let e = v128.load(state, 64);
    let f = v128.load(state, 80);
    let g = v128.load(state, 96);
    let h = v128.load(state, 112);
    for (let w = schedule, k = K; w < schedule + 1024; w += 128, k += 32) {
      let t: v128;
      t = t1x(e, f, g, h, v128.load(w), v128.load32_splat(k));
      d = i32x4.add(d, t); h = i32x4.add(t, t2x(a, b, c));
      t = t1x(d, e, f, g, v128.load(w, 16), v128.load32_splat(k, 4));
      c = i32x4.add(c, t); g = i32x4.add(t, t2x(h, a, b));
      t = t1x(c, d, e, f, v128.load(w, 32), v128.load32_splat(k, 8));
      b = i32x4.add(b, t); f = i32x4.add(t, t2x(g, h, a));
      t = t1x(b, c, d, e, v128.load(w, 48), v128.load32_splat(k, 12));
      a = i32x4.add(a, t); e = i32x4.add(t, t2x(f, g, h));
      t = t1x(a, b, c, d, v128.load(w, 64), v128.load32_splat(k, 16));
      h = i32x4.add(h, t); d = i32x4.add(t, t2x(e, f, g));
      t = t1x(h, a, b, c, v128.load(w, 80), v128.load32_splat(k, 20));
      g = i32x4.add(g, t); c = i32x4.add(t, t2x(d, e, f));
      t = t1x(g, h, a, b, v128.load(w, 96), v128.load32_splat(k, 24));
      f = i32x4.add(f, t); b = i32x4.add(t, t2x(c, d, e));
      t = t1x(f, g, h, a, v128.load(w, 112), v128.load32_splat(k, 28));
      e = i32x4.add(e, t); a = i32x4.add(t, t2x(b, c, d));
    }
    a = i32x4.add(a, v128.load(state));
    v128.store(state, a);
    b = i32x4.add(b, v128.load(state, 16));
    v128.store(state, b, 16);
    c = i32x4.add(c, v128.load(state, 32));
    v128.store(state, c, 32);
    d = i32x4.add(d, v128.load(state, 48));
    v128.store(state, d, 48);
    e = i32x4.add(e, v128.load(state, 64));
    v128.store(state, e, 64);
    f = i32x4.add(f, v128.load(state, 80));
    v128.store(state, f, 80);
    g = i32x4.add(g, v128.load(state, 96));
    v128.store(state, g, 96);
    h = i32x4.add(h, v128.load(state, 112));
    v128.store(state, h, 112);
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
  for (let w = schedule; w < schedule + 768; w += 16) {
    const older = i32x4.add(v128.load(w), sigma0x(v128.load(w, 16)));
    v128.store(w, i32x4.add(older, i32x4.add(v128.load(w, 144), sigma1x(v128.load(w, 224)))), 256);
  }
}
