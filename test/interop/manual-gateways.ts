/** Two gateways with manual SAs in the bed, and what hosts behind them do. */
import { ADDRESSES, Bed, type BedOptions, type Place, uniqueName } from '../../src/demo/bed.ts';
import type { UdpReport } from '../../src/demo/datagrams.ts';
import type { ManualGatewayOptions, ManualGatewayReport } from '../../src/demo/manual-gateway.ts';
import type { PingReport } from '../../src/demo/ping.ts';
import { Speaker } from '../../src/demo/speaker.ts';
import { packagePath } from '../../src/package-root.ts';

const GATEWAY = packagePath('dist', 'src', 'demo', 'manual-gateway.js');
const HOST = packagePath('dist', 'src', 'demo', 'host.js');

export class ManualGateway extends Speaker<ManualGatewayReport> {
  /** @param command `report`, or `backend NAME` */
  override ask(command = 'report'): Promise<ManualGatewayReport> {
    return super.ask(command);
  }
}

export interface ManualBedOptions extends BedOptions {
  /** Changes the bed before anything runs there. */
  readonly prepare?: (bed: Bed) => void;
}

export class ManualBed {
  static async create(
    options: Omit<ManualGatewayOptions, 'side'>,
    { prepare, ...bedOptions }: ManualBedOptions = {},
  ): Promise<ManualBed> {
    const bed = Bed.create(uniqueName('esman'), bedOptions);
    try {
      prepare?.(bed);
    } catch (error) {
      await bed.remove();
      throw error;
    }
    const start = (side: 'A' | 'B') =>
      new ManualGateway(
        bed.spawn(`gateway${side}`, process.execPath, [GATEWAY, JSON.stringify({ ...options, side })], {
          stdio: ['pipe', 'pipe', 'inherit'],
        }),
      );
    const made = new ManualBed(bed, start('A'), start('B'), options);
    try {
      await Promise.all([made.a.line(), made.b.line()]);
    } catch (error) {
      await bed.remove();
      throw error;
    }
    return made;
  }

  readonly bed: Bed;
  readonly a: ManualGateway;
  readonly b: ManualGateway;
  /** Of traffic that the SAs are for. */
  readonly families: readonly (4 | 6)[];
  readonly #transport: boolean;

  private constructor(
    bed: Bed,
    a: ManualGateway,
    b: ManualGateway,
    { mode, outer = 4 }: Omit<ManualGatewayOptions, 'side'>,
  ) {
    this.bed = bed;
    this.a = a;
    this.b = b;
    this.#transport = mode === 'transport';
    // In transport mode the gateways talk, whose addresses are those of the outer packets.
    this.families = this.#transport ? [outer] : [4, 6];
  }

  /** Where traffic starts and ends; in transport mode these are the gateways. */
  get ends(): readonly [Place, Place] {
    return this.#transport ? ['gatewayA', 'gatewayB'] : ['hostA', 'hostB'];
  }

  address(family: 4 | 6): string {
    return (this.#transport ? ADDRESSES.wanB : ADDRESSES.hostB)[family === 4 ? 0 : 1];
  }

  ping(family: 4 | 6, bytes: number, count = 5): Promise<PingReport> {
    return this.#host<PingReport>(this.ends[0], 'ping', this.address(family), count, bytes, 10);
  }

  /** @returns whether what arrived is what was sent */
  async transfer(family: 4 | 6, bytes: number): Promise<boolean> {
    const receiver = this.#start(this.ends[1], 'tcp-receive', this.address(family), 5001, 'hash');
    await receiver.line();
    const sent = await this.#host<{ sha256: string }>(
      this.ends[0],
      'tcp-send',
      this.address(family),
      5001,
      `${bytes}b`,
    );
    return sent.sha256 === (JSON.parse(await receiver.line()) as { sha256: string }).sha256;
  }

  /** Sends numbered datagrams. @returns what the receiver made of them */
  async datagrams(family: 4 | 6, count: number, bytes: number, perSecond: number): Promise<UdpReport> {
    const receiver = this.#start(this.ends[1], 'udp-receive', this.address(family), 5002, 1000);
    await receiver.line();
    await this.#host(this.ends[0], 'udp-send', this.address(family), 5002, count, bytes, perSecond);
    return JSON.parse(await receiver.line());
  }

  remove(): Promise<void> {
    return this.bed.remove();
  }

  #start(place: Place, ...task: readonly (string | number)[]): Speaker {
    return new Speaker(
      this.bed.spawn(place, process.execPath, [HOST, ...task.map(String)], { stdio: ['ignore', 'pipe', 'inherit'] }),
    );
  }

  async #host<T>(place: Place, ...task: readonly (string | number)[]): Promise<T> {
    return JSON.parse(await this.#start(place, ...task).line());
  }
}
