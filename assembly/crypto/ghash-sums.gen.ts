// Printed by scripts/generate-ghash-sums.mjs: do not edit.
import { IS_WIDE } from "./aes-bits";
import { lookUp } from "./aes-sbox";
import { NIBBLE_MASK } from "./aes-tables.gen";

/**
 * Σ word·W over one to six blocks of each message.
 * @param words one word of the blocks, by power of H
 * @param table of the same word of H's first power, the next one's 1440 bytes behind it
 * @param sum to which low and high words go
 */
@inline
export function sumProducts(words: usize, table: usize, powers: u32, sum: usize): void {
  const mask = v128.load(NIBBLE_MASK);
  let x: v128, l: v128, h: v128;
  let c0: v128, c1: v128, c2: v128, c3: v128, c4: v128;
  if (IS_WIDE) {
    x = v128.load(words, 0);
    l = v128.and(x, mask);
    h = v128.and(i16x8.shr_u(x, 4), mask);
    c0 = v128.xor(lookUp(v128.load(table, 0), l), lookUp(v128.load(table, 16), h));
    c1 = v128.xor(lookUp(v128.load(table, 32), l), lookUp(v128.load(table, 48), h));
    c2 = v128.xor(lookUp(v128.load(table, 64), l), lookUp(v128.load(table, 80), h));
    c3 = v128.xor(lookUp(v128.load(table, 96), l), lookUp(v128.load(table, 112), h));
    c4 = v128.xor(lookUp(v128.load(table, 128), l), lookUp(v128.load(table, 144), h));
    if (powers > 1) {
      x = v128.load(words, 16);
      l = v128.and(x, mask);
      h = v128.and(i16x8.shr_u(x, 4), mask);
      c0 = v128.xor(c0, v128.xor(lookUp(v128.load(table, 1440), l), lookUp(v128.load(table, 1456), h)));
      c1 = v128.xor(c1, v128.xor(lookUp(v128.load(table, 1472), l), lookUp(v128.load(table, 1488), h)));
      c2 = v128.xor(c2, v128.xor(lookUp(v128.load(table, 1504), l), lookUp(v128.load(table, 1520), h)));
      c3 = v128.xor(c3, v128.xor(lookUp(v128.load(table, 1536), l), lookUp(v128.load(table, 1552), h)));
      c4 = v128.xor(c4, v128.xor(lookUp(v128.load(table, 1568), l), lookUp(v128.load(table, 1584), h)));
      if (powers > 2) {
        x = v128.load(words, 32);
        l = v128.and(x, mask);
        h = v128.and(i16x8.shr_u(x, 4), mask);
        c0 = v128.xor(c0, v128.xor(lookUp(v128.load(table, 2880), l), lookUp(v128.load(table, 2896), h)));
        c1 = v128.xor(c1, v128.xor(lookUp(v128.load(table, 2912), l), lookUp(v128.load(table, 2928), h)));
        c2 = v128.xor(c2, v128.xor(lookUp(v128.load(table, 2944), l), lookUp(v128.load(table, 2960), h)));
        c3 = v128.xor(c3, v128.xor(lookUp(v128.load(table, 2976), l), lookUp(v128.load(table, 2992), h)));
        c4 = v128.xor(c4, v128.xor(lookUp(v128.load(table, 3008), l), lookUp(v128.load(table, 3024), h)));
        if (powers > 3) {
          x = v128.load(words, 48);
          l = v128.and(x, mask);
          h = v128.and(i16x8.shr_u(x, 4), mask);
          c0 = v128.xor(c0, v128.xor(lookUp(v128.load(table, 4320), l), lookUp(v128.load(table, 4336), h)));
          c1 = v128.xor(c1, v128.xor(lookUp(v128.load(table, 4352), l), lookUp(v128.load(table, 4368), h)));
          c2 = v128.xor(c2, v128.xor(lookUp(v128.load(table, 4384), l), lookUp(v128.load(table, 4400), h)));
          c3 = v128.xor(c3, v128.xor(lookUp(v128.load(table, 4416), l), lookUp(v128.load(table, 4432), h)));
          c4 = v128.xor(c4, v128.xor(lookUp(v128.load(table, 4448), l), lookUp(v128.load(table, 4464), h)));
          if (powers > 4) {
            x = v128.load(words, 64);
            l = v128.and(x, mask);
            h = v128.and(i16x8.shr_u(x, 4), mask);
            c0 = v128.xor(c0, v128.xor(lookUp(v128.load(table, 5760), l), lookUp(v128.load(table, 5776), h)));
            c1 = v128.xor(c1, v128.xor(lookUp(v128.load(table, 5792), l), lookUp(v128.load(table, 5808), h)));
            c2 = v128.xor(c2, v128.xor(lookUp(v128.load(table, 5824), l), lookUp(v128.load(table, 5840), h)));
            c3 = v128.xor(c3, v128.xor(lookUp(v128.load(table, 5856), l), lookUp(v128.load(table, 5872), h)));
            c4 = v128.xor(c4, v128.xor(lookUp(v128.load(table, 5888), l), lookUp(v128.load(table, 5904), h)));
            if (powers > 5) {
              x = v128.load(words, 80);
              l = v128.and(x, mask);
              h = v128.and(i16x8.shr_u(x, 4), mask);
              c0 = v128.xor(c0, v128.xor(lookUp(v128.load(table, 7200), l), lookUp(v128.load(table, 7216), h)));
              c1 = v128.xor(c1, v128.xor(lookUp(v128.load(table, 7232), l), lookUp(v128.load(table, 7248), h)));
              c2 = v128.xor(c2, v128.xor(lookUp(v128.load(table, 7264), l), lookUp(v128.load(table, 7280), h)));
              c3 = v128.xor(c3, v128.xor(lookUp(v128.load(table, 7296), l), lookUp(v128.load(table, 7312), h)));
              c4 = v128.xor(c4, v128.xor(lookUp(v128.load(table, 7328), l), lookUp(v128.load(table, 7344), h)));
            }
          }
        }
      }
    }
  } else {
    x = v128.load(words, 0);
    l = v128.and(x, mask);
    h = v128.and(i16x8.shr_u(x, 4), mask);
    c0 = v128.xor(lookUp(v128.load(table, 0), l), lookUp(v128.load(table, 16), h));
    c1 = v128.xor(lookUp(v128.load(table, 32), l), lookUp(v128.load(table, 48), h));
    c2 = v128.xor(lookUp(v128.load(table, 64), l), lookUp(v128.load(table, 80), h));
    if (powers > 1) {
      x = v128.load(words, 16);
      l = v128.and(x, mask);
      h = v128.and(i16x8.shr_u(x, 4), mask);
      c0 = v128.xor(c0, v128.xor(lookUp(v128.load(table, 1440), l), lookUp(v128.load(table, 1456), h)));
      c1 = v128.xor(c1, v128.xor(lookUp(v128.load(table, 1472), l), lookUp(v128.load(table, 1488), h)));
      c2 = v128.xor(c2, v128.xor(lookUp(v128.load(table, 1504), l), lookUp(v128.load(table, 1520), h)));
      if (powers > 2) {
        x = v128.load(words, 32);
        l = v128.and(x, mask);
        h = v128.and(i16x8.shr_u(x, 4), mask);
        c0 = v128.xor(c0, v128.xor(lookUp(v128.load(table, 2880), l), lookUp(v128.load(table, 2896), h)));
        c1 = v128.xor(c1, v128.xor(lookUp(v128.load(table, 2912), l), lookUp(v128.load(table, 2928), h)));
        c2 = v128.xor(c2, v128.xor(lookUp(v128.load(table, 2944), l), lookUp(v128.load(table, 2960), h)));
        if (powers > 3) {
          x = v128.load(words, 48);
          l = v128.and(x, mask);
          h = v128.and(i16x8.shr_u(x, 4), mask);
          c0 = v128.xor(c0, v128.xor(lookUp(v128.load(table, 4320), l), lookUp(v128.load(table, 4336), h)));
          c1 = v128.xor(c1, v128.xor(lookUp(v128.load(table, 4352), l), lookUp(v128.load(table, 4368), h)));
          c2 = v128.xor(c2, v128.xor(lookUp(v128.load(table, 4384), l), lookUp(v128.load(table, 4400), h)));
          if (powers > 4) {
            x = v128.load(words, 64);
            l = v128.and(x, mask);
            h = v128.and(i16x8.shr_u(x, 4), mask);
            c0 = v128.xor(c0, v128.xor(lookUp(v128.load(table, 5760), l), lookUp(v128.load(table, 5776), h)));
            c1 = v128.xor(c1, v128.xor(lookUp(v128.load(table, 5792), l), lookUp(v128.load(table, 5808), h)));
            c2 = v128.xor(c2, v128.xor(lookUp(v128.load(table, 5824), l), lookUp(v128.load(table, 5840), h)));
            if (powers > 5) {
              x = v128.load(words, 80);
              l = v128.and(x, mask);
              h = v128.and(i16x8.shr_u(x, 4), mask);
              c0 = v128.xor(c0, v128.xor(lookUp(v128.load(table, 7200), l), lookUp(v128.load(table, 7216), h)));
              c1 = v128.xor(c1, v128.xor(lookUp(v128.load(table, 7232), l), lookUp(v128.load(table, 7248), h)));
              c2 = v128.xor(c2, v128.xor(lookUp(v128.load(table, 7264), l), lookUp(v128.load(table, 7280), h)));
            }
          }
        }
      }
    }
  }
  // Column q moves up by q bytes, within 64 bits; a word's later bytes are its more significant ones.
  const low = v128.xor(v128.xor(c0, i32x4.shl(c1, 8)), i32x4.shl(c2, 16));
  const high = v128.xor(i32x4.shr_u(c2, 16), i32x4.shr_u(c1, 24));
  if (!IS_WIDE) {
    x = v128.load(words, 0);
    l = v128.and(x, mask);
    h = v128.and(i16x8.shr_u(x, 4), mask);
    c3 = v128.xor(lookUp(v128.load(table, 96), l), lookUp(v128.load(table, 112), h));
    c4 = v128.xor(lookUp(v128.load(table, 128), l), lookUp(v128.load(table, 144), h));
    if (powers > 1) {
      x = v128.load(words, 16);
      l = v128.and(x, mask);
      h = v128.and(i16x8.shr_u(x, 4), mask);
      c3 = v128.xor(c3, v128.xor(lookUp(v128.load(table, 1536), l), lookUp(v128.load(table, 1552), h)));
      c4 = v128.xor(c4, v128.xor(lookUp(v128.load(table, 1568), l), lookUp(v128.load(table, 1584), h)));
      if (powers > 2) {
        x = v128.load(words, 32);
        l = v128.and(x, mask);
        h = v128.and(i16x8.shr_u(x, 4), mask);
        c3 = v128.xor(c3, v128.xor(lookUp(v128.load(table, 2976), l), lookUp(v128.load(table, 2992), h)));
        c4 = v128.xor(c4, v128.xor(lookUp(v128.load(table, 3008), l), lookUp(v128.load(table, 3024), h)));
        if (powers > 3) {
          x = v128.load(words, 48);
          l = v128.and(x, mask);
          h = v128.and(i16x8.shr_u(x, 4), mask);
          c3 = v128.xor(c3, v128.xor(lookUp(v128.load(table, 4416), l), lookUp(v128.load(table, 4432), h)));
          c4 = v128.xor(c4, v128.xor(lookUp(v128.load(table, 4448), l), lookUp(v128.load(table, 4464), h)));
          if (powers > 4) {
            x = v128.load(words, 64);
            l = v128.and(x, mask);
            h = v128.and(i16x8.shr_u(x, 4), mask);
            c3 = v128.xor(c3, v128.xor(lookUp(v128.load(table, 5856), l), lookUp(v128.load(table, 5872), h)));
            c4 = v128.xor(c4, v128.xor(lookUp(v128.load(table, 5888), l), lookUp(v128.load(table, 5904), h)));
            if (powers > 5) {
              x = v128.load(words, 80);
              l = v128.and(x, mask);
              h = v128.and(i16x8.shr_u(x, 4), mask);
              c3 = v128.xor(c3, v128.xor(lookUp(v128.load(table, 7296), l), lookUp(v128.load(table, 7312), h)));
              c4 = v128.xor(c4, v128.xor(lookUp(v128.load(table, 7328), l), lookUp(v128.load(table, 7344), h)));
            }
          }
        }
      }
    }
  }
  v128.store(sum, v128.xor(low, i32x4.shl(c3, 24)));
  v128.store(sum, v128.xor(high, v128.xor(c4, i32x4.shr_u(c3, 8))), 16);
}
