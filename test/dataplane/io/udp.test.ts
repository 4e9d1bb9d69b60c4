import { afterEach, describe, expect, it } from 'vitest';
import { DatagramBuffer, socketFor } from '../../../src/dataplane/io/datagrams.ts';
import type { Missing } from '../../../src/dataplane/io/socket-options.ts';
import { close, setsockopt } from '../../../src/dataplane/io/syscalls.ts';
import { openEspSockets, openIkeSockets, type UdpSocket } from '../../../src/dataplane/io/udp.ts';

const SOL_SOCKET = 1;
const SO_NO_CHECK = 11;
const SOL_UDP = 17;
const UDP_NO_CHECK6_TX = 101;

const opened: UdpSocket[] = [];
afterEach(() => {
  for (const { fd } of opened.splice(0)) close(fd);
});

function options(addresses: readonly string[], port = 0) {
  const missing: Missing = new Set();
  return { addresses, port, mark: 0, missing };
}

function openIke(...addresses: string[]): UdpSocket[] {
  const sockets = openIkeSockets(options(addresses));
  opened.push(...sockets);
  return sockets;
}

function openEsp(workers: number): (readonly UdpSocket[])[] {
  const { workers: sockets } = openEspSockets(options(['127.0.0.1', '::1']), workers);
  opened.push(...sockets.flat());
  return [...sockets];
}

const buffer = new DatagramBuffer();

describe('UDP sockets for IKE', () => {
  it('say where a datagram came from and which address it was sent to', () => {
    const [sender] = openIke('127.0.0.1') as [UdpSocket];
    const [receiver] = openIke('0.0.0.0') as [UdpSocket];
    const remote = { address: '127.0.0.7', port: receiver.local.port };
    expect(buffer.send(sender, { local: sender.local, remote, data: Uint8Array.of(1, 2, 3) }, false)).toBe(true);
    expect(buffer.receive(receiver)).toEqual({ local: remote, remote: sender.local, data: Uint8Array.of(1, 2, 3) });
    expect(buffer.receive(receiver)).toBeUndefined();
  });

  it('send from the local address that is asked for, over IPv4 and IPv6', () => {
    const [v4] = openIke('0.0.0.0') as [UdpSocket];
    const local = { address: '127.0.0.9', port: v4.local.port };
    buffer.send(v4, { local, remote: { ...local, address: '127.0.0.1' }, data: new Uint8Array(8) }, false);
    expect(buffer.receive(v4)?.remote).toEqual(local);
    const [v6] = openIke('::') as [UdpSocket];
    const loopback = { address: '::1', port: v6.local.port };
    buffer.send(v6, { local: loopback, remote: loopback, data: new Uint8Array(8) }, false);
    expect(buffer.receive(v6)).toMatchObject({ local: loopback, remote: loopback });
  });

  it('put the non-ESP marker in front where it belongs', () => {
    const [socket] = openIke('127.0.0.1') as [UdpSocket];
    buffer.send(socket, { local: socket.local, remote: socket.local, data: Uint8Array.of(9) }, true);
    expect(buffer.receive(socket)?.data).toEqual(Uint8Array.of(0, 0, 0, 0, 9));
  });

  it('are chosen by family and by the address they are bound to', () => {
    const sockets = openIke('127.0.0.1', '127.0.0.2', '::1');
    const choose = (address: string) =>
      socketFor(sockets, { local: { address, port: 500 }, remote: { address, port: 500 }, data: new Uint8Array() });
    expect(choose('127.0.0.2')).toBe(sockets[1]);
    expect(choose('10.0.0.1')).toBe(sockets[0]);
    expect(choose('2001:db8::1')).toBe(sockets[2]);
    expect(socketFor(sockets.slice(0, 2), { ...anyDatagram, local: { address: '::1', port: 500 } })).toBeUndefined();
  });

  it('refuse a port that is taken, and name it', () => {
    const [taken] = openIke('127.0.0.1') as [UdpSocket];
    expect(() => openIkeSockets(options(['127.0.0.1'], taken.local.port))).toThrow(
      `bind 127.0.0.1 port ${taken.local.port}: EADDRINUSE`,
    );
  });
});

const anyDatagram = { local: { address: '::1', port: 1 }, remote: { address: '::1', port: 1 }, data: new Uint8Array() };

describe('UDP sockets for ESP', () => {
  it('share one port and are steered by SPI, whatever the 4-tuple', () => {
    const workers = openEsp(3);
    const [sender] = openIke('127.0.0.1') as [UdpSocket];
    for (const [family, name] of ['127.0.0.1', '::1'].entries()) {
      const target = workers[0]![family]!.local;
      const from = family === 0 ? sender : (openIke('::1')[0] as UdpSocket);
      expect(target.address).toBe(name);
      for (let spi = 256; spi < 286; spi++) {
        const data = new Uint8Array(16);
        new DataView(data.buffer).setUint32(0, spi);
        buffer.send(from, { local: from.local, remote: target, data }, false);
        const receivers = workers.map((sockets) => buffer.receive(sockets[family]!) !== undefined);
        expect(receivers.indexOf(true), `SPI ${spi}`).toBe(spi % 3);
        expect(receivers.filter(Boolean)).toHaveLength(1);
      }
    }
  });

  it('take datagrams without a checksum, over IPv6 too', () => {
    const [worker] = openEsp(1) as [readonly UdpSocket[]];
    const [v4, v6] = openIke('127.0.0.1', '::1') as [UdpSocket, UdpSocket];
    expect(setsockopt(v4.fd, SOL_SOCKET, SO_NO_CHECK, 1)).toBe(true);
    expect(setsockopt(v6.fd, SOL_UDP, UDP_NO_CHECK6_TX, 1)).toBe(true);
    for (const [index, sender] of [v4, v6].entries()) {
      const receiver = worker[index]!;
      buffer.send(sender, { local: sender.local, remote: receiver.local, data: new Uint8Array(16).fill(7) }, false);
      expect(buffer.receive(receiver)?.data).toEqual(new Uint8Array(16).fill(7));
    }
  });

  it('give IKE datagrams and keepalives to the first worker', () => {
    const workers = openEsp(2);
    const [sender] = openIke('127.0.0.1') as [UdpSocket];
    for (const data of [Uint8Array.of(0, 0, 0, 0, 1, 2, 3), Uint8Array.of(255)]) {
      buffer.send(sender, { local: sender.local, remote: workers[0]![0]!.local, data }, false);
      expect(buffer.receive(workers[0]![0]!)?.data).toEqual(data);
      expect(buffer.receive(workers[1]![0]!)).toBeUndefined();
    }
  });
});
