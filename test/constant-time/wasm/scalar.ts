/** Scalar instructions, as tables of what they compute. */

const bool = (value: boolean) => (value ? 1 : 0);

type Binary32 = (a: number, b: number) => number;
type Binary64 = (a: bigint, b: bigint) => bigint;
type Compare64 = (a: bigint, b: bigint) => boolean;

const rotl = (a: number, by: number) => (a << by) | (a >>> (32 - by));
const u64 = (value: bigint) => BigInt.asUintN(64, value);
const rotl64 = (a: bigint, by: bigint) => (u64(a) << by) | (u64(a) >> (64n - by));

export const BINARY_32: Readonly<Record<number, Binary32>> = {
  70: (a, b) => bool(a === b),
  71: (a, b) => bool(a !== b),
  72: (a, b) => bool(a < b),
  73: (a, b) => bool(a >>> 0 < b >>> 0),
  74: (a, b) => bool(a > b),
  75: (a, b) => bool(a >>> 0 > b >>> 0),
  76: (a, b) => bool(a <= b),
  77: (a, b) => bool(a >>> 0 <= b >>> 0),
  78: (a, b) => bool(a >= b),
  79: (a, b) => bool(a >>> 0 >= b >>> 0),
  106: (a, b) => a + b,
  107: (a, b) => a - b,
  108: (a, b) => Math.imul(a, b),
  109: (a, b) => Math.trunc(a / b),
  110: (a, b) => Math.trunc((a >>> 0) / (b >>> 0)),
  111: (a, b) => a % b,
  112: (a, b) => (a >>> 0) % (b >>> 0),
  113: (a, b) => a & b,
  114: (a, b) => a | b,
  115: (a, b) => a ^ b,
  116: (a, b) => a << b,
  117: (a, b) => a >> b,
  118: (a, b) => a >>> b,
  119: (a, b) => rotl(a, b & 31),
  120: (a, b) => rotl(a, -b & 31),
};

export const COMPARE_64: Readonly<Record<number, Compare64>> = {
  81: (a, b) => a === b,
  82: (a, b) => a !== b,
  83: (a, b) => a < b,
  84: (a, b) => u64(a) < u64(b),
  85: (a, b) => a > b,
  86: (a, b) => u64(a) > u64(b),
  87: (a, b) => a <= b,
  88: (a, b) => u64(a) <= u64(b),
  89: (a, b) => a >= b,
  90: (a, b) => u64(a) >= u64(b),
};

export const BINARY_64: Readonly<Record<number, Binary64>> = {
  124: (a, b) => a + b,
  125: (a, b) => a - b,
  126: (a, b) => a * b,
  127: (a, b) => a / b,
  128: (a, b) => u64(a) / u64(b),
  129: (a, b) => a % b,
  130: (a, b) => u64(a) % u64(b),
  131: (a, b) => a & b,
  132: (a, b) => a | b,
  133: (a, b) => a ^ b,
  134: (a, b) => a << (b & 63n),
  135: (a, b) => a >> (b & 63n),
  136: (a, b) => u64(a) >> (b & 63n),
  137: (a, b) => rotl64(a, b & 63n),
  138: (a, b) => rotl64(a, -b & 63n),
};

/** And, or, xor: byte by byte, no secret moves to another byte. */
export const BITWISE: ReadonlySet<number> = new Set([0x71, 0x72, 0x73, 0x83, 0x84, 0x85]);
/** Takes longer for larger operands on many CPUs. */
export const DIVISIONS: ReadonlySet<number> = new Set([0x6d, 0x6e, 0x6f, 0x70, 0x7f, 0x80, 0x81, 0x82]);

/** Of the operand seen as an i32 and as an i64; the result's type is the instruction's. */
type Unary = (narrow: number, wide: bigint) => number | bigint;

const ctz = (a: number) => (a === 0 ? 32 : 31 - Math.clz32(a & -a));
const ones = (a: bigint) => [...u64(a).toString(2)].filter((digit) => digit === '1').length;
const clz64 = (a: bigint) => BigInt(a === 0n ? 64 : 64 - u64(a).toString(2).length);
const ctz64 = (a: bigint) => (a === 0n ? 64n : 63n - clz64(a & -a));

export const UNARY: Readonly<Record<number, Unary>> = {
  69: (a) => bool(a === 0),
  80: (_, a) => bool(a === 0n),
  103: (a) => Math.clz32(a),
  104: ctz,
  105: (a) => ones(BigInt(a >>> 0)),
  121: (_, a) => clz64(a),
  122: (_, a) => ctz64(a),
  123: (_, a) => BigInt(ones(a)),
  167: (_, a) => Number(BigInt.asIntN(32, a)),
  172: (a) => BigInt(a),
  173: (a) => BigInt(a >>> 0),
  192: (a) => (a << 24) >> 24,
  193: (a) => (a << 16) >> 16,
  194: (_, a) => BigInt.asIntN(8, a),
  195: (_, a) => BigInt.asIntN(16, a),
  196: (_, a) => BigInt.asIntN(32, a),
};

/** Wrap and zero-extension: bytes stay where they are. */
export const BYTES_STAY: ReadonlySet<number> = new Set([0xa7, 0xad]);

interface Load {
  readonly bytes: number;
  /** Bytes of the result. */
  readonly wide: 4 | 8;
  readonly signed: boolean;
}

export const LOADS: Readonly<Record<number, Load>> = {
  40: { bytes: 4, wide: 4, signed: false },
  41: { bytes: 8, wide: 8, signed: false },
  44: { bytes: 1, wide: 4, signed: true },
  45: { bytes: 1, wide: 4, signed: false },
  46: { bytes: 2, wide: 4, signed: true },
  47: { bytes: 2, wide: 4, signed: false },
  48: { bytes: 1, wide: 8, signed: true },
  49: { bytes: 1, wide: 8, signed: false },
  50: { bytes: 2, wide: 8, signed: true },
  51: { bytes: 2, wide: 8, signed: false },
  52: { bytes: 4, wide: 8, signed: true },
  53: { bytes: 4, wide: 8, signed: false },
};

/** Bytes written. */
export const STORES: Readonly<Record<number, number>> = {
  54: 4,
  55: 8,
  58: 1,
  59: 2,
  60: 1,
  61: 2,
  62: 4,
};
