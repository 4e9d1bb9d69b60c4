/**
 * Many native calls for the price of one.
 *
 * Getting from JavaScript into a function and back costs 20 to 45 ns with koffi, most of it for
 * addresses as arguments. A packet takes five calls, and what OpenSSL does in one of them often takes
 * less. So calls are written down in memory, as RECORDs, and seventy bytes of machine code make them:
 *
 *      0         8         16        24        32        40        48        56
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *     | FUNCTION| six arguments                                             | RESULT  |   u64 each
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *
 * Where there can be no machine code, there is no call list, and calls are made one by one.
 */
import koffi from 'koffi';
import { loadMachineCode } from '../../io/machine-code.ts';
import type { Address } from './libcrypto.ts';

/** Bytes of a RECORD, and where its parts are in 32-bit words. */
const RECORD = 64;
const WORDS = RECORD / 4;
const ARGUMENTS = 2;
const RESULT = 14;

/** `int run(RECORD *record, const RECORD *end)`, System V AMD64 ABI: 0 if every call has returned 1. */
const X86_64 = `
  53               push rbx
  55               push rbp
  41 54            push r12               and calls want the stack aligned to 16
  48 89 fb         mov  rbx, rdi          record
  48 89 f5         mov  rbp, rsi          end
  45 31 e4         xor  r12d, r12d
  eb 28            jmp  test
  48 8b 7b 08      mov  rdi, [rbx + 8]    next:
  48 8b 73 10      mov  rsi, [rbx + 16]
  48 8b 53 18      mov  rdx, [rbx + 24]
  48 8b 4b 20      mov  rcx, [rbx + 32]
  4c 8b 43 28      mov  r8,  [rbx + 40]
  4c 8b 4b 30      mov  r9,  [rbx + 48]
  ff 13            call [rbx]
  48 89 43 38      mov  [rbx + 56], rax
  83 f0 01         xor  eax, 1
  41 09 c4         or   r12d, eax
  48 83 c3 40      add  rbx, 64
  48 39 eb         cmp  rbx, rbp          test:
  72 d3            jb   next
  44 89 e0         mov  eax, r12d
  41 5c            pop  r12
  5d               pop  rbp
  5b               pop  rbx
  c3               ret
`;

type Run = (record: Address, end: Address) => number;

/** undefined before the first try; null where there can be none. One for all lists of a thread. */
let code: Run | null | undefined;

function runner(): Run | null {
  if (code === undefined) code = loadMachineCode<Run>(X86_64, 'int (uintptr_t, uintptr_t)');
  return code;
}

export class CallList {
  readonly #words: Uint32Array;
  readonly #address: Address;
  readonly #run: Run;
  /** The two halves of `base`. */
  readonly #baseLow: number;
  readonly #baseHigh: number;

  /**
   * @param base of linear memory, for arguments that point into it
   * @returns a list with room for so many calls, unless this system has none
   */
  static create(records: number, base: Address): CallList | undefined {
    const run = runner();
    return run === null ? undefined : new CallList(records, base, run);
  }

  private constructor(records: number, base: Address, run: Run) {
    this.#baseLow = base >>> 0;
    this.#baseHigh = Math.floor(base / 2 ** 32);
    this.#words = new Uint32Array(new ArrayBuffer(records * RECORD));
    this.#address = Number(koffi.address(this.#words));
    this.#run = run;
  }

  setFunction(record: number, address: Address): void {
    this.#set(record * WORDS, address);
  }

  /** @param value an address, or a whole number that is not negative */
  setArgument(record: number, argument: number, value: number): void {
    this.#set(record * WORDS + ARGUMENTS + argument * 2, value);
  }

  /** An argument that never was 2^32 or more. @param value of 32 bits, not negative */
  setLength(record: number, argument: number, value: number): void {
    this.#words[record * WORDS + ARGUMENTS + argument * 2] = value;
  }

  /** @param offset in linear memory */
  setPointer(record: number, argument: number, offset: number): void {
    const word = record * WORDS + ARGUMENTS + argument * 2;
    const low = this.#baseLow + offset;
    this.#words[word] = low;
    this.#words[word + 1] = low > 0xffffffff ? this.#baseHigh + 1 : this.#baseHigh;
  }

  /** Makes the first `count` calls, in their order. @returns whether each of them has returned 1, as an `int` */
  run(count: number): boolean {
    return this.#run(this.#address, this.#address + count * RECORD) === 0;
  }

  /** @returns the low half of what a call has returned, an `int` */
  result(record: number): number {
    return this.#words[record * WORDS + RESULT]! | 0;
  }

  #set(word: number, value: number): void {
    const low = value >>> 0;
    this.#words[word] = low;
    this.#words[word + 1] = (value - low) / 2 ** 32;
  }
}
