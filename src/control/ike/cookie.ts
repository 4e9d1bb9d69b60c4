/**
 * Cookies (RFC 7296 §2.6): under load, no state is made for a peer that has not shown that it
 * receives what is sent to its address.
 *
 *   HDR(A,0), SAi1, KEi, Ni -->
 *                           <-- HDR(A,0), N(COOKIE)
 *   HDR(A,0), N(COOKIE), SAi1, KEi, Ni -->
 *                           <-- HDR(A,B), SAr1, KEr, Nr
 *
 * Cookie = version of the secret | SHA-256(secret | Ni | address and port | SPIi)
 */
import type { Endpoint } from '../../contract.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { equalSecrets } from '../crypto/secret.ts';
import { addressBytes } from '../wire/address.ts';
import { concat, Writer } from '../wire/bytes.ts';
import { HASH } from '../wire/iana.ts';

/** A secret makes cookies for so long, and its successor's lifetime on they are still taken. */
const SECRET_LIFETIME = 120_000;
const SECRET_LENGTH = 32;

export class Cookies {
  private readonly crypto: CryptoProvider;
  private version = 0;
  private bornAt = Number.NEGATIVE_INFINITY;
  private current: Uint8Array | undefined;
  private previous: Uint8Array | undefined;

  constructor(crypto: CryptoProvider) {
    this.crypto = crypto;
  }

  make(now: number, nonce: Uint8Array, remote: Endpoint, spiI: bigint): Uint8Array {
    this.rotate(now);
    return this.compute(this.version, this.current!, nonce, remote, spiI);
  }

  check(now: number, cookie: Uint8Array, nonce: Uint8Array, remote: Endpoint, spiI: bigint): boolean {
    this.rotate(now);
    const fresh = cookie[0] === this.version;
    const secret = fresh ? this.current : this.previous;
    if (secret === undefined) return false;
    const version = fresh ? this.version : (this.version - 1) & 0xff;
    return equalSecrets(cookie, this.compute(version, secret, nonce, remote, spiI));
  }

  private rotate(now: number): void {
    if (now - this.bornAt < SECRET_LIFETIME) return;
    // After a long pause the old secret is no proof of anything recent.
    this.previous = now - this.bornAt < 2 * SECRET_LIFETIME ? this.current : undefined;
    this.current = this.crypto.random(SECRET_LENGTH);
    this.version = (this.version + 1) & 0xff;
    this.bornAt = now;
  }

  private compute(version: number, secret: Uint8Array, nonce: Uint8Array, remote: Endpoint, spiI: bigint): Uint8Array {
    const tail = new Writer(10);
    tail.u16(remote.port);
    tail.u64(spiI);
    const hash = this.crypto.hash(HASH.SHA2_256, secret, nonce, addressBytes(remote.address), tail.bytes);
    return concat(Uint8Array.of(version), hash);
  }
}
