/**
 * A few bytes of machine code of our own, where a way through JavaScript costs more than what is called.
 *
 * They lie in a page that can be executed and not written to; V8 has such pages too, so where a system
 * forbids them there is no WebAssembly either. On other processors than x86-64, and where the page is
 * refused, there is none, and calls are made one by one.
 */
import koffi from 'koffi';

const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const PAGE = 4096;

const libc = koffi.load(null);
const dlsym = libc.func('uintptr_t dlsym(uintptr_t, str)') as (handle: number, name: string) => number;
const RTLD_DEFAULT = 0;

/** Where a function of the program is. */
export const functionAddress = (name: string): number => dlsym(RTLD_DEFAULT, name);

/** Writes an address, or a whole number that is not negative, as a u64: BigInts would be objects. @param at in words */
export function storeAddress(words: Uint32Array, at: number, value: number): void {
  const low = value >>> 0;
  words[at] = low;
  words[at + 1] = (value - low) / 2 ** 32;
}

/**
 * @param listing for x86-64 and the System V ABI: in each line bytes in hexadecimal, then what they mean
 * @param prototype in C, without a name: `int (uintptr_t)`
 * @returns the function, or null where there can be none
 */
export function loadMachineCode<F>(listing: string, prototype: string): F | null {
  if (process.arch !== 'x64') return null;
  const mmap = libc.func('intptr_t mmap(uintptr_t, size_t, int, int, int, long)');
  const mprotect = libc.func('int mprotect(uintptr_t, size_t, int)');
  const munmap = libc.func('int munmap(uintptr_t, size_t)');
  const page: number = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  // MAP_FAILED is -1.
  if (page === -1) return null;
  new Uint8Array(koffi.view(page, PAGE)).set(assemble(listing));
  if (mprotect(page, PAGE, PROT_READ | PROT_EXEC) !== 0) {
    munmap(page, PAGE);
    return null;
  }
  return koffi.decode(page, koffi.proto(prototype)) as F;
}

/** @returns the bytes in front of each line's instruction */
function assemble(listing: string): Uint8Array {
  const bytes = listing.split('\n').flatMap(
    (line) =>
      line
        .match(/^ {2}((?:[0-9a-f]{2} )+)/)?.[1]
        ?.trim()
        .split(' ') ?? [],
  );
  return Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16));
}
