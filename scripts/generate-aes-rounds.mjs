// Prints assembly/crypto/aes-rounds.gen.ts: a round of AES on byte-sliced blocks (assembly/crypto/aes-lanes.ts
// has the derivation and the layout), unrolled.
//
// Unrolled, because the processor's front end is the limit: with constant offsets a look-up's vectors
// need no address arithmetic. Two rows of a column at a time, step by step: neither waits for the other,
// both fit the registers, and the sum of neighbours u_0 or u_2 is made where its parts still are.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'assembly/crypto/aes-rounds.gen.ts');

const COLUMNS = [0, 1, 2, 3];
/** Offset of the vector that ShiftRows brings to a row of a column (FIPS 197 §5.1.2). */
const shifted = (column, row) => (((column + row) & 3) << 6) + (row << 4);
/** Offset of a column's products: D_0, u_0, T_1, –, D_2, u_2, T_3, –. */
const products = (column) => 256 + (column << 7);

const indent = (text, spaces) => text.trim().replace(/^(?=.)/gm, ' '.repeat(spaces));

/** SubBytes times 2 and 3 of rows `row` and `row` + 1 of a column. */
const substitute = (column, row) => `
x0 = v128.load(set, ${shifted(column, row)});
x1 = v128.load(set, ${shifted(column, row + 1)});
k0 = v128.and(x0, mask);
k1 = v128.and(x1, mask);
i0 = v128.and(i16x8.shr_u(x0, 4), mask);
i1 = v128.and(i16x8.shr_u(x1, 4), mask);
j0 = v128.xor(i0, k0);
j1 = v128.xor(i1, k1);
ak0 = lookUp(quotients, k0);
ak1 = lookUp(quotients, k1);
io0 = ladderOutput(inverses, i0, j0, ak0);
io1 = ladderOutput(inverses, i1, j1, ak1);
jo0 = ladderOutput(inverses, j0, i0, ak0);
jo1 = ladderOutput(inverses, j1, i1, ak1);
double1 = v128.xor(lookUp(doubleU, io1), lookUp(doubleT, jo1));
triple0 = v128.xor(lookUp(tripleU, io0), lookUp(tripleT, jo0));
v128.store(set, v128.xor(lookUp(doubleU, io0), lookUp(doubleT, jo0)), ${products(column) + 16 * 2 * row});
v128.store(set, v128.xor(triple0, double1), ${products(column) + 16 * (2 * row + 1)});
v128.store(set, v128.xor(lookUp(tripleU, io1), lookUp(tripleT, jo1)), ${products(column) + 16 * (2 * row + 2)});`;

/** What is left of MixColumns, and AddRoundKey. */
const add = (column) => `
u0 = v128.load(set, ${products(column) + 16});
u1 = v128.xor(v128.load(set, ${products(column) + 32}), v128.load(set, ${products(column) + 64}));
u2 = v128.load(set, ${products(column) + 80});
u3 = v128.xor(v128.load(set, ${products(column) + 96}), v128.load(set, ${products(column)}));
u01 = v128.xor(u0, u1);
u23 = v128.xor(u2, u3);
${[0, 1, 2, 3]
  .map((row) => [row, `v128.xor(u${row ^ 1}, u${row < 2 ? 23 : '01'})`, 64 * column + 16 * row])
  .map(([_, others, at]) => `v128.store(set, v128.xor(${others}, v128.load(keys, ${at})), ${at});`)
  .join('\n')}`;

const source = `// Printed by scripts/generate-aes-rounds.mjs: do not edit.
import { SET_SIZE, SLICED_SIZE } from "./aes-lanes";
import { ladderOutput, lookUp } from "./aes-sbox";
import { DOUBLE_T, DOUBLE_U, INVERSES, NIBBLE_MASK, QUOTIENTS, TRIPLE_T, TRIPLE_U } from "./aes-tables.gen";

/**
 * Rounds that end in MixColumns, for \`sets\` SETs.
 * @param keys the first round's sliced key
 */
export function middleRounds(state: usize, sets: i32, keys: usize, rounds: i32): void {
  const mask = v128.load(NIBBLE_MASK);
  const inverses = v128.load(INVERSES);
  const quotients = v128.load(QUOTIENTS);
  const doubleU = v128.load(DOUBLE_U);
  const doubleT = v128.load(DOUBLE_T);
  const tripleU = v128.load(TRIPLE_U);
  const tripleT = v128.load(TRIPLE_T);
  const end = state + sets * SET_SIZE;
  for (; rounds > 0; rounds--, keys += SLICED_SIZE) {
    for (let set = state; set < end; set += SET_SIZE) {
      let x0: v128, k0: v128, i0: v128, j0: v128, ak0: v128, io0: v128, jo0: v128, triple0: v128;
      let x1: v128, k1: v128, i1: v128, j1: v128, ak1: v128, io1: v128, jo1: v128, double1: v128;
${COLUMNS.flatMap((column) => [0, 2].map((row) => indent(substitute(column, row), 6))).join('\n\n')}

      let u0: v128, u1: v128, u2: v128, u3: v128, u01: v128, u23: v128;
${COLUMNS.map((column) => indent(add(column), 6)).join('\n\n')}
    }
  }
}
`;

if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== source) {
    process.stderr.write(`${file} is not what this script prints: run node scripts/generate-aes-rounds.mjs\n`);
    process.exit(1);
  }
} else writeFileSync(file, source);
