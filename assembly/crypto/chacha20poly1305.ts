/** ChaCha20-Poly1305 for ESP (RFC 7634, RFC 8439 §2.8). Packets of one call may have different KEYs. */
import {
  KEY_KEY,
  KEY_SALT,
  PACKET_AAD,
  PACKET_AAD_LENGTH,
  PACKET_ICV,
  PACKET_IV,
  PACKET_KEY,
  PACKET_LENGTH,
  PACKET_PAYLOAD,
} from "../layout";
import { chachaBlocks4, KEYSTREAM_SIZE } from "./chacha20";
import { POLY_SIZE, polyBlocks, polyFinish, polyPadded, polyStart } from "./poly1305";
import { accept, icvDifference, rejectIcv } from "./verdict";

const KEYSTREAM: usize = 0;
const POLY: usize = 256;
const BLOCK: usize = POLY + POLY_SIZE + 16;
const TAG: usize = BLOCK + 16;
const SCRATCH_USED: usize = TAG + 16;

/** The raw key is all the cipher needs. */
export function chachaStateLength(): u32 {
  return 0;
}

export function chachaSeal(list: usize, count: i32, scratch: usize): void {
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    begin(packet, scratch);
    crypt(packet, scratch);
    authenticate(packet, scratch, load<u32>(packet, PACKET_ICV));
    accept(packet);
  }
  memory.fill(scratch, 0, SCRATCH_USED);
}

export function chachaOpen(list: usize, count: i32, scratch: usize): void {
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    begin(packet, scratch);
    authenticate(packet, scratch, scratch + TAG);
    if (icvDifference(scratch + TAG, load<u32>(packet, PACKET_ICV), 16) != 0) {
      rejectIcv(packet);
      continue;
    }
    crypt(packet, scratch);
    accept(packet);
  }
  memory.fill(scratch, 0, SCRATCH_USED);
}

/** Makes blocks 0 … 3: block 0 is the one-time key (RFC 8439 §2.6), the rest the first keystream. */
function begin(packet: usize, scratch: usize): void {
  keystream(packet, 0, scratch);
  polyStart(scratch + POLY, scratch + KEYSTREAM);
}

@inline
function keystream(packet: usize, counter: u32, scratch: usize): void {
  const key: usize = load<u32>(packet, PACKET_KEY);
  chachaBlocks4(key + KEY_KEY, load<u32>(key, KEY_SALT), load<u64>(load<u32>(packet, PACKET_IV)), counter, scratch);
}

/** XORs the payload with keystream from block 1 on; blocks 1 … 3 are there already. */
function crypt(packet: usize, scratch: usize): void {
  let at: usize = load<u32>(packet, PACKET_PAYLOAD);
  let left = load<u32>(packet, PACKET_LENGTH);
  let from: u32 = 64;
  let counter: u32 = 4;
  while (true) {
    const taken = min(left, KEYSTREAM_SIZE - from);
    xorBytes(at, scratch + KEYSTREAM + from, taken, scratch + BLOCK);
    left -= taken;
    if (left == 0) return;
    at += taken;
    keystream(packet, counter, scratch);
    counter += 4;
    from = 0;
  }
}

function xorBytes(at: usize, stream: usize, length: u32, block: usize): void {
  const whole = length & ~15;
  for (let i: u32 = 0; i < whole; i += 16) {
    v128.store(at + i, v128.xor(v128.load(at + i), v128.load(stream + i)));
  }
  const rest = length & 15;
  if (rest == 0) return;
  v128.store(block, v128.xor(v128.load(at + whole), v128.load(stream + whole)));
  memory.copy(at + whole, block, rest);
}

/** AAD ‖ pad16 ‖ ciphertext ‖ pad16 ‖ both lengths as u64 (RFC 8439 §2.8). */
function authenticate(packet: usize, scratch: usize, tag: usize): void {
  const poly = scratch + POLY;
  polyPadded(poly, load<u32>(packet, PACKET_AAD), load<u32>(packet, PACKET_AAD_LENGTH));
  polyPadded(poly, load<u32>(packet, PACKET_PAYLOAD), load<u32>(packet, PACKET_LENGTH));
  store<u64>(scratch + BLOCK, load<u32>(packet, PACKET_AAD_LENGTH));
  store<u64>(scratch + BLOCK + 8, load<u32>(packet, PACKET_LENGTH));
  polyBlocks(poly, scratch + BLOCK, 1);
  polyFinish(poly, tag);
}
