/** Checked reading and writing of big-endian fields: every read is bounded, a short input is a WireError. */
import { syntaxError } from './error.ts';

export class Reader {
  readonly bytes: Uint8Array;
  /** Next byte to read. */
  offset = 0;
  /** What is being read, for messages: `KE payload`. */
  readonly what: string;
  private readonly view: DataView;

  constructor(bytes: Uint8Array, what: string) {
    this.bytes = plainBytes(bytes);
    this.what = what;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.bytes.length - this.offset;
  }

  u8(): number {
    return this.view.getUint8(this.advance(1));
  }

  u16(): number {
    return this.view.getUint16(this.advance(2));
  }

  u32(): number {
    return this.view.getUint32(this.advance(4));
  }

  u64(): bigint {
    return this.view.getBigUint64(this.advance(8));
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

/** Writes into a buffer of exactly the length that was computed for it. */
export class Writer {
  readonly bytes: Uint8Array;
  offset = 0;
  private readonly view: DataView;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
  }

  u8(value: number): void {
    this.view.setUint8(this.offset, value);
    this.offset += 1;
  }

  u16(value: number): void {
    this.view.setUint16(this.offset, value);
    this.offset += 2;
  }

  u32(value: number): void {
    this.view.setUint32(this.offset, value);
    this.offset += 4;
  }

  u64(value: bigint): void {
    this.view.setBigUint64(this.offset, value);
    this.offset += 8;
  }

  put(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.offset);
    this.offset += bytes.length;
  }

  zeros(length: number): void {
    this.offset += length;
  }
}

/** @returns all parts in one new array */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Writer(parts.reduce((sum, part) => sum + part.length, 0));
  for (const part of parts) out.put(part);
  return out.bytes;
}

/** @returns whether both hold the same bytes; not for secrets (see `crypto/secret.ts`) */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** @returns lower-case hexadecimal */
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
