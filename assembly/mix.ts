/** Hashing of what is public: addresses, ports. Collisions cost time, never correctness. */
@inline
export function mix(hash: u64, value: u64): u64 {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >>> 29);
}
