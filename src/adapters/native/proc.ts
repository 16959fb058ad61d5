/**
 * What /proc tells of processes (proc(5)). Read synchronously: these files live in the kernel's memory, and one
 * read takes some ten microseconds, less than a trip through Node's thread pool.
 */
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessStat {
  /** Z (zombie) and X (dead) run no more; only their parent has not asked yet. */
  readonly state: string;
  readonly session: number;
  /** Since boot, in clock ticks. With the process id and the boot it names a process for good, as ids come around again. */
  readonly startTicks: number;
}

/** `/proc/<pid>/stat`. The name in it may hold blanks and brackets, so fields count from the last bracket. */
export function parseStat(text: string): ProcessStat | null {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, session, startTicks] = [fields[0], Number(fields[3]), Number(fields[19])];
  if (state === undefined || !Number.isInteger(session) || !Number.isInteger(startTicks)) return null;
  return { state, session, startTicks };
}

/** null when there is no such process. */
export function readStat(pid: number): ProcessStat | null {
  const text = readOrNull(`/proc/${pid}/stat`);
  return text === null ? null : parseStat(text);
}

export function isEnded(stat: ProcessStat | null): boolean {
  return stat === null || stat.state === 'Z' || stat.state === 'X';
}

/** Differs from boot to boot. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

export interface MarkedProcess {
  readonly pid: number;
  readonly session: number;
  /** Its environment at the time of exec. */
  readonly environment: ReadonlyMap<string, string>;
}

/** All living processes of this user whose environment holds every one of `marks`, or that belong to `session`. */
export function findProcesses(marks: Readonly<Record<string, string>>, session: number | null): MarkedProcess[] {
  const found: MarkedProcess[] = [];
  const wanted = Object.entries(marks).map(([name, value]) => `${name}=${value}`);
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const entries = (readOrNull(`/proc/${pid}/environ`) ?? '').split('\0');
    const marked = wanted.every((mark) => entries.includes(mark));
    if (!marked && session === null) continue;
    const stat = readStat(pid);
    if (stat === null || isEnded(stat) || !(marked || stat.session === session)) continue;
    found.push({ pid, session: stat.session, environment: new Map(entries.map(splitEntry)) });
  }
  return found;
}

function splitEntry(entry: string): [string, string] {
  const at = entry.indexOf('=');
  return [entry.slice(0, at), entry.slice(at + 1)];
}

/** Sends a signal; a process that is gone or never was ours is none of our business. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // ESRCH: gone meanwhile. EPERM: it has changed its user, and the end of its leader has to do.
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
