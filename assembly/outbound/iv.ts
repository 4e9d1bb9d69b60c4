/**
 * Unpredictable IVs for CBC (RFC 3602 §3, NIST SP 800-38A appendix C): keystream of ChaCha20 under a
 * random secret of this arena, drawn 256 bytes at a time and used once.
 */
import { drawKeystream } from "../crypto/suite";
import { ARENA_IV_COUNTER, ARENA_IV_LEFT, ARENA_IV_POOL, ARENA_IV_POOL_SIZE, ARENA_SEED } from "../layout/arena";

/** Writes 16 bytes of IV. */
export function storeRandomIv(arena: usize, at: usize): void {
  let left = load<u32>(arena, ARENA_IV_LEFT);
  if (left == 0) {
    const counter = load<u64>(arena, ARENA_IV_COUNTER) + 1;
    store<u64>(arena, counter, ARENA_IV_COUNTER);
    drawKeystream(arena + ARENA_SEED, counter, arena + ARENA_IV_POOL);
    left = ARENA_IV_POOL_SIZE;
  }
  left -= 16;
  v128.store(at, v128.load(arena + left, ARENA_IV_POOL));
  store<u32>(arena, left, ARENA_IV_LEFT);
}
