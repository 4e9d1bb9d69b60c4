/** Hostile bytes: whatever arrives, parsing and opening throw WireError or nothing. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createProvider } from '../../../src/control/crypto/index.ts';
import { makeProtection } from '../../../src/control/crypto/protection.ts';
import { WireError } from '../../../src/control/wire/error.ts';
import { emitPayloads, openMessage, parseMessage, parseOpened, sealPart } from '../../../src/control/wire/message.ts';
import type { Payload } from '../../../src/control/wire/payloads/index.ts';
import { HANDSHAKES } from '../captured.ts';
import { payloadsOf } from './arbitraries.ts';

const provider = createProvider('node');
const keys = { encryption: new Uint8Array(20).fill(7), integrity: new Uint8Array() };
const protection = makeProtection({ cipher: provider.cipher(20, 128)! }, keys, provider.random);
const HEADER = { spiI: 1n, spiR: 2n, exchange: 35, fromInitiator: true, response: false, messageId: 1 };
/** Messages that each of the mutation runs changes: a second or two of work. */
const RUNS = 20_000;

/** @returns whether it was taken @throws anything but WireError */
function takes(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}

/** xorshift32: a run can be had again from its seed. */
function generator(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const INTERESTING = [0, 1, 2, 3, 4, 7, 8, 0x20, 0x28, 0x2e, 0x35, 0x7f, 0x80, 0xff];

/** Changes, cuts, repeats, moves: one to eight times; then, mostly, puts the message's length right again. */
function mutate(data: Uint8Array, draw: (below: number) => number): Uint8Array {
  let bytes = Uint8Array.from(data);
  for (let step = draw(8); step >= 0; step--) {
    const at = draw(bytes.length || 1);
    const kind = draw(6);
    if (kind === 0) bytes[at] = draw(256);
    if (kind === 1) bytes[at] = INTERESTING[draw(INTERESTING.length)]!;
    if (kind === 2) bytes[at]! ^= 1 << draw(8);
    if (kind === 3) bytes = bytes.slice(0, at);
    if (kind === 4) bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(draw(at + 1))]);
    if (kind === 5) bytes.copyWithin(at, draw(bytes.length || 1), bytes.length);
  }
  if (bytes.length >= 28 && draw(8) !== 0) new DataView(bytes.buffer).setUint32(24, bytes.length);
  return bytes;
}

describe('parsing', () => {
  it('throws WireError or nothing for random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
        takes(() => parseMessage(data));
      }),
      { numRuns: 2000 },
    );
  });

  it('throws WireError or nothing for a random chain of payloads', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 300 }), (first, plaintext) => {
        takes(() => parseOpened(first, plaintext));
      }),
      { numRuns: 5000 },
    );
  });

  it('throws WireError or nothing for captured messages that were changed', () => {
    const seeds = HANDSHAKES.flatMap(({ messages }) => messages);
    const draw = generator(0x1c3e2);
    let taken = 0;
    for (let run = 0; run < RUNS; run++) {
      const data = mutate(seeds[draw(seeds.length)]!, draw);
      if (takes(() => parseMessage(data))) taken++;
    }
    // A fuzzer that is always refused tests nothing behind the header.
    expect(taken).toBeGreaterThan(RUNS / 100);
  });
});

describe('opening', () => {
  /** What an authenticated peer gone mad could send: right checksums around changed payloads. */
  it('throws WireError or nothing for changed payloads inside a good SK', () => {
    const seeds = fc.sample(payloadsOf, { numRuns: 50, seed: 7 }).map((payloads: Payload[]) => emitPayloads(payloads));
    const draw = generator(0x9a51);
    let taken = 0;
    for (let run = 0; run < RUNS; run++) {
      const { firstPayload, plaintext } = seeds[draw(seeds.length)]!;
      const data = sealPart(HEADER, { kind: 'SK', firstPayload }, mutate(plaintext, draw), protection);
      if (takes(() => openMessage(parseMessage(data), protection))) taken++;
    }
    expect(taken).toBeGreaterThan(RUNS / 100);
  });

  it('takes no changed message at all', () => {
    const { firstPayload, plaintext } = emitPayloads([{ kind: 'V', data: new Uint8Array(40) }]);
    const data = sealPart(HEADER, { kind: 'SK', firstPayload }, plaintext, protection);
    const draw = generator(0xbead);
    for (let run = 0; run < 5_000; run++) {
      const changed = mutate(data, draw);
      if (Buffer.compare(changed, data) === 0) continue;
      expect(takes(() => openMessage(parseMessage(changed), protection))).toBe(false);
    }
  });
});
