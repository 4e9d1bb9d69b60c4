/** SIMD instructions on integers: what they compute, and which bytes of the result are secret. */
import { type Instruction, PREFIX_SIMD } from './decode.ts';
import type { TaintMachine } from './machine.ts';

type Run = (machine: TaintMachine, instruction: Instruction) => void;

/** Lanes of 1, 2, 4 or 8 bytes; 's' signed, 'u' unsigned. */
type Shape = 'i8' | 'u8' | 'i16' | 'u16' | 'i32' | 'u32' | 'i64' | 'u64';

const BYTES: Readonly<Record<Shape, number>> = { i8: 1, u8: 1, i16: 2, u16: 2, i32: 4, u32: 4, i64: 8, u64: 8 };
const ALL = 0xffff;

/** Makes every lane secret that has a secret byte. */
function spread(mask: number, bytes: number): number {
  if (mask === 0 || bytes === 1) return mask;
  const lane = (1 << bytes) - 1;
  let result = 0;
  for (let at = 0; at < 16; at += bytes) if (((mask >> at) & lane) !== 0) result |= lane << at;
  return result & ALL;
}

const table = new Map<number, Run>();
const define = (opcode: number, run: Run) => table.set(PREFIX_SIMD | opcode, run);
export const SIMD: ReadonlyMap<number, Run> = table;

// biome-ignore lint/suspicious/noExplicitAny: lanes are numbers or bigints by their shape
type Lane = any;
const lanesOf = (machine: TaintMachine, shape: Shape) => machine[shape] as unknown as Lane[];

/** Lane by lane, from two operands. @param stays bitwise: a secret byte makes the same byte secret only */
function binary(opcode: number, shape: Shape, compute: (a: Lane, b: Lane) => Lane): void {
  const bytes = BYTES[shape];
  const count = 16 / bytes;
  define(opcode, (machine) => {
    const lanes = lanesOf(machine, shape);
    machine.top--;
    const a = (machine.top - 1) * count;
    const b = machine.top * count;
    for (let i = 0; i < count; i++) lanes[a + i] = compute(lanes[a + i], lanes[b + i]);
    machine.masks[machine.top - 1] = spread(machine.masks[machine.top - 1]! | machine.masks[machine.top]!, bytes);
  });
}

function unary(opcode: number, shape: Shape, compute: (a: Lane) => Lane): void {
  const count = 16 / BYTES[shape];
  define(opcode, (machine) => {
    const lanes = lanesOf(machine, shape);
    const a = (machine.top - 1) * count;
    for (let i = 0; i < count; i++) lanes[a + i] = compute(lanes[a + i]);
    machine.masks[machine.top - 1] = spread(machine.masks[machine.top - 1]!, BYTES[shape]);
  });
}

/** By a count that is an i32: a secret one makes all secret. */
function shift(opcode: number, shape: Shape, compute: (a: Lane, by: number) => Lane): void {
  const bytes = BYTES[shape];
  const count = 16 / bytes;
  define(opcode, (machine) => {
    const lanes = lanesOf(machine, shape);
    machine.top--;
    const by = machine.u32[machine.top * 4]! % (bytes * 8);
    const a = (machine.top - 1) * count;
    for (let i = 0; i < count; i++) lanes[a + i] = compute(lanes[a + i], by);
    const secretCount = machine.masks[machine.top] !== 0;
    machine.masks[machine.top - 1] = secretCount ? ALL : spread(machine.masks[machine.top - 1]!, bytes);
  });
}

/** To an i32 from all lanes. */
function reduce(opcode: number, shape: Shape, compute: (lanes: Lane[]) => number): void {
  const count = 16 / BYTES[shape];
  define(opcode, (machine) => {
    machine.top--;
    const at = machine.top * count;
    const mask = machine.masks[machine.top] === 0 ? 0 : 0xf;
    machine.push32(compute(Array.from(lanesOf(machine, shape).slice(at, at + count))), mask);
  });
}

// ─── Loads and stores ─────────────────────────────────────────────────────────────────────────
define(0x00, (machine, instruction) => {
  const at = machine.address(instruction);
  const slot = machine.top * 16;
  for (let i = 0; i < 16; i++) machine.u8[slot + i] = machine.memory[at + i]!;
  machine.masks[machine.top++] = machine.maskAt(at, 16);
});
define(0x0b, (machine, instruction) => {
  machine.top--;
  const value = machine.top;
  const at = machine.address(instruction);
  for (let i = 0; i < 16; i++) machine.memory[at + i] = machine.u8[value * 16 + i]!;
  machine.setMaskAt(at, 16, machine.masks[value]!);
});
for (const [i, bytes] of [1, 2, 4, 8].entries()) {
  const lane = (1 << bytes) - 1;
  // load8_splat …
  define(0x07 + i, (machine, instruction) => {
    const at = machine.address(instruction);
    const slot = machine.top++ * 16;
    let mask = 0;
    for (let j = 0; j < 16; j++) {
      machine.u8[slot + j] = machine.memory[at + (j % bytes)]!;
      mask |= machine.secret[at + (j % bytes)]! << j;
    }
    machine.masks[machine.top - 1] = mask;
  });
  // load8_lane …
  define(0x54 + i, (machine, instruction) => {
    machine.top--;
    const vector = machine.top;
    const at = machine.address(instruction);
    const to = instruction.b * bytes;
    const mask = (machine.masks[vector]! & ~(lane << to)) | (machine.maskAt(at, bytes) << to);
    machine.u8.copyWithin(machine.top * 16, vector * 16, vector * 16 + 16);
    for (let j = 0; j < bytes; j++) machine.u8[machine.top * 16 + to + j] = machine.memory[at + j]!;
    machine.masks[machine.top++] = mask & ALL;
  });
  // store8_lane …
  define(0x58 + i, (machine, instruction) => {
    machine.top--;
    const vector = machine.top;
    const at = machine.address(instruction);
    const from = instruction.b * bytes;
    for (let j = 0; j < bytes; j++) machine.memory[at + j] = machine.u8[vector * 16 + from + j]!;
    machine.setMaskAt(at, bytes, machine.masks[vector]! >> from);
  });
}
for (const [opcode, bytes] of [
  [0x5c, 4],
  [0x5d, 8],
] as const) {
  define(opcode, (machine, instruction) => {
    const at = machine.address(instruction);
    const slot = machine.top * 16;
    machine.u8.fill(0, slot, slot + 16);
    machine.u8.set(machine.memory.subarray(at, at + bytes), slot);
    machine.masks[machine.top++] = machine.maskAt(at, bytes);
  });
}

// ─── Constants, shuffles, lanes ───────────────────────────────────────────────────────────────
define(0x0c, (machine, { bytes }) => {
  machine.u8.set(bytes!, machine.top * 16);
  machine.masks[machine.top++] = 0;
});
define(0x0d, (machine, { bytes }) => {
  machine.top--;
  const at = (machine.top - 1) * 16;
  const both = machine.u8.slice(at, at + 32);
  const masks = machine.masks[machine.top - 1]! | (machine.masks[machine.top]! << 16);
  let mask = 0;
  for (let j = 0; j < 16; j++) {
    machine.u8[at + j] = both[bytes![j]!]!;
    mask |= ((masks >>> bytes![j]!) & 1) << j;
  }
  machine.masks[machine.top - 1] = mask;
});
/** pshufb: a look-up inside a register takes the same time for every index. */
const swizzle =
  (pick: (index: number) => number): Run =>
  (machine) => {
    machine.top--;
    const at = (machine.top - 1) * 16;
    const source = machine.u8.slice(at, at + 16);
    const [values, indices] = [machine.masks[machine.top - 1]!, machine.masks[machine.top]!];
    let mask = indices;
    for (let j = 0; j < 16; j++) {
      const index = pick(machine.u8[at + 16 + j]!);
      machine.u8[at + j] = index < 16 ? source[index]! : 0;
      if (index < 16) mask |= ((values >> index) & 1) << j;
    }
    machine.masks[machine.top - 1] = mask;
  };
define(
  0x0e,
  swizzle((index) => index),
);
// Relaxed: indices of 16 to 127 are up to the machine; this is what x86 does.
define(
  0x100,
  swizzle((index) => (index < 128 ? index & 15 : 255)),
);

for (const [i, bytes] of [1, 2, 4, 8].entries()) {
  const lane = (1 << bytes) - 1;
  define(0x0f + i, (machine) => {
    const slot = (machine.top - 1) * 16;
    let mask = 0;
    const of = machine.masks[machine.top - 1]!;
    for (let j = 0; j < 16; j++) {
      machine.u8[slot + j] = machine.u8[slot + (j % bytes)]!;
      mask |= ((of >> (j % bytes)) & 1) << j;
    }
    machine.masks[machine.top - 1] = mask;
  });
  // i8x16.replace_lane …: opcodes 0x17, 0x1a, 0x1c, 0x1e.
  define([0x17, 0x1a, 0x1c, 0x1e][i]!, (machine, { a }) => {
    machine.top--;
    const [from, to] = [machine.top * 16, (machine.top - 1) * 16 + a * bytes];
    for (let j = 0; j < bytes; j++) machine.u8[to + j] = machine.u8[from + j]!;
    const rest = machine.masks[machine.top - 1]! & ~(lane << (a * bytes));
    machine.masks[machine.top - 1] = (rest | ((machine.masks[machine.top]! & lane) << (a * bytes))) & ALL;
  });
}
for (const [opcode, shape] of [
  [0x15, 'i8'],
  [0x16, 'u8'],
  [0x18, 'i16'],
  [0x19, 'u16'],
  [0x1b, 'i32'],
  [0x1d, 'i64'],
] as const) {
  const bytes = BYTES[shape];
  define(opcode, (machine, { a }) => {
    machine.top--;
    const value = lanesOf(machine, shape)[machine.top * (16 / bytes) + a];
    const lane = (machine.masks[machine.top]! >> (a * bytes)) & ((1 << bytes) - 1);
    const signed = shape === 'i8' || shape === 'i16';
    if (shape === 'i64') machine.push64(value, lane);
    else machine.push32(value, signed && lane !== 0 ? 0xf : lane);
  });
}

// ─── Bitwise ──────────────────────────────────────────────────────────────────────────────────
unary(0x4d, 'u8', (a) => ~a);
binary(0x4e, 'u8', (a, b) => a & b);
binary(0x4f, 'u8', (a, b) => a & ~b);
binary(0x50, 'u8', (a, b) => a | b);
binary(0x51, 'u8', (a, b) => a ^ b);
const bitselect: Run = (machine) => {
  machine.top -= 2;
  const at = (machine.top - 1) * 16;
  for (let j = 0; j < 16; j++) {
    const [a, b, c] = [machine.u8[at + j]!, machine.u8[at + 16 + j]!, machine.u8[at + 32 + j]!];
    machine.u8[at + j] = (a & c) | (b & ~c);
  }
  const { masks, top } = machine;
  masks[top - 1] = masks[top - 1]! | masks[top]! | masks[top + 1]!;
};
define(0x52, bitselect);
for (let opcode = 0x109; opcode <= 0x10c; opcode++) define(opcode, bitselect);
reduce(0x53, 'u8', (lanes) => (lanes.some((lane) => lane !== 0) ? 1 : 0));

// ─── Arithmetic and comparison ────────────────────────────────────────────────────────────────
const SHAPES = [
  { signed: 'i8', unsigned: 'u8', bits: 8, base: 0x60, compare: 0x23 },
  { signed: 'i16', unsigned: 'u16', bits: 16, base: 0x80, compare: 0x2d },
  { signed: 'i32', unsigned: 'u32', bits: 32, base: 0xa0, compare: 0x37 },
] as const;
for (const { signed, unsigned, bits, base, compare } of SHAPES) {
  const truth = (value: boolean) => (value ? -1 : 0);
  binary(compare, signed, (a, b) => truth(a === b));
  binary(compare + 1, signed, (a, b) => truth(a !== b));
  for (const [i, shape] of [signed, unsigned].entries()) {
    binary(compare + 2 + i, shape, (a, b) => truth(a < b));
    binary(compare + 4 + i, shape, (a, b) => truth(a > b));
    binary(compare + 6 + i, shape, (a, b) => truth(a <= b));
    binary(compare + 8 + i, shape, (a, b) => truth(a >= b));
    binary(base + 0x16 + i, shape, (a, b) => Math.min(a, b));
    binary(base + 0x18 + i, shape, (a, b) => Math.max(a, b));
  }
  unary(base, signed, (a) => Math.abs(a));
  unary(base + 1, signed, (a) => -a);
  reduce(base + 3, signed, (lanes) => (lanes.every((lane) => lane !== 0) ? 1 : 0));
  reduce(base + 4, signed, (lanes) => lanes.reduce((sum, lane, i) => sum | ((lane < 0 ? 1 : 0) << i), 0));
  shift(base + 0x0b, signed, (a, by) => a << by);
  shift(base + 0x0c, signed, (a, by) => a >> by);
  shift(base + 0x0d, unsigned, (a, by) => a >>> by);
  binary(base + 0x0e, signed, (a, b) => a + b);
  binary(base + 0x11, signed, (a, b) => a - b);
  if (bits > 8) binary(base + 0x15, signed, (a, b) => Math.imul(a, b));
}
binary(0x7b, 'u8', (a, b) => (a + b + 1) >> 1);
binary(0x9b, 'u16', (a, b) => (a + b + 1) >> 1);
unary(0x62, 'u8', (a) => a.toString(2).replaceAll('0', '').length);

unary(0xc0, 'i64', (a) => (a < 0n ? -a : a));
unary(0xc1, 'i64', (a) => -a);
reduce(0xc3, 'i64', (lanes) => (lanes.every((lane) => lane !== 0n) ? 1 : 0));
reduce(0xc4, 'i64', (lanes) => lanes.reduce((sum, lane, i) => sum | ((lane < 0n ? 1 : 0) << i), 0));
shift(0xcb, 'i64', (a, by) => a << BigInt(by));
shift(0xcc, 'i64', (a, by) => a >> BigInt(by));
shift(0xcd, 'u64', (a, by) => a >> BigInt(by));
binary(0xce, 'i64', (a, b) => a + b);
binary(0xd1, 'i64', (a, b) => a - b);
binary(0xd5, 'i64', (a, b) => a * b);
for (const [i, test] of (
  [(a, b) => a === b, (a, b) => a !== b, (a, b) => a < b, (a, b) => a > b, (a, b) => a <= b, (a, b) => a >= b] as ((
    a: bigint,
    b: bigint,
  ) => boolean)[]
).entries()) {
  binary(0xd6 + i, 'i64', (a, b) => (test(a, b) ? -1n : 0n));
}

// ─── Between widths ───────────────────────────────────────────────────────────────────────────
/** Extends half of the lanes, or multiplies them to twice their width. */
function widen(opcode: number, from: Shape, to: Shape, high: boolean, multiply: boolean): void {
  const count = 16 / BYTES[to];
  const start = high ? count : 0;
  const toLane = (value: Lane): Lane => (BYTES[to] === 8 ? BigInt(value) : value);
  define(opcode, (machine) => {
    if (multiply) machine.top--;
    const slot = machine.top - 1;
    const narrow = lanesOf(machine, from);
    const [a, b] = [slot, slot + 1].map((at) =>
      Array.from({ length: count }, (_, i) => narrow[at * 2 * count + start + i]),
    );
    const masks = machine.masks[slot]! | (multiply ? machine.masks[slot + 1]! : 0);
    const half = (masks >> (start * BYTES[from])) & 0xff;
    let mask = 0;
    for (let i = 0; i < count; i++) {
      lanesOf(machine, to)[slot * count + i] = multiply ? toLane(a![i]) * toLane(b![i]) : toLane(a![i]);
      const lane = (half >> (i * BYTES[from])) & ((1 << BYTES[from]) - 1);
      if (lane !== 0) mask |= ((1 << BYTES[to]) - 1) << (i * BYTES[to]);
    }
    machine.masks[slot] = mask & ALL;
  });
}
for (const [base, product, signed, unsigned, wideSigned, wideUnsigned] of [
  [0x87, 0x9c, 'i8', 'u8', 'i16', 'u16'],
  [0xa7, 0xbc, 'i16', 'u16', 'i32', 'u32'],
  [0xc7, 0xdc, 'i32', 'u32', 'i64', 'u64'],
] as const) {
  for (const [i, high] of [false, true].entries()) {
    widen(base + i, signed, wideSigned, high, false);
    widen(base + 2 + i, unsigned, wideUnsigned, high, false);
    widen(product + i, signed, wideSigned, high, true);
    widen(product + 2 + i, unsigned, wideUnsigned, high, true);
  }
}
// load8x8_s …: a load of eight bytes, then an extension of the low half.
for (const [i, opcode] of [0x87, 0x89, 0xa7, 0xa9, 0xc7, 0xc9].entries()) {
  define(0x01 + i, (machine, instruction) => {
    table.get(PREFIX_SIMD | 0x5d)!(machine, instruction);
    table.get(PREFIX_SIMD | opcode)!(machine, instruction);
  });
}
/** i32x4.dot_i16x8_s */
define(0xba, (machine) => {
  machine.top--;
  const slot = machine.top - 1;
  const products = Array.from({ length: 8 }, (_, i) => machine.i16[slot * 8 + i]! * machine.i16[slot * 8 + 8 + i]!);
  for (let i = 0; i < 4; i++) machine.i32[slot * 4 + i] = products[2 * i]! + products[2 * i + 1]!;
  machine.masks[slot] = spread(machine.masks[slot]! | machine.masks[slot + 1]!, 4);
});
/** Saturating: i8x16.narrow_i16x8_s and _u, i16x8.narrow_i32x4_s and _u. */
for (const [opcode, from, to, low, high] of [
  [0x65, 'i16', 'i8', -128, 127],
  [0x66, 'i16', 'u8', 0, 255],
  [0x85, 'i32', 'i16', -32768, 32767],
  [0x86, 'i32', 'u16', 0, 65535],
] as const) {
  const count = 16 / BYTES[from];
  define(opcode, (machine) => {
    machine.top--;
    const slot = machine.top - 1;
    const values = Array.from({ length: 2 * count }, (_, i) => lanesOf(machine, from)[slot * count + i]);
    const masks = spread(machine.masks[slot]!, BYTES[from]) | (spread(machine.masks[slot + 1]!, BYTES[from]) << 16);
    let mask = 0;
    for (const [i, value] of values.entries()) {
      lanesOf(machine, to)[slot * 2 * count + i] = Math.min(high, Math.max(low, value));
      if (((masks >>> (i * BYTES[from])) & 1) !== 0) mask |= ((1 << BYTES[to]) - 1) << (i * BYTES[to]);
    }
    machine.masks[slot] = mask & ALL;
  });
}
