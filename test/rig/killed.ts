import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** SIGKILL, unless it has ended already. Resolves when it is gone. */
export async function killed(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
