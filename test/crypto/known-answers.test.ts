/** Test vectors of the standards (test/crypto/vectors), sealed and opened as the payloads of packets. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { STATUS_OK } from '../../assembly/layout.ts';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import { BUILDS, hex, Laboratory, type PacketSpec } from './laboratory.ts';

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** @returns the lines of a vector file as fields of bytes */
function vectors(name: string): Uint8Array[][] {
  const lines = readFileSync(new URL(`vectors/${name}`, import.meta.url), 'utf8').split('\n');
  const cases = lines.filter((line) => line !== '' && !line.startsWith('#'));
  return cases.map((line) => line.split(' ').map((field) => hex(field === '-' ? '' : field)));
}

interface Answer {
  readonly spec: PacketSpec & { payload: Uint8Array };
  readonly ciphertext: Uint8Array;
  readonly icv?: Uint8Array;
}

describe.each(BUILDS)('known answers, %s build', async (build) => {
  const lab = await Laboratory.open(build);

  /** Seals all in one batch, compares, opens all in one batch, compares. */
  const expectAnswers = (answers: readonly Answer[]) => {
    const packets = lab.packets(answers.map(({ spec }) => spec));
    lab.seal(packets);
    packets.forEach((packet, i) => {
      const { ciphertext, icv } = answers[i]!;
      expect(text(packet.payload), `case ${i + 1}`).toBe(text(ciphertext));
      if (icv) expect(text(packet.icv), `case ${i + 1}`).toBe(text(icv));
    });
    lab.open(packets);
    packets.forEach((packet, i) => {
      expect(packet.status(), `case ${i + 1}`).toBe(STATUS_OK);
      expect(text(packet.payload), `case ${i + 1}`).toBe(text(answers[i]!.spec.payload));
    });
  };

  /** @param saltLength where the standard's nonce becomes SALT and IV */
  const combined = (encr: number, saltLength: number, file: string): Answer[] =>
    vectors(file).map(([key, nonce, aad, payload, ciphertext, icv]) => {
      const suite = { encr, keyBits: key!.length * 8, integ: INTEG.NONE };
      const address = lab.key(suite, { key: key!, salt: nonce!.subarray(0, saltLength) });
      const spec = { key: address, iv: nonce!.subarray(saltLength), aad: aad!, payload: payload! };
      return { spec, ciphertext: ciphertext!, icv: icv! };
    });

  /** Ciphers without integrity are joined with HMAC-SHA2-256, whose own vectors are in hmac.test.ts. */
  const separate = (encr: number, [key, salt, iv, payload, ciphertext]: Uint8Array[]): Answer => {
    const suite = { encr, keyBits: key!.length * 8, integ: INTEG.HMAC_SHA2_256_128 };
    const address = lab.key(suite, { key: key!, salt: salt!, integKey: new Uint8Array(32) });
    const aad = Buffer.concat([new Uint8Array(8), iv!]);
    return { spec: { key: address, iv: iv!, aad, payload: payload! }, ciphertext: ciphertext! };
  };

  it('AES-GCM in ESP: draft-mcgrew-gcm-test-01', () => {
    lab.reset();
    expectAnswers(combined(ENCR.AES_GCM_16, 4, 'esp-aes-gcm.txt'));
  });

  it('AES-GCM: NIST CAVP', () => {
    lab.reset();
    expectAnswers(combined(ENCR.AES_GCM_16, 4, 'nist-aes-gcm.txt'));
  });

  it('AES-CCM with nonces of 11 bytes: NIST CAVP', () => {
    lab.reset();
    expectAnswers(combined(ENCR.AES_CCM_16, 3, 'nist-aes-ccm.txt'));
  });

  it('AES-CBC: RFC 3602 §4', () => {
    lab.reset();
    const noSalt = new Uint8Array();
    expectAnswers(vectors('aes-cbc.txt').map(([key, ...rest]) => separate(ENCR.AES_CBC, [key!, noSalt, ...rest])));
  });

  it('AES-CTR: RFC 3686 §6', () => {
    lab.reset();
    expectAnswers(vectors('aes-ctr.txt').map((fields) => separate(ENCR.AES_CTR, fields)));
  });

  it('AES-GMAC in ESP: draft-mcgrew-gcm-test-01', () => {
    lab.reset();
    const suite = { encr: ENCR.NULL_AUTH_AES_GMAC, keyBits: 128, integ: INTEG.NONE };
    const key = lab.key(suite, { key: hex('4c80cdefbb5d10da906ac73c3613a634'), salt: hex('22433c64') });
    const payload = hex(`45000030da3a00008001df3bc0a80005c0a800010800c6cd
                         020007006162636465666768696a6b6c6d6e6f707172737401020201`);
    const spec = { key, iv: new Uint8Array(8), aad: hex('0000432100000007'), payload };
    expectAnswers([{ spec, ciphertext: payload, icv: hex('f2a9a836e155106aa8dcd618e4099aaa') }]);
  });
});
