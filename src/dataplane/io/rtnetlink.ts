/**
 * The few requests to the kernel's routing that a gateway needs, over NETLINK_ROUTE: no `ip` command
 * has to be there.
 */
import { addressBytes } from '../selector.ts';
import { AF_INET, AF_INET6 } from '../sockaddr.ts';
import {
  AF_NETLINK,
  ANSWER_SIZE,
  type Attribute,
  encodeAttributes,
  NetlinkSocket,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  NLMSG_HEADER,
  parseAttributes,
  readU32,
  splitMessages,
  u32,
} from './netlink.ts';
import { keepByte } from './steering.ts';
import { bind, EAFNOSUPPORT, EEXIST, ENOBUFS, ESRCH, errno, receive, SystemError, setsockopt } from './syscalls.ts';
import { Watch } from './watch.ts';

const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_GET_STRICT_CHK = 12;
const RTMGRP_IPV4_ROUTE = 0x40;
const RTMGRP_IPV6_ROUTE = 0x400;

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;

const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_TXQLEN = 13;
const IFLA_STATS64 = 23;
/** In struct rtnl_link_stats64. */
const TX_DROPPED = 56;
const IFLA_AF_SPEC = 26;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const ARPHRD_NONE = 0xfffe;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
/** No duplicate address detection: nobody else is on a TUN. */
const IFA_F_NODAD = 0x02;

/** In struct rtmsg. */
const RTM_TABLE = 4;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_PREFSRC = 7;
const RTA_TABLE = 15;
const RTPROT_STATIC = 4;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const RTN_THROW = 9;
export const TABLE_MAIN = 254;

const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_TABLE = 15;
const FR_ACT_TO_TBL = 1;
const FIB_RULE_INVERT = 0x2;

export interface Prefix {
  /** 4 or 16 bytes, wire order. */
  readonly address: Uint8Array;
  readonly length: number;
}

/** @param text `10.2.0.0/16`; without a length, one host */
export function parsePrefix(text: string): Prefix {
  const [host = '', length] = text.split('/');
  const address = addressBytes(host);
  return { address, length: length === undefined ? address.length * 8 : Number(length) };
}

export interface LinkState {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Has hardware addresses: neither loopback nor a TUN. */
  readonly broadcast: boolean;
  /** Packets for the device that it had no room for. */
  readonly dropped: number;
}

export interface RouteChange {
  readonly prefix: Prefix;
  readonly table: number;
  /** Index of the device; without one, a look-up that ends here goes on with the next rule. */
  readonly device?: number;
  /** Preferred source address. */
  readonly source?: string;
}

export interface RuleChange {
  readonly family: number;
  readonly priority: number;
  readonly table: number;
  /** Packets that do NOT bear this mark look the table up. */
  readonly unlessMark: number;
}

const rtFamily = (address: Uint8Array): number => (address.length === 4 ? AF_INET : AF_INET6);

/** A netlink socket; close it after use. */
export class Rtnetlink {
  readonly #socket = new NetlinkSocket(NETLINK_ROUTE);

  constructor() {
    // Where the kernel has it (Linux 4.20), a dump is of the table asked for, and not of all.
    setsockopt(this.#socket.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  }

  close(): void {
    this.#socket.close();
  }

  links(): LinkState[] {
    return this.#socket.dump('read the devices', RTM_GETLINK, new Uint8Array(16)).map((message) => {
      const view = new DataView(message.buffer, message.byteOffset);
      const flags = view.getUint32(8, true);
      const attributes = parseAttributes(message.subarray(16));
      return {
        index: view.getInt32(4, true),
        name: Buffer.from(attributes.get(IFLA_IFNAME) ?? [])
          .toString('latin1')
          .replace(/\0.*$/, ''),
        mtu: readU32(attributes.get(IFLA_MTU)),
        up: (flags & IFF_UP) !== 0,
        broadcast: (flags & IFF_LOOPBACK) === 0 && view.getUint16(2, true) !== ARPHRD_NONE,
        dropped: readU64(attributes.get(IFLA_STATS64)?.subarray(TX_DROPPED)),
      };
    });
  }

  /** Keeps the system from giving the device a link-local address, and from talking IPv6 over it by itself. */
  withoutLinkLocal(index: number): void {
    const header = new Uint8Array(16);
    new DataView(header.buffer).setInt32(4, index, true);
    const mode = encodeAttributes([[IFLA_INET6_ADDR_GEN_MODE, Uint8Array.of(IN6_ADDR_GEN_MODE_NONE)]]);
    this.#tolerate(EAFNOSUPPORT, () =>
      this.#request('set up IPv6 on the device', RTM_NEWLINK, 0, header, [
        [IFLA_AF_SPEC, encodeAttributes([[AF_INET6, mode]])],
      ]),
    );
  }

  /** Sets the MTU and the length of the queue (in packets), and switches the device on. */
  configureLink(index: number, mtu: number, queueLength: number): void {
    const header = new Uint8Array(16);
    const view = new DataView(header.buffer);
    view.setInt32(4, index, true);
    view.setUint32(8, IFF_UP, true);
    view.setUint32(12, IFF_UP, true);
    this.#request('set up the device', RTM_NEWLINK, 0, header, [
      [IFLA_MTU, u32(mtu)],
      [IFLA_TXQLEN, u32(queueLength)],
    ]);
  }

  /** @param address with prefix length: `10.1.0.1/24` */
  addAddress(index: number, address: string): void {
    const prefix = parsePrefix(address);
    const header = new Uint8Array(8);
    header[0] = rtFamily(prefix.address);
    header[1] = prefix.length;
    header[2] = IFA_F_NODAD;
    new DataView(header.buffer).setUint32(4, index, true);
    this.#request(`add address ${address}`, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, header, [
      [IFA_LOCAL, prefix.address],
      [IFA_ADDRESS, prefix.address],
    ]);
  }

  addRoute(route: RouteChange): void {
    this.#request('add a route', RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, ...routeMessage(route));
  }

  /** A route that is not there is no error. */
  removeRoute(route: RouteChange): void {
    this.#tolerate(ESRCH, () => this.#request('remove a route', RTM_DELROUTE, 0, ...routeMessage(route)));
  }

  /** @returns the destinations that the main table knows, of one family */
  mainDestinations(family: number): Prefix[] {
    const header = new Uint8Array(12);
    header[0] = family;
    header[RTM_TABLE] = TABLE_MAIN;
    return this.#socket.dump('read the routing tables', RTM_GETROUTE, header).flatMap((message) => {
      if (message[0] !== family || message[7] !== RTN_UNICAST || tableOf(message) !== TABLE_MAIN) return [];
      const any = new Uint8Array(family === AF_INET ? 4 : 16);
      return [{ address: parseAttributes(message.subarray(12)).get(RTA_DST) ?? any, length: message[1]! }];
    });
  }

  /** A rule that is there already is no error: one that a killed process left behind. */
  addRule(rule: RuleChange): void {
    this.#tolerate(EEXIST, () =>
      this.#request('add a routing rule', RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, ...ruleMessage(rule)),
    );
  }

  removeRule(rule: RuleChange): void {
    this.#request('remove a routing rule', RTM_DELRULE, 0, ...ruleMessage(rule));
  }

  #tolerate(errno: number, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof SystemError) || error.errno !== errno) throw error;
    }
  }

  #request(what: string, type: number, flags: number, header: Uint8Array, attributes: readonly Attribute[]): void {
    this.#socket.request(what, { type, flags, header, attributes });
  }
}

/** Tells of changes to the main table. */
export class RouteMonitor {
  readonly #socket = new NetlinkSocket(NETLINK_ROUTE);
  readonly #watch: Watch;
  readonly #changed: () => void;
  readonly #answer = new Uint8Array(ANSWER_SIZE);

  constructor(changed: () => void) {
    this.#changed = changed;
    // Our own routes stand elsewhere, and need not wake us.
    keepByte(this.#socket.fd, NLMSG_HEADER + RTM_TABLE, TABLE_MAIN);
    // struct sockaddr_nl: family, padding, port (the kernel's choice), groups.
    const address = new Uint8Array(Uint32Array.of(AF_NETLINK, 0, RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE).buffer);
    bind(this.#socket.fd, address, 'netlink');
    this.#watch = new Watch(this.#socket.fd, () => this.poll());
  }

  /** Tells now of what has changed up to now. */
  poll(): void {
    let changed = false;
    for (;;) {
      const received = receive(this.#socket.fd, this.#answer);
      if (received >= 0) {
        const messages = splitMessages(this.#answer.subarray(0, received));
        changed ||= messages.some(({ body }) => tableOf(body) === TABLE_MAIN);
      } else if (errno() === ENOBUFS) {
        // What did not fit the socket's buffer may have been of the main table.
        changed = true;
      } else {
        break;
      }
    }
    if (changed) this.#changed();
  }

  close(): void {
    this.#watch.close();
    this.#socket.close();
  }
}

/** @param message a struct rtmsg with its attributes; @returns the table its route stands in */
const tableOf = (message: Uint8Array): number =>
  readU32(parseAttributes(message.subarray(12)).get(RTA_TABLE)) || message[4]!;

function routeMessage({ prefix, table, device, source }: RouteChange): [Uint8Array, Attribute[]] {
  const header = new Uint8Array(12);
  header[0] = rtFamily(prefix.address);
  header[1] = prefix.length;
  header[5] = RTPROT_STATIC;
  header[6] = device === undefined ? 0 : RT_SCOPE_LINK;
  header[7] = device === undefined ? RTN_THROW : RTN_UNICAST;
  const attributes: Attribute[] = [
    [RTA_DST, prefix.address],
    [RTA_TABLE, u32(table)],
  ];
  if (device !== undefined) attributes.push([RTA_OIF, u32(device)]);
  if (source !== undefined) attributes.push([RTA_PREFSRC, addressBytes(source)]);
  return [header, attributes];
}

function ruleMessage({ family, priority, table, unlessMark }: RuleChange): [Uint8Array, Attribute[]] {
  const header = new Uint8Array(12);
  header[0] = family;
  header[7] = FR_ACT_TO_TBL;
  new DataView(header.buffer).setUint32(8, FIB_RULE_INVERT, true);
  const attributes: Attribute[] = [
    [FRA_PRIORITY, u32(priority)],
    [FRA_FWMARK, u32(unlessMark)],
    [FRA_TABLE, u32(table)],
  ];
  return [header, attributes];
}

const readU64 = (bytes: Uint8Array | undefined): number =>
  bytes === undefined ? 0 : Number(Buffer.from(bytes).readBigUInt64LE());
