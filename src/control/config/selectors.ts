/** Traffic selectors as swanctl writes them: `10.1.0.0/16[tcp/80]`, `dynamic[udp/53]`, `2001:db8::/32[icmpv6/128]`. */
import type { AddressRange, TrafficSelector } from '../../contract.ts';
import { parseRange } from '../wire/address.ts';
import type { SelectorConfig } from './model.ts';
import { parseInteger, valueError } from './values.ts';

/** IANA "Assigned Internet Protocol Numbers" by the names of /etc/protocols. */
const PROTOCOLS: Readonly<Record<string, number>> = {
  any: 0,
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  'ipv6-icmp': 58,
  ospf: 89,
  sctp: 132,
  udplite: 136,
};
const ICMP: readonly number[] = [PROTOCOLS['icmp']!, PROTOCOLS['icmpv6']!];

const ANY_PORT = { from: 0, to: 65_535 } as const;
/** RFC 7296 §3.13.1: a port that cannot be seen, as in fragments. */
const OPAQUE_PORT = { from: 65_535, to: 0 } as const;
const WHOLE: readonly AddressRange[] = [parseRange('0.0.0.0/0'), parseRange('::/0')];

/** @throws EspalierError that says what to write */
export function parseSelector(text: string): SelectorConfig {
  const [, addresses = '', filter] = /^([^[\]]*)(?:\[([^[\]]*)\])?$/.exec(text) ?? [];
  if (addresses.trim() === '') {
    throw valueError(`"${text}" is no traffic selector; write e.g. 10.1.0.0/16, 10.1.0.0/16[tcp/80] or dynamic`);
  }
  const range = addresses.trim() === 'dynamic' ? undefined : parseRange(addresses.trim());
  return { text, ...(range && { addresses: range }), ...parseFilter(text, filter ?? '') };
}

function parseFilter(text: string, filter: string): Pick<SelectorConfig, 'protocol' | 'ports'> {
  if (filter.trim() === '') return { protocol: 0, ports: ANY_PORT };
  const [name = '', port, ...more] = filter.split('/').map((part) => part.trim().toLowerCase());
  const protocol = PROTOCOLS[name] ?? (/^\d+$/.test(name) ? parseInteger(name, 0, 255) : undefined);
  if (protocol === undefined || more.length > 0) {
    throw valueError(
      `"${text}" has an unknown protocol "${name}"; write a number, or e.g. [tcp/443], [udp] or [icmp/8]`,
    );
  }
  return { protocol, ports: ICMP.includes(protocol) ? parseIcmp(port) : parsePorts(text, port) };
}

function parsePorts(text: string, port = 'any'): SelectorConfig['ports'] {
  if (port === 'any' || port === '') return ANY_PORT;
  if (port === 'opaque') return OPAQUE_PORT;
  const [from = '', to = from] = port.split('-');
  const ports = { from: parseInteger(from, 0, 65_535), to: parseInteger(to, 0, 65_535) };
  if (ports.from > ports.to) throw valueError(`"${text}" has ports that end before they begin`);
  return ports;
}

/** `8` is a type with any code, `3(4)` a type and a code; on the wire both are one port (RFC 7296 §3.13.1). */
function parseIcmp(port = 'any'): SelectorConfig['ports'] {
  if (port === 'any' || port === '') return ANY_PORT;
  const [, type, code] = /^(\d+)(?:\((\d+)\))?$/.exec(port) ?? [];
  if (type === undefined) throw valueError(`"${port}" is not an ICMP type; write e.g. 8, or 3(4) with a code`);
  const first = parseInteger(type, 0, 255) * 256;
  if (code === undefined) return { from: first, to: first + 255 };
  const exact = first + parseInteger(code, 0, 255);
  return { from: exact, to: exact };
}

const familyOf = (range: AddressRange): 'ipv4' | 'ipv6' => (range.from.includes(':') ? 'ipv6' : 'ipv4');

/**
 * @param dynamic what `dynamic` stands for on either side; any address if undefined
 * @returns every pair of a local and a remote selector that one packet can meet
 */
export function pairSelectors(
  local: readonly SelectorConfig[],
  remote: readonly SelectorConfig[],
  dynamic: { readonly local?: AddressRange; readonly remote?: AddressRange } = {},
): TrafficSelector[] {
  const expand = (side: readonly SelectorConfig[], address: AddressRange | undefined) =>
    side.flatMap((each) =>
      (each.addresses ? [each.addresses] : address ? [address] : WHOLE).map((range) => ({ ...each, addresses: range })),
    );
  const remotes = expand(remote, dynamic.remote);
  return expand(local, dynamic.local).flatMap((l) =>
    remotes
      .filter((r) => familyOf(l.addresses) === familyOf(r.addresses))
      .filter((r) => l.protocol === r.protocol || l.protocol === 0 || r.protocol === 0)
      .map((r) => ({
        protocol: l.protocol || r.protocol,
        local: { addresses: l.addresses, ports: l.ports },
        remote: { addresses: r.addresses, ports: r.ports },
      })),
  );
}
