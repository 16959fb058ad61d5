/** What the tests of the native runtimes share. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RuntimeName } from '../../core/model/service.ts';
import type { Clock } from '../../ports/clock.ts';
import { marks } from './environment.ts';
import { findProcesses } from './proc.ts';

export const clock: Clock = {
  nowMs: () => Date.now(),
  elapsedMs: () => performance.now(),
  startTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

export async function leftovers(runtime: RuntimeName, directory: string, nodeUid: string, id: string): Promise<string[]> {
  const processes = findProcesses(marks(nodeUid, runtime, id), null).map(({ pid }) => `process ${pid}`);
  const groups = ['memory', 'cpu'].map((controller) => `/sys/fs/cgroup/${controller}/tendril-${nodeUid}-${runtime}`);
  return [...processes, ...[join(directory, id), ...groups].filter((path) => existsSync(path))];
}
