/** The demo where neither root nor user namespaces are to be had: two gateways in this process, links for TUNs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createLink, type Link } from '../dataplane/io/link.ts';
import { addressOf, receive, write } from '../dataplane/io/syscalls.ts';
import { Watch } from '../dataplane/io/watch.ts';
import { Gateway } from '../gateway.ts';
import { createLogger } from '../observe/log.ts';
import { ADDRESSES } from './bed.ts';
import { CHILD, configuration, newSecret, SIDES, type Side } from './configuration.ts';
import type { DemoPlan } from './namespaces.ts';
import type { DemoMeasurements } from './report.ts';
import { type FrameLink, TinyHost } from './tiny-host.ts';

const MTU = 1400;
const FRAME_ROOM = 70_000;
const PINGS = 20;
/** Ports that anybody may bind; both gateways use the same, on different loopback addresses. */
const PORTS = [15_500, 15_501] as const;
/** Addresses of 127.0.0.0/8 that another run on this machine does not use. */
const LOOPBACK = `127.${1 + ((process.pid >> 8) % 250)}.${process.pid & 255}`;

/** The host's end of a link. */
class LinkEnd implements FrameLink {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(FRAME_ROOM);
  #watch: Watch | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(frame: Buffer): boolean {
    return write(this.#fd, addressOf(frame), frame.length) === frame.length;
  }

  onFrame(listener: (frame: Buffer) => void): void {
    this.#watch = new Watch(this.#fd, () => {
      for (let length = receive(this.#fd, this.#buffer); length > 0; length = receive(this.#fd, this.#buffer)) {
        listener(this.#buffer.subarray(0, length));
      }
    });
  }

  close(): void {
    this.#watch?.close();
  }
}

const loopback = (side: Side, address: string): Side => ({ ...side, address });

export async function demoInProcess(plan: DemoPlan): Promise<DemoMeasurements> {
  const [a, b] = [loopback(SIDES[0], `${LOOPBACK}.1`), loopback(SIDES[1], `${LOOPBACK}.2`)];
  const secret = newSecret();
  const links: [Link, Link] = [createLink(), createLink()];
  const ends = links.map(({ host }) => new LinkEnd(host[0]!)) as [LinkEnd, LinkEnd];
  const start = (local: Side, remote: Side, link: Link, socket: string) =>
    Gateway.start(configuration(local, remote, secret, { backend: plan.backend, socket, ports: PORTS }), {
      device: { kind: 'descriptors', descriptors: link.device, mtu: MTU },
      logger,
    });
  // Standard output is the report's.
  const logger = createLogger({ level: 'warn', format: 'text', stream: process.stderr });
  plan.progress('starting a gateway on either side');
  const gateways = [
    await start(a, b, links[0], `${plan.directory}/a.sock`),
    await start(b, a, links[1], `${plan.directory}/b.sock`),
  ] as const;
  try {
    const sender = new TinyHost(ends[0], ADDRESSES.hostA[0], MTU);
    const receiver = new TinyHost(ends[1], ADDRESSES.hostB[0], MTU);
    plan.progress('negotiating IKEv2');
    const started = performance.now();
    await gateways[0].up(CHILD);
    const millis = Math.round((performance.now() - started) * 10) / 10;
    plan.progress('pinging from host to host');
    const ping = await sender.ping(ADDRESSES.hostB[0], { count: PINGS, bytes: 56, intervalMillis: 20 });
    plan.progress(`moving TCP across for ${plan.seconds} s`);
    const received = receiver.serve();
    const tcp = await sender.send(ADDRESSES.hostB[0], plan.seconds);
    await sleep(100);
    const status = [gateways[0].status(), gateways[1].status()] as const;
    return { millis, ping, tcp: { seconds: tcp.seconds, bytes: Math.min(tcp.bytes, received()) }, status };
  } finally {
    plan.progress('stopping the gateways');
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    for (const end of ends) end.close();
    for (const link of links) link.close();
  }
}
