/**
 * AES-GCM (RFC 4106) and ChaCha20-Poly1305 (RFC 7634) for one KEY, by machine code that goes from packet to packet.
 *
 * Getting from JavaScript into a function and back costs 20 to 45 ns with koffi, as much as most of OpenSSL's
 * functions do, and a packet takes five. So the code reads PACKET descriptors and makes the calls itself: all those
 * of a run, neighbours in a batch that have the KEY in common. What it needs to know but for them is in a
 * RUNNER, one for each direction:
 *
 *      0         8         16        24        32        40        48        56
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *   0 | CONTEXT | BASE    | NONCE: salt, IV   | WRITTEN | INIT    | UPDATE  | FINAL   |   u64 each
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *  64 | GET_    | INIT_   | TAG: OSSL_PARAM { name, data_type, data, data_size,         |
 *     | PARAMS  | PARAMS  |                                           return_size }     |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 * 128 | OSSL_PARAM_END (40), which is nothing but zeros | "tag"   |
 *     +---------+---------+---------+---------+---------+---------+
 */
import koffi from 'koffi';
import * as L from '../../../../assembly/layout.ts';
import { type CipherSuite, suiteLengths } from '../../../algorithms.ts';
import { loadMachineCode } from '../../io/machine-code.ts';
import type { KernelMemory } from '../backend.ts';
import { aeadName } from './aead.ts';
import type { Direction } from './contexts.ts';
import { type Address, type Libcrypto, OSSL_PARAM_OCTET_STRING, writeParameter } from './libcrypto.ts';
import { type ProviderCipher, providerCipher } from './provider.ts';

// Offsets that are u64s, and those of bytes.
const CONTEXT = 0;
const BASE = 1;
const INIT = 5;
const UPDATE = 6;
const FINAL = 7;
/** 0 where no tag is asked for afterwards. */
const GET_PARAMS = 8;
/** 0 where no tag is given at first. */
const INIT_PARAMS = 9;
const NONCE = 16;
const TAG = 80;
const TAG_NAME = 176;
const RUNNER_SIZE = 192;

/**
 * `int run(PACKET *packet, const PACKET *end, RUNNER *runner)`, System V AMD64 ABI, for one packet or more: writes
 * each one's STATUS, OK (0) if every call has returned 1, else BAD_ICV (1). Returns 0 if all are OK.
 */
const X86_64 = `
  53                   push  rbx
  55                   push  rbp
  41 54                push  r12
  41 55                push  r13
  41 56                push  r14             and calls want the stack aligned to 16
  48 89 fb             mov   rbx, rdi        packet
  49 89 f4             mov   r12, rsi        end
  48 89 d5             mov   rbp, rdx        runner
  4c 8b 6d 08          mov   r13, [rbp + 8]  BASE
  45 31 f6             xor   r14d, r14d      whether one was not OK

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
  44 89 f0             mov   eax, r14d
  41 5e                pop   r14
  41 5d                pop   r13
  41 5c                pop   r12
  5d                   pop   rbp
  5b                   pop   rbx
  c3                   ret
`;

type Run = (packet: Address, end: Address, runner: Address) => number;

/** undefined before the first try; null where there can be none. One for all runners of a thread. */
let code: Run | null | undefined;

/** One direction's RUNNER; its bytes do not move, and live as long as this object. */
interface Side {
  readonly address: Address;
  readonly bytes: Uint8Array;
  readonly context: Address;
}

export class AeadRunner {
  readonly #run: Run;
  readonly #cipher: ProviderCipher;
  readonly #kernel: KernelMemory;
  readonly #suite: CipherSuite;
  readonly #key: number;
  readonly #salt: Uint8Array;
  #sealing: Side | undefined;
  #opening: Side | undefined;

  /** @returns undefined where there can be no machine code */
  static create(crypto: Libcrypto, kernel: KernelMemory, suite: CipherSuite, key: number): AeadRunner | undefined {
    if (code === undefined) code = loadMachineCode<Run>(X86_64, 'int (uintptr_t, uintptr_t, uintptr_t)');
    return code === null ? undefined : new AeadRunner(code, crypto, kernel, suite, key);
  }

  private constructor(run: Run, crypto: Libcrypto, kernel: KernelMemory, suite: CipherSuite, key: number) {
    this.#run = run;
    this.#cipher = providerCipher(crypto, aeadName(suite));
    this.#kernel = kernel;
    this.#suite = suite;
    this.#key = key;
    const salt = key + L.KEY_SALT;
    this.#salt = kernel.bytes.slice(salt, salt + suiteLengths(suite).salt);
  }

  /**
   * Seals the packets from `first` on up to `end`, one or more, all of this KEY.
   * @returns whether each one's STATUS is OK
   */
  seal(first: number, end: number): boolean {
    if (this.#sealing === undefined) this.#sealing = this.#create('Encrypt');
    const { base } = this.#kernel;
    return this.#run(base + first, base + end, this.#sealing.address) === 0;
  }

  /** Likewise. */
  open(first: number, end: number): boolean {
    if (this.#opening === undefined) this.#opening = this.#create('Decrypt');
    const { base } = this.#kernel;
    return this.#run(base + first, base + end, this.#opening.address) === 0;
  }

  free(): void {
    for (const side of [this.#sealing, this.#opening]) {
      if (side === undefined) continue;
      this.#cipher.free(side.context);
      side.bytes.fill(0);
    }
    this.#salt.fill(0);
    this.#sealing = undefined;
    this.#opening = undefined;
  }

  #create(direction: Direction): Side {
    const cipher = this.#cipher;
    const { base } = this.#kernel;
    const context = cipher.create(direction, base + this.#key + L.KEY_KEY, this.#suite.keyBits / 8);
    const bytes = new Uint8Array(new ArrayBuffer(RUNNER_SIZE));
    const address = Number(koffi.address(bytes));
    const numbers = new BigUint64Array(bytes.buffer);
    numbers[CONTEXT] = BigInt(context);
    numbers[BASE] = BigInt(base);
    numbers[INIT] = BigInt(cipher.init[direction]);
    numbers[UPDATE] = BigInt(cipher.update);
    numbers[FINAL] = BigInt(cipher.final);
    if (direction === 'Encrypt') numbers[GET_PARAMS] = BigInt(cipher.getParameters);
    else numbers[INIT_PARAMS] = BigInt(address + TAG);
    bytes.set(this.#salt, NONCE);
    bytes.set(Buffer.from('tag', 'latin1'), TAG_NAME);
    writeParameter(numbers, TAG, {
      name: address + TAG_NAME,
      type: OSSL_PARAM_OCTET_STRING,
      data: 0,
      size: suiteLengths(this.#suite).icv,
    });
    return { address, bytes, context };
  }
}
