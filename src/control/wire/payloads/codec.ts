import type { Writer } from '../bytes.ts';

/** One payload type on the wire: a checked parse to a plain repr, and back (RFC 7296 §3.2). */
export interface Codec<P> {
  /** Next Payload value that announces it. */
  readonly type: number;
  /**
   * @param body everything behind the generic payload header
   * @throws WireError
   */
  parse(body: Uint8Array): P;
  /** @returns bytes of the body that `emit` will write */
  length(payload: P): number;
  emit(payload: P, out: Writer): void;
}
