/**
 * Loads the WebAssembly kernel: one module, compiled once, instantiated in every thread over the
 * one shared memory.
 */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import koffi from 'koffi';
import { EspalierError } from '../errors.ts';
import { packagePath } from '../package-root.ts';
import type { KernelMemory } from './backends/backend.ts';
import { answersRightly, KERNEL_TEST_SIZE } from './kernel-test.ts';

export type KernelBuild = 'plain' | 'relaxed' | 'wide';

/** Overrides the choice of build: `ESPALIER_KERNEL=plain`, `relaxed` or `wide`. */
const OVERRIDE = 'ESPALIER_KERNEL';
const BUILDS: readonly string[] = ['plain', 'relaxed', 'wide'] satisfies KernelBuild[];

/** (module (func (param v128 v128) (result v128) local.get 0 local.get 1 i8x16.relaxed_swizzle)) */
const RELAXED_PROBE = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 123, 123, 1, 123, 3, 2, 1, 0, 10, 11, 1, 9, 0, 32, 0, 32, 1, 253, 128, 2,
  11,
]);

const PAGE = 65536;

/**
 * V8 compiles a function of WebAssembly well only after it has executed so many bytes of it, roughly. It
 * comes with 1.8 to 13 million, so that what is done once for a packet would run slowly for minutes.
 */
const TIERING_BUDGET = 20_000;
/** The same for JavaScript, in calls, of which there are 3,000 otherwise: the loop of packets is warmed up with less. */
const CALLS_TO_OPTIMISE = 400;

const nodeMajor = Number.parseInt(process.versions.node, 10);

/**
 * Is relaxed SIMD to be had? Node 20 hides it behind a V8 flag, which is set here before the first
 * module compiles; later versions have it unconditionally and no longer know the flag.
 */
function relaxedSimd(): boolean {
  if (WebAssembly.validate(RELAXED_PROBE)) return true;
  if (nodeMajor > 20) return false;
  setFlagsFromString('--experimental-wasm-relaxed-simd');
  return WebAssembly.validate(RELAXED_PROBE);
}

/**
 * Does V8 make 256-bit instructions of 128-bit ones? That is behind an experimental flag, so only in the version
 * that this was tried with.
 */
function wideSimd(): boolean {
  if (nodeMajor !== 26 || process.arch !== 'x64') return false;
  try {
    return / avx2 /.test(readFileSync('/proc/cpuinfo', 'latin1'));
  } catch {
    return false;
  }
}

export function chooseBuild(): KernelBuild {
  const wanted = process.env[OVERRIDE] || undefined;
  if (wanted !== undefined && !BUILDS.includes(wanted)) {
    throw new EspalierError('ERR_KERNEL', `${OVERRIDE}=${wanted}: use 'plain', 'relaxed' or 'wide', or unset it`);
  }
  if (wanted === 'plain') return 'plain';
  const relaxed = relaxedSimd();
  if (wanted !== undefined && !relaxed) {
    throw new EspalierError(
      'ERR_KERNEL',
      `${OVERRIDE}=${wanted}: Node.js ${process.versions.node} has no relaxed SIMD`,
    );
  }
  if (wanted === 'relaxed' || wanted === 'wide') return wanted;
  return relaxed ? (wideSimd() ? 'wide' : 'relaxed') : 'plain';
}

export interface CompiledKernel {
  readonly module: WebAssembly.Module;
  readonly build: KernelBuild;
}

export async function compileKernel(build: KernelBuild = chooseBuild()): Promise<CompiledKernel> {
  // A version that does not know the flag would print an error.
  if (nodeMajor <= 26) setFlagsFromString(`--wasm-tiering-budget=${TIERING_BUDGET}`);
  if (nodeMajor === 26) setFlagsFromString(`--invocation-count-for-turbofan=${CALLS_TO_OPTIMISE}`);
  if (build === 'wide' && wideSimd()) {
    const module = await compileWide();
    if (module) return { module, build };
    process.emitWarning('AES of the wide kernel gave a wrong answer; the relaxed build is used', 'EspalierWarning');
    return compileKernel('relaxed');
  }
  return { module: await WebAssembly.compile(kernelFile(build)), build };
}

function kernelFile(build: KernelBuild): Uint8Array<ArrayBuffer> {
  return readFileSync(packagePath('build', build === 'plain' ? 'kernel.wasm' : `kernel-${build}.wasm`));
}

/** Batches after which V8 has compiled well what they take. */
const WARM_UP = 24;

/**
 * The flag is set for as long as it takes AES to be compiled by the optimising compiler and to give its answers,
 * and no longer: so nothing else in the process is compiled with it, and what will run is what has been tried.
 * @returns nothing if an answer was wrong
 */
async function compileWide(): Promise<WebAssembly.Module | undefined> {
  setFlagsFromString('--experimental-wasm-revectorize');
  setFlagsFromString('--wasm-sync-tier-up');
  try {
    const module = await WebAssembly.compile(kernelFile('wide'));
    const memory = createMemory(KERNEL_TEST_SIZE);
    const kernel = instantiateKernel(module, memory);
    for (let i = 0; i < WARM_UP; i++) if (!answersRightly(kernel, memory)) return undefined;
    return module;
  } finally {
    setFlagsFromString('--no-wasm-sync-tier-up');
    setFlagsFromString('--no-experimental-wasm-revectorize');
  }
}

/**
 * Reserves linear memory; untouched pages cost nothing.
 * @param bytes rounded up to whole pages, at most 4 GiB
 */
export function createMemory(bytes: number): KernelMemory {
  const pages = Math.ceil(bytes / PAGE);
  return viewMemory(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }));
}

/** @returns views of a memory that another thread created */
export function viewMemory(memory: WebAssembly.Memory): KernelMemory {
  const bytes = new Uint8Array(memory.buffer);
  return { memory, bytes, words: new Uint32Array(memory.buffer), base: Number(koffi.address(bytes)) };
}

/** The exports of `assembly/index.ts`. All addresses are u32 offsets in linear memory. */
export interface KernelExports {
  /** Gives this instance its private scratch: CRYPTO_SCRATCH_SIZE bytes, 64-byte aligned. */
  initialiseCrypto(scratch: number): void;
  /** @returns bytes of STATE the suite's KEY block needs behind KEY_STATE */
  keyStateLength(encr: number, keyLength: number, integ: number): number;
  /** Expands the raw keys of the KEY block at `key` into its STATE. */
  setupKey(key: number): void;
  /** Wipes what this instance keeps of the KEY block at `key`, or of all if that is 0. */
  forgetKey(key: number): void;
  /** Seals `count` packets; see `CryptoBackend.seal`. */
  sealBatch(descriptors: number, count: number): void;
  /** Opens `count` packets; see `CryptoBackend.open`. */
  openBatch(descriptors: number, count: number): void;
  /** Prepares the arena of one worker: fixed parts of the message arrays, empty tables. Once, by its thread. */
  initialiseArena(arena: number): void;
  /** Puts a POLICY record, complete but for NEXT, into the SPD at `spd`; engine's thread alone. */
  insertPolicy(spd: number, policy: number): void;
  /** Takes a POLICY out; the record may be written again when this returns. */
  removePolicy(spd: number, policy: number): void;
  /**
   * Turns the frames in OUT_SLOTS (lengths in OUT_LENGTHS) into packets to be sealed, OUT_PACKETS.
   * Takes as many as fit; ARENA_OUT_TAKEN < count means: finish, send, and call again with the same
   * count. Every Prepare is followed by its Finish, also when it returns 0.
   * @returns PACKET descriptors for `CryptoBackend.seal`
   */
  outboundPrepare(arena: number, count: number): number;
  /** Like outboundPrepare, for frames in the trap queue whose SA has come; 0 when there is none left. */
  outboundResume(arena: number): number;
  /** Like outboundPrepare, for the first `count` entries of OUT_DUMMIES: a dummy packet for each (RFC 4303 §2.6). */
  outboundDummies(arena: number, count: number): number;
  /**
   * Lays out the message arrays, ARENA_LANE_COUNTS[lane] of struct mmsghdr at OUT_MESSAGES + lane ×
   * LANE_STRIDE, and ICMP errors for the TUN (ARENA_REPLY_COUNT FRAMEs at OUT_REPLY_FRAMES).
   * @returns messages in all lanes
   */
  outboundFinish(arena: number): number;
  /** Makes the first `count` of IN_MESSAGES, which recvmmsg has filled in, ready for the next one. */
  inboundArm(arena: number, count: number): void;
  /**
   * Turns `count` datagrams, as recvmmsg left them, into packets to be opened, IN_PACKETS; lists
   * those for IKE (ARENA_IKE_COUNT, IN_IKE).
   * @param source one of SOURCE_*
   * @returns PACKET descriptors for `CryptoBackend.open`
   */
  inboundPrepare(arena: number, source: number, count: number): number;
  /**
   * Takes the opened packets apart.
   * @returns FRAMEs at IN_FRAMES, one writev to the TUN each
   */
  inboundFinish(arena: number): number;
}

export function instantiateKernel(module: WebAssembly.Module, { memory }: KernelMemory): KernelExports {
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  // Every exports object has a shape of its own, which V8 optimises code for; copies are alike.
  return { ...(instance.exports as unknown as KernelExports) };
}
