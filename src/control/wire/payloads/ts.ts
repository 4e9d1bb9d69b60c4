/**
 * Traffic Selector payloads (RFC 7296 §3.13).
 *
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Number of TSs |                 RESERVED                      |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |   TS Type     |IP Protocol ID |       Selector Length         |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |           Start Port          |           End Port            |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                         Starting Address                      ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ~                         Ending Address                        ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import type { SelectorSide } from '../../../contract.ts';
import { addressBytes, addressText, formatRange } from '../address.ts';
import { Reader, type Writer } from '../bytes.ts';
import { syntaxError } from '../error.ts';
import { PAYLOAD, TS_TYPE } from '../iana.ts';
import type { Codec } from './codec.ts';

const SELECTOR_HEADER = 8;
/** A selector is at least 16 bytes; one payload cannot name more than 255 of them. */
const MAX_SELECTORS = 255;

/** One selector: one side of a `TrafficSelector` of the contract, with its protocol. */
export interface Selector extends SelectorSide {
  /** IP protocol number; 0 is ANY. */
  readonly protocol: number;
}

export interface TsPayload<K extends 'TSi' | 'TSr' = 'TSi' | 'TSr'> {
  readonly kind: K;
  readonly selectors: readonly Selector[];
  /** TS types we do not know: narrowing leaves those selectors out (RFC 7296 §2.9). Not emitted. */
  readonly unknownTypes: readonly number[];
}

function codec<K extends 'TSi' | 'TSr'>(kind: K): Codec<TsPayload<K>> {
  return {
    type: PAYLOAD[kind],

    parse(body) {
      const reader = new Reader(body, `${kind} payload`);
      const count = reader.u8();
      reader.skip(3);
      if (count === 0) throw syntaxError(`${kind} payload has no selector`);
      const selectors: Selector[] = [];
      const unknownTypes: number[] = [];
      for (let index = 0; index < count; index++) {
        const parsed = parseSelector(reader);
        if (typeof parsed === 'number') unknownTypes.push(parsed);
        else selectors.push(parsed);
      }
      reader.end();
      return { kind, selectors, unknownTypes };
    },

    length: ({ selectors }) => selectors.reduce((sum, selector) => sum + selectorLength(selector), 4),

    emit({ selectors }, out) {
      if (selectors.length > MAX_SELECTORS) throw new RangeError(`${kind} payload takes ${MAX_SELECTORS} selectors`);
      out.u8(selectors.length);
      out.zeros(3);
      for (const selector of selectors) emitSelector(selector, out);
    },
  };
}

export const tsI = codec('TSi');
export const tsR = codec('TSr');

/** @returns the selector, or its type if that is unknown */
function parseSelector(outer: Reader): Selector | number {
  const type = outer.u8();
  const protocol = outer.u8();
  const length = outer.u16();
  if (length < 4) throw syntaxError(`selector of ${length} bytes is shorter than its header`);
  const reader = outer.sub(length - 4, 'selector');
  if (type !== TS_TYPE.TS_IPV4_ADDR_RANGE && type !== TS_TYPE.TS_IPV6_ADDR_RANGE) return type;
  const addressLength = type === TS_TYPE.TS_IPV4_ADDR_RANGE ? 4 : 16;
  const ports = { from: reader.u16(), to: reader.u16() };
  const from = reader.take(addressLength);
  const to = reader.take(addressLength);
  reader.end();
  if (Buffer.compare(from, to) > 0) throw syntaxError('selector ends before it begins');
  if (ports.from > ports.to && !isOpaque(ports)) throw syntaxError('selector has its ports in the wrong order');
  return { protocol, addresses: { from: addressText(from), to: addressText(to) }, ports };
}

function selectorLength({ addresses }: Selector): number {
  return SELECTOR_HEADER + 2 * (addresses.from.includes(':') ? 16 : 4);
}

function emitSelector(selector: Selector, out: Writer): void {
  const from = addressBytes(selector.addresses.from);
  out.u8(from.length === 4 ? TS_TYPE.TS_IPV4_ADDR_RANGE : TS_TYPE.TS_IPV6_ADDR_RANGE);
  out.u8(selector.protocol);
  out.u16(selectorLength(selector));
  out.u16(selector.ports.from);
  out.u16(selector.ports.to);
  out.put(from);
  out.put(addressBytes(selector.addresses.to));
}

/** @returns whether the ports say OPAQUE (RFC 7296 §3.13.1, RFC 4301 §4.4.1.1) */
export const isOpaque = (ports: SelectorSide['ports']): boolean => ports.from === 65535 && ports.to === 0;

const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'ipv6-icmp',
  132: 'sctp',
};

/** @returns `10.1.0.0/16`, with swanctl's `[tcp/80]` behind it where protocol or ports are restricted */
export function formatSelector({ protocol, addresses, ports }: Selector): string {
  const anyPort = ports.from === 0 && ports.to === 65535;
  if (protocol === 0 && anyPort) return formatRange(addresses);
  const name = protocol === 0 ? 'any' : (PROTOCOL_NAMES[protocol] ?? String(protocol));
  const range = ports.from === ports.to ? String(ports.from) : `${ports.from}-${ports.to}`;
  const port = anyPort ? '' : `/${isOpaque(ports) ? 'opaque' : range}`;
  return `${formatRange(addresses)}[${name}${port}]`;
}
