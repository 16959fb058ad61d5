/**
 * The machine, measured by /proc and statfs. A sample of the load is one small read and takes microseconds,
 * so it can go with every report.
 */
import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { availableParallelism, hostname, totalmem } from 'node:os';
import type { MachineInventory, Meter } from '../../ports/meter.ts';

export interface CpuTimes {
  readonly busyTicks: number;
  readonly totalTicks: number;
}

/** What the load of the machine is the mean of, by weight: CPU alone, memory alone, or both (Messina, section 4.1). */
export interface LoadWeights {
  readonly cpu: number;
  readonly memory: number;
}

export const CPU_ONLY: LoadWeights = { cpu: 1, memory: 0 };

const NONE: CpuTimes = { busyTicks: 0, totalTicks: 0 };

/** As Docker and OCI images name them (GOARCH), where Node says otherwise. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };

export class OsMeter implements Meter {
  readonly #directory: string;
  readonly #weights: LoadWeights;
  #last = readCpuTimes();

  /** Disk is that of the file system where `directory` lies. */
  constructor(init: { readonly directory: string; readonly load?: LoadWeights | undefined }) {
    this.#directory = init.directory;
    this.#weights = init.load ?? CPU_ONLY;
  }

  async inventory(): Promise<MachineInventory> {
    const disk = await statfs(this.#directory);
    return {
      architecture: ARCHITECTURES[process.arch] ?? process.arch,
      cores: availableParallelism(),
      memoryBytes: usableMemoryBytes(totalmem(), process.constrainedMemory()),
      // What may still be written, as what others have taken cannot be promised.
      diskBytes: disk.bavail * disk.bsize,
      hostname: hostname(),
    };
  }

  load(): number {
    const now = readCpuTimes();
    const load = loadBetween(this.#last, now);
    this.#last = now;
    const { cpu, memory } = this.#weights;
    if (memory === 0) return load; // the other file is not read then
    return (cpu * load + memory * readMemoryUse()) / (cpu + memory);
  }
}

/** `constrainedBytes` is the control group's limit: 0 when unknown, beyond all memory when there is none. */
export function usableMemoryBytes(totalBytes: number, constrainedBytes: number): number {
  return constrainedBytes > 0 ? Math.min(totalBytes, constrainedBytes) : totalBytes;
}

/** The first line of /proc/stat: user nice system idle iowait irq softirq steal, then guest times that user and nice hold already. */
export function parseCpuTimes(stat: string): CpuTimes {
  const [, ...fields] = stat.slice(0, stat.indexOf('\n')).split(/ +/);
  const ticks = fields.slice(0, 8).map(Number);
  const totalTicks = ticks.reduce((sum, each) => sum + each, 0);
  // Waiting for a disk leaves the core to others.
  return { totalTicks, busyTicks: totalTicks - (ticks[3] ?? 0) - (ticks[4] ?? 0) };
}

/** 0 to 1 over all cores; 0 when no time has passed. */
export function loadBetween(before: CpuTimes, after: CpuTimes): number {
  const totalTicks = after.totalTicks - before.totalTicks;
  if (totalTicks <= 0) return 0;
  // iowait may run backwards (proc(5)), and so take the difference out of bounds.
  return Math.min(1, Math.max(0, (after.busyTicks - before.busyTicks) / totalTicks));
}

/** 0 to 1: what the kernel could not give to something new without swapping (proc(5), MemAvailable); 0 where it does not say. */
export function memoryUseIn(meminfo: string): number {
  const amount = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? Number.NaN);
  const use = 1 - amount('MemAvailable') / amount('MemTotal');
  return Number.isFinite(use) ? Math.min(1, Math.max(0, use)) : 0;
}

function readMemoryUse(): number {
  try {
    return memoryUseIn(readFileSync('/proc/meminfo', 'utf8'));
  } catch {
    return 0;
  }
}

function readCpuTimes(): CpuTimes {
  try {
    return parseCpuTimes(readFileSync('/proc/stat', 'utf8'));
  } catch {
    // Hidden in some sandboxes: then the load is unknown, and placement goes by reservations alone.
    return NONE;
  }
}
