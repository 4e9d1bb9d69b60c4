// Derives the nibble tables of the AES S-box and prints assembly/crypto/aes-tables.gen.ts.
//
// Hamburg, "Accelerating AES with vector permute instructions" (CHES 2009): GF(2^8) is seen as
// GF(2^4)[θ] with θ² + aθ + a = 0, so an element x = k + iθ is two nibbles (i, k). Its norm is
// N = k² + aik + ai² and its inverse (k + a·i + iθ)/N. With j = i + k, Hamburg's ladder
//
//     iak = 1/i + a/k    jak = 1/j + a/k    io = 1/iak + j    jo = 1/jak + i
//
// needs five 16-entry look-ups and gives 1/io = (k + ai)/N and 1/jo = (k + aj)/N. Their sum is
// ak/N, so both halves of the inverse are linear in 1/io and 1/jo:
//
//     1/x = u·(1 + θ/a + θ/a²) + t·θ/a²        u = 1/io, t = 1/jo
//
// and whatever linear map follows (the S-box's affine part, a multiple for MixColumns, a change of
// basis) is two more look-ups, one in io and one in jo. Zero has no inverse: its table entry is
// 0x80, which a swizzle as an index turns to 0, and which an XOR with a nibble leaves as large; that
// this is right for every zero that can occur is checked below for all 256 inputs.
//
// Between two rounds bytes stay in the tower, as i·16 + k: everything there is linear, so the
// output tables of one round print what the next one's ladder reads, and round keys follow suit.
//   encryption:  v = tower(x)
//   decryption:  v = tower(A⁻¹(x + 0x63)), A the S-box's linear part, which InvSubBytes wants undone first
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'assembly/crypto/aes-tables.gen.ts');
const ZERO_INVERSE = 0x80;
const range = (n) => Array.from({ length: n }, (_, i) => i);

// ─── GF(2^8) of FIPS 197 §4.2: x^8 + x^4 + x^3 + x + 1 ───────────────────────────────────────
function times(a, b) {
  let product = 0;
  for (let x = a, y = b; y; y >>= 1) {
    if (y & 1) product ^= x;
    x = (x << 1) ^ (x & 0x80 ? 0x11b : 0);
  }
  return product;
}
const power = (a, n) => range(n).reduce((product) => times(product, a), 1);
const inverse = (a) => power(a, 254);

// ─── GF(2^4) inside it, a nibble's bits being coordinates over 1, g, g², g³ ──────────────────
const g = range(256).find((x) => power(x, 4) === (x ^ 1));
const element = (nibble) => range(4).reduce((sum, bit) => sum ^ (nibble & (1 << bit) ? power(g, bit) : 0), 0);
const nibbles = new Map(range(16).map((nibble) => [element(nibble), nibble]));
const norm = (k, i, a) => times(k, k) ^ times(a, times(i, k)) ^ times(a, times(i, i));
const a = range(16)
  .map(element)
  .find((a) => a && range(16).every((k) => norm(element(k), 1, a)));
const theta = range(256).find((x) => (times(x, x) ^ times(a, x) ^ a) === 0);

// ─── Bytes to (i, k) and back; FIPS 197 §5.1.1's affine map and its inverse ──────────────────
const fromTower = range(256).map((ik) => element(ik & 15) ^ times(element(ik >> 4), theta));
const toTower = range(256);
for (const ik of range(256)) toTower[fromTower[ik]] = ik;
const affine = (x) => range(5).reduce((sum, n) => sum ^ ((x << n) | (x >> (8 - n))), 0) & 0xff;
const affineInverse = range(256);
for (const x of range(256)) affineInverse[affine(x)] = x;

const overZero = (n, f) => (n === 0 ? ZERO_INVERSE : nibbles.get(f(inverse(element(n)))));
const inverses = range(16).map((n) => overZero(n, (x) => x));
const quotients = range(16).map((n) => overZero(n, (x) => times(a, x)));
const uFactor = 1 ^ times(theta, inverse(a) ^ inverse(times(a, a)));
const tFactor = times(theta, inverse(times(a, a)));
const output = (factor, map) => range(16).map((n) => (n === 0 ? 0 : map(times(factor, inverse(element(n))))));
const outputs = (map) => [output(uFactor, map), output(tFactor, map)];
const inputs = (map) => [range(16).map((n) => map(n)), range(16).map((n) => map(n << 4))];

// tower(A⁻¹(x)), without the constant
const towerInverse = (x) => toTower[affineInverse[x]];
const multiple = (factor) => (x) => times(factor, x);

/** Tables of pairs: the doc comment and a table for either index. */
const pairs = {
  INPUT: ['from a byte, low and high nibble, to the tower', inputs((x) => toTower[x])],
  OUTPUT: ['back from the tower, low and high nibble, to a byte', inputs((x) => fromTower[x])],
  SBOX: ['SubBytes without its 0x63, as bytes', outputs(affine)],
  DOUBLE: ['2·SubBytes without its constant, in the tower', outputs((x) => toTower[multiple(2)(affine(x))])],
  TRIPLE: ['3·SubBytes without its constant, in the tower', outputs((x) => toTower[multiple(3)(affine(x))])],
  INPUT_INVERSE: ['from a byte, low and high nibble, to tower(A⁻¹(x))', inputs(towerInverse)],
  INVERSE: ['InvSubBytes, as bytes', outputs((x) => x)],
  INVERSE_14: ['14·InvSubBytes as tower(A⁻¹(x)), and so on', outputs((x) => towerInverse(multiple(14)(x)))],
  INVERSE_11: ['', outputs((x) => towerInverse(multiple(11)(x)))],
  INVERSE_13: ['', outputs((x) => towerInverse(multiple(13)(x)))],
  INVERSE_9: ['', outputs((x) => towerInverse(multiple(9)(x)))],
};
const constants = {
  NIBBLE_MASK: ['sixteen times 15', 15],
  AFFINE: ['sixteen times the S-box’s constant 0x63, as a byte', 0x63],
  AFFINE_TOWER: ['tower(0x63)', toTower[0x63]],
  AFFINE_INVERSE: ['tower(A⁻¹(0x63))', towerInverse(0x63)],
};

// ─── The ladder over all bytes gives FIPS 197's S-box ────────────────────────────────────────
const swizzle = (table, index) => (index & 0x80 ? 0 : table[index & 15]);
function ladder(x, [low, high], [u, t]) {
  const ik = swizzle(low, x & 15) ^ swizzle(high, x >> 4);
  const [i, k] = [ik >> 4, ik & 15];
  const ak = swizzle(quotients, k);
  const io = swizzle(inverses, swizzle(inverses, i) ^ ak) ^ i ^ k;
  const jo = swizzle(inverses, swizzle(inverses, i ^ k) ^ ak) ^ i;
  return swizzle(u, io) ^ swizzle(t, jo);
}
for (const x of range(256)) {
  const s = affine(x ? inverse(x) : 0);
  const check = (input, from, output, wanted) => {
    if (ladder(from, pairs[input][1], pairs[output][1]) !== wanted) throw new Error(`${output} is wrong at ${x}`);
  };
  check('INPUT', x, 'SBOX', s);
  check('INPUT', x, 'DOUBLE', toTower[times(2, s)]);
  check('INPUT', x, 'TRIPLE', toTower[times(3, s)]);
  check('INPUT_INVERSE', s, 'INVERSE', x);
  for (const n of [9, 11, 13, 14]) check('INPUT_INVERSE', s, `INVERSE_${n}`, towerInverse(times(n, x)));
}

const isOfNibbles = (name) => name.startsWith('INPUT') || name === 'OUTPUT';
const bytes = (table) => table.map((x) => `0x${x.toString(16).padStart(2, '0')}`).join(', ');
const tables = [
  ['1/n in GF(2^4); 0x80 stands for 1/0', 'INVERSES', inverses],
  ['a/n', 'QUOTIENTS', quotients],
  ...Object.entries(pairs).flatMap(([name, [why, [first, second]]]) => [
    [why, `${name}_${isOfNibbles(name) ? 'LOW' : 'U'}`, first],
    ['', `${name}_${isOfNibbles(name) ? 'HIGH' : 'T'}`, second],
  ]),
  ...Object.entries(constants).map(([name, [why, value]]) => [why, name, range(16).fill(value)]),
];
const source = `// Printed by scripts/generate-aes-tables.mjs, which derives and checks it: do not edit.
${tables
  .map(
    ([why, name, table]) =>
      `${why ? `\n/** ${why} */\n` : ''}export const ${name}: usize = memory.data<u8>(\n  [${bytes(table)}], 16);`,
  )
  .join('\n')}
`;

if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== source) {
    process.stderr.write(`${file} is not what this script prints: run node scripts/generate-aes-tables.mjs\n`);
    process.exit(1);
  }
} else writeFileSync(file, source);
