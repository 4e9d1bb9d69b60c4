/** What a host behind a gateway does in the demo and in peer tests: pings, moves bulk TCP, numbers UDP datagrams. */
import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { receiveDatagrams, sendDatagrams } from './datagrams.ts';
import { ping } from './ping.ts';

/** Bytes of one write; a pattern that never repeats at a packet's length. */
const CHUNK = 1 << 20;

/** What a listener prints once it can be reached. */
export const READY = 'ready';

export interface TcpReport {
  readonly bytes: number;
  readonly seconds: number;
  readonly sha256: string;
}

function pattern(): Buffer {
  const chunk = Buffer.allocUnsafe(CHUNK);
  for (let i = 0, x = 0x9e3779b9; i < CHUNK; i += 4) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    chunk.writeUInt32LE(x, i);
  }
  return chunk;
}

/** Sends for a time, or a number of bytes; done when the receiver has closed its side. */
async function tcpSend(address: string, port: number, amount: string): Promise<TcpReport> {
  const limit = amount.endsWith('b') ? Number(amount.slice(0, -1)) : Number.POSITIVE_INFINITY;
  const seconds = amount.endsWith('b') ? Number.POSITIVE_INFINITY : Number(amount);
  const chunk = pattern();
  const hash = createHash('sha256');
  const socket = connect({ host: address, port, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  let bytes = 0;
  while (bytes < limit && elapsed() < seconds) {
    const part = chunk.subarray(0, Math.min(CHUNK, limit - bytes));
    // Only a transfer of a given size is compared byte for byte; hashing would slow the others down.
    if (Number.isFinite(limit)) hash.update(part);
    bytes += part.length;
    if (!socket.write(part)) await new Promise((resolve) => socket.once('drain', resolve));
  }
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.resume();
  socket.end();
  await closed;
  return { bytes, seconds: elapsed(), sha256: hash.digest('hex') };
}

/** Takes one connection to its end; `hash` costs time, so it is asked for. */
async function tcpReceive(address: string, port: number, hashed: boolean): Promise<TcpReport> {
  const hash = createHash('sha256');
  const server = createServer();
  server.listen(port, address, () => process.stdout.write(`${READY}\n`));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('connection', (socket) => {
      server.close();
      let bytes = 0;
      const started = performance.now();
      socket.on('data', (data) => {
        bytes += data.length;
        if (hashed) hash.update(data);
      });
      socket.once('error', reject);
      socket.once('end', () => {
        socket.end();
        resolve({ bytes, seconds: (performance.now() - started) / 1000, sha256: hash.digest('hex') });
      });
    });
  });
}

/** Does what the command line of `host.ts` says. @returns the report */
export function runTask([task, address = '', ...rest]: readonly string[]): Promise<unknown> {
  const [first = '', second = '', third = ''] = rest;
  switch (task) {
    case 'ping':
      return ping(address, { count: Number(first), bytes: Number(second), intervalMillis: Number(third) });
    case 'tcp-send':
      return tcpSend(address, Number(first), second);
    case 'tcp-receive':
      return tcpReceive(address, Number(first), second === 'hash');
    case 'udp-send':
      return sendDatagrams(address, Number(first), {
        count: Number(second),
        bytes: Number(third),
        perSecond: Number(rest[3]),
        flows: Number(rest[4] ?? 1),
      });
    case 'udp-receive':
      return receiveDatagrams(address, Number(first), Number(second), () => process.stdout.write(`${READY}\n`));
    default:
      throw new Error(`no such task: ${task}`);
  }
}
