/** `espalier demo`: two gateways, IKEv2 between them, real packets across; everything is removed again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EspalierError } from '../errors.ts';
import { Bed, uniqueName } from './bed.ts';
import { demoInProcess } from './in-process.ts';
import { chooseMode } from './modes.ts';
import { type DemoPlan, demoInNamespaces, demoInUserNamespace } from './namespaces.ts';
import { type DemoMeasurements, type DemoMode, describeReport, makeReport } from './report.ts';

export interface DemoOptions {
  /** Print one JSON object and nothing else on standard output. */
  readonly json: boolean;
  /** Seconds of bulk TCP. */
  readonly seconds: number;
  readonly backend: string;
  /** Left out: the best that works here. */
  readonly mode?: DemoMode;
  /** Set where the demo runs again inside a user namespace of its own. */
  readonly inside?: boolean;
}

const progress = (line: string) => process.stderr.write(`espalier demo: ${line}\n`);

/** @returns the exit status: 0 only if every part worked */
export async function runDemo(options: DemoOptions): Promise<number> {
  const mode = options.inside ? 'userns' : (options.mode ?? chosenMode());
  if (mode === 'userns' && !options.inside) return demoInUserNamespace([...commandLine(options), '--inside']);
  const directory = mkdtempSync(join(tmpdir(), 'espalier-demo-'));
  const plan: DemoPlan = { ...options, directory, progress };
  try {
    const measured = mode === 'in-process' ? await demoInProcess(plan) : await withBed(plan);
    const report = makeReport(mode, measured);
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : describeReport(report, measured));
    return report.ok ? 0 : 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function chosenMode(): DemoMode {
  const { mode, missing } = chooseMode();
  for (const sentence of missing) progress(sentence);
  if (mode === 'in-process') progress('so both gateways run in this process, over a link instead of TUN devices');
  return mode;
}

function commandLine({ json, seconds, backend }: DemoOptions): string[] {
  return [...(json ? ['--json'] : []), '--seconds', String(seconds), '--backend', backend];
}

/** Makes the bed, and removes it whatever happens: success, failure, Ctrl-C. */
async function withBed(plan: DemoPlan): Promise<DemoMeasurements> {
  progress('making two gateways and two hosts, each in a network namespace');
  const bed = Bed.create(uniqueName('esp'));
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => reject(new Interruption(signal)));
    }
  });
  try {
    return await Promise.race([demoInNamespaces(bed, plan), interrupted]);
  } finally {
    progress('removing the namespaces');
    await bed.remove();
  }
}

/** Ctrl-C, as an error, so that it takes the way on which everything is cleaned up. */
class Interruption extends EspalierError {
  constructor(signal: string) {
    super('ERR_INTERRUPTED', `interrupted by ${signal}`);
  }
}
