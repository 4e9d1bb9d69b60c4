import { describe, expect, it } from 'vitest';
import { createLink } from '../../../src/dataplane/io/link.ts';
import { addressOf, close, EAGAIN, errno, read, write } from '../../../src/dataplane/io/syscalls.ts';
import { Watch } from '../../../src/dataplane/io/watch.ts';

describe('the in-process link', () => {
  it('keeps frames apart, up to a full super-frame, in both directions', () => {
    const link = createLink();
    const [device, host] = [link.device[0]!, link.host[0]!];
    const bytes = new Uint8Array(70_000);
    const at = addressOf(bytes);
    for (const [from, to] of [
      [device, host],
      [host, device],
    ] as const) {
      for (const length of [30, 65_545, 1510]) expect(write(from, at, length)).toBe(length);
      for (const length of [30, 65_545, 1510]) expect(read(to, at, bytes.length)).toBe(length);
      expect(read(to, at, bytes.length)).toBe(-1);
      expect(errno()).toBe(EAGAIN);
    }
    link.close();
  });

  it('has a pair of its own for each queue', () => {
    const link = createLink(2);
    expect(new Set([...link.device, ...link.host]).size).toBe(4);
    const bytes = new Uint8Array(100);
    write(link.device[1]!, addressOf(bytes), 50);
    expect(read(link.host[0]!, addressOf(bytes), 100)).toBe(-1);
    expect(read(link.host[1]!, addressOf(bytes), 100)).toBe(50);
    link.close();
  });
});

describe('a watch', () => {
  it('tells of what can be read until it is read, and of room to write once', async () => {
    const link = createLink();
    const [device, host] = [link.device[0]!, link.host[0]!];
    const bytes = new Uint8Array(100);
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      const watch = new Watch(device, () => {
        seen.push('readable');
        if (seen.length < 2) return;
        read(device, addressOf(bytes), 100);
        watch.awaitWritable(() => {
          seen.push('writable');
          watch.reading = false;
          write(host, addressOf(bytes), 10);
          setTimeout(() => {
            watch.close();
            resolve();
          }, 20);
        });
      });
      write(host, addressOf(bytes), 10);
    });
    expect(seen).toEqual(['readable', 'readable', 'writable']);
    link.close();
  });
});

describe('a descriptor that is closed', () => {
  it('can no longer be read', () => {
    const link = createLink();
    close(link.host[0]!);
    const bytes = new Uint8Array(10);
    expect(read(link.device[0]!, addressOf(bytes), 10)).toBe(0);
    close(link.device[0]!);
  });

  it('lets promises go on at once, whatever else the event loop waits for', async () => {
    const link = createLink();
    const [device, host] = [link.device[0]!, link.host[0]!];
    const bytes = new Uint8Array(100);
    let arrived = (): void => undefined;
    const watch = new Watch(device, () => {
      read(device, addressOf(bytes), 100);
      arrived();
    });
    const started = performance.now();
    for (let round = 0; round < 5; round++) {
      const arrival = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      write(host, addressOf(bytes), 10);
      await arrival;
    }
    expect(performance.now() - started).toBeLessThan(1000);
    watch.close();
    link.close();
  });
});
