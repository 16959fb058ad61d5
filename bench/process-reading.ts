/** What the kernel knows of a process: its memory, its processor time, what it made the disk write. */
import { readFileSync } from 'node:fs';

import { setTimeout as delay } from 'node:timers/promises';

/** USER_HZ: the kernel tells CPU time in hundredths of a second to every program (time(7)). */
const TICK_MS = 10;

const MB = 1e6;

interface Reading {
  readonly atMs: number;
  readonly residentBytes: number;
  readonly proportionalBytes: number;
  readonly cpuMs: number;
  readonly writtenBytes: number;
}

/** What a process that does nothing took while it was looked at. */
export interface Idle {
  readonly residentMb: number;
  readonly proportionalMb: number;
  readonly cpuPercent: number;
  readonly writtenBytes: number;
}

export async function watchIdle(pids: readonly number[], minutes: number): Promise<readonly Idle[]> {
  const before = pids.map(readProcess);
  await delay(minutes * 60_000);
  return before.map((reading, at) => between(reading, readProcess(pids[at] ?? 0)));
}

function between(before: Reading, after: Reading): Idle {
  return {
    residentMb: after.residentBytes / MB,
    proportionalMb: after.proportionalBytes / MB,
    cpuPercent: ((after.cpuMs - before.cpuMs) * 100) / (after.atMs - before.atMs),
    writtenBytes: after.writtenBytes - before.writtenBytes,
  };
}

export function readProcess(pid: number): Reading {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const share = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const io = readFileSync(`/proc/${pid}/io`, 'utf8');
  return {
    atMs: performance.now(),
    residentBytes: number(status, /^VmRSS:\s+(\d+) kB/m) * 1024,
    proportionalBytes: number(share, /^Pss:\s+(\d+) kB/m) * 1024,
    cpuMs: cpuMsOf(pid),
    writtenBytes: number(io, /^write_bytes: (\d+)/m),
  };
}

export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Behind the name, which stands in brackets and may hold anything, begins field 3; times are 14 and 15 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

function number(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? Number.NaN);
}
