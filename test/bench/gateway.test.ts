/** The gateway benchmark's own arithmetic, and that the ladder's lowest rungs carry what they are given. */
import { describe, expect, it } from 'vitest';
import {
  FRAME_IOVEC_COUNT,
  FRAME_SIZE,
  IN_FRAMES,
  IN_MESSAGES,
  IN_SLOT_DATA,
  IN_SLOTS,
  LANE_STRIDE,
  LANE_UDP4,
  MMSGHDR_SIZE,
  OUT_EXTRA_CONTROL,
  OUT_EXTRA_SIZE,
  OUT_EXTRAS,
  OUT_LENGTHS,
  OUT_MESSAGES,
  OUT_SLOT_FRAME,
  OUT_SLOTS,
  SLOT_SIZE,
} from '../../assembly/layout/arena.ts';
import { draw } from '../../bench/gateway/pictures.ts';
import { predict } from '../../bench/gateway/prediction.ts';
import { type GatewayResult, table } from '../../bench/gateway/results.ts';
import { type RungName, rungKernel } from '../../bench/gateway/rung-kernel.ts';
import { Plane } from '../../bench/scale/plane.ts';
import { compileKernel, type KernelExports } from '../../src/dataplane/kernel.ts';

const { module } = await compileKernel();

/** Two gateways' kernels, and the network between them. */
class Pair {
  readonly #plane = new Plane(module, 1);
  readonly #kernel: KernelExports;
  readonly #view = new DataView(this.#plane.memory.memory.buffer);

  constructor(name: RungName) {
    const { kernel, memory, arena } = this.#plane;
    this.#kernel = rungKernel(name, kernel, memory, arena, { address: '192.0.2.2', port: 4500 });
  }

  /** @returns the messages that frames leave in, as their bytes and the size of their segments */
  send(frames: readonly Buffer[]): { bytes: Buffer; segment: number }[] {
    const { arena } = this.#plane;
    for (const [slot, frame] of frames.entries()) {
      this.#bytes.set(frame, arena + OUT_SLOTS + slot * SLOT_SIZE + OUT_SLOT_FRAME);
      this.#view.setUint32(arena + OUT_LENGTHS + slot * 4, frame.length, true);
    }
    this.#kernel.outboundPrepare(arena, frames.length);
    return Array.from({ length: this.#kernel.outboundFinish(arena) }, (_, index) => {
      const message = arena + OUT_MESSAGES + LANE_UDP4 * LANE_STRIDE + index * MMSGHDR_SIZE;
      const control = arena + OUT_EXTRAS + index * OUT_EXTRA_SIZE + OUT_EXTRA_CONTROL;
      return {
        bytes: this.#gather(this.#pointer(message + 16), this.#view.getUint32(message + 24, true)),
        segment: this.#view.getUint16(control + 16, true),
      };
    });
  }

  /** @returns the frames that come out of one batch */
  receive(messages: readonly Buffer[]): Buffer[] {
    const { arena } = this.#plane;
    for (const [slot, message] of messages.entries()) {
      this.#bytes.set(message, arena + IN_SLOTS + slot * SLOT_SIZE + IN_SLOT_DATA);
      this.#view.setUint32(arena + IN_MESSAGES + slot * MMSGHDR_SIZE + 56, message.length, true);
    }
    this.#kernel.inboundPrepare(arena, 0, messages.length);
    return Array.from({ length: this.#kernel.inboundFinish(arena) }, (_, index) => {
      const frame = arena + IN_FRAMES + index * FRAME_SIZE;
      return this.#gather(this.#view.getUint32(frame, true), this.#view.getUint32(frame + FRAME_IOVEC_COUNT, true));
    });
  }

  get #bytes(): Uint8Array {
    return this.#plane.memory.bytes;
  }

  #gather(iovecs: number, count: number): Buffer {
    const parts = Array.from({ length: count }, (_, index) => {
      const at = this.#pointer(iovecs + index * 16);
      return this.#bytes.slice(at, at + this.#view.getUint32(iovecs + index * 16 + 8, true));
    });
    return Buffer.concat(parts);
  }

  #pointer(at: number): number {
    return Number(this.#view.getBigUint64(at, true)) - this.#plane.memory.base;
  }
}

/** A virtio header and an IPv4 packet of that many bytes. */
function frame(bytes: number, seed: number): Buffer {
  const data = Buffer.from(Uint8Array.from({ length: 10 + bytes }, (_, i) => i * seed + (i >>> 8)));
  data.writeUInt16BE(bytes, 12);
  return data;
}

describe('the rungs below the gateway', () => {
  const frames = [frame(52, 3), frame(52, 5), frame(60, 7), frame(65_194, 11), frame(52, 13), frame(4000, 17)];

  it.each(['forward', 'frame'] as const)('%s carries frames of every size as they are', (name) => {
    const pair = new Pair(name);
    const messages = pair.send(frames);
    for (const { bytes } of messages) expect(bytes.length).toBeLessThanOrEqual(65_507);
    expect(pair.receive(messages.map(({ bytes }) => bytes))).toEqual(frames);
  });

  it('puts an ESP packet of four bytes’ multiple around each piece, and small ones of a size into one message', () => {
    const messages = new Pair('frame').send(frames);
    expect(messages.map(({ bytes, segment }) => Math.ceil(bytes.length / segment))).toEqual([2, 1, 44, 2, 1, 3]);
    expect(messages.map(({ segment }) => segment)).toEqual([96, 104, 1472, 1472, 96, 1472]);
    const sequence = messages.flatMap(({ bytes, segment }) =>
      Array.from({ length: Math.ceil(bytes.length / segment) }, (_, i) => bytes.readUInt32BE(i * segment + 4)),
    );
    expect(sequence).toEqual(Array.from({ length: 53 }, (_, i) => i + 1));
    for (const { bytes } of messages) expect(bytes.length % 4).toBe(0);
  });

  it('finishes a frame whose rest comes with the next batch, and gives up one whose rest is lost', () => {
    const pair = new Pair('frame');
    const messages = pair.send(frames).map(({ bytes }) => bytes);
    expect(pair.receive(messages.slice(0, 3))).toEqual(frames.slice(0, 3));
    expect(pair.receive(messages.slice(3))).toEqual(frames.slice(3));
    expect(pair.receive(messages.slice(0, 3))).toEqual(frames.slice(0, 3));
    expect(pair.receive(messages.slice(4))).toEqual(frames.slice(4));
    expect(pair.receive(messages.slice(3))).toEqual(frames.slice(4));
  });
});

const row = (algorithm: string, backend: string, cpuSecondsPerGB: number): GatewayResult => ({
  suite: 'gateway',
  peer: 'espalier',
  algorithm,
  backend,
  test: 'tcp1',
  mbps: { min: 1, median: 1, max: 1 },
  cpuSecondsPerGB,
});

describe('the prediction', () => {
  const cipher = new Map([['aes128gcm16 wasm', 1.3]]);

  it('adds up the null rung and the cipher', () => {
    const rows = predict([row('aes128gcm16', 'null', 0.3), row('aes128gcm16', 'wasm', 1.92)], cipher);
    expect(rows[1]!.prediction).toEqual({ nullSecondsPerGB: 0.3, cipherSecondsPerGB: 1.3, ratio: 1.2 });
    expect(table(rows, [])).toContain('null rung 0.3 + cipher 1.3 s/GB  × 1.2');
  });

  it('says nothing without the null rung', () => {
    expect(predict([row('aes128gcm16', 'wasm', 1.92)], cipher)[0]).not.toHaveProperty('prediction');
  });
});

describe('the pictures', () => {
  const machine = { cpu: 'a processor', cores: 2, memoryGiB: 1, system: 'Linux', load: 0, date: '2026-01-01' };
  const full = row('aes128gcm16', 'wasm', 1.9);

  it('are of what was measured', () => {
    expect(Object.keys(draw([full], machine, '26.0.0'))).toEqual(['gateway-throughput.svg']);
    const { mbps, ...rest } = full;
    const datagrams: GatewayResult = { ...rest, test: 'udp64', pps: mbps! };
    expect(Object.keys(draw([datagrams], machine, '26.0.0'))).toEqual(['gateway-datagrams.svg']);
  });

  it('show the rungs where the ladder was climbed', () => {
    const pictures = draw([row('none', 'forward', 0.4), row('aes128gcm16', 'null', 0.3), full], machine, '26.0.0');
    expect(pictures['gateway-ladder.svg']).toContain('rung forward');
    expect(pictures['gateway-ladder.svg']).toContain('1,900');
  });
});
