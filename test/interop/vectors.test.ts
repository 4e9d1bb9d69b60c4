/** Every published case that a packet of ESP can be, by every backend and both builds of the kernel. */
import { describe, expect, it } from 'vitest';
import { STATUS_BAD_ICV, STATUS_OK } from '../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths } from '../../src/algorithms.ts';
import { BACKENDS } from '../../src/contract.ts';
import type { CryptoBackend } from '../../src/dataplane/backends/backend.ts';
import { loadBackend } from '../../src/dataplane/backends/index.ts';
import { Workbench } from '../../src/dataplane/backends/workbench.ts';
import { BUILDS, hex } from '../crypto/laboratory.ts';
import { readCavp } from './cavp.ts';

interface Case {
  readonly suite: CipherSuite;
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  readonly aad: Uint8Array;
  /** Absent: the case must not authenticate. */
  readonly plain?: Uint8Array;
  readonly sealed: Uint8Array;
  readonly icv: Uint8Array;
}

const KEY_BITS = [128, 192, 256];
const GCM_BY_TAG: Readonly<Record<string, number>> = {
  128: ENCR.AES_GCM_16,
  96: ENCR.AES_GCM_12,
  64: ENCR.AES_GCM_8,
};

/** RFC 4106: a nonce of 96 bits, an ICV of 128, 96 or 64. */
function gcmCases(kind: string): Case[] {
  return KEY_BITS.flatMap((keyBits) =>
    readCavp(`AES/GCM/${kind}${keyBits}.rsp`, 'Count')
      .filter(({ IVlen, Taglen }) => IVlen === '96' && GCM_BY_TAG[Taglen!] !== undefined)
      .map((values) => ({
        suite: { encr: GCM_BY_TAG[values['Taglen']!]!, keyBits, integ: INTEG.NONE },
        key: hex(values['Key']!),
        nonce: hex(values['IV']!),
        aad: hex(values['AAD']!),
        ...(values['FAIL'] === undefined && { plain: hex(values['PT']!) }),
        sealed: hex(values['CT']!),
        icv: hex(values['Tag']!),
      })),
  );
}

/** RFC 4309: a nonce of 88 bits. One key per length of nonce stands in front of its cases. */
function ccmCases(): Case[] {
  return KEY_BITS.flatMap((keyBits) => {
    const file = `AES/CCM/VNT${keyBits}.rsp`;
    const key = readCavp(file, 'Key').find(({ Nlen }) => Nlen === '11')!['Key']!;
    return readCavp(file, 'Count')
      .filter(({ Nlen }) => Nlen === '11')
      .map((values) => {
        const sealed = hex(values['CT']!);
        const icv = sealed.length - 16;
        return {
          suite: { encr: ENCR.AES_CCM_16, keyBits, integ: INTEG.NONE },
          key: hex(key),
          nonce: hex(values['Nonce']!),
          aad: hex(values['Adata']!),
          plain: hex(values['Payload']!),
          sealed: sealed.subarray(0, icv),
          icv: sealed.subarray(icv),
        };
      });
  });
}

/** RFC 7634. */
function chachaCases(): Case[] {
  return readCavp('ChaCha20Poly1305/openssl.txt', 'COUNT')
    .filter(({ IV, Tag }) => IV?.length === 24 && Tag?.length === 32)
    .map((values) => ({
      suite: { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE },
      key: hex(values['Key']!),
      nonce: hex(values['IV']!),
      aad: hex(values['AAD']!),
      ...(values['Result'] === undefined && { plain: hex(values['Plaintext']!) }),
      sealed: hex(values['Ciphertext']!),
      icv: hex(values['Tag']!),
    }));
}

const SETS: Readonly<Record<string, readonly Case[]>> = {
  'CAVP GCM, encryption': gcmCases('gcmEncryptExtIV'),
  'CAVP GCM, decryption': gcmCases('gcmDecrypt'),
  'CAVP CCM with a nonce of 11 bytes': ccmCases(),
  'ChaCha20-Poly1305 of OpenSSL': chachaCases(),
};

const CANDIDATES = BACKENDS.flatMap((name) =>
  (name === 'wasm' ? BUILDS : BUILDS.slice(1)).map((build) => ({ name, build })),
);

describe('the published vectors', () => {
  it('are all there', () => {
    expect(Object.values(SETS).map((cases) => cases.length)).toEqual([3375, 3375, 30, expect.any(Number)]);
  });
});

describe.each(CANDIDATES)('$name, $build build', async ({ name, build }) => {
  const bench = new Workbench(4 << 20);
  const backend = await loadBackend(name, bench.kernel, await bench.instantiate(build));

  it.each(Object.entries(SETS))('%s', (_, cases) => {
    const able = cases.filter(({ suite }) => backend.supports(suite));
    const wrong: number[] = [];
    // Batches of many keys, and batches of one key that fill the lanes of a kernel.
    for (let at = 0; at < able.length; at += 50) {
      if (!right(bench, backend, able.slice(at, at + 50), 1)) wrong.push(at);
    }
    for (let at = 0; at < able.length; at += 5) {
      if (!right(bench, backend, [able[at]!], 17)) wrong.push(at);
    }
    expect(wrong).toEqual([]);
  });
});

/** Seals and opens `copies` of each case in one call. */
function right(bench: Workbench, backend: CryptoBackend, cases: readonly Case[], copies: number): boolean {
  bench.clear();
  const specs = cases.flatMap(({ suite, key, nonce, aad, sealed, icv, plain }) => {
    const { salt } = suiteLengths(suite);
    const block = bench.key(suite, { key, salt: nonce.subarray(0, salt), integKey: new Uint8Array() });
    const spec = { key: block, iv: nonce.subarray(salt), aad, payload: sealed, icv };
    return new Array<{ spec: typeof spec; plain: Uint8Array | undefined }>(copies).fill({ spec, plain });
  });
  const packets = bench.packets(specs.map(({ spec }) => spec));
  backend.open(packets[0]!.descriptor, packets.length);
  const opened = packets.every((packet, i) => {
    const plain = specs[i]!.plain;
    const content = plain ?? new Uint8Array(packet.payload.length);
    return packet.status() === (plain ? STATUS_OK : STATUS_BAD_ICV) && same(packet.payload, content);
  });
  const sound = specs.filter(({ plain }) => plain !== undefined);
  if (!opened || sound.length === 0) return opened;
  const plains = bench.packets(sound.map(({ spec, plain }) => ({ ...spec, payload: plain!, icv: new Uint8Array() })));
  backend.seal(plains[0]!.descriptor, plains.length);
  return plains.every(({ payload, icv }, i) => same(payload, sound[i]!.spec.payload) && same(icv, sound[i]!.spec.icv));
}

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
