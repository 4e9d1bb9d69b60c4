/**
 * Multicast groups that inbound SAs belong to (RFC 4301 §4.1): this host is a member of each as long as
 * there is an SA for it, on the interface that leads to its sender.
 *
 * The raw and UDP sockets of the workers take what comes for a group that anybody here has joined
 * (IP_MULTICAST_ALL), so a socket that does nothing else holds the membership, and ends it when it is closed.
 */
import type { SaHandle, SaParameters } from '../contract.ts';
import { isMulticast } from './geometry.ts';
import { interfaceOf } from './io/interfaces.ts';
import { IPPROTO_IP, IPPROTO_IPV6, SOCK_DGRAM } from './io/socket-options.ts';
import { close, setsockopt, socket } from './io/syscalls.ts';
import { addressBytes } from './selector.ts';
import { AF_INET, AF_INET6 } from './sockaddr.ts';

const IP_ADD_MEMBERSHIP = 35;
const IPV6_ADD_MEMBERSHIP = 20;

interface Membership {
  readonly fd: number;
  readonly sas: Set<SaHandle>;
}

export class Groups {
  readonly #sourceAddress: (remote: string) => string | undefined;
  readonly #failed: (sentence: string) => void;
  /** By interface and group. */
  readonly #memberships = new Map<string, Membership>();
  readonly #nameOf = new Map<SaHandle, string>();

  /**
   * @param sourceAddress which of this host's addresses packets to `remote` are sent from
   * @param failed is told of a group that cannot be joined
   */
  constructor(sourceAddress: (remote: string) => string | undefined, failed: (sentence: string) => void) {
    this.#sourceAddress = sourceAddress;
    this.#failed = failed;
  }

  /** Joins the group of an SA that is new or moved, if it has one. */
  set(sa: SaHandle, { direction, local, remote }: Pick<SaParameters, 'direction' | 'local' | 'remote'>): void {
    this.delete(sa);
    if (direction !== 'in' || !isMulticast(local.address)) return;
    const own = this.#sourceAddress(remote.address);
    const index = own === undefined ? 0 : interfaceOf(own);
    const name = `${local.address} ${index}`;
    let membership = this.#memberships.get(name);
    if (membership === undefined) {
      const fd = join(local.address, index);
      if (fd === undefined) {
        this.#failed(`The group ${local.address} cannot be joined: is there a way to its sender ${remote.address}?`);
        return;
      }
      membership = { fd, sas: new Set() };
      this.#memberships.set(name, membership);
    }
    membership.sas.add(sa);
    this.#nameOf.set(sa, name);
  }

  /** Leaves the group of an SA that goes, if it was the last one. */
  delete(sa: SaHandle): void {
    const name = this.#nameOf.get(sa);
    if (name === undefined) return;
    this.#nameOf.delete(sa);
    const { fd, sas } = this.#memberships.get(name)!;
    sas.delete(sa);
    if (sas.size > 0) return;
    this.#memberships.delete(name);
    close(fd);
  }

  close(): void {
    for (const { fd } of this.#memberships.values()) close(fd);
    this.#memberships.clear();
    this.#nameOf.clear();
  }
}

/** @returns the socket that holds the membership; undefined if the system refuses it */
function join(group: string, index: number): number | undefined {
  const address = addressBytes(group);
  const v4 = address.length === 4;
  let fd: number;
  try {
    fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  } catch {
    return undefined;
  }
  // struct ip_mreqn: group, address of ours, interface; struct ipv6_mreq: group, interface.
  const request = new Uint8Array(v4 ? 12 : 20);
  request.set(address);
  new DataView(request.buffer).setInt32(request.length - 4, index, true);
  if (setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_ADD_MEMBERSHIP : IPV6_ADD_MEMBERSHIP, request)) return fd;
  close(fd);
  return undefined;
}
