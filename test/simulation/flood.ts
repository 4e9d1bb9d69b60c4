/**
 * A flood of IKE_SA_INITs with spoofed addresses at a responder, and one honest initiator. Time is
 * virtual, but work is not: a millisecond of the responder's processor time is a millisecond, and what
 * comes while it is busy waits in a queue as long as a socket's, or is dropped.
 */
import type { IkeDatagram } from '../../src/contract.ts';
import { configOf, connection, Host } from './host.ts';
import { simulatedProvider } from './provider.ts';
import { Random } from './random.ts';

const RESPONDER = '192.0.2.1';
const HONEST = '198.51.100.1';
/** Datagrams that wait in the socket's buffer: 212992 bytes, the kernel's default, hold so many of this size. */
const QUEUE = 256;
const STARTS_AT = 1_000;
const LATENCY = 10;
const BATCH = 8;
/** Different requests; addresses differ all the time. */
const TEMPLATES = 64;

export interface FloodReport {
  readonly perSecond: number;
  /** Milliseconds that the honest initiator needed; undefined if it did not get through. */
  readonly establishedAfter: number | undefined;
  /** Microseconds of processor time for each datagram of the flood. */
  readonly cost: number;
  /** Share of the processor that the flood took. */
  readonly load: number;
  readonly dropped: number;
  readonly mostHalfOpen: number;
}

/**
 * @param limit milliseconds of virtual time
 * @param isTargeted all of it bears the honest initiator's own address
 */
export function flood(perSecond: number, limit: number, isTargeted = false): FloodReport {
  const random = new Random('flood');
  const honest = new Host(
    configOf({ gateway: connection('honest', 'gateway', [HONEST], [RESPONDER]) }),
    simulatedProvider(random.bytes, true),
  );
  const gateway = new Host(
    configOf({
      honest: connection('gateway', 'honest', [RESPONDER], [HONEST]),
      anybody: connection('gateway', 'anybody', [RESPONDER], []),
    }),
    simulatedProvider(random.bytes, true),
  );
  const templates = Array.from({ length: TEMPLATES }, () => request(random));
  const queue: IkeDatagram[] = [];
  const toHonest: { at: number; datagram: IkeDatagram }[] = [];
  const toGateway: { at: number; datagram: IkeDatagram }[] = [];
  let [dropped, handled, used, owed, mostHalfOpen] = [0, 0, 0, 0, 0];

  const arrive = (datagram: IkeDatagram): void => {
    if (queue.length < QUEUE) queue.push(datagram);
    else dropped++;
  };
  /** Lets the gateway work for a millisecond, less what it owes from before. */
  const work = (now: number): void => {
    while (queue.length > 0 && owed < 1000) {
      const before = process.cpuUsage();
      for (const datagram of queue.splice(0, BATCH)) {
        handled++;
        gateway.feed({ type: 'datagram', datagram }, now);
      }
      gateway.wake(now);
      const { user, system } = process.cpuUsage(before);
      owed += user + system;
      used += user + system;
    }
    owed = Math.max(0, owed - 1000);
    for (const datagram of gateway.take())
      if (datagram.local.address === HONEST) toHonest.push({ at: now + LATENCY, datagram });
  };

  for (let now = 0; now < limit; now++) {
    const burst = Math.floor(((now + 1) * perSecond) / 1000) - Math.floor((now * perSecond) / 1000);
    // The honest datagram has no better place in the queue than any other of its millisecond.
    const at = random.below(burst + 1);
    for (let index = 0; index <= burst; index++) {
      if (index === at)
        while (toGateway[0] !== undefined && toGateway[0].at <= now) arrive(toGateway.shift()!.datagram);
      if (index < burst) arrive(spoof(random.pick(templates), random, isTargeted ? HONEST : undefined));
    }
    work(now);
    while (toHonest[0] !== undefined && toHonest[0].at <= now)
      honest.feed({ type: 'datagram', datagram: toHonest.shift()!.datagram }, now);
    if (now === STARTS_AT) honest.command('initiate', 'gateway', now);
    honest.wake(now);
    for (const datagram of honest.take()) toGateway.push({ at: now + LATENCY, datagram });
    if (now % 100 === 0)
      mostHalfOpen = Math.max(
        mostHalfOpen,
        gateway.core.status(now).filter(({ state }) => state === 'CONNECTING').length,
      );
    const isUp = honest.core.status(now).some(({ state }) => state === 'ESTABLISHED');
    if (isUp || now === limit - 1) {
      const base = { perSecond, cost: used / handled, load: used / 1000 / (now + 1), dropped, mostHalfOpen };
      return { ...base, establishedAfter: isUp ? now - STARTS_AT : undefined };
    }
  }
  throw new Error('a flood needs time');
}

/** @returns an IKE_SA_INIT as an honest peer would send it */
function request(random: Random): Uint8Array {
  const host = new Host(
    configOf({ gateway: connection('anybody', 'gateway', ['203.0.113.1'], [RESPONDER]) }),
    simulatedProvider(random.bytes, true),
  );
  host.command('initiate', 'gateway', 0);
  return host.outbox[0]!.data;
}

/** The same with another SPI, from that address, or anywhere. */
function spoof(template: Uint8Array, random: Random, from: string | undefined): IkeDatagram {
  const data = template.slice();
  data.set(random.bytes(8));
  const address =
    from ?? `${random.between(11, 100)}.${random.below(256)}.${random.below(256)}.${random.between(1, 254)}`;
  const port = 500;
  return { local: { address: RESPONDER, port }, remote: { address, port }, data };
}
