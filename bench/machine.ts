/** What a figure depends on and a reader wants to know. */
import { readFileSync } from 'node:fs';
import { arch, cpus, loadavg, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  /** One-minute load average at the start: other work on the machine. */
  readonly load: number;
  readonly date: string;
}

export interface NodeVersions {
  readonly version: string;
  readonly v8: string;
  readonly openssl: string;
}

export function describeMachine(): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${distribution()} ${arch()}, Linux ${release()}`,
    load: Math.round(loadavg()[0]! * 100) / 100,
    date: new Date().toISOString(),
  };
}

export const describeNode = (): NodeVersions => ({
  version: process.version,
  v8: process.versions.v8,
  openssl: process.versions.openssl,
});

function distribution(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  } catch {
    return 'Linux';
  }
}
