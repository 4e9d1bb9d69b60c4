// Prints assembly/crypto/ghash-sums.gen.ts: the look-ups of assembly/crypto/ghash-lanes.ts, unrolled.
//
// Unrolled, because a loop over one to six powers ends before it has begun to be worth its while: with a branch for
// each power the first product need not be added to anything, and no table's address has to be computed.
//
// Older compilers of V8 (Node.js 20) load all tables between two branches first. Those of five columns do not fit the
// machine's registers then, so there are two passes; newer ones leave them where they are.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'assembly/crypto/ghash-sums.gen.ts');

const POWERS = 6;
/** Bytes of tables: of a column, of a product, of a power. */
const COLUMN_SIZE = 32;
const PRODUCT_SIZE = 5 * COLUMN_SIZE;
const POWER_SIZE = 9 * PRODUCT_SIZE;

const nibbles = (power) => [
  `x = v128.load(words, ${16 * power});`,
  'l = v128.and(x, mask);',
  'h = v128.and(i16x8.shr_u(x, 4), mask);',
];

function look(power, column) {
  const at = power * POWER_SIZE + column * COLUMN_SIZE;
  const product = `v128.xor(lookUp(v128.load(table, ${at}), l), lookUp(v128.load(table, ${at + 16}), h))`;
  return `c${column} = ${power === 0 ? product : `v128.xor(c${column}, ${product})`};`;
}

/** All powers of some columns: each power inside the branch of the one before. */
function pass(columns, power = 0) {
  const lines = [...nibbles(power), ...columns.map((column) => look(power, column))];
  if (power + 1 < POWERS) {
    lines.push(`if (powers > ${power + 1}) {`, ...pass(columns, power + 1).map((line) => `  ${line}`), '}');
  }
  return lines;
}

const indent = (lines, spaces) => lines.map((line) => ' '.repeat(spaces) + line).join('\n');

const source = `// Printed by scripts/generate-ghash-sums.mjs: do not edit.
import { IS_WIDE } from "./aes-bits";
import { lookUp } from "./aes-sbox";
import { NIBBLE_MASK } from "./aes-tables.gen";

/**
 * Σ word·W over one to six blocks of each message.
 * @param words one word of the blocks, by power of H
 * @param table of the same word of H's first power, the next one's ${POWER_SIZE} bytes behind it
 * @param sum to which low and high words go
 */
@inline
export function sumProducts(words: usize, table: usize, powers: u32, sum: usize): void {
  const mask = v128.load(NIBBLE_MASK);
  let x: v128, l: v128, h: v128;
  let c0: v128, c1: v128, c2: v128, c3: v128, c4: v128;
  if (IS_WIDE) {
${indent(pass([0, 1, 2, 3, 4]), 4)}
  } else {
${indent(pass([0, 1, 2]), 4)}
  }
  // Column q moves up by q bytes, within 64 bits; a word's later bytes are its more significant ones.
  const low = v128.xor(v128.xor(c0, i32x4.shl(c1, 8)), i32x4.shl(c2, 16));
  const high = v128.xor(i32x4.shr_u(c2, 16), i32x4.shr_u(c1, 24));
  if (!IS_WIDE) {
${indent(pass([3, 4]), 4)}
  }
  v128.store(sum, v128.xor(low, i32x4.shl(c3, 24)));
  v128.store(sum, v128.xor(high, v128.xor(c4, i32x4.shr_u(c3, 8))), 16);
}
`;

if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== source) {
    process.stderr.write(`${file} is not what this script prints: run node scripts/generate-ghash-sums.mjs\n`);
    process.exit(1);
  }
} else writeFileSync(file, source);
