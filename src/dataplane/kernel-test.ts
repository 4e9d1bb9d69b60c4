/** What the wide build of the kernel has to get right before it may touch a packet: AES-GCM as node:crypto does it. */
import { createCipheriv } from 'node:crypto';
import * as L from '../../assembly/layout.ts';
import { ENCR, INTEG } from '../algorithms.ts';
import type { KernelMemory } from './backends/backend.ts';
import type { KernelExports } from './kernel.ts';

/** Payloads in one batch: too short for runs, with and without a rest, and of more than one segment. */
const LENGTHS = [40, 321, 512, 700, 1408, 1409, 4500];
const SLOT = 8192;
const KEY = (L.STATIC_END + L.CRYPTO_SCRATCH_SIZE + 4095) & ~4095;
const DESCRIPTORS = KEY + 32768;
const SLOTS = DESCRIPTORS + 4096;
/** Bytes of linear memory that the test needs. */
export const KERNEL_TEST_SIZE = SLOTS + LENGTHS.length * SLOT;

const ICV = 16;
const AAD = 8;
const IV = 8;

/** Seals and opens a batch under a key of either length. */
export function answersRightly(kernel: KernelExports, memory: KernelMemory): boolean {
  kernel.initialiseCrypto(L.STATIC_END);
  return [16, 32].every((keyLength) => answers(kernel, memory, keyLength));
}

function answers(kernel: KernelExports, { bytes, words }: KernelMemory, keyLength: number): boolean {
  const set = (at: number, fields: readonly (readonly [offset: number, value: number])[]) => {
    for (const [offset, value] of fields) words[(at + offset) >>> 2] = value;
  };
  const sample = (length: number, seed: number) =>
    Uint8Array.from({ length }, (_, i) => Math.imul(i + 1 + seed * 8209, 2654435761) >>> 24);
  const key = sample(keyLength, keyLength);
  const salt = sample(4, 1);
  set(KEY, [
    [L.KEY_ENCR, ENCR.AES_GCM_16],
    [L.KEY_INTEG, INTEG.NONE],
    [L.KEY_KEY_LENGTH, keyLength],
    [L.KEY_ICV_LENGTH, ICV],
    [L.KEY_IV_LENGTH, IV],
    [L.KEY_SERIAL, keyLength],
    [L.KEY_STATE_LENGTH, kernel.keyStateLength(ENCR.AES_GCM_16, keyLength, INTEG.NONE)],
  ]);
  bytes.set(salt, KEY + L.KEY_SALT);
  bytes.set(key, KEY + L.KEY_KEY);
  kernel.setupKey(KEY);
  const packets = LENGTHS.map((length, i) => {
    const at = SLOTS + i * SLOT;
    const payload = at + AAD + IV;
    const plain = sample(length, 2 + i);
    const [aad, iv] = [sample(AAD, 100 + i), sample(IV, 200 + i)];
    bytes.set(aad, at);
    bytes.set(iv, at + AAD);
    bytes.set(plain, payload);
    set(DESCRIPTORS + i * L.PACKET_SIZE, [
      [L.PACKET_KEY, KEY],
      [L.PACKET_PAYLOAD, payload],
      [L.PACKET_LENGTH, length],
      [L.PACKET_IV, at + AAD],
      [L.PACKET_AAD, at],
      [L.PACKET_AAD_LENGTH, AAD],
      [L.PACKET_ICV, payload + length],
      [L.PACKET_STATUS, L.STATUS_PENDING],
    ]);
    const cipher = createCipheriv(`aes-${keyLength === 16 ? 128 : 256}-gcm`, key, Buffer.concat([salt, iv]));
    cipher.setAAD(aad);
    return { payload, plain, sealed: Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]) };
  });
  const holds = (at: number, wanted: Uint8Array) =>
    Buffer.compare(bytes.subarray(at, at + wanted.length), wanted) === 0;
  kernel.sealBatch(DESCRIPTORS, LENGTHS.length);
  if (!packets.every(({ payload, sealed }) => holds(payload, sealed))) return false;
  kernel.openBatch(DESCRIPTORS, LENGTHS.length);
  return packets.every(({ payload, plain }) => holds(payload, plain));
}
