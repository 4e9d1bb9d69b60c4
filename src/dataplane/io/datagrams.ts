/**
 * IKE datagrams, one by one, on the engine's thread: with the local address to be sent from, and
 * with the one they were sent to (RFC 7296 §2.23: answers go back the way requests came).
 *
 *      0         8         16        24        32        40        48        56
 *     +---------+---------+---------+---------+---------+---------+---------+
 *     | NAME    | NAMELEN | IOVEC   | COUNT   | CONTROL | LENGTH  | FLAGS   |   struct msghdr
 *     +---------+---------+---------+---------+---------+---------+---------+
 */
import type { IkeDatagram } from '../../contract.ts';
import { addressBytes, addressText } from '../selector.ts';
import { AF_INET6, readSockaddr, SOCKADDR_IN6, writeSockaddr } from '../sockaddr.ts';
import { IPPROTO_IP, IPPROTO_IPV6 } from './socket-options.ts';
import { addressOf, MSG_DONTWAIT, recvmsg, sendmsg } from './syscalls.ts';
import type { UdpSocket } from './udp.ts';

/** RFC 3948 §2.2: four zero octets where ESP has its SPI. */
const NON_ESP_MARKER = 4;
const MSGHDR = { name: 0, nameLength: 8, iovecs: 16, iovecCount: 24, control: 32, controlLength: 40, flags: 48 };
const NAME = 64;
const IOVEC = 96;
const CONTROL = 128;
const CONTROL_SIZE = 256;
const DATA = 512;
const DATA_SIZE = 65_536;
const CMSG_HEADER = 16;
const IP_PKTINFO = 8;
const IPV6_PKTINFO = 50;
const MSG_TRUNC = 0x20;

/** One buffer for all, used from call to call. */
export class DatagramBuffer {
  readonly #bytes = new Uint8Array(DATA + DATA_SIZE);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #base = addressOf(this.#bytes);

  /**
   * @param marked puts the non-ESP marker in front
   * @returns whether the system took it; a datagram that is refused is as good as lost
   */
  send({ fd }: UdpSocket, { local, remote, data }: IkeDatagram, marked: boolean): boolean {
    const length = data.length + (marked ? NON_ESP_MARKER : 0);
    if (length > DATA_SIZE) return false;
    this.#bytes.fill(0, DATA, DATA + NON_ESP_MARKER);
    this.#bytes.set(data, DATA + length - data.length);
    this.#prepare(writeSockaddr(this.#bytes, NAME, remote), length, this.#writeSource(local.address));
    return sendmsg(fd, this.#base, MSG_DONTWAIT) >= 0;
  }

  /** @returns the next datagram, undefined when there is none */
  receive({ fd, local }: UdpSocket): IkeDatagram | undefined {
    this.#prepare(SOCKADDR_IN6, DATA_SIZE, CONTROL_SIZE);
    const length = recvmsg(fd, this.#base, MSG_DONTWAIT);
    if (length < 0 || (this.#view.getUint32(MSGHDR.flags, true) & MSG_TRUNC) !== 0) return undefined;
    return {
      local: { address: this.#readDestination() ?? local.address, port: local.port },
      remote: readSockaddr(this.#bytes, NAME),
      data: this.#bytes.slice(DATA, DATA + length),
    };
  }

  #prepare(nameLength: number, length: number, controlLength: number): void {
    const pointer = (at: number, target: number) => this.#view.setBigUint64(at, BigInt(this.#base + target), true);
    const size = (at: number, value: number) => this.#view.setBigUint64(at, BigInt(value), true);
    pointer(MSGHDR.name, NAME);
    size(MSGHDR.nameLength, nameLength);
    pointer(MSGHDR.iovecs, IOVEC);
    size(MSGHDR.iovecCount, 1);
    pointer(MSGHDR.control, CONTROL);
    size(MSGHDR.controlLength, controlLength);
    size(MSGHDR.flags, 0);
    pointer(IOVEC, DATA);
    size(IOVEC + 8, length);
  }

  /** @returns bytes of the control message that names the source address */
  #writeSource(address: string): number {
    const source = addressBytes(address);
    const v6 = source.length === 16;
    const data = v6 ? 20 : 12;
    this.#bytes.fill(0, CONTROL, CONTROL + CMSG_HEADER + 24);
    this.#view.setBigUint64(CONTROL, BigInt(CMSG_HEADER + data), true);
    this.#view.setUint32(CONTROL + 8, v6 ? IPPROTO_IPV6 : IPPROTO_IP, true);
    this.#view.setUint32(CONTROL + 12, v6 ? IPV6_PKTINFO : IP_PKTINFO, true);
    // struct in6_pktinfo { address, index }; struct in_pktinfo { index, source, destination }.
    this.#bytes.set(source, CONTROL + CMSG_HEADER + (v6 ? 0 : 4));
    return CMSG_HEADER + 24;
  }

  /** @returns the address that the received datagram was sent to */
  #readDestination(): string | undefined {
    const end = CONTROL + Number(this.#view.getBigUint64(MSGHDR.controlLength, true));
    for (let at = CONTROL; at + CMSG_HEADER <= end; ) {
      const length = Number(this.#view.getBigUint64(at, true));
      if (length < CMSG_HEADER) return undefined;
      const level = this.#view.getUint32(at + 8, true);
      const type = this.#view.getUint32(at + 12, true);
      const data = at + CMSG_HEADER;
      if (level === IPPROTO_IP && type === IP_PKTINFO) return addressText(this.#bytes.slice(data + 8, data + 12));
      if (level === IPPROTO_IPV6 && type === IPV6_PKTINFO) return addressText(this.#bytes.slice(data, data + 16));
      at += (length + 7) & ~7;
    }
    return undefined;
  }
}

/** @returns the socket that a datagram leaves by: of its family, and bound to its address if there is one */
export function socketFor(sockets: readonly UdpSocket[], { local }: IkeDatagram): UdpSocket | undefined {
  const family = local.address.includes(':') ? AF_INET6 : 2;
  const candidates = sockets.filter((socket) => socket.family === family);
  return candidates.find((socket) => socket.local.address === local.address) ?? candidates[0];
}
