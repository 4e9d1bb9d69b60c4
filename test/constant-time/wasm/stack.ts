/**
 * The stack of the taint machine: each value with a mask of its secret bytes.
 *
 *     value    | b0 | b1 | b2 | … | b15 |      16 bytes a slot, an i32 uses the first 4
 *     mask     |  1 |  0 |  0 | … |  0  |      bit i: byte i is secret
 */
const SLOTS = 65_536;

/** @returns the mask of so many bytes that are all secret */
export const maskOf = (bytes: number) => (1 << bytes) - 1;

export class TaintStack {
  readonly i32 = new Int32Array(SLOTS * 4);
  readonly u32 = new Uint32Array(this.i32.buffer);
  readonly i64 = new BigInt64Array(this.i32.buffer);
  readonly u64 = new BigUint64Array(this.i32.buffer);
  readonly i16 = new Int16Array(this.i32.buffer);
  readonly u16 = new Uint16Array(this.i32.buffer);
  readonly i8 = new Int8Array(this.i32.buffer);
  readonly u8 = new Uint8Array(this.i32.buffer);
  readonly masks = new Uint16Array(SLOTS);
  /** The first free slot. */
  top = 0;

  push32(value: number, mask: number): void {
    this.i32[this.top * 4] = value;
    this.masks[this.top++] = mask;
  }

  push64(value: bigint, mask: number): void {
    this.i64[this.top * 2] = value;
    this.masks[this.top++] = mask;
  }

  /** Copies one slot. */
  copy(from: number, to: number): void {
    const { i32 } = this;
    i32[to * 4] = i32[from * 4]!;
    i32[to * 4 + 1] = i32[from * 4 + 1]!;
    i32[to * 4 + 2] = i32[from * 4 + 2]!;
    i32[to * 4 + 3] = i32[from * 4 + 3]!;
    this.masks[to] = this.masks[from]!;
  }

  move(from: number, to: number, count: number): void {
    if (from !== to) for (let i = 0; i < count; i++) this.copy(from + i, to + i);
  }

  /** @param bytesStay whether a secret byte makes a secret of the same byte only */
  push(value: number | bigint, mask: number, bytesStay: boolean): void {
    const whole = maskOf(typeof value === 'bigint' ? 8 : 4);
    const result = bytesStay ? mask & whole : mask === 0 ? 0 : whole;
    if (typeof value === 'bigint') this.push64(value, result);
    else this.push32(value, result);
  }
}
