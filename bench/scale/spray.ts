/**
 * UDP from host A to many addresses behind gateway B, as fast as it arrives: no more is under way than
 * the queues hold. One process with a socket in each of both namespaces.
 *
 *     node spray.js '{"from": "…-ha", "to": "…-hb", "peers": 10000, "segments": 1, "bytes": 1380, "seconds": 2}'
 *
 * Prints a report in JSON at the end.
 */
import koffi from 'koffi';
import { SOL_SOCKET, SOL_UDP, UDP_GRO, UDP_SEGMENT } from '../../src/dataplane/io/socket-options.ts';
import { MSG_DONTWAIT, recvmmsg, sendmmsg, setsockopt } from '../../src/dataplane/io/syscalls.ts';
import { MESSAGES, Messages, openReceiver, openSender } from '../datagrams.ts';
import { peerAddress, STRIDE } from './spread.ts';

export interface SprayOptions {
  /** Namespaces. */
  readonly from: string;
  readonly to: string;
  /** Addresses that traffic goes to in turn. */
  readonly peers: number;
  /** Datagrams to each in turn: one, or a burst that the system takes as one super-packet. */
  readonly segments: number;
  /** Of UDP payload. */
  readonly bytes: number;
  readonly seconds: number;
}

export interface SprayReport {
  readonly sent: number;
  readonly received: number;
  readonly seconds: number;
}

const SO_RCVTIMEO = 20;
const F_SETFL = 4;
const MSG_WAITFORONE = 0x10000;
const LARGEST = 65_536;
/** Datagrams under way, and milliseconds after which what has not come is lost. */
const WINDOW = 4096;
const PATIENCE = 100;

const fcntl = koffi.load(null).func('int fcntl(int, int, int)') as (
  fd: number,
  command: number,
  value: number,
) => number;

function spray({ from, to, peers, segments, bytes, seconds }: SprayOptions): SprayReport {
  const sender = openSender(from);
  if (segments > 1) setsockopt(sender, SOL_UDP, UDP_SEGMENT, bytes);
  const receiver = openReceiver(to);
  setsockopt(receiver, SOL_UDP, UDP_GRO, 1);
  // It waits, but not longer than a millisecond (struct timeval).
  fcntl(receiver, F_SETFL, 0);
  setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(BigInt64Array.of(0n, 1000n).buffer));

  const outgoing = new Messages(bytes * segments, 0);
  const incoming = new Messages(LARGEST, LARGEST);
  let [sent, lost, received, peer] = [0, 0, 0, 0];
  const started = performance.now();
  let progress = started;
  for (;;) {
    const now = performance.now();
    const over = now - started >= seconds * 1000;
    const underWay = sent - lost - received;
    if (now - progress > PATIENCE) {
      if (over) break;
      lost += underWay;
      progress = now;
    }
    if (over && underWay <= 0) break;
    const goes = !over && underWay + segments * MESSAGES <= WINDOW;
    if (goes) {
      for (let index = 0; index < MESSAGES; index++, peer = (peer + STRIDE) % peers) {
        outgoing.aim(index, peerAddress(peer));
      }
      sent += segments * Math.max(0, sendmmsg(sender, outgoing.address, MESSAGES, MSG_DONTWAIT));
    }
    const count = recvmmsg(receiver, incoming.address, MESSAGES, goes ? MSG_DONTWAIT : MSG_WAITFORONE, 0);
    for (let index = 0; index < count; index++) received += incoming.received(index) / bytes;
    if (count > 0) progress = now;
  }
  return { sent, received, seconds: (progress - started) / 1000 };
}

process.stdout.write(`${JSON.stringify(spray(JSON.parse(process.argv[2]!) as SprayOptions))}\n`);
