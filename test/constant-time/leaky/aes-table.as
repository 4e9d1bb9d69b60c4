/**
 * AES-128 as it must not be written, for tests that have to notice: the S-box lies in memory and is
 * looked up by secret bytes (FIPS 197 otherwise). Each entry has a cache line of its own, so that
 * which lines a block touches depends on key and data alone. Below it, other classics.
 */
const LINE: usize = 64;
const SBOX: usize = memory.data(256 * 64, 64);
const ROUNDS: i32 = 10;

export const state: usize = memory.data(176, 64);
export const data: usize = memory.data(65536, 64);

@inline
function sub(x: u8): u8 {
  return load<u8>(SBOX + <usize>x * LINE);
}

@inline
function double(x: u8): u8 {
  return (x << 1) ^ (0x1b & -(x >> 7));
}

/** Walks through GF(2^8) with the generator 3 and its inverse. */
export function initialise(): void {
  let p: u8 = 1;
  let q: u8 = 1;
  do {
    p = p ^ double(p);
    q ^= q << 1;
    q ^= q << 2;
    q ^= q << 4;
    if (q & 0x80) q ^= 0x09;
    const s: u8 = q ^ rotl<u8>(q, 1) ^ rotl<u8>(q, 2) ^ rotl<u8>(q, 3) ^ rotl<u8>(q, 4);
    store<u8>(SBOX + <usize>p * LINE, s ^ 0x63);
  } while (p != 1);
  store<u8>(SBOX, 0x63);
}

/** Expands the 16 bytes at `key` into `state`. */
export function setupKey(key: usize): void {
  memory.copy(state, key, 16);
  let rcon: u8 = 1;
  for (let at: usize = 16; at < 176; at += 4) {
    let a = load<u8>(state + at - 4);
    let b = load<u8>(state + at - 3);
    let c = load<u8>(state + at - 2);
    let d = load<u8>(state + at - 1);
    if (at % 16 == 0) {
      const first = a;
      a = sub(b) ^ rcon;
      b = sub(c);
      c = sub(d);
      d = sub(first);
      rcon = double(rcon);
    }
    store<u8>(state + at, load<u8>(state + at - 16) ^ a);
    store<u8>(state + at + 1, load<u8>(state + at - 15) ^ b);
    store<u8>(state + at + 2, load<u8>(state + at - 14) ^ c);
    store<u8>(state + at + 3, load<u8>(state + at - 13) ^ d);
  }
}

/** Encrypts blocks in place. */
export function encrypt(blocks: usize, count: i32): void {
  for (let i = 0; i < count; i++) encryptBlock(blocks + (<usize>i << 4));
}

function encryptBlock(at: usize): void {
  const rest: usize = data + 65520;
  addRoundKey(at, 0);
  for (let round = 1; round <= ROUNDS; round++) {
    for (let i: usize = 0; i < 16; i++) store<u8>(rest + i, sub(load<u8>(at + ((i * 5) & 15))));
    for (let column: usize = 0; column < 16; column += 4) {
      const a = load<u8>(rest + column);
      const b = load<u8>(rest + column + 1);
      const c = load<u8>(rest + column + 2);
      const d = load<u8>(rest + column + 3);
      const last = round == ROUNDS;
      store<u8>(at + column, last ? a : double(a ^ b) ^ b ^ c ^ d);
      store<u8>(at + column + 1, last ? b : double(b ^ c) ^ a ^ c ^ d);
      store<u8>(at + column + 2, last ? c : double(c ^ d) ^ a ^ b ^ d);
      store<u8>(at + column + 3, last ? d : double(d ^ a) ^ a ^ b ^ c);
    }
    addRoundKey(at, round);
  }
}

function addRoundKey(at: usize, round: usize): void {
  for (let i: usize = 0; i < 16; i++) store<u8>(at + i, load<u8>(at + i) ^ load<u8>(state + (round << 4) + i));
}

/** Compares two ICVs and stops at the first difference. */
export function equal(a: usize, b: usize, length: i32): bool {
  for (let i = 0; i < length; i++) if (load<u8>(a + i) != load<u8>(b + i)) return false;
  return true;
}

/** Reduces by dividing. */
export function reduce(at: usize, modulus: u32): u32 {
  return load<u32>(at) % modulus;
}

/** Chooses by a secret. */
export function choose(at: usize, a: u32, b: u32): u32 {
  return select<u32>(a, b, load<u8>(at) & 1);
}

/** Copies as many bytes as a secret says. */
export function copy(at: usize, to: usize): void {
  memory.copy(to, at + 1, load<u8>(at) & 15);
}
