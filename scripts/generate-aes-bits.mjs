// Prints assembly/crypto/aes-bits.gen.ts: AES on 64 blocks at once, bit-sliced (assembly/crypto/aes-bits.ts has
// the layout).
//
// V8 makes one 256-bit instruction of two 128-bit ones if they do the same to both halves of what ends up in
// neighbouring stores. So every statement below is printed twice, for half a and half b: `$` in a name becomes
// the half's letter, `@n` the offset n or n + 16. It finds one pair of stores an address and basic block, so no
// block stores to where it has stored before. Half b comes first: a pair whose lower half is stored first is stored
// twice, lest a trap between both be unseen.
//
// What does not fit into registers is kept in linear memory, by `allocate` below: V8 would keep it on the stack, whose
// address differs from process to process, and where that equals the state's modulo 4096, loads wait for stores that
// are none of theirs: AES then takes half as long again for as long as the process lives.
//
// SubBytes: Boyar and Peralta, "A small depth-16 circuit for the AES S-box" (2012), their 115 gates of smallest
// size; what NOTs it has make up the constant 0x63, which is in the round keys. Checked below for all bytes. Gates stand
// in an order that needs few registers (found by annealing), each that one other gate needs in front of that one, for
// Binaryen moves it there.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'assembly/crypto/aes-bits.gen.ts');
/** V8 has fifteen for vectors; with two to spare it keeps none on the stack. */
const REGISTERS = 13;
/** What is in memory already need not be stored: it makes room though it is needed so many times as soon. */
const HOME = 2;
let mostSpills = 0;
const range = (n) => Array.from({ length: n }, (_, i) => i);

/** x0 … x7 to s0 … s7, most significant bit first. */
const CIRCUIT = `
t0=x1^x2 y14=x3^x5 y13=x0^x6 y8=x0^x5 y1=t0^x7 y12=y13^y14 t1=x4^y12 y9=x0^x3 y2=y1^x0 y15=t1^x5 y20=t1^x1
y11=y20^y9 y10=y15^t0 y16=t0^y11 t12=y9&y11 t2=y12&y15 y4=y1^x3 y6=y15^x7 y7=x7^y11 t7=y13&y16 y17=y10^y11
y5=y1^x6 t13=y14&y17 t14=t13^t12 y3=y5^y8 t15=y8&y10 t16=t15^t12 t3=y3&y6 t4=t3^t2 t17=t4^t14 t21=t17^y20 t8=y5&y1
t9=t8^t7 t19=t9^t14 y21=y13^y16 t23=t19^y21 t10=y2&y7 t11=t10^t7 t20=t11^t16 y18=x0^y16 t24=t20^y18 t5=y4&x7
t6=t5^t2 t18=t6^t16 y19=y10^y8 t22=t18^y19 t25=t21^t22 t26=t21&t23 t27=t24^t26 t31=t22^t26 t30=t23^t24 t32=t31&t30
t33=t32^t24 t35=t27^t33 t36=t24&t35 t28=t25&t27 t29=t28^t22 z5=t29&y7 t34=t23^t33 t37=t36^t34 t38=t27^t36
t39=t29&t38 t40=t25^t39 z4=t40&y1 t41=t40^t37 t42=t29^t33 z2=t33&x7 t43=t29^t40 t45=t42^t41 z7=t45&y17 z12=t43&y13
z13=t40&y5 t48=z5^z13 z16=t45&y14 t44=t33^t37 z3=t43&y16 z10=t37&y3 z6=t42&y11 t54=z6^z7 t59=z3^t54 z15=t42&y9
t46=z15^z16 t64=z4^t59 z0=t44&y15 t53=z0^z3 t58=z4^t46 z8=t41&y10 t52=z7^z8 t62=t52^t58 z9=t44&y12 t49=z9^z10
t63=t49^t58 s0=t59^t63 t50=z2^z12 t57=t50^t53 z1=t37&y6 t66=z1^t63 z14=t29&y2 t61=z14^t57 t65=t61^t62 t51=z2^z5
s4=t51^t66 z11=t33&y4 t47=z10^z11 s5=t47^t65 t56=z12^t48 s6=t56^t62 z17=t41&y8 t55=z16^z17 t67=t64^t65 s2=t55^t67
s3=t53^t66 s1=t64^s3 t60=t46^t57 s7=t48^t60`
  .trim()
  .split(/\s+/)
  .map((gate) => gate.match(/^(\w+)=(\w+)([&^])(\w+)$/).slice(1));

// ─── The circuit is FIPS 197 §5.1.1's S-box, but for 0x63 ────────────────────────────────────
function times(a, b) {
  let product = 0;
  for (let x = a, y = b; y; y >>= 1, x = (x << 1) ^ (x & 0x80 ? 0x11b : 0)) if (y & 1) product ^= x;
  return product;
}
for (const byte of range(256)) {
  const inverse = range(254).reduce((product) => times(product, byte), 1);
  const wanted = range(5).reduce((sum, n) => sum ^ ((inverse << n) | (inverse >> (8 - n))), 0) & 0xff;
  const bits = Object.fromEntries(range(8).map((n) => [`x${n}`, (byte >> (7 - n)) & 1]));
  for (const [to, a, gate, b] of CIRCUIT) bits[to] = gate === '&' ? bits[a] & bits[b] : bits[a] ^ bits[b];
  const made = range(8).reduce((sum, n) => sum | (bits[`s${n}`] << (7 - n)), 0);
  if (made !== wanted) throw new Error(`the S-box is wrong at ${byte}`);
}

// ─── Printing ─────────────────────────────────────────────────────────────────────────────────
/** Every line for half a, then for half b. Names that it assigns become locals. */
function halves(lines, indent = '  ') {
  const names = new Set();
  const printed = [];
  for (const line of lines) {
    const both = line.includes('$');
    if (!both) printed.push(`${indent}${line};`);
    else
      for (const [letter, offset] of [
        ['b', 16],
        ['a', 0],
      ]) {
        const name = line.match(/^(\w+)\$ = /)?.[1];
        const text = line.replaceAll('$', letter).replace(/@(\d+)/g, (_, at) => String(Number(at) + offset));
        printed.push(`${indent}${name && !names.has(name + letter) ? 'let ' : ''}${text};`);
        if (name) names.add(name + letter);
      }
  }
  return printed.join('\n');
}

const xor = (...terms) => terms.reduce((sum, term) => `v128.xor(${sum}, ${term})`);
const and = (a, b) => `v128.and(${a}, ${b})`;
const load = (base, at) => `v128.load(${base}, @${at})`;
const store = (base, at, x) => `v128.store(${base}, ${x}, @${at})`;

/**
 * Says what stays in registers and what waits at `spills`: what is needed last goes there.
 * @param operations [result, operands, how it is printed], @param inputs how each is loaded, @param outputs [base, offset]
 * @returns lines
 */
function allocate(operations, inputs, outputs) {
  const lines = [];
  const held = new Set();
  const home = new Map(inputs);
  let spills = 0;
  const needed = (name, from) => {
    const at = operations.findIndex(([, operands], i) => i >= from && operands.includes(name));
    return at < 0 ? Number.POSITIVE_INFINITY : at;
  };
  const makeRoom = (i, kept) => {
    for (const name of held) if (needed(name, i) === Number.POSITIVE_INFINITY) held.delete(name);
    while (held.size >= REGISTERS) {
      const cheap = (name) => (needed(name, i) - i) * (home.has(name) ? HOME : 1);
      const later = (a, b) => cheap(b) - cheap(a);
      const [name] = [...held].filter((one) => !kept.includes(one)).sort(later);
      if (!home.has(name)) {
        lines.push(store('spills', 32 * spills, `${name}$`));
        home.set(name, load('spills', 32 * spills++));
      }
      held.delete(name);
    }
  };
  for (const [i, [result, operands, print]] of operations.entries()) {
    for (const name of operands) {
      if (held.has(name)) continue;
      makeRoom(i, operands);
      lines.push(`${name}$ = ${home.get(name)}`);
      held.add(name);
    }
    makeRoom(i + 1, []);
    held.add(result);
    lines.push(`${result}$ = ${print(...operands.map((name) => `${name}$`))}`);
    const at = outputs.get(result);
    if (at === undefined) continue;
    lines.push(store(...at, `${result}$`));
    home.set(result, load(...at));
  }
  mostSpills = Math.max(mostSpills, spills);
  return lines;
}

/** Offset of a plane: one bit of 64 blocks' bytes of a row. */
const plane = (row, weight) => 32 * (8 * row + weight);
/** The bit that joins `weight` when times 2 takes x^7 to x^8 = x^4 + x^3 + x + 1. */
const reduces = (weight) => [1, 3, 4].includes(weight);

const gates = CIRCUIT.map(([to, a, gate, b]) => [to, [a, b], gate === '&' ? and : xor]);
/** @param input what loads or makes x0 … x7 */
const substitution = (input) =>
  allocate(
    gates,
    new Map(range(8).map((n) => [`x${n}`, input(n)])),
    new Map(range(8).map((n) => [`s${n}`, ['to', plane(0, 7 - n)]])),
  );
const substitute = substitution((n) => load('from', plane(0, 7 - n)));

const enter = substitution((n) =>
  xor(`v128.load(constants$, ${512 + 16 * (7 - n)})`, `v128.load(start$, ${plane(0, 7 - n)})`),
);

const ONE = '1, 2, 3, 0';
const shuffle = (x, lanes) => `i32x4.shuffle(${x}, ${x}, ${lanes})`;
/** ShiftRows: columns are lanes. V8 pairs shuffles by one lane and by three, but not by two. */
const SHIFTS = [[], [ONE], [ONE, ONE], ['3, 0, 1, 2']];
const shiftRow = (row, x) => SHIFTS[row].map((lanes) => `${x} = ${shuffle(x, lanes)}`);

/** With p_r = x_r + x_{r+1} (mod 4): out_r = x_{r+1} + p_{r+2} + 2·p_r, plane by plane. */
const pairSums = (weight) =>
  range(4).map((row) => [`p${row}_${weight}`, [`x${row}_${weight}`, `x${(row + 1) & 3}_${weight}`], xor]);
const mixRow = (weight, row) => {
  const terms = [`x${(row + 1) & 3}_${weight}`, `p${(row + 2) & 3}_${weight}`, `p${row}_${(weight - 1) & 7}`];
  if (reduces(weight)) terms.push(`p${row}_7`);
  const key = `v128.load(keys, ${plane(row, weight) / 2})`;
  const names = range(SHIFTS[row].length + 1).map((n) => `out${row}_${weight}_${SHIFTS[row].length - n}`);
  return [
    [names[0], terms, (x, ...rest) => xor(x, key, ...rest)],
    ...SHIFTS[row].map((lanes, n) => [names[n + 1], [names[n]], (x) => shuffle(x, lanes)]),
  ];
};
const planes = range(8).flatMap((weight) => range(4).map((row) => [row, weight]));
const mixing = [
  ...pairSums(7),
  ...range(8).flatMap((weight) => [
    ...(weight < 7 ? pairSums(weight) : []),
    ...range(4).flatMap((row) => mixRow(weight, row)),
  ]),
];
const mixInputs = planes.map(([row, weight]) => [`x${row}_${weight}`, load('products', plane(row, weight))]);
const mixOutputs = planes.map(([row, weight]) => [`out${row}_${weight}_0`, ['state', plane(row, weight)]]);
const mix = allocate(mixing, new Map(mixInputs), new Map(mixOutputs));

/** Puts what one other operation needs right before that one. */
function nest(operations) {
  const needs = new Map();
  for (const name of operations.flatMap(([, operands]) => operands)) needs.set(name, (needs.get(name) ?? 0) + 1);
  const byResult = new Map(operations.map((operation) => [operation[0], operation]));
  const nested = (operation) => [
    ...operation[1].flatMap((name) => (needs.get(name) === 1 && byResult.has(name) ? nested(byResult.get(name)) : [])),
    operation,
  ];
  return operations.filter(([result]) => needs.get(result) !== 1).flatMap(nested);
}

/**
 * MixColumns of one PAIR and SubBytes of another: a quarter of the one goes where the inversion in a row's SubBytes has
 * little to do at a time.
 */
const substituting = range(4).flatMap((row) => {
  const named = (name) => `${name}r${row}`;
  return gates.map(([result, operands, print]) => [named(result), operands.map(named), print]);
});
const [from, to] = ['t25', 't45'].map((name) => CIRCUIT.findIndex(([result]) => result === name));
let mixed = 0;
const together = substituting.flatMap((operation, i) => {
  const share = ((i % CIRCUIT.length) - from + 1) / (to - from + 1);
  const until = ((Math.floor(i / CIRCUIT.length) + Math.min(1, Math.max(0, share))) * mixing.length) / 4;
  const part = mixing.slice(mixed, Math.floor(until));
  mixed += part.length;
  return [operation, ...part];
});
const mixAndSubstitute = allocate(
  nest(together),
  new Map([
    ...mixInputs,
    ...planes.map(([row, weight]) => [`x${7 - weight}r${row}`, load('next', plane(row, weight))]),
  ]),
  new Map([
    ...mixOutputs,
    ...planes.map(([row, weight]) => [`s${7 - weight}r${row}`, ['nextProducts', plane(row, weight)]]),
  ]),
);

/** Times 2, into d0 … d7. */
const double = range(8).map((weight) => {
  if (weight === 0) return 'd0$ = s7$';
  return `d${weight}$ = ${reduces(weight) ? xor(`s${weight - 1}$`, 's7$') : `s${weight - 1}$`}`;
});
const masked = (weight, row) => xor(and(`s${weight}$`, `once${row}`), and(`d${weight}$`, `twice${row}`));
/** For all lines of either half: a load each would stand between stores, and V8 would not pair it. */
const loadMasks = (rows) =>
  range(rows).flatMap((row) => [
    `const once${row} = v128.load(masks, ${32 * row})`,
    `const twice${row} = v128.load(masks, ${32 * row + 16})`,
  ]);
const loadProduct = range(8).map((weight) => `s${weight}$ = ${load('product', plane(0, weight))}`);

const spread = [
  ...loadMasks(4),
  ...loadProduct,
  ...double,
  ...range(4).flatMap((row) =>
    range(8).flatMap((weight) => [
      `out$ = ${xor(masked(weight, row), `v128.load(constants$, ${plane(row, weight) / 2})`)}`,
      ...shiftRow(row, 'out$'),
      store('state', plane(row, weight), 'out$'),
    ]),
  ),
];
const multiply = [
  ...loadMasks(1),
  ...loadProduct,
  ...double,
  ...range(8).map((weight) => store('to', plane(0, weight), masked(weight, 0))),
];

/** Exchanges the bits of x whose number has the bit `shift` with those of y that have not. */
const exchange = (x, y, shift, mask, t = 't$') => [
  `${t} = ${and(xor(`i32x4.shr_u(${x}, ${shift})`, y), `v128.load(masks, ${mask})`)}`,
  `${y} = ${xor(y, t)}`,
  `${x} = ${xor(x, `i32x4.shl(${t}, ${shift})`)}`,
];
const level = (count, bit, mask) =>
  range(count)
    .filter((n) => !(n & bit))
    .map((n) => [n, n | bit, mask]);
const bytes = [
  ...range(8).map((n) => `x${n}$ = ${xor(load('from', 32 * n), `v128.load(key, ${16 * n})`)}`),
  ...[1, 2, 4].flatMap((bit, n) =>
    level(8, bit, 16 * n).flatMap(([x, y, mask]) => exchange(`x${x}$`, `x${y}$`, bit, mask)),
  ),
  ...range(8).map((n) => store('to', 32 * n, `x${n}$`)),
];
const transposed = [
  ...range(8).map((n) => `let x${n} = v128.load(at, ${16 * n})`),
  'let t: v128',
  ...[1, 2, 4].flatMap((bit, n) =>
    level(8, bit, 16 * n).flatMap(([x, y, mask]) => exchange(`x${x}`, `x${y}`, bit, mask, 't')),
  ),
  ...range(8).map((n) => `v128.store(at, x${n}, ${16 * n})`),
];
const words = [
  ...range(4).map((n) => `x${n}$ = ${load('from', plane(n, 0))}`),
  ...[1, 2].flatMap((bit, n) =>
    level(4, bit, 48 + 16 * n).flatMap(([x, y, mask]) => exchange(`x${x}$`, `x${y}$`, 8 * bit, mask)),
  ),
  ...range(4).map((n) => store('to', plane(n, 0), `x${n}$`)),
];

const source = `// Printed by scripts/generate-aes-bits.mjs, which checks it: do not edit.

/** Bytes of memory for what does not fit into registers. */
export const SPILLS_SIZE: usize = ${32 * mostSpills};

/** SubBytes of a row's eight planes, without 0x63. */
@inline
export function substitutePlanes(from: usize, to: usize, spills: usize): void {
${halves(substitute)}
}

/** MixColumns of 32 planes, AddRoundKey, and the next round's ShiftRows. */
@inline
export function mixPlanes(products: usize, keys: usize, state: usize, spills: usize): void {
${halves(mix)}
}

/** The same, and SubBytes of 32 other planes. */
@inline
export function mixAndSubstitutePlanes(
  products: usize, keys: usize, state: usize, next: usize, nextProducts: usize, spills: usize,
): void {
${halves(mixAndSubstitute)}
}

/** SubBytes of a column's eight planes, which are behind the constants, with those of byte 15 added. */
@inline
export function enterPlanes(
  constantsa: usize, constantsb: usize, starta: usize, startb: usize, to: usize, spills: usize,
): void {
${halves(enter)}
}

/** Adds 1 and 2 times eight planes to constants, in the lanes that eight masks say: two for each row; then ShiftRows. */
@inline
export function spreadPlanes(product: usize, masks: usize, constantsa: usize, constantsb: usize, state: usize): void {
${halves(spread)}
}

/** 1 and 2 times eight planes, each in the lanes of its mask. */
@inline
export function multiplyPlanes(product: usize, masks: usize, to: usize): void {
${halves(multiply)}
}

/** Bytes of a row to its eight planes: the same three levels, one half. */
@inline
export function bytesToPlanes(at: usize, masks: usize): void {
${halves(transposed)}
}

/** AddRoundKey for a row's eight planes, and three of the five levels of a transposition: bits of bytes. */
@inline
export function planesToBytes(from: usize, key: usize, masks: usize, to: usize): void {
${halves(bytes)}
}

/** The other two: bytes of a column's words, from one plane of each row. */
@inline
export function bytesToWords(from: usize, masks: usize, to: usize): void {
${halves(words)}
}
`;

if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== source) {
    process.stderr.write(`${file} is not what this script prints: run node scripts/generate-aes-bits.mjs\n`);
    process.exit(1);
  }
} else writeFileSync(file, source);
