/**
 * The data plane as the control plane sees it: opens device and sockets, starts the workers, owns
 * SAD and SPD, and moves datagrams of IKE. No packet of the data path ever comes to this thread.
 */
import { EventEmitter } from 'node:events';
import { ARENA_IKE_PENDING } from '../../assembly/layout/arena.ts';
import { CRYPTO_SCRATCH_SIZE } from '../../assembly/layout.ts';
import type {
  BackendChoice,
  DataPlaneEvents,
  DataPlaneInfo,
  DataPlaneOptions,
  Endpoint,
  IkeDatagram,
  PolicyHandle,
  PolicyParameters,
  RunningDataPlane,
  SaCounters,
  SaHandle,
  SaParameters,
  TrafficSelector,
} from '../contract.ts';
import { EspalierError } from '../errors.ts';
import { BackendTable } from './backend-table.ts';
import type { KernelMemory } from './backends/backend.ts';
import { type Descriptors, openDescriptors } from './descriptors.ts';
import { readDrops } from './drops.ts';
import { Dummies } from './dummies.ts';
import { emitEvents } from './events.ts';
import { Groups } from './groups.ts';
import { Heap } from './heap.ts';
import { IcmpSource } from './icmp-source.ts';
import { DatagramBuffer, socketFor } from './io/datagrams.ts';
import { sourceAddress } from './io/path.ts';
import type { Missing } from './io/socket-options.ts';
import { preferHugePages } from './io/syscalls.ts';
import type { UdpSocket } from './io/udp.ts';
import { Watch } from './io/watch.ts';
import { type CompiledKernel, compileKernel, createMemory, instantiateKernel } from './kernel.ts';
import { arenaAddress, DEFAULT_LIMITS, initialiseMemory, type MemoryPlan, planMemory } from './memory.ts';
import { PathMtus } from './path-mtu.ts';
import { WorkerPool, type WorkerReports } from './pool.ts';
import { Sad } from './sad.ts';
import { Spd } from './spd.ts';
import type { BackendCounters } from './worker-backends.ts';

const DEFAULT_BACKEND = 'wasm';
/** Datagrams of one IKE socket in one turn of the event loop. */
const IKE_TURN = 64;

/**
 * @returns a data plane that works
 * @throws EspalierError `ERR_NO_TUN`, `ERR_SYSTEM` (a port in use …), `ERR_BACKEND`, `ERR_KERNEL`, `ERR_OPTIONS`
 */
export async function startDataPlane(options: DataPlaneOptions): Promise<RunningDataPlane> {
  const compiled = await compileKernel();
  const missing: Missing = new Set();
  const descriptors = openDescriptors(options, missing);
  try {
    const plan = planMemory({ ...DEFAULT_LIMITS, ...options.limits, workers: descriptors.workers.length });
    const memory = createMemory(plan.size);
    preferHugePages(memory.base, plan.size);
    initialiseMemory(memory, plan);
    const { device } = options;
    // A device of descriptors is no interface: who is behind it knows none of this host's addresses.
    const icmpSource = device.kind === 'tun' ? new IcmpSource(memory, device.addresses ?? []) : undefined;
    const backends = new BackendTable({ backend: DEFAULT_BACKEND, connections: new Map(), ...options.backends });
    const onWarning = options.onWarning ?? warn;
    const engine = new Engine({ compiled, memory, plan, descriptors, missing, icmpSource, backends, onWarning });
    await engine.start();
    return engine;
  } catch (error) {
    descriptors.close();
    throw error;
  }
}

const warn = (sentence: string): void => process.emitWarning(sentence, { code: 'ESPALIER_DATAPLANE' });

interface EngineParts {
  readonly compiled: CompiledKernel;
  readonly memory: KernelMemory;
  readonly plan: MemoryPlan;
  readonly descriptors: Descriptors;
  readonly missing: Missing;
  readonly icmpSource: IcmpSource | undefined;
  readonly backends: BackendTable;
  readonly onWarning: (sentence: string) => void;
}

type EventMap = { [E in keyof DataPlaneEvents]: DataPlaneEvents[E] };

class Engine extends EventEmitter<EventMap> implements RunningDataPlane {
  readonly #compiled: CompiledKernel;
  readonly #memory: KernelMemory;
  readonly #plan: MemoryPlan;
  readonly #descriptors: Descriptors;
  readonly #missing: Missing;
  readonly #sad: Sad;
  readonly #spd: Spd;
  readonly #pathMtus: PathMtus;
  readonly #groups: Groups;
  readonly #dummies: Dummies;
  readonly #icmpSource: IcmpSource | undefined;
  readonly #datagrams = new DatagramBuffer();
  #watches: readonly Watch[] = [];
  #pool: WorkerPool | undefined;
  readonly #onWarning: (sentence: string) => void;
  #backends: BackendTable;
  /** By worker, what it told last. */
  readonly #counters: (readonly BackendCounters[])[] = [];
  /** One change of backends at a time. */
  #changing: Promise<void> = Promise.resolve();
  /** What workers have said since the backends changed: each of them says it. */
  readonly #warnings = new Set<string>();
  /** KEY blocks that backends are to forget, and whether frames may wait for an SA: told once a turn. */
  #forgotten: number[] = [];
  #resume = false;
  #telling = false;
  #closing: Promise<void> | undefined;

  constructor({ compiled, memory, plan, descriptors, missing, icmpSource, backends, onWarning }: EngineParts) {
    super();
    this.#compiled = compiled;
    this.#memory = memory;
    this.#plan = plan;
    this.#descriptors = descriptors;
    this.#missing = missing;
    this.#icmpSource = icmpSource;
    this.#backends = backends;
    this.#onWarning = onWarning;
    const heap = new Heap(memory, plan.heapBase, plan.heapSize);
    const kernel = instantiateKernel(compiled.module, memory);
    kernel.initialiseCrypto(heap.allocate(CRYPTO_SCRATCH_SIZE));
    const deviceMtu = descriptors.device.mtu;
    this.#sad = new Sad({
      memory,
      kernel,
      plan,
      heap,
      deviceMtu,
      backendOf: ({ connection }) => this.#backends.indexOf(connection),
      forget: (key) => this.#forget(key),
    });
    this.#spd = new Spd({ memory, kernel, plan, heap, saAddress: (sa) => this.#sad.address(sa) });
    this.#pathMtus = new PathMtus(
      descriptors.mark,
      (sa, mtu) => this.#sad.setPathMtu(sa, mtu),
      (sa) => this.#sad.outboundSpi(sa),
    );
    this.#dummies = new Dummies({
      look: (sa) => this.#sad.progress(sa),
      send: (pairs) => this.#pool?.tellOne({ type: 'dummies', pairs }),
    });
    this.#groups = new Groups((remote) => this.sourceAddress(remote), onWarning);
  }

  async start(): Promise<void> {
    process.once('exit', this.#onExit);
    this.#pool = await WorkerPool.start({
      tasks: this.#descriptors.workers.map((descriptors, worker) => ({
        ...descriptors,
        memory: this.#memory.memory,
        module: this.#compiled.module,
        arena: arenaAddress(this.#plan, worker),
        capabilities: this.#descriptors.capabilities,
        backends: this.#backends.wanted,
      })),
      onReport: (worker, report) => this.#onReport(worker, report),
      onFailure: (cause) => {
        // A data plane without its workers is none: unless somebody listens, the process ends.
        this.emit('error', new EspalierError('ERR_WORKER', `a worker has failed: ${cause.message}`, { cause }));
      },
    });
    this.#watches = this.#descriptors.ike.plain.map((socket) => new Watch(socket.fd, () => this.#receiveIke(socket)));
  }

  get info(): DataPlaneInfo {
    const { device, ports } = this.#descriptors;
    const { backend, shadow } = this.#backends.choice;
    return {
      workers: this.#plan.workers,
      backend,
      backends: this.#backends.info(this.#counters),
      ...(shadow !== undefined && { shadow }),
      kernel: this.#compiled.build,
      device,
      ports,
      missing: [...this.#missing],
    };
  }

  // ─── SAD and SPD ────────────────────────────────────────────────────────────────────────────

  reserveSpi(): number {
    return this.#sad.reserveSpi();
  }

  releaseSpi(spi: number): void {
    this.#sad.releaseSpi(spi);
  }

  installSa(parameters: SaParameters): SaHandle {
    const sa = this.#sad.install(parameters);
    this.#pathMtus.set(sa, parameters.remote);
    this.#groups.set(sa, parameters);
    if (parameters.direction === 'out' && parameters.protocol === 'esp')
      this.#dummies.set(sa, parameters.tfcDummies ?? 0);
    return sa;
  }

  moveSa(sa: SaHandle, local: Endpoint, remote: Endpoint, udpEncapsulation: boolean): void {
    this.#sad.move(sa, local, remote, udpEncapsulation);
    const parameters = this.#sad.parameters(sa);
    if (parameters === undefined) return;
    this.#pathMtus.set(sa, remote);
    this.#groups.set(sa, parameters);
  }

  removeSa(sa: SaHandle): void {
    this.#pathMtus.delete(sa);
    this.#groups.delete(sa);
    this.#dummies.delete(sa);
    this.#spd.forgetSa(sa);
    this.#sad.remove(sa);
  }

  counters(sa: SaHandle): SaCounters | undefined {
    return this.#sad.counters(sa);
  }

  installPolicy(parameters: PolicyParameters): PolicyHandle {
    if (parameters.direction === 'out' && parameters.action === 'protect') this.#icmpSource?.learn(parameters.selector);
    const policy = this.#spd.install(parameters);
    this.#descriptors.clear?.add(`policy ${policy}`, parameters);
    return policy;
  }

  setPolicySa(policy: PolicyHandle, sa: SaHandle | undefined): void {
    this.#spd.setSa(policy, sa);
    if (sa === undefined) return;
    this.#resume = true;
    this.#tellSoon();
  }

  removePolicy(policy: PolicyHandle): void {
    this.#spd.remove(policy);
    this.#descriptors.clear?.remove(`policy ${policy}`);
  }

  policies(): Iterable<readonly [PolicyHandle, PolicyParameters]> {
    return this.#spd.entries();
  }

  policyCounters(policy: PolicyHandle): { readonly packets: number; readonly bytes: number } | undefined {
    return this.#spd.counters(policy);
  }

  drops(): Readonly<Record<string, number>> {
    const drops = readDrops(this.#memory, this.#plan);
    for (const [reason, count] of Object.entries(this.#descriptors.drops()))
      drops[reason] = (drops[reason] ?? 0) + count;
    return drops;
  }

  // ─── IKE ────────────────────────────────────────────────────────────────────────────────────

  sendIke(datagram: IkeDatagram): void {
    const { ike, ports } = this.#descriptors;
    const plain = datagram.local.port === ports.ike;
    const socket = socketFor(plain ? ike.plain : ike.natTraversal, datagram);
    // What cannot be sent is lost, as datagrams may be: IKE sends it again.
    // A NAT keepalive, one byte, goes as it is (RFC 3948 §2.3).
    if (socket !== undefined) this.#datagrams.send(socket, datagram, !plain && datagram.data.length > 1);
  }

  #receiveIke(socket: UdpSocket): void {
    for (let count = 0; count < IKE_TURN; count++) {
      const datagram = this.#datagrams.receive(socket);
      if (datagram === undefined) return;
      this.emit('ike', datagram);
    }
  }

  // ─── Life ───────────────────────────────────────────────────────────────────────────────────

  addRoute(prefix: string, source?: string, user?: string): void {
    this.#descriptors.routes?.add(prefix, source, user);
  }

  removeRoute(prefix: string, user?: string): void {
    this.#descriptors.routes?.remove(prefix, user);
  }

  guard(key: number, priority: number, selector: TrafficSelector): void {
    this.#descriptors.clear?.add(`guard ${key}`, { direction: 'in', action: 'protect', priority, selector });
  }

  unguard(key: number): void {
    this.#descriptors.clear?.remove(`guard ${key}`);
  }

  sourceAddress(remote: string): string | undefined {
    return sourceAddress(remote, this.#descriptors.mark);
  }

  changeBackends(change: (now: BackendChoice) => BackendChoice): Promise<void> {
    const changed = this.#changing.then(() => this.#changeBackends(change(this.#backends.choice)));
    this.#changing = changed.catch(() => {});
    return changed;
  }

  /**
   * Until SAs have their new KEY_BACKEND, and in a worker that is ahead of others, a packet may go to
   * another backend than it shall: any of them does it right.
   */
  async #changeBackends(choice: BackendChoice): Promise<void> {
    const next = new BackendTable(choice);
    this.#warnings.clear();
    try {
      await this.#pool?.changeBackends(next.wanted);
    } catch (error) {
      await this.#pool?.changeBackends(this.#backends.wanted).catch(() => {});
      throw error;
    }
    this.#backends = next;
    this.#sad.assignBackends();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    process.off('exit', this.#onExit);
    for (const watch of this.#watches) watch.close();
    this.#pathMtus.close();
    this.#groups.close();
    this.#dummies.close();
    await this.#pool?.stop();
    this.#sad.close();
    this.#descriptors.close();
    this.removeAllListeners();
  }

  /**
   * The process ends without `close`: routing rules would stay behind, and workers that wait for packets
   * would hold it up.
   */
  readonly #onExit = (): void => {
    this.#pool?.tell({ type: 'stop' });
    this.#descriptors.close();
  };

  #onReport(worker: number, report: WorkerReports): void {
    switch (report.type) {
      case 'ike':
        Atomics.sub(
          this.#memory.words,
          (arenaAddress(this.#plan, worker) + ARENA_IKE_PENDING) >>> 2,
          report.datagrams.length,
        );
        for (const { local, remote, data } of report.datagrams) {
          this.emit('ike', { local: { address: local, port: this.#descriptors.ports.natTraversal }, remote, data });
        }
        break;
      case 'events':
        emitEvents(report.events, (event, ...values) => this.emit(event, ...(values as never)));
        break;
      case 'missing':
        this.#missing.add(report.sentence);
        this.#onWarning(report.sentence);
        break;
      case 'warning':
        if (!this.#warnings.has(report.sentence)) this.#onWarning(report.sentence);
        this.#warnings.add(report.sentence);
        break;
      case 'counters':
        this.#counters[worker] = report.counters;
        break;
    }
  }

  #forget(key: number): void {
    this.#forgotten.push(key);
    this.#tellSoon();
  }

  /** Many SAs come and go in one turn of the event loop: the workers hear of them together. */
  #tellSoon(): void {
    if (this.#telling || this.#closing !== undefined) return;
    this.#telling = true;
    setImmediate(() => {
      this.#telling = false;
      if (this.#closing !== undefined) return;
      if (this.#forgotten.length > 0) this.#pool?.tell({ type: 'forget', keys: this.#forgotten });
      if (this.#resume) this.#pool?.tell({ type: 'resume' });
      this.#forgotten = [];
      this.#resume = false;
    });
  }
}
