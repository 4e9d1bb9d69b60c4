/** Spoils IKE messages: bits, lengths, and the chain of payloads. */
import { concat } from '../../src/control/wire/bytes.ts';
import type { Random } from './random.ts';

/** A payload as it stands in a chain (RFC 7296 §3.2), whatever is in it. */
interface Link {
  type: number;
  flags: number;
  body: Uint8Array;
}

export interface Chain {
  /** Type of the first payload. */
  readonly first: number;
  readonly bytes: Uint8Array;
}

const HEADER_LENGTH = 28;
const GENERIC_LENGTH = 4;
/** What fits a datagram, with some room for what goes around it. */
const MOST_BYTES = 60_000;
/** Of SK, whose Next Payload is that of what is inside. */
const LAST: readonly number[] = [46, 53];
const TELLING: readonly number[] = [0, 1, 3, 4, 5, 7, 8, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff];

function split({ first, bytes }: Chain): Link[] {
  const links: Link[] = [];
  let type = first;
  for (let at = 0; type !== 0 && at + GENERIC_LENGTH <= bytes.length; ) {
    const length = Math.max(GENERIC_LENGTH, (bytes[at + 2]! << 8) | bytes[at + 3]!);
    links.push({ type, flags: bytes[at + 1]!, body: bytes.slice(at + GENERIC_LENGTH, at + length) });
    if (LAST.includes(type)) break;
    type = bytes[at]!;
    at += length;
  }
  return links;
}

function join(links: readonly Link[]): Chain {
  const bytes = new Uint8Array(links.reduce((sum, { body }) => sum + GENERIC_LENGTH + body.length, 0));
  let at = 0;
  links.forEach(({ type, flags, body }, index) => {
    const length = GENERIC_LENGTH + body.length;
    bytes.set([links[index + 1]?.type ?? (LAST.includes(type) ? 33 : 0), flags, length >> 8, length & 0xff], at);
    bytes.set(body, at + GENERIC_LENGTH);
    at += length;
  });
  return { first: links[0]?.type ?? 0, bytes };
}

function spoilBytes(bytes: Uint8Array, random: Random): Uint8Array {
  if (bytes.length === 0) return random.bytes(random.below(40));
  const out = bytes.slice();
  const at = random.below(out.length);
  switch (random.below(6)) {
    case 0:
      for (let times = random.between(1, 8); times > 0; times--) {
        out[random.below(out.length)]! ^= 1 << random.below(8);
      }
      return out;
    case 1:
      out[at] = random.pick(TELLING) & 0xff;
      return out;
    case 2: {
      const value = random.pick([...TELLING, out.length, out.length - at]);
      out[at] = value >> 8;
      if (at + 1 < out.length) out[at + 1] = value & 0xff;
      return out;
    }
    case 3:
      return out.slice(0, at);
    case 4:
      return concat(out.subarray(0, at), random.bytes(random.between(1, 64)), out.subarray(at));
    default: {
      const length = random.between(1, Math.min(32, out.length - at));
      out.set(random.bytes(length), at);
      return out;
    }
  }
}

/** @param other another message, to borrow payloads from */
export function spoilChain(chain: Chain, other: Chain, random: Random): Chain {
  if (random.chance(0.3)) return { first: chain.first, bytes: spoilBytes(chain.bytes, random) };
  const links = split(chain);
  if (links.length === 0) return join(split(other));
  for (let times = random.between(1, 3); times > 0 && links.length > 0; times--) {
    const at = random.below(links.length);
    const link = links[at]!;
    switch (random.below(7)) {
      case 0:
        links.splice(at, 1);
        break;
      case 1:
        for (let copies = random.chance(0.1) ? 80 : 1; copies > 0; copies--) links.splice(at, 0, { ...link });
        break;
      case 2:
        links.push(...links.splice(at, 1));
        break;
      case 3:
        link.type = random.chance(0.7) ? random.between(33, 54) : random.below(256);
        break;
      case 4:
        link.flags = random.pick([0x80, 0x00, 0xff]);
        break;
      case 5:
        links.splice(at, 0, ...split(other).slice(0, random.between(1, 3)));
        break;
      default:
        link.body = spoilBytes(link.body, random);
    }
  }
  const { first, bytes } = join(links);
  return { first, bytes: bytes.subarray(0, MOST_BYTES) };
}

/** Spoils a whole datagram; most of the time its length is set right again, so that it gets further. */
export function spoilMessage(data: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const chainOf = (message: Uint8Array): Chain => ({ first: message[16]!, bytes: message.subarray(HEADER_LENGTH) });
  let out: Uint8Array;
  if (random.chance(0.3)) {
    out = spoilBytes(data, random);
  } else {
    const { first, bytes } = spoilChain(chainOf(data), chainOf(other), random);
    out = concat(data.subarray(0, HEADER_LENGTH), bytes);
    out[16] = first;
  }
  if (random.chance(0.1)) out[random.between(0, Math.min(HEADER_LENGTH, out.length) - 1)] = random.below(256);
  if (out.length >= HEADER_LENGTH && random.chance(0.85)) new DataView(out.buffer).setUint32(24, out.length);
  return out;
}
