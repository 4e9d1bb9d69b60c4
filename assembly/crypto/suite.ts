/** One entry for every cipher suite: groups a batch by SA and hands the groups to the ciphers. */

/** This instance's private scratch (a WebAssembly global: never shared between threads). */
let scratch: usize = 0;

export function initialiseCrypto(address: usize): void {
  scratch = address;
}

export function keyStateLength(encr: u32, keyLength: u32, integ: u32): u32 {
  return 0;
}

export function setupKey(key: usize): void {}

export function sealBatch(descriptors: usize, count: i32): void {}

export function openBatch(descriptors: usize, count: i32): void {}
