/** In a network namespace of this process's own: nothing of the machine is touched. */
import { execFileSync } from 'node:child_process';
import koffi from 'koffi';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CAPABILITY_TUN_TSO } from '../../assembly/layout/arena.ts';
import { addressOf, EAGAIN, errno, read, write } from '../../src/dataplane/io/syscalls.ts';
import { openTun, type Tun } from '../../src/dataplane/io/tun-tap.ts';
import { Routes } from '../../src/dataplane/routes.ts';

const CLONE_NEWNET = 0x40000000;
const MARK = 77;

const ip = (...args: string[]): string =>
  execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
/** @returns where a packet to that address goes */
const routeTo = (address: string, ...more: string[]): string => ip('route', 'get', address, ...more);

let tun: Tun;

beforeAll(() => {
  expect(koffi.load(null).func('int unshare(int)')(CLONE_NEWNET)).toBe(0);
  ip('link', 'add', 'wan', 'type', 'veth', 'peer', 'name', 'lan');
  ip('link', 'set', 'wan', 'mtu', '1480', 'up');
  ip('link', 'set', 'lan', 'up');
  ip('address', 'add', '192.0.2.1/24', 'dev', 'wan');
  ip('address', 'add', '10.1.0.1/24', 'dev', 'lan');
  ip('route', 'add', 'default', 'via', '192.0.2.254');
  tun = openTun({ name: 'esptest%d', queues: 2, mtu: undefined, addresses: ['10.9.0.1/24', 'fd09::1/64'] });
});
afterAll(() => tun?.close());

describe('a TUN device', () => {
  it('has the name the kernel chose, addresses, and an MTU that leaves room for ESP', () => {
    expect(tun.name).toBe('esptest0');
    expect(tun.mtu).toBe(1418);
    const shown = ip('address', 'show', 'dev', tun.name);
    expect(shown).toContain('mtu 1418');
    expect(shown).toContain('inet 10.9.0.1/24');
    expect(shown).toContain('inet6 fd09::1/64');
    expect(shown).toMatch(/<[^>]*\bUP\b/);
  });

  it('has a queue per worker, offloads, and frames behind a virtio header', () => {
    expect(tun.queues).toHaveLength(2);
    expect(tun.capabilities & CAPABILITY_TUN_TSO).toBe(CAPABILITY_TUN_TSO);
    const frame = new Uint8Array(2048);
    // An echo request to ourselves from a host behind the device; the system answers it.
    const request = Buffer.from('4500001c00000000400166dc0a0900020a0900010800f7ff00000000', 'hex');
    request.writeUInt16BE(0, 10);
    request.writeUInt16BE(checksum(request.subarray(0, 20)), 10);
    frame.set(request, 10);
    expect(write(tun.queues[0]!, addressOf(frame), 10 + request.length)).toBe(10 + request.length);
    const replies = tun.queues.flatMap((fd) => {
      const found: Buffer[] = [];
      for (let length = 0; ; ) {
        length = read(fd, addressOf(frame), frame.length);
        if (length < 0) break;
        found.push(Buffer.from(frame.slice(10, length)));
      }
      expect(errno()).toBe(EAGAIN);
      return found;
    });
    const echo = replies.find((packet) => packet[0] === 0x45 && packet[9] === 1);
    expect(echo?.subarray(16, 20)).toEqual(Buffer.from([10, 9, 0, 2]));
    expect(echo?.[20]).toBe(0);
  });

  it('cannot be made twice, and says why', () => {
    expect(() => openTun({ name: tun.name, queues: 1, mtu: 1400, addresses: [] })).toThrow(
      expect.objectContaining({ code: 'ERR_NO_TUN' }),
    );
    expect(() => openTun({ name: 'sixteen-chars-xx', queues: 1, mtu: 1400, addresses: [] })).toThrow(/1 to 15/);
  });
});

describe('routes into the device', () => {
  it('take protected prefixes there, and marked packets past it', () => {
    const routes = new Routes(tun.index, MARK);
    routes.add('10.2.0.0/16');
    routes.add('192.0.2.7/32', '10.9.0.1');
    expect(routeTo('10.2.3.4')).toContain('dev esptest0');
    expect(routeTo('192.0.2.7')).toMatch(/dev esptest0.*src 10\.9\.0\.1/);
    expect(routeTo('192.0.2.7', 'mark', String(MARK))).toContain('dev wan');
    expect(routeTo('10.2.3.4', 'mark', String(MARK))).toContain('dev wan');
    expect(routeTo('192.0.2.8')).toContain('dev wan');
    routes.remove('10.2.0.0/16');
    expect(routeTo('10.2.3.4')).toContain('dev wan');
    routes.close();
    expect(routeTo('192.0.2.7')).toContain('dev wan');
    expect(ip('rule', 'show')).not.toContain('fwmark');
    expect(ip('-6', 'rule', 'show')).not.toContain('fwmark');
  });

  it('leave more specific routes of the main table alone', () => {
    const routes = new Routes(tun.index, MARK);
    routes.add('10.0.0.0/8');
    routes.add('0.0.0.0/0');
    expect(routeTo('10.7.0.1')).toContain('dev esptest0');
    expect(routeTo('10.1.0.9')).toContain('dev lan');
    expect(routeTo('203.0.113.1')).toContain('dev esptest0');
    expect(routeTo('192.0.2.254')).toContain('dev wan');
    routes.add('10.1.0.0/24');
    expect(routeTo('10.1.0.9')).toContain('dev esptest0');
    routes.remove('10.1.0.0/24');
    expect(routeTo('10.1.0.9')).toContain('dev lan');
    routes.close();
    expect(ip('route', 'show', 'table', 'all')).not.toContain('throw');
  });

  it('give way to routes that come later, and take over when those go', async () => {
    const routes = new Routes(tun.index, MARK);
    routes.add('10.0.0.0/8');
    expect(routeTo('10.8.0.1')).toContain('dev esptest0');
    ip('route', 'add', '10.8.0.0/16', 'dev', 'lan');
    await expect.poll(() => routeTo('10.8.0.1')).toContain('dev lan');
    ip('route', 'delete', '10.8.0.0/16', 'dev', 'lan');
    await expect.poll(() => routeTo('10.8.0.1')).toContain('dev esptest0');
    expect(routeTo('10.1.0.9')).toContain('dev lan');
    // What came just now counts too, though nobody had time to tell of it.
    ip('route', 'add', '10.9.0.0/16', 'dev', 'lan');
    routes.add('10.8.0.0/15');
    expect(routeTo('10.9.200.1')).toContain('dev lan');
    ip('route', 'delete', '10.9.0.0/16', 'dev', 'lan');
    routes.close();
  });

  it('may be added and removed again and again', () => {
    const routes = new Routes(tun.index, MARK);
    for (let round = 0; round < 3; round++) routes.add('fd02::/64');
    expect(ip('-6', 'route', 'get', 'fd02::2')).toContain('dev esptest0');
    routes.remove('fd02::/64');
    routes.remove('fd02::/64');
    expect(() => ip('-6', 'route', 'get', 'fd02::2')).toThrow();
    routes.close();
  });

  it('stay as long as anybody needs them', () => {
    const routes = new Routes(tun.index, MARK);
    routes.add('10.2.0.0/16');
    routes.add('10.2.0.0/16', undefined, 'manual');
    routes.remove('10.2.0.0/16');
    expect(routeTo('10.2.3.4')).toContain('dev esptest0');
    routes.add('10.2.0.0/16');
    routes.remove('10.2.0.0/16', 'manual');
    expect(routeTo('10.2.3.4')).toContain('dev esptest0');
    routes.remove('10.2.0.0/16');
    expect(routeTo('10.2.3.4')).toContain('dev wan');
    routes.close();
  });

  it('stand in the main table when there is no mark', () => {
    const routes = new Routes(tun.index, 0);
    routes.add('10.3.0.0/16');
    expect(ip('route', 'show', 'table', 'main')).toContain('10.3.0.0/16 dev esptest0');
    routes.close();
    expect(ip('route', 'show', 'table', 'main')).not.toContain('10.3.0.0/16');
  });
});

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
