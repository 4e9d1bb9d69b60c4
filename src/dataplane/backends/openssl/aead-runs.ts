/**
 * OpenSSL's calls for a batch of AES-GCM and ChaCha20-Poly1305, made by machine code that goes from packet to packet.
 *
 * Getting from JavaScript into a function and back costs 20 to 45 ns with koffi, as much as most of OpenSSL's
 * functions do, and a packet takes five. So the code reads PACKET descriptors and makes the calls itself. What it
 * needs to know but for them is in a RUNNER (`aead-runner.ts`), the same for a run: neighbours in the batch that have
 * the KEY in common. A batch is a list of
 *
 *     RUN   | END | RUNNER |   u64 each
 *
 * of which each begins where the one before it ends. Where there can be no machine code, there are no runs, and
 * calls are made one by one.
 */
import koffi from 'koffi';
import { loadMachineCode, storeAddress } from '../../io/machine-code.ts';
import type { KernelMemory } from '../backend.ts';
import type { Address } from './libcrypto.ts';

/** RUNs of a list; the calls are made when it is full. */
const RUNS = 64;
/** Of a RUN, in 32-bit words. */
const RUN_WORDS = 4;
const END = 0;
const RUNNER = 2;

/**
 * `int run(PACKET *packet, const RUN *run, const RUN *end)`, System V AMD64 ABI, for one packet or more in each run:
 * writes each one's STATUS, OK (0) if every call has returned 1, else BAD_ICV (1). Returns 0 if all are OK.
 */
const X86_64 = `
  53                   push  rbx
  55                   push  rbp
  41 54                push  r12
  41 55                push  r13
  41 56                push  r14
  41 57                push  r15
  52                   push  rdx             and calls want the stack aligned to 16
  48 89 fb             mov   rbx, rdi        packet
  49 89 f7             mov   r15, rsi        RUN
  45 31 f6             xor   r14d, r14d      whether a packet was not OK

  4d 8b 27             mov   r12, [r15]      run: END
  49 8b 6f 08          mov   rbp, [r15 + 8]  RUNNER
  4c 8b 6d 08          mov   r13, [rbp + 8]  BASE

  8b 43 0c             mov   eax, [rbx + 12] next: IV, eight bytes behind the salt
  49 8b 44 05 00       mov   rax, [r13 + rax]
  48 89 45 14          mov   [rbp + 20], rax
  8b 43 18             mov   eax, [rbx + 24] ICV
  4c 01 e8             add   rax, r13
  48 89 45 60          mov   [rbp + 96], rax data of TAG

  48 8b 7d 00          mov   rdi, [rbp]      init(context, NULL, 0, nonce, 12, INIT_PARAMS)
  31 f6                xor   esi, esi
  31 d2                xor   edx, edx
  48 8d 4d 10          lea   rcx, [rbp + 16]
  41 b8 0c 00 00 00    mov   r8d, 12
  4c 8b 4d 48          mov   r9, [rbp + 72]
  ff 55 28             call  [rbp + 40]
  ff c8                dec   eax
  75 67                jne   settle

  48 8b 7d 00          mov   rdi, [rbp]      update(context, NULL, &written, length, AAD, length)
  31 f6                xor   esi, esi
  48 8d 55 20          lea   rdx, [rbp + 32]
  44 8b 4b 14          mov   r9d, [rbx + 20] AAD_LENGTH
  44 89 c9             mov   ecx, r9d
  44 8b 43 10          mov   r8d, [rbx + 16]
  4d 01 e8             add   r8, r13
  ff 55 30             call  [rbp + 48]
  ff c8                dec   eax
  75 48                jne   settle

  48 8b 7d 00          mov   rdi, [rbp]      update(context, PAYLOAD, &written, length, PAYLOAD, length)
  8b 73 04             mov   esi, [rbx + 4]
  4c 01 ee             add   rsi, r13
  48 8d 55 20          lea   rdx, [rbp + 32]
  44 8b 4b 08          mov   r9d, [rbx + 8]  LENGTH
  44 89 c9             mov   ecx, r9d
  49 89 f0             mov   r8, rsi
  ff 55 30             call  [rbp + 48]
  ff c8                dec   eax
  75 29                jne   settle

  48 8b 7d 00          mov   rdi, [rbp]      final(context, nothing, &written, 0)
  48 8d 75 20          lea   rsi, [rbp + 32]
  48 89 f2             mov   rdx, rsi
  31 c9                xor   ecx, ecx
  ff 55 38             call  [rbp + 56]
  ff c8                dec   eax
  75 15                jne   settle

  48 8b 45 40          mov   rax, [rbp + 64] GET_PARAMS(context, TAG), if there is one
  48 85 c0             test  rax, rax
  74 0c                je    settle
  48 8b 7d 00          mov   rdi, [rbp]
  48 8d 75 50          lea   rsi, [rbp + 80]
  ff d0                call  rax
  ff c8                dec   eax

  0f 95 c0             setne al              settle:
  0f b6 c0             movzx eax, al
  89 43 1c             mov   [rbx + 28], eax STATUS
  41 09 c6             or    r14d, eax
  48 83 c3 40          add   rbx, 64         PACKET_SIZE
  4c 39 e3             cmp   rbx, r12
  0f 82 4d ff ff ff    jb    next
  49 83 c7 10          add   r15, 16
  4c 3b 3c 24          cmp   r15, [rsp]      end
  0f 82 34 ff ff ff    jb    run
  44 89 f0             mov   eax, r14d
  5a                   pop   rdx
  41 5f                pop   r15
  41 5e                pop   r14
  41 5d                pop   r13
  41 5c                pop   r12
  5d                   pop   rbp
  5b                   pop   rbx
  c3                   ret
`;

type Make = (packet: Address, run: Address, end: Address) => number;

/** undefined before the first try; null where there can be none. One for all of a thread. */
let code: Make | null | undefined;

export class AeadRuns {
  readonly #make: Make;
  readonly #base: Address;
  readonly #words = new Uint32Array(new ArrayBuffer(RUNS * RUN_WORDS * 4));
  readonly #address: Address = Number(koffi.address(this.#words));
  #used = 0;
  /** The first packet of the runs on the list, and where the last one ends. */
  first = 0;
  end = 0;

  /** @returns undefined where there can be no machine code */
  static create({ base }: KernelMemory): AeadRuns | undefined {
    if (code === undefined) code = loadMachineCode<Make>(X86_64, 'int (uintptr_t, uintptr_t, uintptr_t)');
    return code === null ? undefined : new AeadRuns(code, base);
  }

  private constructor(make: Make, base: Address) {
    this.#make = make;
    this.#base = base;
  }

  get full(): boolean {
    return this.#used === this.#words.length;
  }

  /**
   * Puts a run on the list: packets up to `end`, one or more. They follow those of the run before it, if there is one.
   * @param runner address of the RUNNER of their KEY, one way or the other
   */
  add(first: number, end: number, runner: Address): void {
    const at = this.#used;
    if (at === 0) this.first = first;
    this.end = end;
    storeAddress(this.#words, at + END, this.#base + end);
    storeAddress(this.#words, at + RUNNER, runner);
    this.#used = at + RUN_WORDS;
  }

  /** Forgets what is on the list: a batch that threw has left it there. */
  clear(): void {
    this.#used = 0;
  }

  /** Makes the calls of all runs on the list, which is empty then. @returns whether each packet's STATUS is OK */
  make(): boolean {
    const used = this.#used;
    if (used === 0) return true;
    this.#used = 0;
    return this.#make(this.#base + this.first, this.#address, this.#address + used * 4) === 0;
  }
}
