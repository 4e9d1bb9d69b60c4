/**
 * Handshakes between two strongSwans, as they went over the wire, with the keys that strongSwan
 * logged: what our parser, key schedule, ciphers and authentication must make of them.
 */
import { readFileSync } from 'node:fs';

interface File {
  readonly note: string;
  readonly messages: readonly string[];
  readonly keys: Readonly<Record<string, string>>;
  readonly anchor?: string;
}

export interface Handshake {
  readonly note: string;
  /** IKE_SA_INIT request and response, IKE_AUTH request and response. */
  readonly messages: readonly Uint8Array[];
  /** `secret` is g^ir, `skeyseed` SKEYSEED, the others SK_d … SK_pr; what the algorithms have no use for is empty. */
  readonly key: (name: 'secret' | 'skeyseed' | 'd' | 'ai' | 'ar' | 'ei' | 'er' | 'pi' | 'pr') => Uint8Array;
  /** The trust anchor, if certificates were used. */
  readonly anchor: Uint8Array | undefined;
}

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

/** 2026-11-25, when they took place: certificates were valid then. */
export const CAPTURED_AT = 1_795_570_000;
export const SECRET = 'correct horse battery staple';

function load(name: string): Handshake {
  const file = JSON.parse(readFileSync(new URL(`../vectors/ike/${name}.json`, import.meta.url), 'utf8')) as File;
  return {
    note: file.note,
    messages: file.messages.map(hex),
    key: (which) => hex(file.keys[which] ?? ''),
    anchor: file.anchor === undefined ? undefined : hex(file.anchor),
  };
}

export const HANDSHAKES: readonly Handshake[] = ['psk', 'ecdsa-rsa', 'ed25519-ecp521'].map(load);
