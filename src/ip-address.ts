/** IP addresses: canonical text (`192.0.2.1`, RFC 5952's `2001:db8::1`) ↔ bytes in network order. */
import ipaddr from 'ipaddr.js';

/** @returns 4 or 16 bytes; undefined for anything but dotted-quad IPv4 or IPv6 without a zone */
export function parseAddress(text: string): Uint8Array | undefined {
  const plain = dottedQuad(text);
  if (plain !== undefined) return plain;
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  return Uint8Array.from(ipaddr.parse(text).toByteArray());
}

const ZERO = 48;
const DOT = 46;

/** The most frequent case by far, and every message has some. @returns undefined for anything else */
function dottedQuad(text: string): Uint8Array | undefined {
  if (text.length > 15) return undefined;
  const out = new Uint8Array(4);
  let [at, value, digits] = [0, 0, 0];
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === DOT) {
      if (digits === 0 || at === 3) return undefined;
      out[at++] = value;
      value = digits = 0;
      continue;
    }
    // A leading zero would be octal to some.
    if (code < ZERO || code > ZERO + 9 || (digits > 0 && value === 0)) return undefined;
    value = value * 10 + code - ZERO;
    digits++;
    if (value > 255) return undefined;
  }
  if (digits === 0 || at !== 3) return undefined;
  out[3] = value;
  return out;
}

/** @param bytes 4 or 16 of them */
export const addressText = (bytes: Uint8Array): string =>
  bytes.length === 4 ? bytes.join('.') : ipaddr.fromByteArray(Array.from(bytes)).toString();
