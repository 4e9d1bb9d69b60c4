import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLink, type Link } from '../../../src/dataplane/io/link.ts';
import { Lookout } from '../../../src/dataplane/io/lookout.ts';
import { lower, Poller, UNREAD, Wake } from '../../../src/dataplane/io/poller.ts';
import { addressOf, read, write } from '../../../src/dataplane/io/syscalls.ts';

const bytes = new Uint8Array(256);
const send = (fd: number) => write(fd, addressOf(bytes), 100);
const take = (fd: number) => read(fd, addressOf(bytes), bytes.length);

let poller: Poller;
let link: Link;
beforeEach(() => {
  poller = new Poller();
  link = createLink(2);
});
afterEach(() => {
  poller.close();
  link.close();
});

describe('a poller', () => {
  it('waits no longer than it may', () => {
    poller.watch(link.device[0]!, () => {});
    const started = performance.now();
    expect(poller.wait(30)).toBe(false);
    expect(performance.now() - started).toBeGreaterThan(25);
  });

  it('tells once a wait, of every descriptor that can be read, until all is read', () => {
    const told = [0, 0];
    for (const queue of [0, 1]) poller.watch(link.device[queue]!, () => told[queue]!++);
    send(link.host[0]!);
    send(link.host[0]!);
    expect(poller.wait(1000)).toBe(true);
    expect(told).toEqual([1, 0]);
    send(link.host[1]!);
    poller.wait(1000);
    expect(told).toEqual([2, 1]);
    while (take(link.device[0]!) > 0);
    poller.wait(1000);
    expect(told).toEqual([2, 2]);
  });

  it('reads from the first descriptor in the wait itself where it can, and leaves the others to who is told', () => {
    const room = new Uint8Array(256);
    const told: number[][] = [];
    for (const queue of [0, 1]) {
      const fd = link.device[queue]!;
      const values = [fd, addressOf(room) + 128 * queue, 60];
      const watch = poller.watch(fd, (result) => told.push([queue, result]), { name: 'read', values });
      poller.setArgument(watch, 2, 128);
    }
    bytes.fill(7, 0, 100);
    for (const fd of link.host) send(fd);
    poller.wait(1000);
    const done = process.arch === 'x64' ? 100 : UNREAD;
    expect(told).toEqual([
      [0, done],
      [1, UNREAD],
    ]);
    poller.wait(1000);
    // The first has been read, so that the second one is first now.
    if (done === 100) {
      expect(told[2]).toEqual([1, 100]);
      expect([...room]).toEqual([0, 128].flatMap(() => Array.from({ length: 128 }, (_, i) => (i < 100 ? 7 : 0))));
    }
  });

  it('keeps apart the calls of more descriptors than it has room for at first', () => {
    const links = Array.from({ length: 6 }, () => createLink(2));
    const fds = links.flatMap(({ device }) => device);
    const told: number[] = [];
    for (const fd of fds)
      poller.watch(fd, (result) => told.push(result), { name: 'read', values: [fd, addressOf(bytes), 256] });
    for (const [index, host] of links.flatMap(({ host }) => host).entries()) {
      write(host, addressOf(bytes), 10 + index);
      poller.wait(1000);
    }
    if (process.arch === 'x64') expect(told).toEqual(fds.map((_, index) => 10 + index));
    else expect(told).toEqual(fds.map(() => UNREAD));
    for (const one of links) one.close();
  });

  it('does not tell what is of no interest', () => {
    let told = 0;
    const watch = poller.watch(link.device[0]!, () => told++);
    send(link.host[0]!);
    watch.reading = false;
    expect(poller.wait(0)).toBe(false);
    watch.reading = true;
    expect(poller.wait(0)).toBe(true);
    expect(told).toBe(1);
  });

  it('loses interest at once, though another descriptor of the same wait is why', () => {
    const order: string[] = [];
    const [first, second] = [0, 1].map((queue) =>
      poller.watch(link.device[queue]!, () => {
        order.push(String(queue));
        first!.reading = false;
        second!.reading = false;
      }),
    );
    for (const fd of link.host) send(fd);
    poller.wait(1000);
    expect(order).toHaveLength(1);
  });

  it('tells once when a full descriptor takes more again', () => {
    const [device, host] = [link.device[0]!, link.host[0]!];
    const watch = poller.watch(device, () => {});
    while (send(device) > 0);
    let writable = 0;
    watch.awaitWritable(() => writable++);
    expect(poller.wait(0)).toBe(false);
    while (take(host) > 0);
    expect(poller.wait(1000)).toBe(true);
    expect(poller.wait(0)).toBe(false);
    expect(writable).toBe(1);
  });

  it('is woken by a Wake, whose raising counts once and not at all after its end', () => {
    const wake = new Wake();
    let woken = 0;
    poller.watch(wake.fd, () => {
      woken++;
      lower(wake.fd);
    });
    wake.raise();
    wake.raise();
    expect(poller.wait(1000)).toBe(true);
    expect(poller.wait(0)).toBe(false);
    expect(woken).toBe(1);
    wake.close();
    wake.raise();
    expect(poller.wait(0)).toBe(false);
  });
});

describe('a lookout', () => {
  it('finds what is there, and sleeps some times after a look in vain before it looks again', () => {
    const lookout = new Lookout(poller);
    let found = 0;
    poller.watch(link.device[0]!, () => found++);
    expect(lookout.look()).toBe(false);
    send(link.host[0]!);
    expect(lookout.look()).toBe(false);
    while (!lookout.look());
    expect(found).toBe(1);
  });
});
