// Prints assembly/crypto/chacha20-rounds.gen.ts: the rounds of ChaCha20 (RFC 8439 §2.3.1), unrolled, with
// a step of Poly1305 (§2.5, derived in poly1305.ts) behind every round. The first round, of columns, is
// done where a block begins (chacha20.ts), as blocks of one packet have most of it in common.
//
// Unrolled, because offsets must be constants to cost nothing. A quarter round is a chain of twelve
// operations that each wait for the one before, two cycles each; those of a round and those of other
// SETs are independent, and every one loads and stores its four vectors, so that none has to be kept
// in a register meanwhile. Poly1305 needs integer units and the multiplier, which ChaCha20 leaves idle.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'assembly/crypto/chacha20-rounds.gen.ts');

const COLUMNS = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
];
const DIAGONALS = [
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
];

const indent = (text, spaces) => text.trim().replace(/^(?=.)/gm, ' '.repeat(spaces));

/** Two quarter rounds, step by step in turn: neither waits for its own result, and four registers are left. */
const quarterRounds = (first, second) => {
  const both = (step) => [step(0, ...first), step(1, ...second)].join('\n');
  return [
    both((q, a) => `let a${q} = v128.load(set, ${16 * a});`),
    both((q, _a, b) => `let b${q} = v128.load(set, ${16 * b});`),
    both((q, _a, _b, _c, d) => `let d${q} = v128.load(set, ${16 * d});`),
    both((q) => `a${q} = i32x4.add(a${q}, b${q});`),
    both((q) => `d${q} = rotate16(v128.xor(d${q}, a${q}), bytes16);`),
    both((q, _a, _b, c) => `let c${q} = i32x4.add(v128.load(set, ${16 * c}), d${q});`),
    both((q) => `b${q} = rotate(v128.xor(b${q}, c${q}), 12);`),
    both((q, a) => `a${q} = i32x4.add(a${q}, b${q});\nv128.store(set, a${q}, ${16 * a});`),
    both((q, _a, _b, _c, d) => `d${q} = rotate8(v128.xor(d${q}, a${q}), bytes8);\nv128.store(set, d${q}, ${16 * d});`),
    both((q, _a, _b, c) => `c${q} = i32x4.add(c${q}, d${q});\nv128.store(set, c${q}, ${16 * c});`),
    both((q, _a, b) => `b${q} = rotate(v128.xor(b${q}, c${q}), 7);\nv128.store(set, b${q}, ${16 * b});`),
  ].join('\n');
};

const POLY_BLOCK = `
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
}`;

const round = ([first, second, third, fourth]) => `
for (let set = sets; set < end; set += CHACHA_SET_SIZE) {
  {
${indent(quarterRounds(first, second), 4)}
  }
  {
${indent(quarterRounds(third, fourth), 4)}
  }
${indent(POLY_BLOCK, 2)}
}`;

const source = `// Printed by scripts/generate-chacha-rounds.mjs: do not edit.
import { BYTES_16, BYTES_8, CHACHA_SET_SIZE, rotate, rotate16, rotate8 } from "./chacha20";
import { BIT_128, LOW_32, LOW_34, POLY_AT, POLY_H, POLY_LEFT, POLY_R } from "./poly1305";

/**
 * Rounds 2 to 20 of \`count\` SETs, in place.
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
${indent(round(DIAGONALS), 4)}
    if (double == 10) break;
${indent(round(COLUMNS), 4)}
  }
  store<u64>(poly, h0, POLY_H);
  store<u64>(poly, h1, POLY_H + 8);
  store<u64>(poly, h2, POLY_H + 16);
  store<u64>(poly, h3, POLY_H + 24);
  store<u32>(poly, <u32>at, POLY_AT);
  store<u32>(poly, left, POLY_LEFT);
}
`;

if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== source) {
    process.stderr.write(`${file} is not what this script prints: run node scripts/generate-chacha-rounds.mjs\n`);
    process.exit(1);
  }
} else writeFileSync(file, source);
