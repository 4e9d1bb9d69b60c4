/**
 * SHA-512 and SHA-384 (FIPS 180-4): one message in integer registers, or two at once, one per i64x2
 * lane.
 *
 * `state` holds word i of lane l at byte 16·i + 8·l, so that both ways can work on the same memory;
 * `schedule` is room for the message schedules. Both hold secrets that the caller wipes.
 */
import { bigEndian64 } from "./lanes";

const K: usize = memory.data<u64>([
  0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
  0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
  0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
  0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
  0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
  0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
  0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
  0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
  0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
  0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
  0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
  0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
  0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
  0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
  0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
  0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
  0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
  0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
  0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
  0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
]);
const H512: usize = memory.data<u64>([
  0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
  0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
]);
const H384: usize = memory.data<u64>([
  0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17, 0x152fecd8f70e5939,
  0x67332667ffc00b31, 0x8eb44a8768581511, 0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4,
]);

/** Bytes of `schedule` for two messages; the most of all the hashes. */
export const SHA512_SCHEDULE_SIZE: usize = 1280;

@inline
function sum0(x: u64): u64 {
  return rotr<u64>(x, 28) ^ rotr<u64>(x, 34) ^ rotr<u64>(x, 39);
}

@inline
function sum1(x: u64): u64 {
  return rotr<u64>(x, 14) ^ rotr<u64>(x, 18) ^ rotr<u64>(x, 41);
}

@inline
function sigma0(x: u64): u64 {
  return rotr<u64>(x, 1) ^ rotr<u64>(x, 8) ^ (x >> 7);
}

@inline
function sigma1(x: u64): u64 {
  return rotr<u64>(x, 19) ^ rotr<u64>(x, 61) ^ (x >> 6);
}

@inline
function choose(x: u64, y: u64, z: u64): u64 {
  return z ^ (x & (y ^ z));
}

@inline
function majority(x: u64, y: u64, z: u64): u64 {
  return (x & y) | (z & (x | y));
}

@inline
function rotate(x: v128, bits: i32): v128 {
  return v128.or(i64x2.shr_u(x, bits), i64x2.shl(x, 64 - bits));
}

@inline
function sum0x(x: v128): v128 {
  return v128.xor(rotate(x, 28), v128.xor(rotate(x, 34), rotate(x, 39)));
}

@inline
function sum1x(x: v128): v128 {
  return v128.xor(rotate(x, 14), v128.xor(rotate(x, 18), rotate(x, 41)));
}

@inline
function sigma0x(x: v128): v128 {
  return v128.xor(rotate(x, 1), v128.xor(rotate(x, 8), i64x2.shr_u(x, 7)));
}

@inline
function sigma1x(x: v128): v128 {
  return v128.xor(rotate(x, 19), v128.xor(rotate(x, 61), i64x2.shr_u(x, 6)));
}

@inline
function choosex(x: v128, y: v128, z: v128): v128 {
  return v128.xor(z, v128.and(x, v128.xor(y, z)));
}

@inline
function majorityx(x: v128, y: v128, z: v128): v128 {
  return v128.or(v128.and(x, y), v128.and(z, v128.or(x, y)));
}

/** T1 of FIPS 180-4 §6.4.2; `kw` is K[t] + W[t]. */
@inline
function t1(e: u64, f: u64, g: u64, h: u64, kw: u64): u64 {
  return h + sum1(e) + choose(e, f, g) + kw;
}

/** T2 of FIPS 180-4 §6.4.2. */
@inline
function t2(a: u64, b: u64, c: u64): u64 {
  return sum0(a) + majority(a, b, c);
}

@inline
function t1x(e: v128, f: v128, g: v128, h: v128, w: v128, k: v128): v128 {
  return i64x2.add(i64x2.add(i64x2.add(h, i64x2.add(w, k)), choosex(e, f, g)), sum1x(e));
}

@inline
function t2x(a: v128, b: v128, c: v128): v128 {
  return i64x2.add(sum0x(a), majorityx(a, b, c));
}

/** Writes the initial hash value of SHA-512 to one lane of `state`. */
export function sha512Start(state: usize): void {
  for (let i: usize = 0; i < 8; i++) store<u64>(state + (i << 4), load<u64>(H512 + i * 8));
}

/** Writes the initial hash value of SHA-384 to one lane of `state`. */
export function sha384Start(state: usize): void {
  for (let i: usize = 0; i < 8; i++) store<u64>(state + (i << 4), load<u64>(H384 + i * 8));
}

/** Absorbs `blocks` of 128 bytes into one lane of `state`. */
export function sha512Blocks(state: usize, from: usize, blocks: u32, schedule: usize): void {
  let a = load<u64>(state);
  let b = load<u64>(state, 16);
  let c = load<u64>(state, 32);
  let d = load<u64>(state, 48);
  let e = load<u64>(state, 64);
  let f = load<u64>(state, 80);
  let g = load<u64>(state, 96);
  let h = load<u64>(state, 112);
  for (; blocks != 0; blocks--, from += 128) {
    expand(from, schedule);
    for (let w = schedule, k = K; w < schedule + 640; w += 64, k += 64) {
      let t: u64;
      t = t1(e, f, g, h, load<u64>(w) + load<u64>(k)); d += t; h = t + t2(a, b, c);
      t = t1(d, e, f, g, load<u64>(w, 8) + load<u64>(k, 8)); c += t; g = t + t2(h, a, b);
      t = t1(c, d, e, f, load<u64>(w, 16) + load<u64>(k, 16)); b += t; f = t + t2(g, h, a);
      t = t1(b, c, d, e, load<u64>(w, 24) + load<u64>(k, 24)); a += t; e = t + t2(f, g, h);
      t = t1(a, b, c, d, load<u64>(w, 32) + load<u64>(k, 32)); h += t; d = t + t2(e, f, g);
      t = t1(h, a, b, c, load<u64>(w, 40) + load<u64>(k, 40)); g += t; c = t + t2(d, e, f);
      t = t1(g, h, a, b, load<u64>(w, 48) + load<u64>(k, 48)); f += t; b = t + t2(c, d, e);
      t = t1(f, g, h, a, load<u64>(w, 56) + load<u64>(k, 56)); e += t; a = t + t2(b, c, d);
    }
    a += load<u64>(state);
    store<u64>(state, a);
    b += load<u64>(state, 16);
    store<u64>(state, b, 16);
    c += load<u64>(state, 32);
    store<u64>(state, c, 32);
    d += load<u64>(state, 48);
    store<u64>(state, d, 48);
    e += load<u64>(state, 64);
    store<u64>(state, e, 64);
    f += load<u64>(state, 80);
    store<u64>(state, f, 80);
    g += load<u64>(state, 96);
    store<u64>(state, g, 96);
    h += load<u64>(state, 112);
    store<u64>(state, h, 112);
  }
}

/** The message schedule W of one block. */
@inline
function expand(from: usize, schedule: usize): void {
  for (let i: usize = 0; i < 128; i += 8) store<u64>(schedule + i, bswap<u64>(load<u64>(from + i)));
  for (let w = schedule; w < schedule + 512; w += 8) {
    const next = load<u64>(w) + sigma0(load<u64>(w, 8)) + load<u64>(w, 72) + sigma1(load<u64>(w, 112));
    store<u64>(w, next, 128);
  }
}

/** Absorbs `blocks` of 128 bytes into 2 lanes; lane i reads at the address in `from` + 4·i. */
export function sha512Blocks2(state: usize, from: usize, blocks: u32, schedule: usize): void {
  for (let at: usize = 0; at < <usize>blocks * 128; at += 128) {
    expand2(from, at, schedule);
    let a = v128.load(state);
    let b = v128.load(state, 16);
    let c = v128.load(state, 32);
    let d = v128.load(state, 48);
    let e = v128.load(state, 64);
    let f = v128.load(state, 80);
    let g = v128.load(state, 96);
    let h = v128.load(state, 112);
    for (let w = schedule, k = K; w < schedule + 1280; w += 128, k += 64) {
      let t: v128;
      t = t1x(e, f, g, h, v128.load(w), v128.load64_splat(k));
      d = i64x2.add(d, t); h = i64x2.add(t, t2x(a, b, c));
      t = t1x(d, e, f, g, v128.load(w, 16), v128.load64_splat(k, 8));
      c = i64x2.add(c, t); g = i64x2.add(t, t2x(h, a, b));
      t = t1x(c, d, e, f, v128.load(w, 32), v128.load64_splat(k, 16));
      b = i64x2.add(b, t); f = i64x2.add(t, t2x(g, h, a));
      t = t1x(b, c, d, e, v128.load(w, 48), v128.load64_splat(k, 24));
      a = i64x2.add(a, t); e = i64x2.add(t, t2x(f, g, h));
      t = t1x(a, b, c, d, v128.load(w, 64), v128.load64_splat(k, 32));
      h = i64x2.add(h, t); d = i64x2.add(t, t2x(e, f, g));
      t = t1x(h, a, b, c, v128.load(w, 80), v128.load64_splat(k, 40));
      g = i64x2.add(g, t); c = i64x2.add(t, t2x(d, e, f));
      t = t1x(g, h, a, b, v128.load(w, 96), v128.load64_splat(k, 48));
      f = i64x2.add(f, t); b = i64x2.add(t, t2x(c, d, e));
      t = t1x(f, g, h, a, v128.load(w, 112), v128.load64_splat(k, 56));
      e = i64x2.add(e, t); a = i64x2.add(t, t2x(b, c, d));
    }
    a = i64x2.add(a, v128.load(state));
    v128.store(state, a);
    b = i64x2.add(b, v128.load(state, 16));
    v128.store(state, b, 16);
    c = i64x2.add(c, v128.load(state, 32));
    v128.store(state, c, 32);
    d = i64x2.add(d, v128.load(state, 48));
    v128.store(state, d, 48);
    e = i64x2.add(e, v128.load(state, 64));
    v128.store(state, e, 64);
    f = i64x2.add(f, v128.load(state, 80));
    v128.store(state, f, 80);
    g = i64x2.add(g, v128.load(state, 96));
    v128.store(state, g, 96);
    h = i64x2.add(h, v128.load(state, 112));
    v128.store(state, h, 112);
  }
}

/** The message schedules of 2 blocks, word i of each in vector i. */
@inline
function expand2(from: usize, at: usize, schedule: usize): void {
  const a = <usize>load<u32>(from) + at;
  const b = <usize>load<u32>(from, 4) + at;
  for (let i: usize = 0; i < 128; i += 16) {
    const x = bigEndian64(a + i);
    const y = bigEndian64(b + i);
    v128.store(schedule + (i << 1), v128.shuffle<i64>(x, y, 0, 2));
    v128.store(schedule + (i << 1), v128.shuffle<i64>(x, y, 1, 3), 16);
  }
  for (let w = schedule; w < schedule + 1024; w += 16) {
    const older = i64x2.add(v128.load(w), sigma0x(v128.load(w, 16)));
    v128.store(w, i64x2.add(older, i64x2.add(v128.load(w, 144), sigma1x(v128.load(w, 224)))), 256);
  }
}
