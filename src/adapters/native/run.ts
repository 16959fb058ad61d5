/** One life of an instance: how its leader is executed, told from others, and what its end means to a person. */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { must } from '../../core/base/assert.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { RuntimeExit } from '../../ports/runtime.ts';
import { cgroupMembers, enterAndExec, ranOutOfMemory } from './cgroup.ts';
import { ioErrorCode } from './io-errors.ts';
import type { Launch } from './launcher.ts';
import { findProcesses, isEnded, readStat } from './proc.ts';

const ENDED_MEANWHILE = 'ended while tendril was not running';
const ENDED_ADOPTED = 'ended; with which code is unknown, as tendril was restarted meanwhile';

/** One life of an instance's leader. */
export interface Run {
  readonly pid: number;
  readonly startTicks: number;
  readonly cgroups: readonly string[];
  /** null when adopted. */
  readonly child: ChildProcess | null;
  stopRequested: boolean;
  /** Set once the leader has ended. */
  exit: RuntimeExit | null;
}

/** Synchronous, so that what follows in the same turn finds the process, even one that ends at once. */
export function execute(
  { executable, args, workingDir }: Launch,
  cgroups: readonly string[],
  env: Record<string, string>,
  output: number,
): ChildProcess {
  const [file, ...rest] = cgroups.length > 0 ? enterAndExec(cgroups, executable, args) : [executable, ...args];
  try {
    return spawn(file, rest, { cwd: workingDir, env, detached: true, stdio: ['ignore', output, output] });
  } catch (error) {
    if (ioErrorCode(error) === 'E2BIG') throw new CodedError('too_large', 'command and environment together', [], error);
    throw new CodedError('runtime_failed', `${executable} cannot be executed`, [], error);
  }
}

export async function startFailure(child: ChildProcess, executable: string): Promise<CodedError> {
  const error = await new Promise<Error>((resolve) => child.once('error', resolve));
  const code = ioErrorCode(error);
  // It was there when it was looked for: now gone, or its interpreter is missing, or it is no program of this machine.
  const missing = ['ENOENT', 'EACCES', 'ENOEXEC', 'ENOTDIR'].includes(code);
  return new CodedError(missing ? 'command_not_found' : 'runtime_failed', `${executable} (${code})`, [], error);
}

/** Of a child just executed: until the loop turns, the kernel keeps even one that has ended. */
export function runOf(child: ChildProcess, cgroups: readonly string[]): Run {
  const pid = must(child.pid, 'id of a process that runs');
  const { startTicks } = must(readStat(pid), `process ${pid}`);
  return { pid, startTicks, cgroups, child, stopRequested: false, exit: null };
}

/** The leader and whatever it has started, as far as it lives. */
export function membersOf(run: Run | null, cgroups: readonly string[], marks: Readonly<Record<string, string>>): number[] {
  // Once the leader is gone its id may name another's process or session; until then it names ours.
  const leader = run !== null && isAlive(run) ? run.pid : null;
  const rest = cgroups.length > 0 ? cgroupMembers(cgroups) : findProcesses(marks, leader).map(({ pid }) => pid);
  // Its leader may be on the way into the group still.
  return [...new Set(leader === null ? rest : [leader, ...rest])];
}

export function isAlive({ pid, startTicks }: Run): boolean {
  const stat = readStat(pid);
  return stat !== null && stat.startTicks === startTicks && !isEnded(stat);
}

export function exitOf(code: number | null, signal: NodeJS.Signals | null, cgroups: readonly string[]): RuntimeExit {
  if (signal === null) return { exitCode: code, reason: `exited with code ${code}` };
  const cause = signal === 'SIGKILL' && ranOutOfMemory(cgroups) ? ' (out of memory)' : '';
  // As shells and Docker write it.
  return { exitCode: 128 + constants.signals[signal], reason: `killed by ${signal}${cause}` };
}

/** The end of a process that is not our child: the kernel tells its code to its parent only. */
export function unwitnessedExit(when: 'while down' | 'while adopted', cgroups: readonly string[]): RuntimeExit {
  if (ranOutOfMemory(cgroups)) return { exitCode: null, reason: 'killed by SIGKILL (out of memory)' };
  return { exitCode: null, reason: when === 'while down' ? ENDED_MEANWHILE : ENDED_ADOPTED };
}
