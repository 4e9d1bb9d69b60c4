/**
 * Wireshark's tables of keys, `ikev2_decryption_table` and `esp_sa`: whoever has them can read the
 * traffic. Written only where the configuration asks for it (`control.key_log`), for their owner alone.
 *
 * The names of algorithms are those of Wireshark's own preferences; in them an AEAD's key has its salt.
 */
import { appendFileSync, chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ENCR, INTEG } from '../algorithms.ts';
import type { SaParameters } from '../contract.ts';
import type { KeyExport } from '../control/ike/effects.ts';
import { EspalierError } from '../errors.ts';

const ANY = 'ANY 256 bit authentication [no checking]';

const IKE_ENCRYPTION: Readonly<Record<number, (keyBits: number) => string>> = {
  [ENCR.AES_CBC]: (bits) => `AES-CBC-${bits} [RFC3602]`,
  [ENCR.AES_CTR]: (bits) => `AES-CTR-${bits} [RFC5930]`,
  [ENCR.AES_GCM_16]: (bits) => `AES-GCM-${bits} with 16 octet ICV [RFC5282]`,
};
const IKE_INTEGRITY: Readonly<Record<number, string>> = {
  [INTEG.NONE]: 'NONE [RFC4306]',
  [INTEG.HMAC_SHA2_256_128]: 'HMAC_SHA2_256_128 [RFC4868]',
  [INTEG.HMAC_SHA2_384_192]: 'HMAC_SHA2_384_192 [RFC4868]',
  [INTEG.HMAC_SHA2_512_256]: 'HMAC_SHA2_512_256 [RFC4868]',
};
const ESP_ENCRYPTION: Readonly<Record<number, string>> = {
  [ENCR.NULL]: 'NULL',
  [ENCR.AES_CBC]: 'AES-CBC [RFC3602]',
  [ENCR.AES_CTR]: 'AES-CTR [RFC3686]',
  [ENCR.AES_GCM_8]: 'AES-GCM with 8 octet ICV [RFC4106]',
  [ENCR.AES_GCM_12]: 'AES-GCM with 12 octet ICV [RFC4106]',
  [ENCR.AES_GCM_16]: 'AES-GCM with 16 octet ICV [RFC4106]',
};
const ESP_INTEGRITY: Readonly<Record<number, string>> = {
  [INTEG.NONE]: 'NULL',
  [INTEG.HMAC_SHA1_96]: 'HMAC-SHA-1-96 [RFC2404]',
  [INTEG.HMAC_SHA2_256_128]: 'HMAC-SHA-256-128 [RFC4868]',
  [INTEG.HMAC_SHA2_384_192]: 'HMAC-SHA-384-192 [RFC4868]',
  [INTEG.HMAC_SHA2_512_256]: 'HMAC-SHA-512-256 [RFC4868]',
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const spiText = (spi: bigint): string => spi.toString(16).padStart(16, '0');

/** @returns a line of `ikev2_decryption_table`, or undefined if Wireshark does not know the algorithm */
function ikeLine(keys: Extract<KeyExport, { kind: 'ike' }>): string | undefined {
  const encryption = IKE_ENCRYPTION[keys.encr]?.(keys.keyBits);
  if (encryption === undefined) return undefined;
  const integrity = IKE_INTEGRITY[keys.integ] ?? ANY;
  const { spiI, spiR, ei, er, ai, ar } = keys;
  return [spiText(spiI), spiText(spiR), hex(ei), hex(er), `"${encryption}"`, hex(ai), hex(ar), `"${integrity}"`].join(
    ',',
  );
}

/** @returns a line of `esp_sa`, or undefined if Wireshark does not know the algorithm */
function espLine({ direction, protocol, spi, local, remote, suite, keys, esn }: SaParameters): string | undefined {
  const encryption = suite.encr === undefined ? undefined : ESP_ENCRYPTION[suite.encr];
  if (protocol !== 'esp' || encryption === undefined) return undefined;
  const [from, to] = direction === 'out' ? [local, remote] : [remote, local];
  return [
    from.address.includes(':') ? 'IPv6' : 'IPv4',
    from.address,
    to.address,
    `0x${spi.toString(16).padStart(8, '0')}`,
    encryption,
    `0x${hex(keys.encryption)}`,
    ESP_INTEGRITY[suite.integ] ?? ANY,
    `0x${hex(keys.integrity)}`,
    esn ? '64-bit' : '32-bit',
    '0',
  ]
    .map((field) => `"${field}"`)
    .join(',');
}

export class KeyLog {
  readonly #directory: string;

  /**
   * @param directory a Wireshark profile, or a folder to copy from
   * @throws EspalierError `ERR_KEY_LOG` if nothing can be written there
   */
  constructor(directory: string) {
    this.#directory = directory;
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      for (const file of ['ikev2_decryption_table', 'esp_sa']) this.#append(file, '');
    } catch (error) {
      throw new EspalierError('ERR_KEY_LOG', `control.key_log: ${(error as Error).message}`, { cause: error });
    }
  }

  write(keys: KeyExport): void {
    const line = keys.kind === 'ike' ? ikeLine(keys) : espLine(keys.parameters);
    if (line !== undefined) this.#append(keys.kind === 'ike' ? 'ikev2_decryption_table' : 'esp_sa', `${line}\n`);
  }

  #append(file: string, text: string): void {
    const path = join(this.#directory, file);
    appendFileSync(path, text, { mode: 0o600 });
    // A file that was there before keeps its mode otherwise.
    chmodSync(path, 0o600);
  }
}
