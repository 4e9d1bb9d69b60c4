/** A data plane that carries IKE and installs nothing: what an initiator needs to be fast. */
import { createSocket, type Socket } from 'node:dgram';
import { EventEmitter, once } from 'node:events';
import type { DataPlane, DataPlaneEvents, IkeDatagram, PolicyHandle, SaHandle } from '../../src/contract.ts';

const NON_ESP_MARKER = Buffer.alloc(4);
const FIRST_SPI = 256;
const BUFFER = 8 << 20;

export class DatagramPlane extends EventEmitter<DataPlaneEvents> implements DataPlane {
  readonly #sockets: ReadonlyMap<number, Socket>;
  readonly #natTraversal: number;
  #nextSpi = FIRST_SPI;
  #nextHandle = 1;

  static async open(address: string, ike: number, natTraversal: number): Promise<DatagramPlane> {
    const sockets = new Map<number, Socket>();
    for (const port of [ike, natTraversal]) {
      const socket = createSocket({ type: 'udp4', recvBufferSize: BUFFER });
      socket.bind(port, address);
      await once(socket, 'listening');
      sockets.set(port, socket);
    }
    return new DatagramPlane(address, sockets, natTraversal);
  }

  private constructor(address: string, sockets: ReadonlyMap<number, Socket>, natTraversal: number) {
    super();
    this.#sockets = sockets;
    this.#natTraversal = natTraversal;
    for (const [port, socket] of sockets) {
      const skip = port === natTraversal ? NON_ESP_MARKER.length : 0;
      socket.on('message', (message, { address: from, port: source }) => {
        const data = new Uint8Array(message.subarray(skip));
        this.emit('ike', { local: { address, port }, remote: { address: from, port: source }, data });
      });
    }
  }

  sendIke({ local, remote, data }: IkeDatagram): void {
    const message = local.port === this.#natTraversal ? Buffer.concat([NON_ESP_MARKER, data]) : data;
    this.#sockets.get(local.port)?.send(message, remote.port, remote.address);
  }

  reserveSpi(): number {
    return this.#nextSpi++;
  }

  installSa(): SaHandle {
    return this.#nextHandle++;
  }

  installPolicy(): PolicyHandle {
    return this.#nextHandle++;
  }

  releaseSpi(): void {}
  moveSa(): void {}
  removeSa(): void {}
  setPolicySa(): void {}
  removePolicy(): void {}
  counters(): undefined {}
}
