/**
 * Routers' "too big" about outer packets, heard at once. What they say the system judges and keeps by
 * itself (RFC 1191 §6.3, RFC 8201 §4); this tells whose path it is time to ask it about. Only of raw ESP
 * and AH over IPv6 it takes no notice, so what the router said comes along.
 *
 *     ICMP     | type 3 | code 4 | checksum | unused | MTU | IP header of the packet, 8 bytes more …
 *     ICMPv6   | type 2 | code   | checksum |     MTU      | as much of the packet as fits
 */
import { addressText } from '../selector.ts';
import { AF_INET, AF_INET6 } from '../sockaddr.ts';
import { SOCK_RAW } from './socket-options.ts';
import { close, receive, setsockopt, socket } from './syscalls.ts';
import { Watch } from './watch.ts';

const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
/** Where ESP and AH have their SPI (RFC 4303 §2, RFC 4302 §2). */
const SPI_AT: Readonly<Record<number, number>> = { 50: 0, 51: 4 };
const SOL_RAW = 255;
const ICMP_FILTER = 1;
const ICMPV6_FILTER = 1;

const UNREACHABLE = 3;
const FRAGMENTATION_NEEDED = 4;
const PACKET_TOO_BIG = 2;

const ICMP_HEADER = 8;
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
/** Messages looked at in one turn: a flood of them costs no more than that, and the next look comes soon anyway. */
const TURN = 16;

export interface TooBig {
  /** Who the packet was for. */
  readonly remote: string;
  /** Of raw ESP and AH over IPv6: what the router takes, and the packet's SPI. */
  readonly raw6?: { readonly mtu: number; readonly spi: number };
}

/** @param packet as a raw IPv4 socket gives it */
export function tooBig4(packet: Uint8Array): TooBig | undefined {
  const icmp = (packet[0]! & 15) * 4;
  const quoted = icmp + ICMP_HEADER;
  if (packet.length < quoted + IPV4_HEADER) return undefined;
  if (packet[icmp] !== UNREACHABLE || packet[icmp + 1] !== FRAGMENTATION_NEEDED) return undefined;
  return { remote: addressText(packet.slice(quoted + 16, quoted + 20)) };
}

/** @param message as a raw IPv6 socket gives it, without the header */
export function tooBig6(message: Uint8Array): TooBig | undefined {
  if (message.length < ICMP_HEADER + IPV6_HEADER || message[0] !== PACKET_TOO_BIG) return undefined;
  const remote = addressText(message.slice(ICMP_HEADER + 24, ICMP_HEADER + 40));
  const at = SPI_AT[message[ICMP_HEADER + 6]!];
  const spi = ICMP_HEADER + IPV6_HEADER + (at ?? 0);
  if (at === undefined || message.length < spi + 4) return { remote };
  const view = new DataView(message.buffer, message.byteOffset);
  return { remote, raw6: { mtu: view.getUint32(4), spi: view.getUint32(spi) } };
}

/** All bits but that of one type: those types are not heard. */
function allBut(type: number, words: number): Uint8Array {
  const mask = new Uint32Array(words).fill(0xffffffff);
  mask[type >>> 5]! &= ~(1 << (type & 31));
  return new Uint8Array(mask.buffer);
}

export class TooBigListener {
  readonly #sockets: { readonly fd: number; readonly watch: Watch }[] = [];
  readonly #message = new Uint8Array(1500);

  /** @param heard is told of each. Without CAP_NET_RAW nothing is heard. */
  constructor(heard: (what: TooBig) => void) {
    this.#open(AF_INET, IPPROTO_ICMP, [SOL_RAW, ICMP_FILTER, allBut(UNREACHABLE, 1)], tooBig4, heard);
    this.#open(AF_INET6, IPPROTO_ICMPV6, [IPPROTO_ICMPV6, ICMPV6_FILTER, allBut(PACKET_TOO_BIG, 8)], tooBig6, heard);
  }

  close(): void {
    for (const { fd, watch } of this.#sockets.splice(0)) {
      watch.close();
      close(fd);
    }
  }

  #open(
    family: number,
    protocol: number,
    filter: readonly [level: number, option: number, mask: Uint8Array],
    parse: (message: Uint8Array) => TooBig | undefined,
    heard: (what: TooBig) => void,
  ): void {
    let fd: number;
    try {
      fd = socket(family, SOCK_RAW, protocol);
    } catch {
      return;
    }
    setsockopt(fd, ...filter);
    const onReadable = () => {
      for (let count = 0; count < TURN; count++) {
        const length = receive(fd, this.#message);
        if (length < 0) return;
        const what = parse(this.#message.subarray(0, length));
        if (what !== undefined) heard(what);
      }
    };
    this.#sockets.push({ fd, watch: new Watch(fd, onReadable) });
  }
}
