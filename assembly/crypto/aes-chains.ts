/**
 * CBC chains (NIST SP 800-38A §6.2): each block waits for the one before, so up to 32 packets of one
 * KEY go side by side, a lane each. CBC encryption writes every block; CCM's CBC-MAC wants only the last.
 *
 * A chain's message is a few runs of whole blocks, read in place or staged. All chains advance by the
 * shortest run in work; a chain that is done stands still on a block of its own until all are.
 *
 *  CHAIN:
 *      0       4        8       12      16      20      24                     64       128
 *     +-------+--------+-------+-------+-------+-------+----------------------+--------+--------+
 *     | AT    | STRIDE | LEFT  | NEXT  | END   |       | RUNS: address, blocks| STAGE  | RESULT |
 *     +-------+--------+-------+-------+-------+-------+----------------------+--------+--------+
 */
import { encryptSets, SET_SIZE, SLICED_SIZE, sliceBlocks } from "./aes-lanes";
import { encryptRow, ROW_KEYS_SIZE, rowKeys } from "./aes-row";

/** Chains that go side by side, at most. */
export const CHAINS: i32 = 32;
/** As few as this go one after the other instead: a SET takes its time whether its lanes are full or not. */
const FEW_CHAINS: i32 = 3;

/** u32: the next block, and how far the one after is: 16, or 0 for a chain that is done. */
const CHAIN_AT: usize = 0;
const CHAIN_STRIDE: usize = 4;
/** u32: blocks left of the run in work. */
const CHAIN_LEFT: usize = 8;
/** u32: address of the next run's entry, and of the end of them. */
const CHAIN_NEXT: usize = 12;
const CHAIN_END: usize = 16;
/** u32 × 2 × 5: address and blocks of each run. */
const CHAIN_RUNS: usize = 24;
/** 64 bytes for the caller to put blocks together. */
export const CHAIN_STAGE: usize = 64;
/** 16 bytes: the last block, when all is done. */
export const CHAIN_RESULT: usize = 128;
const CHAIN_SIZE: u32 = 144;

// Scratch: SETs, whose rows are the chains' last blocks, then CHAINs.
const CHAINS_AT: usize = 2 * SET_SIZE;
const ROW_KEYS: usize = CHAINS_AT + CHAINS * CHAIN_SIZE;
/** Bytes of scratch taken by this file, a multiple of 64. */
export const CHAINS_SCRATCH_SIZE: usize = ROW_KEYS + ROW_KEYS_SIZE;

/** @returns the address of the CHAIN in that lane */
@inline
export function chainAt(scratch: usize, lane: i32): usize {
  return scratch + CHAINS_AT + lane * CHAIN_SIZE;
}

/** Puts a chain without runs into a lane. */
export function startChain(scratch: usize, lane: i32, iv: v128): void {
  const chain = chainAt(scratch, lane);
  v128.store(rowAt(scratch, lane), iv);
  store<u32>(chain, <u32>(chain + CHAIN_RUNS), CHAIN_NEXT);
  store<u32>(chain, <u32>(chain + CHAIN_RUNS), CHAIN_END);
}

/** Adds a run of blocks at `at`; an empty one is left out. */
export function addRun(chain: usize, at: usize, blocks: u32): void {
  if (blocks == 0) return;
  const run: usize = load<u32>(chain, CHAIN_END);
  store<u32>(run, <u32>at);
  store<u32>(run, blocks, 4);
  store<u32>(chain, <u32>run + 8, CHAIN_END);
}

/**
 * Runs the chains in lanes 0 … `lanes` - 1 to their ends.
 * @param encrypt write each block where it was read
 */
export function runChains(lanes: i32, encrypt: bool, keys: usize, rounds: i32, scratch: usize): void {
  for (let lane = 0; lane < lanes; lane++) nextRun(scratch, lane);
  if (lanes <= FEW_CHAINS) return runFew(lanes, encrypt, keys, rounds, scratch);
  const sets = (lanes + 15) >> 4;
  while (true) {
    const steps = shortestRun(lanes, scratch);
    if (steps == 0) return;
    for (let step: u32 = 0; step < steps; step++) {
      for (let lane = 0; lane < lanes; lane++) {
        const row = rowAt(scratch, lane);
        v128.store(row, v128.xor(v128.load(row), v128.load(load<u32>(chainAt(scratch, lane), CHAIN_AT))));
      }
      for (let set = 0; set < sets; set++) {
        const state = scratch + set * SET_SIZE;
        sliceBlocks(state, state + SLICED_SIZE, state);
      }
      encryptSets(scratch, sets, keys, rounds);
      for (let lane = 0; lane < lanes; lane++) {
        const chain = chainAt(scratch, lane);
        const at = load<u32>(chain, CHAIN_AT);
        if (encrypt) v128.store(at, v128.load(rowAt(scratch, lane)));
        store<u32>(chain, at + load<u32>(chain, CHAIN_STRIDE), CHAIN_AT);
      }
    }
    for (let lane = 0; lane < lanes; lane++) {
      const chain = chainAt(scratch, lane);
      if (load<u32>(chain, CHAIN_STRIDE) == 0) continue;
      const left = load<u32>(chain, CHAIN_LEFT) - steps;
      store<u32>(chain, left, CHAIN_LEFT);
      if (left == 0) nextRun(scratch, lane);
    }
  }
}

/** Runs each chain to its end before the next. */
function runFew(lanes: i32, encrypt: bool, keys: usize, rounds: i32, scratch: usize): void {
  const rows = scratch + ROW_KEYS;
  rowKeys(keys, rounds, rows);
  for (let lane = 0; lane < lanes; lane++) {
    const chain = chainAt(scratch, lane);
    let block = v128.load(rowAt(scratch, lane));
    while (load<u32>(chain, CHAIN_STRIDE) != 0) {
      const from: usize = load<u32>(chain, CHAIN_AT);
      const end = from + (load<u32>(chain, CHAIN_LEFT) << 4);
      for (let at = from; at < end; at += 16) {
        block = encryptRow(rows, rounds, v128.xor(block, v128.load(at)));
        if (encrypt) v128.store(at, block);
      }
      v128.store(rowAt(scratch, lane), block);
      nextRun(scratch, lane);
    }
  }
}

/** A chain's last block, as a row of its lane's SET. */
@inline
function rowAt(scratch: usize, lane: i32): usize {
  return scratch + (lane >> 4) * SET_SIZE + ((lane & 15) << 4);
}

/** Begins a chain's next run; after the last, notes the result and stands still on STAGE. */
function nextRun(scratch: usize, lane: i32): void {
  const chain = chainAt(scratch, lane);
  const run: usize = load<u32>(chain, CHAIN_NEXT);
  if (run == load<u32>(chain, CHAIN_END)) {
    v128.store(chain, v128.load(rowAt(scratch, lane)), CHAIN_RESULT);
    store<u32>(chain, <u32>(chain + CHAIN_STAGE), CHAIN_AT);
    store<u32>(chain, 0, CHAIN_STRIDE);
    return;
  }
  store<u32>(chain, load<u32>(run), CHAIN_AT);
  store<u32>(chain, 16, CHAIN_STRIDE);
  store<u32>(chain, load<u32>(run, 4), CHAIN_LEFT);
  store<u32>(chain, <u32>run + 8, CHAIN_NEXT);
}

/** @returns blocks that every chain in work can take, 0 if none is */
function shortestRun(lanes: i32, scratch: usize): u32 {
  let steps: u32 = 0xffffffff;
  for (let lane = 0; lane < lanes; lane++) {
    const chain = chainAt(scratch, lane);
    if (load<u32>(chain, CHAIN_STRIDE) != 0) steps = min(steps, load<u32>(chain, CHAIN_LEFT));
  }
  return steps == 0xffffffff ? 0 : steps;
}
