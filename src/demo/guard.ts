/**
 * Leaves nothing behind, however the demo ends. A guard in a session of its own waits at the other end of a pipe; the
 * kernel closes the pipe when the demo ends, by Ctrl-C, an error or SIGKILL alike, and then the guard clears up.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { PROGRAM } from './plan.ts';
import { killAll } from './processes.ts';

export const SWEEP = '--sweep';

export interface Guard {
  /** Has everything cleared up now; resolves when it is. Throws with what could not be. */
  end(): Promise<void>;
}

export function startGuard(directory: string): Guard {
  // A shell waits, not a second Node: it takes a megabyte. `read` ends with the pipe.
  const guard = spawn('/bin/sh', ['-c', 'read -r _; exec "$@"', 'sh', process.execPath, PROGRAM, SWEEP, directory], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let said = '';
  guard.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(guard, 'exit');
  return {
    async end() {
      guard.stdin.end();
      const [code] = await ended;
      if (code !== 0) throw new Error(said.trim() || `the guard ended with ${code}`);
    },
  };
}

/** What the guard does in the end. */
export async function sweep(directory: string): Promise<void> {
  await killAll(directory);
  await rm(directory, { recursive: true, force: true, maxRetries: 3 });
}
