/** Two engines in this process, joined over loopback, each with an in-process link for a device. */
import { ENCR, INTEG } from '../../src/algorithms.ts';
import type {
  DataPlaneOptions,
  RunningDataPlane,
  SaHandle,
  SaParameters,
  TrafficSelector,
} from '../../src/contract.ts';
import { startDataPlane } from '../../src/dataplane/engine.ts';
import { createLink, type Link } from '../../src/dataplane/io/link.ts';
import { addressOf, read, write } from '../../src/dataplane/io/syscalls.ts';

const VNET = 10;
const PATIENCE = 2000;

const EVERYTHING = { addresses: { from: '0.0.0.0', to: '255.255.255.255' }, ports: { from: 0, to: 65_535 } };
export const ANY: TrafficSelector = { protocol: 0, local: EVERYTHING, remote: EVERYTHING };

/** An engine and what is behind it. */
export class Gateway {
  static async start(address: string, options: Partial<DataPlaneOptions> = {}): Promise<Gateway> {
    const link = createLink(options.workers ?? 1);
    const dataPlane = await startDataPlane({
      device: { kind: 'descriptors', descriptors: link.device, mtu: 1400 },
      listen: [address],
      ports: { ike: 0, natTraversal: 0 },
      raw: false,
      ...options,
    });
    return new Gateway(address, link, dataPlane);
  }

  readonly address: string;
  readonly link: Link;
  readonly dataPlane: RunningDataPlane;
  readonly #buffer = new Uint8Array(70_000);

  private constructor(address: string, link: Link, dataPlane: RunningDataPlane) {
    this.address = address;
    this.link = link;
    this.dataPlane = dataPlane;
  }

  get endpoint() {
    return { address: this.address, port: this.dataPlane.info.ports.natTraversal };
  }

  /**
   * A host behind the gateway sends a packet.
   * @param offload struct virtio_net_hdr: what is left to be done; nothing without
   */
  send(packet: Uint8Array, offload = new Uint8Array(VNET)): void {
    this.#buffer.set(offload);
    this.#buffer.set(packet, VNET);
    write(this.link.host[0]!, addressOf(this.#buffer), VNET + packet.length);
  }

  /** @returns the next packet for a host behind the gateway; undefined if none comes in time */
  async receive(patience = PATIENCE): Promise<Buffer | undefined> {
    const end = performance.now() + patience;
    do {
      for (const fd of this.link.host) {
        const length = read(fd, addressOf(this.#buffer), this.#buffer.length);
        if (length > VNET) return Buffer.from(this.#buffer.slice(VNET, length));
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    } while (performance.now() < end);
    return undefined;
  }

  async close(): Promise<void> {
    await this.dataPlane.close();
    this.link.close();
  }
}

/** An SA between two gateways as one of them has it; its key follows from the SPI. */
export function saOf(here: Gateway, there: Gateway, direction: 'in' | 'out', spi: number): SaParameters {
  return {
    direction,
    protocol: 'esp',
    mode: 'tunnel',
    spi,
    local: here.endpoint,
    remote: there.endpoint,
    udpEncapsulation: true,
    suite: { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
    keys: {
      encryption: Uint8Array.from({ length: 20 }, (_, index) => (spi + index * 7) & 255),
      integrity: new Uint8Array(),
    },
    esn: true,
    replayWindow: 256,
    selectors: [ANY],
    name: 'test',
  };
}

/** Installs an SA from one gateway to the other. @returns its handles at the sender and at the receiver */
export function join(from: Gateway, to: Gateway, more: Partial<SaParameters> = {}): { out: SaHandle; in: SaHandle } {
  const spi = to.dataPlane.reserveSpi();
  return {
    in: to.dataPlane.installSa({ ...saOf(to, from, 'in', spi), ...more }),
    out: from.dataPlane.installSa({ ...saOf(from, to, 'out', spi), ...more }),
  };
}
