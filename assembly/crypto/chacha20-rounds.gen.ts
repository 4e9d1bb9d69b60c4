// Printed by scripts/generate-chacha-rounds.mjs: do not edit.
import { BYTES_16, BYTES_8, CHACHA_SET_SIZE, rotate, rotate16, rotate8 } from "./chacha20";
import { POLY_AT, POLY_H, POLY_LEFT, POLY_R } from "./poly1305";

/**
 * Twenty rounds of `count` SETs, in place.
 * @param poly a POLY, of whose pending blocks up to one is absorbed in each round of each SET
 */
export function chachaRounds(sets: usize, count: i32, poly: usize): void {
  const bytes16 = v128.load(BYTES_16);
  const bytes8 = v128.load(BYTES_8);
  const r0: u64 = load<u32>(poly, POLY_R);
  const r1: u64 = load<u32>(poly, POLY_R + 4);
  const r2: u64 = load<u32>(poly, POLY_R + 8);
  const r3: u64 = load<u32>(poly, POLY_R + 12);
  const s1 = r1 + (r1 >> 2);
  const s2 = r2 + (r2 >> 2);
  const s3 = r3 + (r3 >> 2);
  let h0 = load<u64>(poly, POLY_H);
  let h1 = load<u64>(poly, POLY_H + 8);
  let h2 = load<u64>(poly, POLY_H + 16);
  let h3 = load<u64>(poly, POLY_H + 24);
  let h4 = load<u64>(poly, POLY_H + 32);
  let at: usize = load<u32>(poly, POLY_AT);
  let left = load<u32>(poly, POLY_LEFT);
  const end = sets + count * CHACHA_SET_SIZE;
  for (let round = 0; round < 10; round++) {
    for (let set = sets; set < end; set += CHACHA_SET_SIZE) {
      let a: v128, b: v128, c: v128, d: v128;
      a = v128.load(set, 0);
      b = v128.load(set, 64);
      c = v128.load(set, 128);
      d = v128.load(set, 192);
      a = i32x4.add(a, b);
      d = rotate16(v128.xor(d, a), bytes16);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 12);
      a = i32x4.add(a, b);
      d = rotate8(v128.xor(d, a), bytes8);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 7);
      v128.store(set, a, 0);
      v128.store(set, b, 64);
      v128.store(set, c, 128);
      v128.store(set, d, 192);

      a = v128.load(set, 16);
      b = v128.load(set, 80);
      c = v128.load(set, 144);
      d = v128.load(set, 208);
      a = i32x4.add(a, b);
      d = rotate16(v128.xor(d, a), bytes16);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 12);
      a = i32x4.add(a, b);
      d = rotate8(v128.xor(d, a), bytes8);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 7);
      v128.store(set, a, 16);
      v128.store(set, b, 80);
      v128.store(set, c, 144);
      v128.store(set, d, 208);

      a = v128.load(set, 32);
      b = v128.load(set, 96);
      c = v128.load(set, 160);
      d = v128.load(set, 224);
      a = i32x4.add(a, b);
      d = rotate16(v128.xor(d, a), bytes16);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 12);
      a = i32x4.add(a, b);
      d = rotate8(v128.xor(d, a), bytes8);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 7);
      v128.store(set, a, 32);
      v128.store(set, b, 96);
      v128.store(set, c, 160);
      v128.store(set, d, 224);

      a = v128.load(set, 48);
      b = v128.load(set, 112);
      c = v128.load(set, 176);
      d = v128.load(set, 240);
      a = i32x4.add(a, b);
      d = rotate16(v128.xor(d, a), bytes16);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 12);
      a = i32x4.add(a, b);
      d = rotate8(v128.xor(d, a), bytes8);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 7);
      v128.store(set, a, 48);
      v128.store(set, b, 112);
      v128.store(set, c, 176);
      v128.store(set, d, 240);

      if (left != 0) {
        h0 += <u64>load<u32>(at);
        h1 += <u64>load<u32>(at, 4);
        h2 += <u64>load<u32>(at, 8);
        h3 += <u64>load<u32>(at, 12);
        h4 += 1;
        const d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1;
        const d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + h4 * s1 + (d0 >> 32);
        const d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + h4 * s2 + (d1 >> 32);
        const d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s3 + (d2 >> 32);
        const d4 = h4 * r0 + (d3 >> 32);
        h0 = (d0 & 0xffffffff) + (d4 >> 2) + (d4 & ~3);
        h1 = d1 & 0xffffffff;
        h2 = d2 & 0xffffffff;
        h3 = d3 & 0xffffffff;
        h4 = d4 & 3;
        at += 16;
        left--;
      }
    }
    for (let set = sets; set < end; set += CHACHA_SET_SIZE) {
      let a: v128, b: v128, c: v128, d: v128;
      a = v128.load(set, 0);
      b = v128.load(set, 80);
      c = v128.load(set, 160);
      d = v128.load(set, 240);
      a = i32x4.add(a, b);
      d = rotate16(v128.xor(d, a), bytes16);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 12);
      a = i32x4.add(a, b);
      d = rotate8(v128.xor(d, a), bytes8);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 7);
      v128.store(set, a, 0);
      v128.store(set, b, 80);
      v128.store(set, c, 160);
      v128.store(set, d, 240);

      a = v128.load(set, 16);
      b = v128.load(set, 96);
      c = v128.load(set, 176);
      d = v128.load(set, 192);
      a = i32x4.add(a, b);
      d = rotate16(v128.xor(d, a), bytes16);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 12);
      a = i32x4.add(a, b);
      d = rotate8(v128.xor(d, a), bytes8);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 7);
      v128.store(set, a, 16);
      v128.store(set, b, 96);
      v128.store(set, c, 176);
      v128.store(set, d, 192);

      a = v128.load(set, 32);
      b = v128.load(set, 112);
      c = v128.load(set, 128);
      d = v128.load(set, 208);
      a = i32x4.add(a, b);
      d = rotate16(v128.xor(d, a), bytes16);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 12);
      a = i32x4.add(a, b);
      d = rotate8(v128.xor(d, a), bytes8);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 7);
      v128.store(set, a, 32);
      v128.store(set, b, 112);
      v128.store(set, c, 128);
      v128.store(set, d, 208);

      a = v128.load(set, 48);
      b = v128.load(set, 64);
      c = v128.load(set, 144);
      d = v128.load(set, 224);
      a = i32x4.add(a, b);
      d = rotate16(v128.xor(d, a), bytes16);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 12);
      a = i32x4.add(a, b);
      d = rotate8(v128.xor(d, a), bytes8);
      c = i32x4.add(c, d);
      b = rotate(v128.xor(b, c), 7);
      v128.store(set, a, 48);
      v128.store(set, b, 64);
      v128.store(set, c, 144);
      v128.store(set, d, 224);

      if (left != 0) {
        h0 += <u64>load<u32>(at);
        h1 += <u64>load<u32>(at, 4);
        h2 += <u64>load<u32>(at, 8);
        h3 += <u64>load<u32>(at, 12);
        h4 += 1;
        const d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1;
        const d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + h4 * s1 + (d0 >> 32);
        const d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + h4 * s2 + (d1 >> 32);
        const d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s3 + (d2 >> 32);
        const d4 = h4 * r0 + (d3 >> 32);
        h0 = (d0 & 0xffffffff) + (d4 >> 2) + (d4 & ~3);
        h1 = d1 & 0xffffffff;
        h2 = d2 & 0xffffffff;
        h3 = d3 & 0xffffffff;
        h4 = d4 & 3;
        at += 16;
        left--;
      }
    }
  }
  store<u64>(poly, h0, POLY_H);
  store<u64>(poly, h1, POLY_H + 8);
  store<u64>(poly, h2, POLY_H + 16);
  store<u64>(poly, h3, POLY_H + 24);
  store<u64>(poly, h4, POLY_H + 32);
  store<u32>(poly, <u32>at, POLY_AT);
  store<u32>(poly, left, POLY_LEFT);
}
