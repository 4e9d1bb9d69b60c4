/**
 * Runs a module instruction by instruction and follows secrets through it.
 *
 * Every byte of memory, and every byte of every value on the stack, is public or secret. A byte
 * that is computed from a secret one is secret. What a CPU does in a time that depends on an operand
 * is not to be done with a secret: an address, a branch, a select (V8 makes a branch of it), a
 * division, a length. Each place in the code that does so is reported, with how often it did.
 */
import {
  accessesMemory,
  type Instruction,
  OP,
  PREFIX_ATOMIC,
  PREFIX_SIMD,
  type WasmFunction,
  type WasmModule,
} from './decode.ts';
import type { Finding, Leak } from './finding.ts';
import { BINARY_32, BINARY_64, BITWISE, BYTES_STAY, COMPARE_64, DIVISIONS, LOADS, STORES, UNARY } from './scalar.ts';
import { SIMD } from './simd.ts';
import { maskOf, TaintStack } from './stack.ts';

interface Label {
  readonly instruction: Instruction;
  readonly index: number;
  readonly height: number;
}

export class TaintMachine extends TaintStack {
  readonly module: WasmModule;
  readonly memory: Uint8Array;
  /** Of each byte of memory: 1 is secret. */
  readonly secret: Uint8Array;
  readonly #globals: { value: Uint8Array; mask: number }[];
  readonly #findings = new Map<number, Finding>();
  readonly #executed = new Map<number, Uint8Array>();
  #current: WasmFunction | undefined;

  /** @param memory is worked on in place; the module's data is written into it */
  constructor(module: WasmModule, memory: Uint8Array) {
    super();
    this.module = module;
    this.memory = memory;
    this.secret = new Uint8Array(memory.length);
    this.#globals = module.globals.map((initial) => {
      const value = new Uint8Array(16);
      new DataView(value.buffer).setBigInt64(0, initial, true);
      return { value, mask: 0 };
    });
    for (const { offset, bytes } of module.data) if (offset >= 0) memory.set(bytes, offset);
  }

  /** Marks bytes of memory as secret or public. */
  mark(address: number, length: number, secret = true): void {
    this.secret.fill(secret ? 1 : 0, address, address + length);
  }

  /** @returns where secret bytes lie that are not zero, from and to */
  secretRanges(): readonly (readonly [from: number, to: number])[] {
    const ranges: [number, number][] = [];
    for (let at = this.secret.indexOf(1); at >= 0; at = this.secret.indexOf(1, at + 1)) {
      if (this.memory[at] === 0) continue;
      const last = ranges[ranges.length - 1];
      if (last !== undefined && at - last[1] < 16) last[1] = at + 1;
      else ranges.push([at, at + 1]);
    }
    return ranges;
  }

  /** Calls an exported function with public i32 arguments. */
  call(name: string, ...values: readonly number[]): number {
    const index = this.module.exports.get(name);
    if (index === undefined) throw new Error(`the module does not export ${name}`);
    this.top = 0;
    for (const value of values) this.push32(value, 0);
    this.#invoke(index);
    return this.top > 0 ? this.i32[0]! : 0;
  }

  /** @returns what was found since it was asked last */
  takeFindings(): readonly Finding[] {
    const found = [...this.#findings.values()];
    this.#findings.clear();
    return found;
  }

  /** Loads, stores and branches of every function that was called: which of them have been executed? */
  coverage(): { readonly name: string; readonly total: number; readonly missed: readonly number[] }[] {
    return [...this.#executed].map(([index, executed]) => {
      const { name, code } = this.module.functions[index]!;
      const matters = code.filter(
        ({ op }) => accessesMemory(op) || op === OP.BR_IF || op === OP.IF || op === OP.BR_TABLE,
      );
      const missed = code.flatMap((instruction, i) =>
        matters.includes(instruction) && executed[i] === 0 ? [instruction.at] : [],
      );
      return { name, total: matters.length, missed };
    });
  }

  /** @param slot where the secret operand is */
  report(leak: Leak, { at }: Instruction, slot: number): void {
    let finding = this.#findings.get(at);
    if (finding === undefined) {
      finding = { leak, function: this.#current!.name, at, times: 0, nonzero: 0 };
      this.#findings.set(at, finding);
    }
    finding.times++;
    if (this.i32[slot * 4] !== 0) finding.nonzero++;
  }

  /** Takes an address off the stack. @returns it with the instruction's offset */
  address(instruction: Instruction): number {
    this.top--;
    if (this.masks[this.top] !== 0) this.report('address', instruction, this.top);
    return this.u32[this.top * 4]! + instruction.a;
  }

  /** @returns the mask of `length` bytes of memory */
  maskAt(address: number, length: number): number {
    let mask = 0;
    for (let i = 0; i < length; i++) mask |= this.secret[address + i]! << i;
    return mask;
  }

  setMaskAt(address: number, length: number, mask: number): void {
    for (let i = 0; i < length; i++) this.secret[address + i] = (mask >> i) & 1;
  }

  #invoke(index: number): void {
    const called = this.module.functions[index]!;
    const caller = this.#current;
    this.#current = called;
    const base = this.top - called.type.parameters.length;
    const locals = this.top;
    this.top += called.locals;
    this.u8.fill(0, locals * 16, this.top * 16);
    this.masks.fill(0, locals, this.top);
    let executed = this.#executed.get(index);
    if (executed === undefined) {
      executed = new Uint8Array(called.code.length);
      this.#executed.set(index, executed);
    }
    this.#run(called.code, base, executed);
    // The results lie on top; they take the place of the parameters.
    const results = called.type.results.length;
    this.move(this.top - results, base, results);
    this.top = base + results;
    this.#current = caller;
  }

  #run(code: readonly Instruction[], base: number, executed: Uint8Array): void {
    const labels: Label[] = [];
    for (let pc = 0; pc < code.length; pc++) {
      const instruction = code[pc]!;
      executed[pc] = 1;
      switch (instruction.op) {
        case OP.NOP:
          break;
        case OP.UNREACHABLE:
          throw new Error(`unreachable in ${this.#current!.name}`);
        case OP.BLOCK:
        case OP.LOOP:
          labels.push({ instruction, index: pc, height: this.top });
          break;
        case OP.IF: {
          const taken = this.#condition(instruction);
          labels.push({ instruction, index: pc, height: this.top });
          // Behind the `else`, or onto the `end`, which takes the label away.
          if (!taken) pc = instruction.c === instruction.b ? instruction.b - 1 : instruction.c;
          break;
        }
        case OP.ELSE:
          pc = instruction.b - 1;
          break;
        case OP.END:
          labels.pop();
          break;
        case OP.BR:
          pc = this.#branch(labels, instruction.a, code.length);
          break;
        case OP.BR_IF:
          if (this.#condition(instruction)) pc = this.#branch(labels, instruction.a, code.length);
          break;
        case OP.BR_TABLE: {
          this.top--;
          if (this.masks[this.top] !== 0) this.report('branch', instruction, this.top);
          const depth = instruction.targets![this.u32[this.top * 4]!] ?? instruction.a;
          pc = this.#branch(labels, depth, code.length);
          break;
        }
        case OP.RETURN:
          pc = code.length;
          break;
        case OP.CALL:
          this.#invoke(instruction.a);
          break;
        case OP.DROP:
          this.top--;
          break;
        case OP.SELECT: {
          this.top -= 2;
          const condition = this.top + 1;
          if (this.masks[condition] !== 0) this.report('select', instruction, condition);
          if (this.i32[condition * 4] === 0) this.copy(this.top, this.top - 1);
          break;
        }
        case OP.LOCAL_GET:
          this.copy(base + instruction.a, this.top++);
          break;
        case OP.LOCAL_SET:
          this.copy(--this.top, base + instruction.a);
          break;
        case OP.LOCAL_TEE:
          this.copy(this.top - 1, base + instruction.a);
          break;
        case OP.GLOBAL_GET: {
          const { value, mask } = this.#globals[instruction.a]!;
          this.u8.set(value, this.top * 16);
          this.masks[this.top++] = mask;
          break;
        }
        case OP.GLOBAL_SET: {
          const global = this.#globals[instruction.a]!;
          this.top--;
          global.value.set(this.u8.subarray(this.top * 16, this.top * 16 + 16));
          global.mask = this.masks[this.top]!;
          break;
        }
        case OP.I32_CONST:
          this.push32(instruction.a, 0);
          break;
        case OP.I64_CONST:
          this.push64(instruction.i64!, 0);
          break;
        case OP.MEMORY_FILL:
        case OP.MEMORY_COPY:
          this.#bulk(instruction);
          break;
        case PREFIX_ATOMIC | 3:
          break;
        default:
          if (instruction.op >= PREFIX_SIMD) this.#simd(instruction);
          else if (instruction.op <= 0x3e) this.#access(instruction);
          else this.#scalar(instruction);
      }
    }
  }

  #condition(instruction: Instruction): boolean {
    this.top--;
    if (this.masks[this.top] !== 0) this.report('branch', instruction, this.top);
    return this.i32[this.top * 4] !== 0;
  }

  /** @returns the index to go on behind */
  #branch(labels: Label[], depth: number, end: number): number {
    if (depth >= labels.length) return end;
    const { instruction, index, height } = labels[labels.length - 1 - depth]!;
    labels.length -= depth;
    if (instruction.op === OP.LOOP) {
      this.top = height;
      return index;
    }
    this.move(this.top - instruction.a, height, instruction.a);
    this.top = height + instruction.a;
    labels.length--;
    return instruction.b;
  }

  #bulk(instruction: Instruction): void {
    this.top -= 3;
    const [to, middle, length] = [0, 1, 2].map((i) => this.u32[(this.top + i) * 4]!) as [number, number, number];
    if (this.masks[this.top + 2] !== 0) this.report('length', instruction, this.top + 2);
    const pointers = instruction.op === OP.MEMORY_COPY ? [0, 1] : [0];
    const secretPointer = pointers.find((i) => this.masks[this.top + i] !== 0);
    if (secretPointer !== undefined) this.report('address', instruction, this.top + secretPointer);
    if (instruction.op === OP.MEMORY_COPY) {
      this.memory.copyWithin(to, middle, middle + length);
      this.secret.copyWithin(to, middle, middle + length);
    } else {
      this.memory.fill(middle, to, to + length);
      this.secret.fill(this.masks[this.top + 1] === 0 ? 0 : 1, to, to + length);
    }
  }

  #simd(instruction: Instruction): void {
    const run = SIMD.get(instruction.op);
    if (run === undefined) throw this.#unknown(instruction);
    run(this, instruction);
  }

  #access(instruction: Instruction): void {
    const stored = STORES[instruction.op];
    if (stored !== undefined) {
      this.top--;
      const value = this.top;
      const at = this.address(instruction);
      for (let i = 0; i < stored; i++) this.memory[at + i] = this.u8[value * 16 + i]!;
      this.setMaskAt(at, stored, this.masks[value]!);
      return;
    }
    const load = LOADS[instruction.op];
    if (load === undefined) throw this.#unknown(instruction);
    const { bytes, wide, signed } = load;
    const at = this.address(instruction);
    const slot = this.top++ * 16;
    for (let i = 0; i < bytes; i++) this.u8[slot + i] = this.memory[at + i]!;
    const fill = signed && this.memory[at + bytes - 1]! >= 128 ? 0xff : 0;
    for (let i = bytes; i < wide; i++) this.u8[slot + i] = fill;
    const mask = this.maskAt(at, bytes);
    this.masks[this.top - 1] = signed && mask !== 0 ? maskOf(wide) : mask;
  }

  #scalar(instruction: Instruction): void {
    const { op } = instruction;
    const unary = UNARY[op];
    if (unary !== undefined) {
      const mask = this.masks[--this.top]!;
      const value = unary(this.i32[this.top * 4]!, this.i64[this.top * 2]!);
      this.push(value, mask, BYTES_STAY.has(op));
      return;
    }
    this.top -= 2;
    const [a, b] = [this.top, this.top + 1];
    const mask = this.masks[a]! | this.masks[b]!;
    if (mask !== 0 && DIVISIONS.has(op)) this.report('division', instruction, a);
    const narrow = BINARY_32[op];
    if (narrow !== undefined) {
      this.push(narrow(this.i32[a * 4]!, this.i32[b * 4]!), mask, BITWISE.has(op));
      return;
    }
    const [wideA, wideB] = [this.i64[a * 2]!, this.i64[b * 2]!];
    const compare = COMPARE_64[op];
    if (compare !== undefined) {
      this.push(compare(wideA, wideB) ? 1 : 0, mask, false);
      return;
    }
    const wide = BINARY_64[op];
    if (wide === undefined) throw this.#unknown(instruction);
    this.push(wide(wideA, wideB), mask, BITWISE.has(op));
  }

  #unknown({ op }: Instruction): Error {
    return new Error(`the taint machine has not learnt opcode 0x${op.toString(16)} (${this.#current!.name})`);
  }
}
