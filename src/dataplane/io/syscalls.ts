/**
 * The system calls of packet I/O, through koffi (about 20 ns above the call itself).
 *
 * Addresses are plain numbers: absolute ones, into linear memory or into a buffer that the caller
 * keeps alive. A call that fails returns -1; `errno()` must then be asked at once.
 */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';
import { EspalierError } from '../../errors.ts';

/** The node binary has libc in it already. */
const libc = koffi.load(null);

function call<Arguments extends readonly unknown[]>(signature: string): (...values: Arguments) => number {
  return libc.func(signature) as unknown as (...values: Arguments) => number;
}

type Fd = number;
type Address = number;
type Length = number;

// ─── Packets: hot, everything by address ──────────────────────────────────────────────────────

export const read = call<[Fd, Address, Length]>('intptr_t read(int, uintptr_t, size_t)');
export const write = call<[Fd, Address, Length]>('intptr_t write(int, uintptr_t, size_t)');
export const writev = call<[Fd, Address, number]>('intptr_t writev(int, uintptr_t, int)');
export const recvmmsg = call<[Fd, Address, number, number, Address]>(
  'int recvmmsg(int, uintptr_t, unsigned int, int, uintptr_t)',
);
export const sendmmsg = call<[Fd, Address, number, number]>('int sendmmsg(int, uintptr_t, unsigned int, int)');
export const recvmsg = call<[Fd, Address, number]>('intptr_t recvmsg(int, uintptr_t, int)');
export const sendmsg = call<[Fd, Address, number]>('intptr_t sendmsg(int, uintptr_t, int)');
export const schedYield = call<[]>('int sched_yield()');
export const epollWait = call<[Fd, Address, number, number]>('int epoll_wait(int, uintptr_t, int, int)');
export const epollControl = call<[Fd, number, Fd, Address]>('int epoll_ctl(int, int, int, uintptr_t)');

// ─── Set-up ───────────────────────────────────────────────────────────────────────────────────

const openFile = call<[string, number]>('int open(const char *, int)');
const openSocket = call<[number, number, number]>('int socket(int, int, int)');
const openPair = call<[number, number, number, Uint8Array]>('int socketpair(int, int, int, uint8_t *)');
const bindSocket = call<[Fd, Uint8Array, Length]>('int bind(int, uint8_t *, uint32_t)');
const connectSocket = call<[Fd, Uint8Array, Length]>('int connect(int, uint8_t *, uint32_t)');
const socketName = call<[Fd, Uint8Array, Uint8Array]>('int getsockname(int, uint8_t *, uint8_t *)');
const getOption = call<[Fd, number, number, Uint8Array, Uint8Array]>(
  'int getsockopt(int, int, int, uint8_t *, uint8_t *)',
);
const setOption = call<[Fd, number, number, Uint8Array, Length]>('int setsockopt(int, int, int, uint8_t *, uint32_t)');
const control = call<[Fd, number, Uint8Array]>('int ioctl(int, unsigned long, uint8_t *)');
const controlByValue = call<[Fd, number, number]>('int ioctl(int, unsigned long, unsigned long)');
const newEpoll = call<[number]>('int epoll_create1(int)');
const newEventFd = call<[number, number]>('int eventfd(unsigned int, int)');
const adviseMemory = call<[Address, Length, number]>('int madvise(uintptr_t, size_t, int)');
const closeFile = call<[Fd]>('int close(int)');
const sendBytes = call<[Fd, Uint8Array, Length, number]>('intptr_t send(int, uint8_t *, size_t, int)');
const receiveBytes = call<[Fd, Uint8Array, Length, number]>('intptr_t recv(int, uint8_t *, size_t, int)');

export const { EAFNOSUPPORT, EAGAIN, EEXIST, EINTR, EIO, ENOBUFS, ENOENT, EPERM, ESRCH } = constants.errno;
export const MSG_DONTWAIT = 0x40;

export const EPOLLIN = 1;
export const EPOLLOUT = 4;
export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;

const O_RDWR_NONBLOCK_CLOEXEC = 0o2 | 0o4000 | 0o2000000;
/** SOCK_NONBLOCK | SOCK_CLOEXEC, to be added to a socket's type; EFD_* are the same. */
const NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const EPOLL_CLOEXEC = 0o2000000;

export const errno = (): number => koffi.errno();

/** @returns the absolute address of a buffer; it stays where it is as long as the buffer is reachable */
export const addressOf = (bytes: Uint8Array): number => Number(koffi.address(bytes));

/** What a system call refused to do. */
export class SystemError extends EspalierError {
  readonly errno: number;

  /** @param what the call and its object: `bind 0.0.0.0:4500` */
  constructor(what: string, number: number = errno()) {
    super('ERR_SYSTEM', `${what}: ${getSystemErrorName(-number)}`);
    this.errno = number;
  }
}

function checked(result: number, what: string): number {
  if (result < 0) throw new SystemError(what);
  return result;
}

/** @throws SystemError, as all below do */
export const open = (path: string): Fd => checked(openFile(path, O_RDWR_NONBLOCK_CLOEXEC), `open ${path}`);

export const socket = (domain: number, type: number, protocol: number): Fd =>
  checked(openSocket(domain, type | NONBLOCK_CLOEXEC, protocol), `socket ${domain}/${type}/${protocol}`);

export const createEpoll = (): Fd => checked(newEpoll(EPOLL_CLOEXEC), 'epoll_create1');

export const createEventFd = (): Fd => checked(newEventFd(0, NONBLOCK_CLOEXEC), 'eventfd');

export function socketpair(domain: number, type: number): readonly [Fd, Fd] {
  const pair = new Uint8Array(8);
  checked(openPair(domain, type | NONBLOCK_CLOEXEC, 0, pair), 'socketpair');
  const view = new DataView(pair.buffer);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

/** @param name what to call it in an error */
export const bind = (fd: Fd, address: Uint8Array, name: string): void => {
  checked(bindSocket(fd, address, address.length), `bind ${name}`);
};

/** @param name what to call it in an error */
export const connect = (fd: Fd, address: Uint8Array, name: string): void => {
  checked(connectSocket(fd, address, address.length), `connect ${name}`);
};

/** @returns the socket's own struct sockaddr */
export function getsockname(fd: Fd): Uint8Array {
  const address = new Uint8Array(128);
  const length = Uint8Array.of(address.length, 0, 0, 0);
  checked(socketName(fd, address, length), 'getsockname');
  return address.subarray(0, length[0]);
}

const int32 = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);

/** @returns whether the kernel took the option */
export function setsockopt(fd: Fd, level: number, option: number, value: number | Uint8Array): boolean {
  const bytes = typeof value === 'number' ? int32(value) : value;
  return setOption(fd, level, option, bytes, bytes.length) === 0;
}

/** @returns the value of an option that is an int; undefined if the kernel refuses */
export function getsockopt(fd: Fd, level: number, option: number): number | undefined {
  const value = int32(0);
  if (getOption(fd, level, option, value, int32(value.length)) !== 0) return undefined;
  return new DataView(value.buffer).getInt32(0, true);
}

/** @returns the value of an option that is a structure; undefined if the kernel refuses */
export function readOption(fd: Fd, level: number, option: number, length: number): Uint8Array | undefined {
  const value = new Uint8Array(length);
  return getOption(fd, level, option, value, int32(length)) === 0 ? value : undefined;
}

const PAGE = 4096;
const MADV_HUGEPAGE = 14;

/** Asks for huge pages, which spare the processor most misses of its TLB; the system may have none. */
export const preferHugePages = (address: Address, length: number): void => {
  const start = Math.ceil(address / PAGE) * PAGE;
  adviseMemory(start, address + length - start, MADV_HUGEPAGE);
};

/** ioctl with a structure. @returns whether the kernel did it */
export const ioctl = (fd: Fd, request: number, argument: Uint8Array): boolean => control(fd, request, argument) >= 0;

/** ioctl with a number. @returns whether the kernel did it */
export const ioctlValue = (fd: Fd, request: number, value: number): boolean => controlByValue(fd, request, value) >= 0;

export const send = (fd: Fd, bytes: Uint8Array): void => {
  checked(sendBytes(fd, bytes, bytes.length, 0), 'send');
};

/** @returns bytes received, -1 when there is nothing */
export const receive = (fd: Fd, bytes: Uint8Array): number => receiveBytes(fd, bytes, bytes.length, MSG_DONTWAIT);

export const close = (fd: Fd): void => {
  closeFile(fd);
};
