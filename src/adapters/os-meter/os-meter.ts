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

const NONE: CpuTimes = { busyTicks: 0, totalTicks: 0 };

/** As Docker and OCI images name them (GOARCH), where Node says otherwise. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };

export class OsMeter implements Meter {
  readonly #directory: string;
  #last = readCpuTimes();

  /** Disk is that of the file system where `directory` lies. */
  constructor(init: { readonly directory: string }) {
    this.#directory = init.directory;
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
    return load;
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

function readCpuTimes(): CpuTimes {
  try {
    return parseCpuTimes(readFileSync('/proc/stat', 'utf8'));
  } catch {
    // Hidden in some sandboxes: then the load is unknown, and placement goes by reservations alone.
    return NONE;
  }
}
