// Printed by scripts/generate-chacha-rounds.mjs: do not edit.
import { BYTES_16, BYTES_8, CHACHA_SET_SIZE, rotate, rotate16, rotate8 } from "./chacha20";
import { BIT_128, LOW_32, LOW_34, POLY_AT, POLY_H, POLY_LEFT, POLY_R } from "./poly1305";

/**
 * Rounds 2 to 20 of `count` SETs, in place.
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
  let at: usize = load<u32>(poly, POLY_AT);
  let left = load<u32>(poly, POLY_LEFT);
  const end = sets + count * CHACHA_SET_SIZE;
  for (let double = 1; ; double++) {
    for (let set = sets; set < end; set += CHACHA_SET_SIZE) {
      {
        let a0 = v128.load(set, 0);
        let a1 = v128.load(set, 16);
        let b0 = v128.load(set, 80);
        let b1 = v128.load(set, 96);
        let d0 = v128.load(set, 240);
        let d1 = v128.load(set, 192);
        a0 = i32x4.add(a0, b0);
        a1 = i32x4.add(a1, b1);
        d0 = rotate16(v128.xor(d0, a0), bytes16);
        d1 = rotate16(v128.xor(d1, a1), bytes16);
        let c0 = i32x4.add(v128.load(set, 160), d0);
        let c1 = i32x4.add(v128.load(set, 176), d1);
        b0 = rotate(v128.xor(b0, c0), 12);
        b1 = rotate(v128.xor(b1, c1), 12);
        a0 = i32x4.add(a0, b0);
        v128.store(set, a0, 0);
        a1 = i32x4.add(a1, b1);
        v128.store(set, a1, 16);
        d0 = rotate8(v128.xor(d0, a0), bytes8);
        v128.store(set, d0, 240);
        d1 = rotate8(v128.xor(d1, a1), bytes8);
        v128.store(set, d1, 192);
        c0 = i32x4.add(c0, d0);
        v128.store(set, c0, 160);
        c1 = i32x4.add(c1, d1);
        v128.store(set, c1, 176);
        b0 = rotate(v128.xor(b0, c0), 7);
        v128.store(set, b0, 80);
        b1 = rotate(v128.xor(b1, c1), 7);
        v128.store(set, b1, 96);
      }
      {
        let a0 = v128.load(set, 32);
        let a1 = v128.load(set, 48);
        let b0 = v128.load(set, 112);
        let b1 = v128.load(set, 64);
        let d0 = v128.load(set, 208);
        let d1 = v128.load(set, 224);
        a0 = i32x4.add(a0, b0);
        a1 = i32x4.add(a1, b1);
        d0 = rotate16(v128.xor(d0, a0), bytes16);
        d1 = rotate16(v128.xor(d1, a1), bytes16);
        let c0 = i32x4.add(v128.load(set, 128), d0);
        let c1 = i32x4.add(v128.load(set, 144), d1);
        b0 = rotate(v128.xor(b0, c0), 12);
        b1 = rotate(v128.xor(b1, c1), 12);
        a0 = i32x4.add(a0, b0);
        v128.store(set, a0, 32);
        a1 = i32x4.add(a1, b1);
        v128.store(set, a1, 48);
        d0 = rotate8(v128.xor(d0, a0), bytes8);
        v128.store(set, d0, 208);
        d1 = rotate8(v128.xor(d1, a1), bytes8);
        v128.store(set, d1, 224);
        c0 = i32x4.add(c0, d0);
        v128.store(set, c0, 128);
        c1 = i32x4.add(c1, d1);
        v128.store(set, c1, 144);
        b0 = rotate(v128.xor(b0, c0), 7);
        v128.store(set, b0, 112);
        b1 = rotate(v128.xor(b1, c1), 7);
        v128.store(set, b1, 64);
      }
      if (left != 0) {
        const d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1;
        const d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + (d0 >> 32);
        const d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + (d1 >> 32);
        const d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + (d2 >> 32);
        h0 = (d0 & LOW_32) + (d3 >> 34) * 5 + <u64>load<u32>(at);
        h1 = (d1 & LOW_32) + <u64>load<u32>(at, 4);
        h2 = (d2 & LOW_32) + <u64>load<u32>(at, 8);
        h3 = (d3 & LOW_34) + <u64>load<u32>(at, 12) + BIT_128;
        at += 16;
        left--;
      }
    }
    if (double == 10) break;
    for (let set = sets; set < end; set += CHACHA_SET_SIZE) {
      {
        let a0 = v128.load(set, 0);
        let a1 = v128.load(set, 16);
        let b0 = v128.load(set, 64);
        let b1 = v128.load(set, 80);
        let d0 = v128.load(set, 192);
        let d1 = v128.load(set, 208);
        a0 = i32x4.add(a0, b0);
        a1 = i32x4.add(a1, b1);
        d0 = rotate16(v128.xor(d0, a0), bytes16);
        d1 = rotate16(v128.xor(d1, a1), bytes16);
        let c0 = i32x4.add(v128.load(set, 128), d0);
        let c1 = i32x4.add(v128.load(set, 144), d1);
        b0 = rotate(v128.xor(b0, c0), 12);
        b1 = rotate(v128.xor(b1, c1), 12);
        a0 = i32x4.add(a0, b0);
        v128.store(set, a0, 0);
        a1 = i32x4.add(a1, b1);
        v128.store(set, a1, 16);
        d0 = rotate8(v128.xor(d0, a0), bytes8);
        v128.store(set, d0, 192);
        d1 = rotate8(v128.xor(d1, a1), bytes8);
        v128.store(set, d1, 208);
        c0 = i32x4.add(c0, d0);
        v128.store(set, c0, 128);
        c1 = i32x4.add(c1, d1);
        v128.store(set, c1, 144);
        b0 = rotate(v128.xor(b0, c0), 7);
        v128.store(set, b0, 64);
        b1 = rotate(v128.xor(b1, c1), 7);
        v128.store(set, b1, 80);
      }
      {
        let a0 = v128.load(set, 32);
        let a1 = v128.load(set, 48);
        let b0 = v128.load(set, 96);
        let b1 = v128.load(set, 112);
        let d0 = v128.load(set, 224);
        let d1 = v128.load(set, 240);
        a0 = i32x4.add(a0, b0);
        a1 = i32x4.add(a1, b1);
        d0 = rotate16(v128.xor(d0, a0), bytes16);
        d1 = rotate16(v128.xor(d1, a1), bytes16);
        let c0 = i32x4.add(v128.load(set, 160), d0);
        let c1 = i32x4.add(v128.load(set, 176), d1);
        b0 = rotate(v128.xor(b0, c0), 12);
        b1 = rotate(v128.xor(b1, c1), 12);
        a0 = i32x4.add(a0, b0);
        v128.store(set, a0, 32);
        a1 = i32x4.add(a1, b1);
        v128.store(set, a1, 48);
        d0 = rotate8(v128.xor(d0, a0), bytes8);
        v128.store(set, d0, 224);
        d1 = rotate8(v128.xor(d1, a1), bytes8);
        v128.store(set, d1, 240);
        c0 = i32x4.add(c0, d0);
        v128.store(set, c0, 160);
        c1 = i32x4.add(c1, d1);
        v128.store(set, c1, 176);
        b0 = rotate(v128.xor(b0, c0), 7);
        v128.store(set, b0, 96);
        b1 = rotate(v128.xor(b1, c1), 7);
        v128.store(set, b1, 112);
      }
      if (left != 0) {
        const d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1;
        const d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + (d0 >> 32);
        const d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + (d1 >> 32);
        const d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + (d2 >> 32);
        h0 = (d0 & LOW_32) + (d3 >> 34) * 5 + <u64>load<u32>(at);
        h1 = (d1 & LOW_32) + <u64>load<u32>(at, 4);
        h2 = (d2 & LOW_32) + <u64>load<u32>(at, 8);
        h3 = (d3 & LOW_34) + <u64>load<u32>(at, 12) + BIT_128;
        at += 16;
        left--;
      }
    }
  }
  store<u64>(poly, h0, POLY_H);
  store<u64>(poly, h1, POLY_H + 8);
  store<u64>(poly, h2, POLY_H + 16);
  store<u64>(poly, h3, POLY_H + 24);
  store<u32>(poly, <u32>at, POLY_AT);
  store<u32>(poly, left, POLY_LEFT);
}
