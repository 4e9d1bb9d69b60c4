/**
 * Messages to the kernel over netlink. Whatever is asked is answered before `send` returns, so all of this is
 * synchronous.
 *
 *      0         4         8         12        16
 *     +---------+----+----+---------+---------+--------------------+-----------------------------+
 *     | LENGTH  |TYPE|FLAG| SEQ     | PORT    | header of the type | attributes: len, type, data |
 *     +---------+----+----+---------+---------+--------------------+-----------------------------+
 */
import { close, receive, SystemError, send, socket } from './syscalls.ts';

export const AF_NETLINK = 16;
export const SOCK_RAW = 3;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
export const NLMSG_HEADER = 16;
const ATTRIBUTE_HEADER = 4;

const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

/** Kernel's answers to one `receive`; dumps come in pieces of at most 32 KiB. */
export const ANSWER_SIZE = 65_536;

export type Attribute = readonly [kind: number, data: Uint8Array];

export interface Request {
  readonly type: number;
  readonly flags: number;
  /** struct ifinfomsg, rtmsg, nfgenmsg … */
  readonly header: Uint8Array;
  readonly attributes: readonly Attribute[];
}

export interface Message {
  readonly type: number;
  readonly body: Uint8Array;
}

/** A netlink socket; close it after use. */
export class NetlinkSocket {
  readonly fd: number;
  /** What comes in answer, until the next one; a copy is made of what is kept. */
  readonly #answer = new Uint8Array(ANSWER_SIZE);
  #sequence = 0;

  constructor(protocol: number) {
    this.fd = socket(AF_NETLINK, SOCK_RAW, protocol);
  }

  close(): void {
    close(this.fd);
  }

  /**
   * @param what for the error's text
   * @throws SystemError with the kernel's error
   */
  request(what: string, request: Request): void {
    send(this.fd, encode({ ...request, flags: NLM_F_ACK | request.flags }, ++this.#sequence));
    const length = receive(this.fd, this.#answer);
    if (length < NLMSG_HEADER + 4) throw new SystemError(what);
    const error = readI32(this.#answer.subarray(NLMSG_HEADER));
    if (error !== 0) throw new SystemError(what, -error);
  }

  /**
   * Requests that the kernel takes together, in one datagram. It answers those that failed, and those that ask for it.
   * @throws SystemError with the first error
   */
  requestAll(what: string, requests: readonly Request[]): void {
    send(this.fd, Buffer.concat(requests.map((request) => encode(request, ++this.#sequence))));
    let error = 0;
    for (let length = 0; ; ) {
      length = receive(this.fd, this.#answer);
      if (length < 0) break;
      for (const { type, body } of splitMessages(this.#answer.subarray(0, length))) {
        if (type === NLMSG_ERROR) error ||= readI32(body);
      }
    }
    if (error !== 0) throw new SystemError(what, -error);
  }

  /** @returns the body of the one message that answers; undefined if there is no such thing */
  get(request: Request): Uint8Array | undefined {
    send(this.fd, encode(request, ++this.#sequence));
    const length = receive(this.fd, this.#answer);
    const [message] = splitMessages(this.#answer.subarray(0, Math.max(0, length)));
    return message === undefined || message.type === NLMSG_ERROR ? undefined : message.body.slice();
  }

  /** @returns the bodies of all messages of a dump */
  dump(what: string, type: number, header: Uint8Array): Uint8Array[] {
    send(this.fd, encode({ type, flags: NLM_F_DUMP, header, attributes: [] }, ++this.#sequence));
    const bodies: Uint8Array[] = [];
    for (;;) {
      const answer = new Uint8Array(ANSWER_SIZE);
      const received = receive(this.fd, answer);
      if (received < 0) throw new SystemError(what);
      for (const message of splitMessages(answer.subarray(0, received))) {
        if (message.type === NLMSG_DONE) return bodies;
        if (message.type === NLMSG_ERROR) throw new SystemError(what, -readI32(message.body));
        bodies.push(message.body);
      }
    }
  }
}

function encode({ type, flags, header, attributes }: Request, sequence: number): Uint8Array {
  const encoded = encodeAttributes(attributes);
  const message = new Uint8Array(NLMSG_HEADER + header.length + encoded.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, NLM_F_REQUEST | flags, true);
  view.setUint32(8, sequence, true);
  message.set(header, NLMSG_HEADER);
  message.set(encoded, NLMSG_HEADER + header.length);
  return message;
}

/** @returns the attributes as bytes, which may be another's data */
export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  const length = attributes.reduce((sum, [, data]) => sum + align(ATTRIBUTE_HEADER + data.length), 0);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [kind, data] of attributes) {
    view.setUint16(at, ATTRIBUTE_HEADER + data.length, true);
    view.setUint16(at + 2, kind, true);
    bytes.set(data, at + ATTRIBUTE_HEADER);
    at += align(ATTRIBUTE_HEADER + data.length);
  }
  return bytes;
}

export function parseAttributes(bytes: Uint8Array): Map<number, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const attributes = new Map<number, Uint8Array>();
  for (let at = 0; at + ATTRIBUTE_HEADER <= bytes.length; ) {
    const length = view.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER) break;
    attributes.set(view.getUint16(at + 2, true) & KIND_MASK, bytes.subarray(at + ATTRIBUTE_HEADER, at + length));
    at += align(length);
  }
  return attributes;
}

/** Above it are NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const KIND_MASK = 0x3fff;

export function splitMessages(bytes: Uint8Array): Message[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: Message[] = [];
  for (let at = 0; at + NLMSG_HEADER <= bytes.length; ) {
    const length = view.getUint32(at, true);
    messages.push({ type: view.getUint16(at + 4, true), body: bytes.subarray(at + NLMSG_HEADER, at + length) });
    at += align(Math.max(NLMSG_HEADER, length));
  }
  return messages;
}

const align = (length: number): number => (length + 3) & ~3;

export const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

export const readU32 = (bytes: Uint8Array | undefined): number =>
  bytes === undefined ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);

const readI32 = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
