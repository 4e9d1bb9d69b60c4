/**
 * Waits by epoll(7), and reads what the wait was for before it comes back to JavaScript.
 *
 * A packet that wakes a sleeping thread meets cold caches: the way from one system call to the next
 * through JavaScript takes some microseconds then. So each watched descriptor has the call that reads it
 * written down, as a RECORD, and machine code makes the one of the first descriptor that is ready:
 *
 *      0         8         16        24        32        40        48        56
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *     | FUNCTION| five arguments                                    |         | RESULT  |   u64 each
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *
 * The wait itself is written down alike: epoll_wait, its four arguments, and where the RECORDs are.
 */
import { functionAddress, loadMachineCode, storeAddress } from './machine-code.ts';
import { addressOf } from './syscalls.ts';

const RECORD = 64;
const WORDS = RECORD / 4;
const FUNCTION = 0;
const ARGUMENT = 2;
const RESULT = 14;
/** The argument behind epoll_wait's own. */
const WAIT_RECORDS = 4;
const WAIT_MILLIS = 3;

/** `int wait(WAIT *)`, which returns what epoll_wait did. */
const X86_64 = `
  53               push rbx
  55               push rbp
  48 83 ec 08      sub  rsp, 8            calls want the stack aligned to 16
  48 89 fb         mov  rbx, rdi          WAIT
  8b 7b 08         mov  edi, [rbx + 8]
  48 8b 73 10      mov  rsi, [rbx + 16]
  8b 53 18         mov  edx, [rbx + 24]
  8b 4b 20         mov  ecx, [rbx + 32]
  ff 13            call [rbx]             epoll_wait
  89 c5            mov  ebp, eax
  85 c0            test eax, eax
  7e 37            jle  done
  48 8b 43 10      mov  rax, [rbx + 16]   the first event
  83 38 01         cmp  dword [rax], 1    EPOLLIN, and nothing else
  75 2e            jne  done
  8b 40 04         mov  eax, [rax + 4]    its number
  48 c1 e0 06      shl  rax, 6
  48 03 43 28      add  rax, [rbx + 40]
  48 89 c3         mov  rbx, rax          RECORD
  48 83 3b 00      cmp  qword [rbx], 0
  74 1a            je   done
  48 8b 7b 08      mov  rdi, [rbx + 8]
  48 8b 73 10      mov  rsi, [rbx + 16]
  48 8b 53 18      mov  rdx, [rbx + 24]
  48 8b 4b 20      mov  rcx, [rbx + 32]
  4c 8b 43 28      mov  r8, [rbx + 40]
  ff 13            call [rbx]
  48 89 43 38      mov  [rbx + 56], rax
  89 e8            mov  eax, ebp          done:
  48 83 c4 08      add  rsp, 8
  5d               pop  rbp
  5b               pop  rbx
  c3               ret
`;

type Wait = (wait: number) => number;

/** undefined before the first try; null where there can be none. One for all of a thread. */
let code: Wait | null | undefined;

/** A call of a function of libc's by its name; at most five arguments, addresses or whole numbers. */
export interface ReadyCall {
  readonly name: 'read' | 'recvmmsg';
  readonly values: readonly number[];
}

export class ReadyCalls {
  readonly #wait: Wait;
  readonly #own = new Uint32Array(new ArrayBuffer(RECORD));
  readonly #ownAddress = addressOf(new Uint8Array(this.#own.buffer));
  #records = new Uint32Array(new ArrayBuffer(8 * RECORD));

  /**
   * @param events address of an array of so many struct epoll_event
   * @returns undefined where there can be no machine code
   */
  static create(epoll: number, events: number, length: number): ReadyCalls | undefined {
    if (code === undefined) code = loadMachineCode<Wait>(X86_64, 'int (uintptr_t)');
    return code === null ? undefined : new ReadyCalls(code, epoll, events, length);
  }

  private constructor(wait: Wait, epoll: number, events: number, length: number) {
    this.#wait = wait;
    storeAddress(this.#own, FUNCTION, functionAddress('epoll_wait'));
    for (const [argument, value] of [epoll, events, length].entries())
      storeAddress(this.#own, ARGUMENT + argument * 2, value);
    this.#place();
  }

  /** @param index what the system tells of the descriptor by */
  set(index: number, { name, values }: ReadyCall): void {
    while ((index + 1) * WORDS > this.#records.length) this.#grow();
    storeAddress(this.#records, index * WORDS + FUNCTION, functionAddress(name));
    for (const [argument, value] of values.entries()) this.setArgument(index, argument, value);
  }

  setArgument(index: number, argument: number, value: number): void {
    storeAddress(this.#records, index * WORDS + ARGUMENT + argument * 2, value);
  }

  /** @returns how many are ready, -1 if waiting failed; the first one's call has been made if EPOLLIN is all there is */
  wait(millis: number): number {
    this.#own[ARGUMENT + WAIT_MILLIS * 2] = millis;
    return this.#wait(this.#ownAddress);
  }

  /** @returns the low half of what the call has returned */
  result(index: number): number {
    return this.#records[index * WORDS + RESULT]! | 0;
  }

  #grow(): void {
    const records = new Uint32Array(new ArrayBuffer(this.#records.byteLength * 2));
    records.set(this.#records);
    this.#records = records;
    this.#place();
  }

  #place(): void {
    storeAddress(this.#own, ARGUMENT + WAIT_RECORDS * 2, addressOf(new Uint8Array(this.#records.buffer)));
  }
}
