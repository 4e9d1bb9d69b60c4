/** A small decoder of WebAssembly's binary format: what the taint machine needs of a module. */

/** Type codes of the binary format. */
export const I32 = 0x7f;
export const I64 = 0x7e;
export const V128 = 0x7b;

/** Prefixed opcodes are (prefix << 12) | opcode. */
export const PREFIX_FC = 0xfc000;
export const PREFIX_SIMD = 0xfd000;
export const PREFIX_ATOMIC = 0xfe000;

export const OP = {
  UNREACHABLE: 0x00,
  NOP: 0x01,
  BLOCK: 0x02,
  LOOP: 0x03,
  IF: 0x04,
  ELSE: 0x05,
  END: 0x0b,
  BR: 0x0c,
  BR_IF: 0x0d,
  BR_TABLE: 0x0e,
  RETURN: 0x0f,
  CALL: 0x10,
  DROP: 0x1a,
  SELECT: 0x1b,
  LOCAL_GET: 0x20,
  LOCAL_SET: 0x21,
  LOCAL_TEE: 0x22,
  GLOBAL_GET: 0x23,
  GLOBAL_SET: 0x24,
  I32_CONST: 0x41,
  I64_CONST: 0x42,
  MEMORY_INIT: PREFIX_FC | 8,
  DATA_DROP: PREFIX_FC | 9,
  MEMORY_COPY: PREFIX_FC | 10,
  MEMORY_FILL: PREFIX_FC | 11,
  V128_CONST: PREFIX_SIMD | 12,
  SHUFFLE: PREFIX_SIMD | 13,
} as const;

export interface Instruction {
  readonly op: number;
  /** Offset in the module, for reports. */
  readonly at: number;
  /** First immediate: index, depth, constant, memory offset, arity of a block. */
  readonly a: number;
  /** Second immediate: lane; of a block: index of its end. */
  b: number;
  /** Of an `if`: index of its else, or of its end. */
  c: number;
  readonly i64?: bigint;
  /** Of v128.const and i8x16.shuffle. */
  readonly bytes?: Uint8Array;
  /** Of br_table. */
  readonly targets?: readonly number[];
}

export interface FunctionType {
  readonly parameters: readonly number[];
  readonly results: readonly number[];
}

export interface WasmFunction {
  readonly index: number;
  readonly name: string;
  readonly type: FunctionType;
  /** Number of locals without the parameters. */
  readonly locals: number;
  readonly code: readonly Instruction[];
}

export interface DataSegment {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface WasmModule {
  readonly functions: readonly WasmFunction[];
  /** Function index by name. */
  readonly exports: ReadonlyMap<string, number>;
  /** Their initial values, a v128 as its low half: the kernel begins with zeros anyway. */
  readonly globals: readonly bigint[];
  readonly data: readonly DataSegment[];
}

class Reader {
  at = 0;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  byte(): number {
    return this.bytes[this.at++]!;
  }

  take(length: number): Uint8Array {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  unsigned(): number {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  }

  signed(bits: 32 | 64): bigint {
    let value = 0n;
    for (let shift = 0n; ; ) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80) return BigInt.asIntN(bits, byte & 0x40 ? value | (-1n << shift) : value);
    }
  }

  text(): string {
    return new TextDecoder().decode(this.take(this.unsigned()));
  }

  list<T>(read: () => T): T[] {
    return Array.from({ length: this.unsigned() }, read);
  }
}

/** @throws if the module has something that the kernel has no use for: imported functions, tables … */
export function decode(bytes: Uint8Array): WasmModule {
  const reader = new Reader(bytes);
  reader.take(8);
  let types: FunctionType[] = [];
  let declared: number[] = [];
  let bodies: { at: number; body: Reader }[] = [];
  const exports = new Map<string, number>();
  let globals: bigint[] = [];
  let data: DataSegment[] = [];
  let names = new Map<number, string>();
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const end = reader.unsigned() + reader.at;
    switch (id) {
      case 0:
        if (reader.text() === 'name') names = readNames(reader, end);
        break;
      case 1:
        types = reader.list(() => {
          reader.byte();
          return { parameters: reader.list(() => reader.byte()), results: reader.list(() => reader.byte()) };
        });
        break;
      case 2:
        for (const kind of reader.list(() => readImport(reader))) {
          if (kind !== 2) throw new Error(`the module imports something other than memory (kind ${kind})`);
        }
        break;
      case 3:
        declared = reader.list(() => reader.unsigned());
        break;
      case 6:
        globals = reader.list(() => {
          reader.take(2);
          return readConstant(reader);
        });
        break;
      case 7:
        for (let left = reader.unsigned(); left > 0; left--) {
          const name = reader.text();
          const kind = reader.byte();
          const index = reader.unsigned();
          if (kind === 0) exports.set(name, index);
        }
        break;
      case 10:
        bodies = reader.list(() => {
          const length = reader.unsigned();
          const at = reader.at;
          return { at, body: new Reader(reader.take(length)) };
        });
        break;
      case 11:
        data = reader.list(() => {
          const active = reader.unsigned() === 0;
          const offset = active ? Number(readConstant(reader)) : -1;
          return { offset, bytes: reader.take(reader.unsigned()).slice() };
        });
        break;
    }
    reader.at = end;
  }
  const functions = bodies.map(({ at, body }, index) => ({
    index,
    name: names.get(index) ?? [...exports].find(([, exported]) => exported === index)?.[0] ?? `function ${index}`,
    type: types[declared[index]!]!,
    ...readBody(body, at, types),
  }));
  return { functions, exports, globals, data };
}

/** @returns the functions' code, byte by byte */
export function codeSection(bytes: Uint8Array): Uint8Array {
  const reader = new Reader(bytes);
  reader.take(8);
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const section = reader.take(reader.unsigned());
    if (id === 10) return section;
  }
  throw new Error('the module has no code');
}

function readImport(reader: Reader): number {
  reader.text();
  reader.text();
  const kind = reader.byte();
  if (kind === 2) {
    const limits = reader.byte();
    reader.unsigned();
    if ((limits & 1) !== 0) reader.unsigned();
  }
  return kind;
}

/** A constant expression: one constant, then `end`. */
function readConstant(reader: Reader): bigint {
  const { a, i64, bytes } = readInstruction(reader, 0, []);
  reader.byte();
  return bytes ? new DataView(bytes.buffer).getBigInt64(0, true) : (i64 ?? BigInt(a));
}

function readNames(reader: Reader, end: number): Map<number, string> {
  const names = new Map<number, string>();
  while (reader.at < end) {
    const id = reader.byte();
    const next = reader.unsigned() + reader.at;
    if (id === 1) {
      for (let left = reader.unsigned(); left > 0; left--) names.set(reader.unsigned(), reader.text());
    }
    reader.at = next;
  }
  return names;
}

function readBody(body: Reader, start: number, types: readonly FunctionType[]) {
  let locals = 0;
  for (let left = body.unsigned(); left > 0; left--) {
    locals += body.unsigned();
    body.byte();
  }
  const code: Instruction[] = [];
  const open: Instruction[] = [];
  while (body.at < body.bytes.length) {
    const instruction = readInstruction(body, start, types);
    const index = code.push(instruction) - 1;
    if (instruction.op === OP.BLOCK || instruction.op === OP.LOOP || instruction.op === OP.IF) open.push(instruction);
    if (instruction.op === OP.ELSE) open[open.length - 1]!.c = index;
    if (instruction.op === OP.END) {
      const block = open.pop();
      if (block !== undefined) {
        block.b = index;
        if (block.c === 0) block.c = index;
        // The end of an else is also what its `else` jumps to.
        if (block.op === OP.IF && block.c !== index) code[block.c]!.b = index;
      }
    }
  }
  return { locals, code };
}

function readInstruction(body: Reader, start: number, types: readonly FunctionType[]): Instruction {
  const at = start + body.at;
  let op = body.byte();
  if (op === 0xfc || op === 0xfd || op === 0xfe) op = (op << 12) | body.unsigned();
  const plain = { op, at, a: 0, b: 0, c: 0 };
  switch (op) {
    case OP.BLOCK:
    case OP.LOOP:
    case OP.IF: {
      const type = Number(body.signed(64));
      // A value type is one result, 0x40 (−64) none, an index a function type; no parameters in the kernel.
      if (type >= 0 && types[type]!.parameters.length > 0) throw new Error('a block with parameters');
      return { ...plain, a: type === -64 ? 0 : type >= 0 ? types[type]!.results.length : 1 };
    }
    case OP.BR:
    case OP.BR_IF:
    case OP.CALL:
    case OP.LOCAL_GET:
    case OP.LOCAL_SET:
    case OP.LOCAL_TEE:
    case OP.GLOBAL_GET:
    case OP.GLOBAL_SET:
    case OP.DATA_DROP:
      return { ...plain, a: body.unsigned() };
    case OP.BR_TABLE:
      return { ...plain, targets: body.list(() => body.unsigned()), a: body.unsigned() };
    case OP.I32_CONST:
      return { ...plain, a: Number(body.signed(32)) };
    case OP.I64_CONST:
      return { ...plain, i64: body.signed(64) };
    case OP.V128_CONST:
    case OP.SHUFFLE:
      return { ...plain, bytes: body.take(16).slice() };
    case OP.MEMORY_INIT:
      return { ...plain, a: body.unsigned(), b: body.byte() };
    case OP.MEMORY_COPY:
      return { ...plain, a: body.byte(), b: body.byte() };
    case OP.MEMORY_FILL:
    case 0x3f:
    case 0x40:
      return { ...plain, a: body.byte() };
    case PREFIX_ATOMIC | 3:
      return { ...plain, a: body.byte() };
  }
  if (accessesMemory(op)) {
    body.unsigned();
    const a = body.unsigned();
    const lane = op >= (PREFIX_SIMD | 0x54) && op <= (PREFIX_SIMD | 0x5b);
    return { ...plain, a, b: lane ? body.byte() : 0 };
  }
  if (op >= (PREFIX_SIMD | 0x15) && op <= (PREFIX_SIMD | 0x22)) return { ...plain, a: body.byte() };
  if (op === 0x43) return { ...plain, a: body.take(4)[0]! };
  if (op === 0x44) return { ...plain, a: body.take(8)[0]! };
  return plain;
}

/** Plain loads and stores, SIMD ones, and atomic ones. */
export function accessesMemory(op: number): boolean {
  if (op >= 0x28 && op <= 0x3e) return true;
  if (op >= PREFIX_SIMD && op <= (PREFIX_SIMD | 0x0b)) return true;
  if (op >= (PREFIX_SIMD | 0x54) && op <= (PREFIX_SIMD | 0x5d)) return true;
  return op >= PREFIX_ATOMIC && op !== (PREFIX_ATOMIC | 3);
}
