/**
 * Classic BPF programs. Most spread inbound ESP and AH over the workers by SPI: a flow hash would not
 * do, as one peer is one 4-tuple, whatever number of SAs it has.
 */
import { addressOf, setsockopt } from './syscalls.ts';

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_ATTACH_REUSEPORT_CBPF = 51;

/** struct sock_filter: u16 code, u8 jt, u8 jf, u32 k. */
type Instruction = readonly [code: number, jt: number, jf: number, k: number];

const LD_WORD_AT = 0x20;
const LD_BYTE_AT = 0x30;
const LD_WORD_AT_X = 0x40;
/** X = 4 × (byte & 15): the length of the IPv4 header that begins at k. */
const LDX_IPV4_LENGTH = 0xb1;
const ALU_MODULO = 0x94;
const JUMP_IF_EQUAL = 0x15;
const RETURN_A = 0x16;
const RETURN = 0x06;
const WHOLE_PACKET = 0xffffffff;

/** The data of a SO_REUSEPORT program begin behind the UDP header. A keepalive is too short: worker 0. */
const bySpi = (workers: number): Instruction[] => [
  [LD_WORD_AT, 0, 0, 0],
  [ALU_MODULO, 0, 0, workers],
  [RETURN_A, 0, 0, 0],
];

/** Raw sockets each get a copy, so each keeps its own: IPv4 ones see the IP header, IPv6 ones do not. */
const ownSpi = (worker: number, workers: number, ipv4: boolean, spiOffset: number): Instruction[] => [
  ...(ipv4
    ? ([
        [LDX_IPV4_LENGTH, 0, 0, 0],
        [LD_WORD_AT_X, 0, 0, spiOffset],
      ] as const)
    : ([[LD_WORD_AT, 0, 0, spiOffset]] as const)),
  [ALU_MODULO, 0, 0, workers],
  [JUMP_IF_EQUAL, 0, 1, worker],
  [RETURN, 0, 0, WHOLE_PACKET],
  [RETURN, 0, 0, 0],
];

function attach(fd: number, option: number, program: readonly Instruction[]): boolean {
  const code = new Uint8Array(program.length * 8);
  const view = new DataView(code.buffer);
  program.forEach(([operation, jt, jf, k], index) => {
    view.setUint16(index * 8, operation, true);
    view.setUint8(index * 8 + 2, jt);
    view.setUint8(index * 8 + 3, jf);
    view.setUint32(index * 8 + 4, k, true);
  });
  // struct sock_fprog: u16 length, padding, pointer.
  const header = new Uint8Array(16);
  const headerView = new DataView(header.buffer);
  headerView.setUint16(0, program.length, true);
  headerView.setBigUint64(8, BigInt(addressOf(code)), true);
  return setsockopt(fd, SOL_SOCKET, option, header);
}

/**
 * @param fd any socket of a SO_REUSEPORT group whose members are bound in the order of the workers
 * @returns whether the kernel took the program
 */
export const steerBySpi = (fd: number, workers: number): boolean =>
  attach(fd, SO_ATTACH_REUSEPORT_CBPF, bySpi(workers));

/** @returns whether the kernel took the program */
export const keepOwnSpis = (
  fd: number,
  { worker, workers, ipv4, ah }: { worker: number; workers: number; ipv4: boolean; ah: boolean },
): boolean => attach(fd, SO_ATTACH_FILTER, ownSpi(worker, workers, ipv4, ah ? 4 : 0));

/**
 * Keeps out of a socket what does not have `value` in its byte at `offset`.
 * @returns whether the kernel took the program
 */
export const keepByte = (fd: number, offset: number, value: number): boolean =>
  attach(fd, SO_ATTACH_FILTER, [
    [LD_BYTE_AT, 0, 0, offset],
    [JUMP_IF_EQUAL, 0, 1, value],
    [RETURN, 0, 0, WHOLE_PACKET],
    [RETURN, 0, 0, 0],
  ]);
