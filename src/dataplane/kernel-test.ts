/** What the wide build of the kernel has to get right before it may touch a packet: AES-GCM as node:crypto does it. */
import { createCipheriv } from 'node:crypto';
import * as L from '../../assembly/layout.ts';
import { ENCR, INTEG } from '../algorithms.ts';
import type { KernelMemory } from './backends/backend.ts';
import type { KernelExports } from './kernel.ts';

/**
 * Payloads of each batch: unlike ones, too short for runs, with and without a rest, and of more than one segment;
 * those that share runs, 32 packets or sixteen.
 */
const BATCHES = [
  [40, 321, 512, 700, 1408, 1409, 4500],
  new Array<number>(32).fill(40),
  new Array<number>(16).fill(340),
] as const;
const SLOT = 8192;
/** Packets of a batch, at most; the last ones' slots are used. */
const SLOT_COUNT = 32;
const KEY = (L.STATIC_END + L.CRYPTO_SCRATCH_SIZE + 4095) & ~4095;
const DESCRIPTORS = KEY + 32768;
const SLOTS = DESCRIPTORS + 4096;
/** Bytes of linear memory that the test needs. */
export const KERNEL_TEST_SIZE = SLOTS + SLOT_COUNT * SLOT;

const ICV = 16;
const AAD = 8;
const IV = 8;

interface Packet {
  /** Address of its slot: AAD, IV, payload, ICV. */
  readonly at: number;
  readonly aad: Uint8Array;
  readonly iv: Uint8Array;
  readonly plain: Uint8Array;
  /** Ciphertext and ICV. */
  readonly sealed: Uint8Array;
}

interface Case {
  readonly key: Uint8Array;
  readonly batches: readonly (readonly Packet[])[];
}

/** The test is run many times over, what node:crypto makes of it is asked for once. */
let cases: readonly Case[] | undefined;

/** Seals and opens batches under a key of either length. */
export function answersRightly(kernel: KernelExports, memory: KernelMemory): boolean {
  cases ??= [16, 32].map(makeCase);
  kernel.initialiseCrypto(L.STATIC_END);
  return cases.every((one) => answers(kernel, memory, one));
}

const sample = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => Math.imul(i + 1 + seed * 8209, 2654435761) >>> 24);

const SALT = sample(4, 1);

function makeCase(keyLength: number): Case {
  const key = sample(keyLength, keyLength);
  const makePacket = (length: number, i: number, { length: count }: readonly number[]): Packet => {
    const [aad, iv, plain] = [sample(AAD, 100 + i), sample(IV, 200 + i), sample(length, 300 + i)];
    const cipher = createCipheriv(`aes-${keyLength === 16 ? 128 : 256}-gcm`, key, Buffer.concat([SALT, iv]));
    cipher.setAAD(aad);
    const sealed = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    return { at: SLOTS + (SLOT_COUNT - count + i) * SLOT, aad, iv, plain, sealed };
  };
  return { key, batches: BATCHES.map((lengths) => lengths.map(makePacket)) };
}

function answers(kernel: KernelExports, { bytes, words }: KernelMemory, { key, batches }: Case): boolean {
  const set = (at: number, fields: readonly (readonly [offset: number, value: number])[]) => {
    for (const [offset, value] of fields) words[(at + offset) >>> 2] = value;
  };
  set(KEY, [
    [L.KEY_ENCR, ENCR.AES_GCM_16],
    [L.KEY_INTEG, INTEG.NONE],
    [L.KEY_KEY_LENGTH, key.length],
    [L.KEY_ICV_LENGTH, ICV],
    [L.KEY_IV_LENGTH, IV],
    [L.KEY_SERIAL, key.length],
    [L.KEY_STATE_LENGTH, kernel.keyStateLength(ENCR.AES_GCM_16, key.length, INTEG.NONE)],
  ]);
  bytes.set(SALT, KEY + L.KEY_SALT);
  bytes.set(key, KEY + L.KEY_KEY);
  kernel.setupKey(KEY);
  const holds = ({ at }: Packet, wanted: Uint8Array) =>
    Buffer.compare(bytes.subarray(at + AAD + IV, at + AAD + IV + wanted.length), wanted) === 0;
  return batches.every((packets) => {
    for (const [i, { at, aad, iv, plain }] of packets.entries()) {
      const payload = at + AAD + IV;
      bytes.set(aad, at);
      bytes.set(iv, at + AAD);
      bytes.set(plain, payload);
      set(DESCRIPTORS + i * L.PACKET_SIZE, [
        [L.PACKET_KEY, KEY],
        [L.PACKET_PAYLOAD, payload],
        [L.PACKET_LENGTH, plain.length],
        [L.PACKET_IV, at + AAD],
        [L.PACKET_AAD, at],
        [L.PACKET_AAD_LENGTH, AAD],
        [L.PACKET_ICV, payload + plain.length],
        [L.PACKET_STATUS, L.STATUS_PENDING],
      ]);
    }
    kernel.sealBatch(DESCRIPTORS, packets.length);
    if (!packets.every((packet) => holds(packet, packet.sealed))) return false;
    kernel.openBatch(DESCRIPTORS, packets.length);
    return packets.every((packet) => holds(packet, packet.plain));
  });
}
