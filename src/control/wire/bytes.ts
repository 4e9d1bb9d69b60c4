/** Checked reading and writing of big-endian fields: every read is bounded, a short input is a WireError. */
import { syntaxError } from './error.ts';

export class Reader {
  readonly bytes: Uint8Array;
  /** Next byte to read. */
  offset = 0;
  /** What is being read, for messages: `KE payload`. */
  readonly what: string;

  constructor(bytes: Uint8Array, what: string) {
    this.bytes = plainBytes(bytes);
    this.what = what;
  }

  get remaining(): number {
    return this.bytes.length - this.offset;
  }

  u8(): number {
    return this.bytes[this.advance(1)]!;
  }

  u16(): number {
    return readU16(this.bytes, this.advance(2));
  }

  u32(): number {
    return readU32(this.bytes, this.advance(4));
  }

  u64(): bigint {
    const at = this.advance(8);
    return (BigInt(readU32(this.bytes, at)) << 32n) | BigInt(readU32(this.bytes, at + 4));
  }

  /** @returns a copy of the next `length` bytes, so that a repr never pins or aliases a receive buffer */
  take(length: number): Uint8Array {
    const start = this.advance(length);
    return this.bytes.slice(start, start + length);
  }

  /** @returns a copy of everything left */
  rest(): Uint8Array {
    return this.take(this.remaining);
  }

  /** @returns a reader over the next `length` bytes, which this reader skips; nothing is copied */
  sub(length: number, what: string): Reader {
    const start = this.advance(length);
    return new Reader(this.bytes.subarray(start, start + length), what);
  }

  skip(length: number): void {
    this.advance(length);
  }

  /** @throws WireError if bytes are left over */
  end(): void {
    if (this.remaining > 0) throw syntaxError(`${this.what} has ${this.remaining} bytes too many`);
  }

  private advance(length: number): number {
    if (length > this.remaining) {
      throw syntaxError(`${this.what} is cut off: ${length} bytes needed, ${this.remaining} left`);
    }
    const at = this.offset;
    this.offset += length;
    return at;
  }
}

/** @returns the same bytes without Buffer's methods: `slice` of a Buffer does not copy, ours must */
export const plainBytes = (bytes: Uint8Array): Uint8Array =>
  Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes;

// A DataView would make the engine take even the smallest array out of its own heap.
const readU16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

const readU32 = (bytes: Uint8Array, at: number): number => ((readU16(bytes, at) << 16) | readU16(bytes, at + 2)) >>> 0;

/** Writes into a buffer of exactly the length that was computed for it. */
export class Writer {
  readonly bytes: Uint8Array;
  offset = 0;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
  }

  u8(value: number): void {
    this.bytes[this.advance(1)] = value;
  }

  u16(value: number): void {
    this.u8(value >>> 8);
    this.u8(value);
  }

  u32(value: number): void {
    this.u16(value >>> 16);
    this.u16(value);
  }

  u64(value: bigint): void {
    this.u32(Number(value >> 32n));
    this.u32(Number(value & 0xffff_ffffn));
  }

  put(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.offset);
    this.offset += bytes.length;
  }

  zeros(length: number): void {
    this.advance(length);
  }

  /** @throws RangeError beyond the end: the length was not computed right */
  private advance(length: number): number {
    const at = this.offset;
    this.offset += length;
    if (this.offset > this.bytes.length) throw new RangeError('more was written than there is room for');
    return at;
  }
}

/** Stands wherever there is nothing, so that it is there once only. */
export const NO_BYTES = new Uint8Array();

/** @returns all parts in one new array */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** @returns whether both hold the same bytes; not for secrets (see `crypto/secret.ts`) */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** @returns lower-case hexadecimal */
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
